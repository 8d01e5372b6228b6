//! Who may depend on whom: the rules of ARCHITECTURE.md, held against cargo's own view of the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use crate::root;

/// One room's rule.
struct Rule {
    room: &'static str,
    /// The other rooms it may name in its manifest, outside of tests.
    may_use: &'static [&'static str],
    /// Packages that must not be compiled into it, directly or through others.
    never: &'static [&'static str],
}

const NETWORK: &[&str] = &["kube-client", "kube-runtime", "axum", "hyper"];

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
        may_use: &["crontab-model"],
        never: &["kube", "kube-core", "k8s-openapi", "clap", "axum"],
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
        may_use: &["crontab-model", "crontab-store", "crontab-runtime"],
        never: &["kube", "kube-core", "k8s-openapi", "axum"],
    },
    Rule {
        room: "crontab-master",
        may_use: &["crontab-crds", "crontab-model", "crontab-store", "crontab-runtime"],
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
    Rule { room: "crontab-e2e", may_use: &["crontab-model", "crontab-crds"], never: &[] },
    Rule { room: "xtask", may_use: &["crontab-crds"], never: NETWORK },
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
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(vec!["--locked".to_owned()])
        .exec()
        .context("cargo could not describe the workspace")?;
    let rooms = rooms(&metadata)?;
    let file = "docs/dependencies.md";
    let listed = fs::read_to_string(root().join(file)).with_context(|| format!("{file} can't be read"))?;
    let mut wrong = broken(&rooms);
    wrong.extend(unexplained(&rooms, &listed));
    if wrong.is_empty() {
        println!("{} rooms keep the rules; every dependency has its line in {file}", rooms.len());
        return Ok(());
    }
    bail!("\n  {}", wrong.join("\n  "))
}

fn rooms(metadata: &Metadata) -> anyhow::Result<Rooms> {
    let resolve = metadata.resolve.as_ref().context("cargo gave no dependency graph")?;
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let members: BTreeSet<&str> =
        metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    let mut rooms = Rooms::new();
    for package in metadata.workspace_packages() {
        let mut room = Room::default();
        for dependency in &package.dependencies {
            let name = dependency.name.clone();
            match members.contains(name.as_str()) {
                true if dependency.kind == DependencyKind::Development => {}
                true => drop(room.rooms.insert(name)),
                false => drop(room.packages.insert(name)),
            }
        }
        let mut to_visit = vec![&package.id];
        let mut visited = BTreeSet::new();
        while let Some(id) = to_visit.pop() {
            if !visited.insert(id) {
                continue;
            }
            room.compiled_in.insert(metadata[id].name.to_string());
            let normal = |dep: &&cargo_metadata::NodeDep| {
                dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
            };
            to_visit.extend(nodes[id].deps.iter().filter(normal).map(|dep| &dep.pkg));
        }
        rooms.insert(package.name.to_string(), room);
    }
    Ok(rooms)
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

/// Dependencies without a line in the list, and lines without a dependency.
fn unexplained(rooms: &Rooms, listed: &str) -> Vec<String> {
    let used: BTreeSet<&str> = rooms.values().flat_map(|room| &room.packages).map(String::as_str).collect();
    let listed: BTreeSet<&str> = listed
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let missing =
        used.difference(&listed).map(|name| format!("docs/dependencies.md does not say why {name} is here"));
    let stale = listed
        .difference(&used)
        .map(|name| format!("docs/dependencies.md explains {name}, which nothing uses"));
    missing.chain(stale).collect()
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
    fn every_dependency_is_explained_and_every_explanation_is_of_one() {
        let room = Room { packages: names(&["tokio", "serde"]), ..Room::default() };
        let rooms = Rooms::from([("crontab-worker".to_owned(), room)]);
        let listed = "| Package | Why |\n| --- | --- |\n| `tokio` | tasks |\n| `rand` | – |\n";
        assert_eq!(
            unexplained(&rooms, listed),
            [
                "docs/dependencies.md does not say why serde is here",
                "docs/dependencies.md explains rand, which nothing uses"
            ]
        );
    }
}
