//! `bench master`: the master's large answers, beside bare ones.
//!
//! The measuring itself is an example of `master/`, so that developer commands need no clients of etcd and MongoDB.

use anyhow::bail;
use e2e::{Etcd, Mongo, cargo};

pub(super) fn run(quick: bool) -> anyhow::Result<()> {
    let (etcd, mongo) = (Etcd::start(), Mongo::start());
    println!(
        "\nmaster: the median of 40 answers each, in turn with a bare handler and a bare query of the same servers, all on this machine; the server that speaks MongoDB's protocol is not MongoDB"
    );
    let status = cargo()
        .args(["run", "--quiet", "--release", "--locked", "-p", "crontab-master"])
        .args(["--example", "answer_rate", "--"])
        .args([etcd.endpoint(), mongo.uri(), if quick { "1000" } else { "10000" }.to_owned()])
        .status()?;
    if !status.success() {
        bail!("the example answer_rate of master/ ended with {status}");
    }
    Ok(())
}
