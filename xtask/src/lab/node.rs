//! A node: a containerd, and a kubelet that uses it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde_json::{Value, json};

use super::machine::{ADDRESS, BRIDGE, group};
use super::{Lab, NODES, members, output};
use crate::child::Children;

/// Where kubelet listens, on its node's address.
pub(super) const PORT: u16 = 10250;

/// The image of what holds a pod together.
pub(super) const PAUSE: &str = "localhost/pause:1";

/// The nodes' addresses.
pub(super) fn addresses() -> Vec<String> {
    (1..=NODES.len()).map(|number| format!("10.213.0.{}", 10 + number)).collect()
}

/// The subnet of all pods.
pub(super) const PODS: &str = "10.213.0.0/16";

/// A node's places.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) folder: PathBuf,
    address: String,
    number: usize,
}

impl Node {
    /// Those of a lab, whether it runs or not.
    pub(super) fn all(lab: &Path) -> impl Iterator<Item = Self> {
        NODES.iter().zip(addresses()).zip(1..).map(|((name, address), number)| Self {
            name,
            folder: lab.join(name),
            address,
            number,
        })
    }

    /// Where its containerd listens.
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    /// The bridge of its pods.
    pub(super) fn bridge(&self) -> String {
        format!("{BRIDGE}{}", self.number)
    }

    /// Gives it an image.
    pub(super) fn import(&self, archive: &Path) -> anyhow::Result<()> {
        let said = output(self.ctr().args(["images", "import"]).arg(archive))?;
        println!("  {}: {}", self.name, said.lines().last().unwrap_or_default());
        Ok(())
    }

    fn ctr(&self) -> Command {
        let mut ctr = Command::new("ctr");
        ctr.arg("--address").arg(self.socket()).args(["--namespace", "k8s.io"]);
        ctr
    }

    fn containerd(&self) -> String {
        format!(
            r#"version = 2
root = "{folder}/root"
state = "{folder}/state"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # Where a machine does not allow a negative oom_score_adj, no pod would start.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
"#,
            folder = self.folder.display(),
            socket = self.socket().display(),
        )
    }

    fn network(&self) -> Value {
        let subnet = format!("10.213.{}.0/24", self.number);
        json!({
            "cniVersion": "0.4.0",
            "name": self.bridge(),
            "plugins": [
                {
                    "type": "bridge", "bridge": self.bridge(),
                    "isGateway": true, "ipMasq": true, "hairpinMode": true,
                    "ipam": {
                        "type": "host-local", "dataDir": self.folder.join("addresses"),
                        "ranges": [[{"subnet": subnet}]], "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": true}},
            ],
        })
    }

    fn kubelet(&self) -> Value {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            // Its address is reached from this machine and its pods alone.
            "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
            "authorization": {"mode": "AlwaysAllow"},
            "address": self.address,
            "port": PORT,
            "healthzPort": 0,
            "readOnlyPort": 0,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": format!("/{}", group(self.name)),
            "failCgroupV1": false,
            "failSwapOn": false,
            "enforceNodeAllocatable": [],
            // How full the disk of a machine for tests is says nothing about the lab.
            "evictionHard": {},
            "imageGCHighThresholdPercent": 100,
            "containerRuntimeEndpoint": format!("unix://{}", self.socket().display()),
            "resolvConf": "/etc/resolv.conf",
            "clusterDNS": [ADDRESS],
            "clusterDomain": "cluster.local",
        })
    }
}

impl Lab {
    pub(super) fn start_node(
        &self,
        children: &mut Children,
        node: &Node,
        pause: &Path,
    ) -> anyhow::Result<()> {
        let place = |name: &str| node.folder.join(name);
        let write = |name: &str, text: String| {
            fs::write(place(name), text)
                .with_context(|| format!("{} can't be written", place(name).display()))
        };
        fs::create_dir_all(place("cni")).context("the node's folder can't be made")?;
        write("containerd.toml", node.containerd())?;
        write("cni/10-bridge.conflist", node.network().to_string())?;
        write("kubelet.json", node.kubelet().to_string())?;
        let name = format!("{}-containerd", node.name);
        members::start(
            &self.folder,
            &name,
            Command::new("containerd").arg("--config").arg(place("containerd.toml")),
        )?;
        self.until(children, &name, || Ok(node.ctr().arg("version").output()?.status.success()))?;
        output(node.ctr().args(["images", "import"]).arg(pause))?;
        let mut kubelet = Command::new(e2e::tool("kubelet"));
        kubelet
            .arg("--config")
            .arg(place("kubelet.json"))
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .arg("--root-dir")
            .arg(place("kubelet"))
            .arg("--cert-dir")
            .arg(place("keys"))
            .arg(format!("--hostname-override={}", node.name))
            .arg(format!("--node-ip={}", node.address));
        members::start(&self.folder, &format!("{}-kubelet", node.name), &mut kubelet)
    }
}
