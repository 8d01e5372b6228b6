//! Who may depend on whom: the rules of ARCHITECTURE.md, held against cargo's own view of the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cargo_metadata::MetadataCommand;
use e2e::cargo;

use crate::root;

/// One room's rule.
struct Rule {
    room: &'static str,
    /// The other rooms it may name in its manifest, for its tests too.
    may_use: &'static [&'static str],
    /// Packages that must not be compiled into it, directly or through others, whatever the other rooms ask of them.
    never: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule {
        room: "crontab-model",
        may_use: &[],
        never: &[
            "tokio",
            "kube",
            "kube-core",
            "k8s-openapi",
            "etcd-client",
            "mongodb",
            "rusqlite",
            "axum",
            "hyper",
            "clap",
        ],
    },
    Rule {
        room: "crontab-store",
        may_use: &["crontab-model", "crontab-e2e"],
        // etcd's client brings axum with it, through tonic.
        never: &["kube", "kube-core", "k8s-openapi", "clap"],
    },
    Rule {
        room: "crontab-runtime",
        may_use: &[],
        never: &["kube", "kube-core", "k8s-openapi", "etcd-client", "mongodb", "rusqlite"],
    },
    Rule {
        room: "crontab-crds",
        may_use: &["crontab-model"],
        never: &["tokio", "rusqlite", "kube-client", "kube-runtime", "axum", "hyper"],
    },
    Rule {
        room: "crontab-controller",
        may_use: &["crontab-crds", "crontab-model", "crontab-store", "crontab-runtime"],
        never: &[],
    },
    Rule {
        room: "crontab-worker",
        may_use: &["crontab-model", "crontab-store", "crontab-runtime", "crontab-e2e"],
        never: &["kube", "kube-core", "k8s-openapi"],
    },
    Rule {
        room: "crontab-master",
        may_use: &["crontab-crds", "crontab-model", "crontab-store", "crontab-runtime", "crontab-e2e"],
        never: &[],
    },
    Rule {
        room: "cronctl",
        may_use: &[
            "crontab-model",
            "crontab-store",
            "crontab-runtime",
            "crontab-crds",
            "crontab-worker",
            "crontab-master",
        ],
        never: &[],
    },
    // Nobody may use it.
    Rule {
        room: "crontab-sim",
        may_use: &["crontab-model", "crontab-store", "crontab-worker"],
        never: &["kube", "kube-core", "k8s-openapi"],
    },
    Rule { room: "crontab-e2e", may_use: &["crontab-model", "crontab-crds"], never: &[] },
    Rule {
        room: "xtask",
        may_use: &["crontab-crds", "crontab-runtime", "crontab-e2e"],
        never: &["kube-client", "kube-runtime", "etcd-client", "mongodb", "rusqlite"],
    },
];

/// Folders of code that decides: values alone, no clock, no waiting, no files.
const PURE: &[&str] = &["worker/src/core"];

/// What such code never names.
const IMPURE: &[&str] = &[
    "tokio::",
    "futures::",
    "tracing::",
    "rustix::",
    "fastrand",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "std::os",
    "Instant",
    "SystemTime",
    "::now()",
    "async ",
    ".await",
    "Mutex",
    "Atomic",
];

/// What is known of one room: the rooms and the other packages it names, and all that is compiled into it.
#[derive(Clone, Debug, Default)]
struct Room {
    rooms: BTreeSet<String>,
    packages: BTreeSet<String>,
    compiled_in: BTreeSet<String>,
}

type Rooms = BTreeMap<String, Room>;

/// Checks the rules and the list of dependencies.
pub(crate) fn check() -> anyhow::Result<()> {
    let file = "docs/dependencies.md";
    let read = |file| fs::read_to_string(root().join(file)).with_context(|| format!("{file} can't be read"));
    let rooms = rooms()?;
    let mut wrong = broken(&rooms);
    wrong.extend(unexplained(&rooms, &declared(&read("Cargo.toml")?), &read(file)?));
    for core in PURE {
        wrong.extend(impure(&sources(&root().join(core))?));
    }
    if wrong.is_empty() {
        println!("{} rooms keep the rules; every dependency has its line in {file}", rooms.len());
        return Ok(());
    }
    bail!("\n  {}", wrong.join("\n  "))
}

fn rooms() -> anyhow::Result<Rooms> {
    let mut describe = MetadataCommand::new();
    describe.manifest_path(root().join("Cargo.toml")).no_deps().other_options(["--locked".to_owned()]);
    let metadata = describe.exec().context("cargo could not describe the workspace")?;
    let packages = metadata.workspace_packages();
    let members: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut rooms = Rooms::new();
    for package in &packages {
        let names = package.dependencies.iter().map(|dependency| dependency.name.clone());
        let (rooms_used, packages_used) = names.partition(|name| members.contains(name.as_str()));
        let room =
            Room { rooms: rooms_used, packages: packages_used, compiled_in: compiled_into(&package.name)? };
        rooms.insert(package.name.to_string(), room);
    }
    Ok(rooms)
}

/// What is compiled into a room when it is built alone. The graph of the whole workspace would not say: in it a package
/// has the features that any room asks for.
fn compiled_into(room: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut tree = cargo();
    tree.args([
        "tree",
        "--locked",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--package",
        room,
    ]);
    let output = tree.output().context("cargo tree could not be run")?;
    if !output.status.success() {
        bail!("cargo tree --package {room}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

/// The packages that `[workspace.dependencies]` takes from outside.
fn declared(manifest: &str) -> BTreeSet<&str> {
    let lines = manifest.lines().skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    let entries = lines.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once(" = "));
    entries.filter(|(_, value)| !value.contains("path = ")).map(|(name, _)| name).collect()
}

/// All Rust files below a folder, with their texts.
fn sources(folder: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path)?;
            files.push((path, text));
        }
    }
    files.sort();
    Ok(files)
}

/// Where code that decides names a clock or something that waits; comments may.
fn impure(files: &[(PathBuf, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in files {
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(named) = IMPURE.iter().find(|named| code.contains(**named)) {
                let path = path.display();
                wrong.push(format!("{path}:{number} names {named}, but this code decides by values alone"));
            }
        }
    }
    wrong
}

/// Every breach of a rule, as a sentence.
fn broken(rooms: &Rooms) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, room) in rooms {
        let Some(rule) = RULES.iter().find(|rule| rule.room == name) else {
            wrong.push(format!("{name} has no rule; write one in xtask/src/layers.rs and ARCHITECTURE.md"));
            continue;
        };
        for used in &room.rooms {
            if !rule.may_use.contains(&used.as_str()) {
                wrong.push(format!("{name} must not depend on {used}"));
            }
        }
        for package in rule.never.iter().filter(|package| room.compiled_in.contains(**package)) {
            wrong.push(format!(
                "{name} must not contain {package}; cargo tree -p {name} -i {package} says how it came in"
            ));
        }
    }
    for rule in RULES.iter().filter(|rule| !rooms.contains_key(rule.room)) {
        wrong.push(format!("there is a rule for {}, but no such room", rule.room));
    }
    wrong
}

/// Where the packages that rooms use, the root's manifest and the list of reasons differ.
fn unexplained(rooms: &Rooms, declared: &BTreeSet<&str>, listed: &str) -> Vec<String> {
    let used: BTreeSet<&str> = rooms.values().flat_map(|room| &room.packages).map(String::as_str).collect();
    let listed: BTreeSet<&str> = listed
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let differ = |a: &BTreeSet<&str>, b: &BTreeSet<&str>, sentence: fn(&str) -> String| -> Vec<String> {
        a.difference(b).map(|name| sentence(name)).collect()
    };
    [
        differ(&used, declared, |name| {
            format!("{name} is not in [workspace.dependencies]; rooms take it from there")
        }),
        differ(declared, &used, |name| format!("[workspace.dependencies] has {name}, which nothing uses")),
        differ(&used, &listed, |name| format!("docs/dependencies.md does not say why {name} is here")),
        differ(&listed, &used, |name| format!("docs/dependencies.md explains {name}, which nothing uses")),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn as_it_should_be() -> Rooms {
        let room = |rule: &Rule| Room { rooms: names(rule.may_use), ..Room::default() };
        RULES.iter().map(|rule| (rule.room.to_owned(), room(rule))).collect()
    }

    #[test]
    fn what_keeps_the_rules_is_accepted() {
        assert_eq!(broken(&as_it_should_be()), Vec::<String>::new());
    }

    #[test]
    fn a_worker_that_uses_kube_is_refused_even_through_others() {
        let mut rooms = as_it_should_be();
        rooms.get_mut("crontab-worker").unwrap().compiled_in = names(&["tokio", "kube-core"]);
        let wrong = broken(&rooms);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(wrong[0].starts_with("crontab-worker must not contain kube-core"), "{wrong:?}");
    }

    #[test]
    fn a_core_that_reads_a_clock_or_waits_is_refused() {
        let file = |text: &str| (PathBuf::from("core/look.rs"), text.to_owned());
        let pure = file("// It never calls Instant::now().\nuse std::time::Duration;\n");
        assert_eq!(impure(&[pure]), Vec::<String>::new());
        for line in ["let now = Boottime::now();", "use tokio::time::sleep;", "std::fs::read(path)?;"] {
            let wrong = impure(&[file(&format!("fn look() {{\n    {line}\n}}\n"))]);
            assert_eq!(wrong.len(), 1, "{line}");
            assert!(wrong[0].starts_with("core/look.rs:2 names "), "{wrong:?}");
        }
    }

    #[test]
    fn a_store_that_uses_a_worker_is_refused() {
        let mut rooms = as_it_should_be();
        rooms.get_mut("crontab-store").unwrap().rooms.insert("crontab-worker".to_owned());
        assert_eq!(broken(&rooms), ["crontab-store must not depend on crontab-worker"]);
    }

    #[test]
    fn a_room_without_a_rule_and_a_rule_without_a_room_are_refused() {
        let mut rooms = as_it_should_be();
        let store = rooms.remove("crontab-store").unwrap();
        rooms.insert("shop".to_owned(), store);
        assert_eq!(
            broken(&rooms),
            [
                "shop has no rule; write one in xtask/src/layers.rs and ARCHITECTURE.md",
                "there is a rule for crontab-store, but no such room"
            ]
        );
    }

    #[test]
    fn what_rooms_use_the_root_declares_and_the_list_explains() {
        let room = Room { packages: names(&["tokio", "serde"]), ..Room::default() };
        let rooms = Rooms::from([("crontab-worker".to_owned(), room)]);
        let manifest = "[workspace.dependencies]\nmodel = { path = \"model\" }\n# A comment\ntokio = \"1\"\nlog = \"0.4\"\n\n[workspace.lints.rust]\nunsafe_code = \"forbid\"\n";
        let listed = "| Package | Why |\n| --- | --- |\n| `tokio` | tasks |\n| `rand` | – |\n";
        assert_eq!(
            unexplained(&rooms, &declared(manifest), listed),
            [
                "serde is not in [workspace.dependencies]; rooms take it from there",
                "[workspace.dependencies] has log, which nothing uses",
                "docs/dependencies.md does not say why serde is here",
                "docs/dependencies.md explains rand, which nothing uses"
            ]
        );
    }
}
