//! Fixed seeds keep every promise; and a seed is the same simulation each time.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use sim::cluster;
use sim::plan::{Keep, Plan, Size};
use sim::report::{self, Totals};
use sim::shrink::shrink;

/// How many seeds, of twenty simulated minutes each.
const SEEDS: u64 = 400;

/// The first one. Not 1, so that `cargo xtask sim` tries others.
const FROM: u64 = 100_000;

/// Most clusters have few jobs, because these cost least; every tenth is as large as its seed makes it.
fn size(seed: u64) -> Size {
    let jobs = (!seed.is_multiple_of(10)).then(|| usize::try_from(seed % 7).unwrap_or(0) + 1);
    Size { jobs, ..Size::default() }
}

fn options(size: &Size) -> String {
    let minutes = size.lasts.as_secs() / 60;
    let jobs = size.jobs.map(|jobs| format!(" --jobs {jobs}")).unwrap_or_default();
    format!(" --minutes {minutes}{jobs}")
}

#[test]
fn fixed_seeds_keep_every_promise() {
    let (next, totals) = (AtomicU64::new(FROM), Mutex::new(Totals::default()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= FROM + SEEDS || !totals.lock().unwrap().broken.is_empty() {
                return;
            }
            let outcome = cluster::run(&Plan::make(seed, &size(seed)), None, false);
            totals.lock().unwrap().add(seed, outcome);
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let totals = totals.into_inner().unwrap();
    println!("{totals}");
    if let Some((seed, violation)) = totals.broken.first_key_value() {
        let (plan, size) = (Plan::make(*seed, &size(*seed)), size(*seed));
        let keep = shrink(&plan, violation, None);
        let story = report::story(&plan.keep(&keep), None, false).unwrap_or_default();
        let again = report::replay(*seed, &options(&size), &keep, None);
        panic!("seed {seed} breaks a promise: {violation}\n\n{story}\nagain: {again}");
    }
    assert!(totals.lasted >= Duration::from_hours(100), "{:?}", totals.lasted);
}

#[test]
fn a_seed_is_the_same_simulation_each_time() {
    for seed in [1, 2, 3] {
        let plan =
            Plan::make(seed, &Size { lasts: Duration::from_mins(8), jobs: Some(6), ..Size::default() });
        let run = || {
            let outcome = cluster::run(&plan, None, true);
            let lines: Vec<String> = outcome.trace.iter().map(ToString::to_string).collect();
            let totals =
                format!("{:?} {:?} {} {}", outcome.tally, outcome.faults, outcome.events, outcome.digest);
            (lines, totals)
        };
        let (first, second) = (run(), run());
        let differs = first.0.iter().zip(&second.0).position(|(first, second)| first != second);
        assert_eq!(differs.map(|at| (&first.0[at], &second.0[at])), None, "seed {seed}");
        assert_eq!(first, second, "seed {seed}");
        assert!(first.0.len() > 1000, "much happens in seed {seed}");
    }
}

#[test]
fn what_is_left_out_of_a_plan_changes_nothing_else_of_it() {
    let plan = Plan::make(7, &Size { nodes: Some(3), jobs: Some(5), ..Size::default() });
    let keep = Keep { jobs: Some(BTreeSet::from([1, 3])), ..Keep::default() };
    let smaller = plan.keep(&keep);
    assert_eq!(smaller.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [1, 3]);
    let text = plan.to_string();
    for line in smaller.to_string().lines() {
        assert!(text.contains(line), "{line}");
    }
    assert!(smaller.faults.len() < plan.faults.len());
}
