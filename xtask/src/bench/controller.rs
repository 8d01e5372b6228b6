//! `bench controller`: resources taken up, a restart, and memory; beside a bare loop.
//!
//! The measuring itself is an example of `controller/`, so that developer commands need no clients of etcd and Kubernetes.

use std::path::Path;

use anyhow::bail;
use e2e::{Etcd, KubeApi, cargo};

use crate::root;

pub(super) fn run(program: &Path, quick: bool) -> anyhow::Result<()> {
    println!(
        "\ncontroller: from nothing to every job in etcd and every resource Ready, beside a loop that makes the same writes of the same servers; then a restart with nothing changed"
    );
    let (etcd, api) = (Etcd::start(), KubeApi::start());
    let definition = root().join("crds/nodecronjobs.yaml").display().to_string();
    api.kubectl(&["apply", "--filename", &definition]);
    api.kubectl(&["wait", "--for=condition=Established", "crd/nodecronjobs.crontab.dev", "--timeout=30s"]);
    for resources in if quick { &["1000"][..] } else { &["1000", "10000"] } {
        let status = cargo()
            .args(["run", "--quiet", "--release", "--locked", "-p", "crontab-controller"])
            .args(["--example", "reconcile_rate", "--", &etcd.endpoint()])
            .arg(program)
            .arg(resources)
            .env("KUBECONFIG", api.kubeconfig())
            .status()?;
        if !status.success() {
            bail!("the example reconcile_rate of controller/ ended with {status}");
        }
    }
    Ok(())
}
