//! Two feature sets side by side: a job is run by those who have what it needs, by nobody else, and always while one of
//! them lives.

mod scenes;

use std::collections::BTreeSet;

use sim::cluster;
use sim::plan::{Plan, Size};

/// How many seeds of each are tried.
const SEEDS: u64 = 40;

#[test]
fn workers_of_two_versions_keep_every_promise() {
    let mut lasted = 0;
    for seed in 1..=SEEDS {
        let outcome = cluster::run(&scenes::two_versions(seed), None, false);
        assert_eq!(outcome.violation.map(|violation| violation.to_string()), None, "seed {seed}");
        assert!(outcome.tally.claims > 200, "seed {seed}: {:?}", outcome.tally);
        lasted += outcome.lasted.as_secs();
    }
    println!("{lasted} s of two versions");
}

#[test]
fn seeds_make_clusters_of_two_versions_too() {
    let size = Size { nodes: Some(3), jobs: Some(4), ..Size::default() };
    let plans: Vec<Plan> = (1..=SEEDS).map(|seed| Plan::make(seed, &size)).collect();
    let mixed = plans.iter().filter(|plan| plan.jobs.iter().any(|job| job.later));
    let kinds: BTreeSet<String> =
        mixed.clone().flat_map(|plan| &plan.faults).map(|fault| fault.what.kind()).collect();
    assert!(kinds.contains("Upgrade"), "{kinds:?}");
    assert!(mixed.clone().count() > 4 && mixed.clone().all(|plan| plan.nodes.iter().any(|node| node.later)));
}
