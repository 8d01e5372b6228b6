//! Takes a lab away, whatever state it is in.
//!
//! Nothing here asks a member to help: they may be gone, or stand still. What is the lab's is known by the members' mark,
//! by the lab's folder, and by the names of its bridges and control groups.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use super::machine::{BRIDGE, group, hierarchies};
use super::node::Node;
use super::{members, output, packets};

/// Where containerd's runtime keeps the state of pods' containers.
const RUNC: &str = "/run/containerd/runc/k8s.io";

/// Takes all of it away; returns how many processes were ended, containers' apart.
pub(super) fn clean(lab: &Path) -> anyhow::Result<usize> {
    let ended = members::end_all(lab)?;
    if ended == 0 && !lab.exists() && !place(BRIDGE).exists() {
        return Ok(0);
    }
    let nodes: Vec<Node> = Node::all(lab).collect();
    let mut namespaces = Vec::new();
    for node in &nodes {
        for bundle in bundles(node) {
            namespaces.extend(network_namespace(&bundle));
            forget(&bundle);
        }
    }
    for node in &nodes {
        end_group(&group(node.name))?;
    }
    unmount(lab)?;
    for namespace in namespaces {
        // It is a mount over an empty file; it goes when no process is in it any more.
        let _ = Command::new("umount").arg("--lazy").arg(&namespace).output();
        let _ = fs::remove_file(&namespace);
    }
    packets::forget()?;
    for bridge in nodes.iter().map(Node::bridge).chain([BRIDGE.to_owned()]) {
        remove_bridge(&bridge)?;
    }
    match fs::remove_dir_all(lab) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
            Err(why).with_context(|| format!("{} can't be removed", lab.display()))
        }
        _ => Ok(ended),
    }
}

/// The folders in which a node's containers were started.
fn bundles(node: &Node) -> Vec<PathBuf> {
    let all = node.folder.join("state/io.containerd.runtime.v2.task/k8s.io");
    let Ok(entries) = fs::read_dir(all) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// The network namespace of a container, a file below `/run/netns`, if it has one of its own.
fn network_namespace(bundle: &Path) -> Option<PathBuf> {
    let config: Value = serde_json::from_slice(&fs::read(bundle.join("config.json")).ok()?).ok()?;
    let namespaces = config["linux"]["namespaces"].as_array()?;
    let network = namespaces.iter().find(|namespace| namespace["type"] == "network")?;
    let path = PathBuf::from(network["path"].as_str()?);
    path.components().any(|part| part.as_os_str() == "netns").then_some(path)
}

/// Removes what the runtime knows of a container. Its processes are found by their control group; to have the runtime end
/// them would take ten seconds for each where nobody takes note of the end of orphans.
fn forget(bundle: &Path) {
    if let Some(id) = bundle.file_name() {
        let _ = fs::remove_dir_all(Path::new(RUNC).join(id));
    }
    let address = fs::read_to_string(bundle.join("address")).unwrap_or_default();
    if let Some(socket) = address.trim().strip_prefix("unix://") {
        let _ = fs::remove_file(socket);
    }
}

/// Kills what is in a control group and removes it.
fn end_group(name: &str) -> anyhow::Result<()> {
    for hierarchy in hierarchies()? {
        let group = Path::new(&hierarchy).join(name);
        for _ in 0..500 {
            if !group.exists() {
                break;
            }
            empty(&group);
            thread::sleep(Duration::from_millis(20));
        }
        if group.exists() {
            bail!("the control group {} can't be emptied; see its cgroup.procs", group.display());
        }
    }
    Ok(())
}

fn empty(group: &Path) {
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for process in processes.lines().filter_map(|line| line.parse().ok()) {
        members::kill(process);
    }
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|what| what.is_dir()) {
            empty(&entry.path());
        }
    }
    // Fails as long as something is in it.
    let _ = fs::remove_dir(group);
}

/// Unmounts all below the lab's folder, the deepest first.
fn unmount(lab: &Path) -> anyhow::Result<()> {
    let mounts = fs::read_to_string("/proc/mounts").context("/proc/mounts can't be read")?;
    let below = format!("{}/", lab.display());
    let mut points: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|point| point.starts_with(&below))
        .collect();
    points.sort_unstable();
    for point in points.iter().rev() {
        // Names are written with blanks as \040.
        output(Command::new("umount").arg("--lazy").arg(point.replace("\\040", " ")))?;
    }
    Ok(())
}

fn place(bridge: &str) -> PathBuf {
    PathBuf::from("/sys/class/net").join(bridge)
}

/// Removes a bridge and the ends of the cables that are plugged into it.
fn remove_bridge(bridge: &str) -> anyhow::Result<()> {
    let place = place(bridge);
    if !place.exists() {
        return Ok(());
    }
    for port in fs::read_dir(place.join("brif")).into_iter().flatten().flatten() {
        // It goes by itself when its other end does.
        let _ = Command::new("ip").args(["link", "delete"]).arg(port.file_name()).output();
    }
    output(Command::new("ip").args(["link", "delete", bridge])).map(drop)
}
