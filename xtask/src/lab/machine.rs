//! What the lab asks of the machine, and the little that it changes there.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

use super::{NODES, output, packets};
use crate::child::Children;

/// The bridge that carries the lab's addresses.
pub(super) const BRIDGE: &str = "crontab-lab";

/// Where the control plane and the DNS server listen.
pub(super) const ADDRESS: &str = "10.213.0.1";

/// The ports there: etcd's two, the API server's, and the DNS server's.
const PORTS: [u16; 4] = [2379, 2380, 6443, 53];

/// A Debian package, and a file that it brings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Package {
    name: &'static str,
    file: &'static str,
}

const fn package(name: &'static str, file: &'static str) -> Package {
    Package { name, file }
}

/// What nodes, and the image in each pod, are made of.
pub(super) const FOR_NODES: [Package; 8] = [
    package("containerd", "/usr/bin/containerd"),
    package("runc", "/usr/sbin/runc"),
    package("containernetworking-plugins", "/usr/lib/cni/bridge"),
    package("iproute2", "/usr/sbin/ip"),
    package("iptables", "/usr/sbin/iptables"),
    package("conntrack", "/usr/sbin/conntrack"),
    package("socat", "/usr/bin/socat"),
    BUILDAH,
];

/// What our own images are made with.
pub(super) const FOR_IMAGES: [Package; 2] = [package("mmdebstrap", "/usr/bin/mmdebstrap"), BUILDAH];

const BUILDAH: Package = package("buildah", "/usr/bin/buildah");

pub(super) fn must_be_root() -> anyhow::Result<()> {
    if rustix::process::getuid().is_root() {
        return Ok(());
    }
    bail!(
        "the lab runs containers and changes the network of this machine: run it as root, on a machine for tests"
    )
}

/// Installs what is missing.
pub(crate) fn packages(children: &mut Children, packages: &[Package]) -> anyhow::Result<()> {
    let missing = packages.iter().filter(|package| !Path::new(package.file).exists());
    let missing: Vec<&str> = missing.map(|package| package.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !Path::new("/etc/debian_version").exists() {
        bail!(
            "the lab needs what Debian has in these packages: {names}; install them, or use a Debian machine"
        );
    }
    println!("installing {} Debian packages: {names}", missing.len());
    let begun = Instant::now();
    apt(children, &["update"])?;
    apt(children, &[&["install", "--yes", "--no-install-recommends"], &missing[..]].concat())?;
    println!("installed {names} in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

fn apt(children: &mut Children, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    quietly(children, command)
}

/// Runs a command whose output matters only when it fails.
pub(super) fn quietly(children: &mut Children, command: Command) -> anyhow::Result<()> {
    const SHOWN: usize = 30;
    let line = format!("{command:?}");
    let mut last = VecDeque::new();
    let status = children
        .run(command, |text| {
            last.push_back(text.to_owned());
            if last.len() > SHOWN {
                last.pop_front();
            }
            false
        })
        .with_context(|| format!("{line} did not run to its end"))?;
    if status.success() {
        return Ok(());
    }
    let last: Vec<String> = last.into();
    bail!("{line}: {status}; its last lines:\n  {}", last.join("\n  "))
}

/// Fails where the machine is a node of a cluster: one kernel has one set of Services.
pub(super) fn must_be_free() -> anyhow::Result<()> {
    for entry in fs::read_dir("/proc").context("/proc can't be read")? {
        let process = entry.context("/proc can't be read")?;
        // It may have ended meanwhile, or be no process.
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        if matches!(name.trim(), "kubelet" | "kube-proxy" | "k3s-server" | "k3s-agent") {
            bail!(
                "this machine is a node of a cluster: process {} is {}; run the lab on a machine that is none",
                process.file_name().display(),
                name.trim()
            );
        }
    }
    Ok(())
}

/// Makes the bridge with the lab's addresses, sees that nobody listens there, and makes the nodes' control groups.
pub(super) fn prepare() -> anyhow::Result<()> {
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("packets can't be forwarded between pods")?;
    ip(&["link", "add", BRIDGE, "type", "bridge"])?;
    let nodes = super::node::addresses();
    for address in std::iter::once(ADDRESS).chain(nodes.iter().map(String::as_str)) {
        ip(&["address", "add", &format!("{address}/32"), "dev", BRIDGE])?;
    }
    ip(&["link", "set", BRIDGE, "up"])?;
    packets::let_pods_through()?;
    for port in PORTS {
        nobody_listens(ADDRESS, port)?;
    }
    for address in &nodes {
        nobody_listens(address, super::node::PORT)?;
    }
    for node in NODES {
        control_groups(node)?;
    }
    Ok(())
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    output(Command::new("ip").args(arguments)).map(drop)
}

/// The addresses are ours, so only what listens on all addresses of the machine can be in the way.
fn nobody_listens(address: &str, port: u16) -> anyhow::Result<()> {
    let tried = TcpListener::bind((address, port)).map(drop);
    let tried =
        tried.and_then(|()| if port == 53 { UdpSocket::bind((address, port)).map(drop) } else { Ok(()) });
    match tried {
        Err(why) if why.kind() == io::ErrorKind::AddrInUse => bail!(
            "something listens on port {port} of all addresses of this machine, which the lab needs on {address}; \
             see `ss -lntup 'sport = :{port}'`, and stop it or bind it to one address"
        ),
        other => other.with_context(|| format!("{address}:{port} can't be listened on")),
    }
}

/// The name of a node's control group.
pub(super) fn group(node: &str) -> String {
    format!("{BRIDGE}-{node}")
}

/// Where control groups are mounted: one hierarchy, or several with the first version.
pub(super) fn hierarchies() -> anyhow::Result<Vec<String>> {
    let mounts = fs::read_to_string("/proc/mounts").context("/proc/mounts can't be read")?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    Ok(fields
        .filter(|fields| matches!(fields.get(2), Some(&("cgroup" | "cgroup2"))))
        .filter_map(|fields| fields.get(1).map(|path| (*path).to_owned()))
        .collect())
}

/// kubelet wants its root group to exist.
fn control_groups(node: &str) -> anyhow::Result<()> {
    for hierarchy in hierarchies()? {
        let (top, group) = (Path::new(&hierarchy), Path::new(&hierarchy).join(group(node)));
        if let Ok(controllers) = fs::read_to_string(top.join("cgroup.controllers")) {
            for controller in controllers.split_whitespace() {
                // Some can't be given on, and are not needed then.
                let _ = fs::write(top.join("cgroup.subtree_control"), format!("+{controller}"));
            }
        }
        fs::create_dir_all(&group).with_context(|| format!("{} can't be made", group.display()))?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            // With the first version a new group has none, and nothing may run in it.
            if !top.join("cgroup.controllers").exists() && top.join(file).exists() {
                fs::copy(top.join(file), group.join(file))
                    .with_context(|| format!("{} can't be written", group.join(file).display()))?;
            }
        }
    }
    Ok(())
}
