//! The control plane, and what all nodes share.

use std::fs;
use std::process::Command;

use anyhow::Context;
use e2e::KubeKeys;
use serde_json::json;

use super::machine::ADDRESS;
use super::node::PODS;
use super::{Lab, NODES, members};
use crate::child::Children;

/// Where Services have their addresses; the first is the API server's.
const SERVICES: &str = "10.214.0.0/16";

/// What the API server is called by, in its certificate.
const NAMES: [&str; 6] = [
    ADDRESS,
    "10.214.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

impl Lab {
    /// Starts it and waits until the API server is ready.
    pub(super) fn start_control(&self, children: &mut Children) -> anyhow::Result<()> {
        let place = |name: &str| self.path(name).display().to_string();
        let write = |name: &str, text: String| {
            fs::write(self.path(name), text).with_context(|| format!("{} can't be written", place(name)))
        };
        fs::create_dir_all(self.path("keys")).context("the lab's folder can't be written")?;
        let keys = KubeKeys::make(&self.path("keys"), &NAMES).context("the lab's keys can't be written")?;
        let kubeconfig = keys.kubeconfig(&format!("https://{ADDRESS}:6443"));
        write("kubeconfig", kubeconfig.to_string())?;

        let (client, peer) = (format!("http://{ADDRESS}:2379"), format!("http://{ADDRESS}:2380"));
        self.begin(
            "etcd",
            &[
                format!("--data-dir={}", place("etcd")),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster=default={peer}"),
                "--unsafe-no-fsync".to_owned(),
            ],
        )?;
        let mut arguments = vec![
            format!("--etcd-servers={client}"),
            format!("--bind-address={ADDRESS}"),
            format!("--advertise-address={ADDRESS}"),
            "--secure-port=6443".to_owned(),
            format!("--service-cluster-ip-range={SERVICES}"),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--allow-privileged=true".to_owned(),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
        ];
        arguments.extend(keys.arguments());
        self.begin("kube-apiserver", &arguments)?;
        self.until(children, "the API server to be ready", || {
            Ok(self.kubectl(&["get", "--raw", "/readyz"])?.status.success())
        })?;

        let by_kubeconfig =
            || vec![format!("--kubeconfig={}", place("kubeconfig")), "--leader-elect=false".to_owned()];
        let mut arguments = by_kubeconfig();
        arguments.extend([
            format!("--service-account-private-key-file={}", keys.signing_key().display()),
            format!("--root-ca-file={}", keys.certificate().display()),
            "--secure-port=0".to_owned(),
        ]);
        self.begin("kube-controller-manager", &arguments)?;
        let mut arguments = by_kubeconfig();
        arguments.push("--secure-port=0".to_owned());
        self.begin("kube-scheduler", &arguments)?;

        let proxy = json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": place("kubeconfig")},
            "mode": "iptables",
            "clusterCIDR": PODS,
            // One is enough where all nodes share one kernel.
            "hostnameOverride": NODES[0],
            "conntrack": {"maxPerCore": 0, "min": 0},
            "healthzBindAddress": format!("{ADDRESS}:10256"),
            "metricsBindAddress": format!("{ADDRESS}:10249"),
        });
        write("kube-proxy.json", proxy.to_string())?;
        self.begin("kube-proxy", &[format!("--config={}", place("kube-proxy.json"))])?;
        // It knows the cluster's own names; no pod of the lab has business elsewhere.
        let names = format!(
            ".:53 {{\n  bind {ADDRESS}\n  errors\n  kubernetes cluster.local in-addr.arpa {{\n    kubeconfig {}\n  }}\n}}\n",
            place("kubeconfig")
        );
        write("Corefile", names)?;
        self.begin("coredns", &["-conf".to_owned(), place("Corefile")])
    }

    fn begin(&self, name: &str, arguments: &[String]) -> anyhow::Result<()> {
        members::start(&self.folder, name, Command::new(e2e::tool(name)).args(arguments))
    }
}
