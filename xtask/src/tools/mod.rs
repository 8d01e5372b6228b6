//! Programs that the tests need and a fresh machine does not have: the real components, and cargo-deny. They are made
//! once, into a folder outside of the checkout, in the versions pinned here.
//!
//! A **stamp** is a file that says what a program was made from. It is written when all else of the program is in its
//! place, so a program without the right stamp is made anew: after a change of a pin, and after a build that was cut
//! short.

mod deny;
mod folder;
mod go;
mod kubernetes;
mod python;
mod web;

use std::time::Instant;

use anyhow::bail;

pub(crate) use deny::deny;
use folder::Folder;
use web::Script;

use crate::child::{Children, Interrupted};

// A change of a pin makes the program anew at the next run.
const CARGO_DENY: &str = "0.20.2";
const ETCD: &str = "v3.6.16";
/// The last line whose kubelet takes a machine with cgroup v1 as it is.
const KUBERNETES: &str = "v1.34.4";
const HELM: &str = "v3.21.4";
const COREDNS: &str = "v1.15.0";
const SECANTUS: &str = "0.7.0b3";
const PYMONGO: &str = "4.20.0";
const AXE: Script = Script {
    name: "axe.min.js",
    package: "axe-core@4.14.1",
    file: "axe.min.js",
    integrity: "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
};
/// The line that the replaced system's page is written for.
const JQUERY: Script = Script {
    name: "jquery.min.js",
    package: "jquery@3.7.1",
    file: "dist/jquery.min.js",
    integrity: "sha512-m4avr8yL8kmFN8psrbFFFmB/If14iN5o9nw/NgnnM+kybDJpRsAynV2BsfpTYrTRysYUdADVD7CkUUizgkpLfg==",
};
/// What etcd's modules ask for.
const GO_AT_LEAST: (u32, u32) = (1, 26);
/// What the `PyMongo` above asks for.
const PYTHON_AT_LEAST: (u32, u32) = (3, 11);

/// How one program is made.
#[derive(Clone, Copy, Debug)]
enum Tool {
    /// From a published Go module: the package that is its program, and its version.
    Module { name: &'static str, package: &'static str, version: &'static str },
    /// From Go sources in the checkout.
    Sources { name: &'static str, folder: &'static str },
    /// A program of Kubernetes.
    Kubernetes { name: &'static str },
    /// The server that speaks MongoDB's protocol, from Python packages.
    Secantus,
    /// The machine's own, from this package of Debian where it is missing.
    Browser { name: &'static str, debian: &'static str },
    /// A script that runs in the browser.
    Script(Script),
}

const TOOLS: &[Tool] = &[
    Tool::Module { name: "etcd", package: "go.etcd.io/etcd/server/v3", version: ETCD },
    Tool::Module { name: "etcdctl", package: "go.etcd.io/etcd/etcdctl/v3", version: ETCD },
    Tool::Sources { name: "legacy-worker", folder: "e2e/legacy-worker" },
    Tool::Sources { name: "cron-oracle", folder: "model/tests/oracle" },
    Tool::Secantus,
    Tool::Kubernetes { name: "kube-apiserver" },
    Tool::Kubernetes { name: "kubectl" },
    Tool::Module { name: "helm", package: "helm.sh/helm/v3/cmd/helm", version: HELM },
    Tool::Browser { name: "chromium", debian: "chromium" },
    Tool::Browser { name: "chromedriver", debian: "chromium-driver" },
    Tool::Script(AXE),
    Tool::Script(JQUERY),
];

/// What only a cluster with nodes needs, beside the others.
const LAB_TOOLS: &[Tool] = &[
    Tool::Kubernetes { name: "kube-controller-manager" },
    Tool::Kubernetes { name: "kube-scheduler" },
    Tool::Kubernetes { name: "kubelet" },
    Tool::Kubernetes { name: "kube-proxy" },
    Tool::Module { name: "coredns", package: "github.com/coredns/coredns", version: COREDNS },
];

impl Tool {
    /// The file in `bin`.
    fn name(self) -> &'static str {
        match self {
            Self::Module { name, .. }
            | Self::Sources { name, .. }
            | Self::Kubernetes { name }
            | Self::Browser { name, .. }
            | Self::Script(Script { name, .. }) => name,
            Self::Secantus => python::PROGRAM,
        }
    }

    fn stamp(self) -> anyhow::Result<String> {
        Ok(match self {
            Self::Module { package, version, .. } => format!("{package}@{version}"),
            Self::Sources { folder, .. } => go::stamp_of_sources(folder)?,
            Self::Kubernetes { .. } => format!("{}@{KUBERNETES}", kubernetes::MODULE),
            Self::Secantus => python::stamp(),
            Self::Browser { .. } => "what this machine has".to_owned(),
            Self::Script(script) => format!("{} {}", script.package, script.integrity),
        })
    }

    /// Puts the program into `bin`; the stamp is the caller's. Returns what to say of it.
    fn make(self, folder: &Folder, children: &mut Children) -> anyhow::Result<String> {
        match self {
            Self::Module { name, package, version } => go::module(folder, children, name, package, version),
            Self::Sources { name, folder: sources } => go::sources(folder, children, name, sources),
            Self::Kubernetes { name } => kubernetes::make(folder, children, name),
            Self::Secantus => python::make(folder, children),
            Self::Browser { name, debian } => web::browser(folder, children, name, debian),
            Self::Script(script) => script.make(folder, children),
        }
    }
}

/// What to do about a program that is not there: in words, and as a command where that is known.
fn how_to_get(debian: &[&str], elsewhere: &str) -> String {
    if !std::path::Path::new("/etc/debian_version").exists() {
        return elsewhere.to_owned();
    }
    let run = if rustix::process::getuid().is_root() { "run" } else { "run as root" };
    format!("{run}: apt-get update && apt-get install --yes {}; or {elsewhere}", debian.join(" "))
}

/// Makes sure that the folder holds all that the tests need. One that can't be made keeps none of the others away.
pub(crate) fn fill(children: &mut Children) -> anyhow::Result<()> {
    make_all(children, TOOLS, "cargo xtask tools")?;
    for variable in ["ETCD_ENDPOINTS", "MONGODB_URI"] {
        if std::env::var_os(variable).is_some() {
            println!("{variable} is set: tests that need no more than a server use that one");
        }
    }
    Ok(())
}

/// As [`fill`], with all that a cluster with nodes needs.
pub(crate) fn fill_for_the_lab(children: &mut Children) -> anyhow::Result<()> {
    make_all(children, &[TOOLS, LAB_TOOLS].concat(), "cargo xtask tools --lab")
}

fn make_all(children: &mut Children, tools: &[Tool], again: &str) -> anyhow::Result<()> {
    let folder = Folder::lock(children)?;
    let mut failed = Vec::new();
    for (number, tool) in tools.iter().copied().enumerate() {
        let name = tool.name();
        let place = format!("{} of {}: {name}", number + 1, tools.len());
        let stamp = tool.stamp()?;
        if folder.has(name, &stamp) {
            println!("{place} is there: {stamp}");
            continue;
        }
        println!("{place} is made from {stamp}");
        let begun = Instant::now();
        folder.forget(name)?;
        match tool.make(&folder, children) {
            Ok(what) => {
                folder.keep(name, &stamp)?;
                println!("{place}: {what}, in {:.0} s", begun.elapsed().as_secs_f64());
            }
            Err(why) if why.is::<Interrupted>() => return Err(why),
            Err(why) => {
                println!("{place}: FAILED: {why:#}");
                failed.push(name);
            }
        }
    }
    println!("{} of {} programs are in {}", tools.len() - failed.len(), tools.len(), folder.bin().display());
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{} could not be made; above is why, and what to do. Then: {again}", failed.join(" and "))
}
