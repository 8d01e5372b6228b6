//! The simulator notices: for every rule that can be left out ([`sim::sabotage`]) some plan breaks the promise that the
//! rule is there for. And the same plan keeps all promises where no rule is left out.

mod scenes;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use sim::check::Invariant::{
    self, CursorForward, Definition, FairShare, GoneWithWorker, Grace, HolderEnds, JobsGoOn, KillsReach,
    LostTruly, NeedsKept, OneRecord, Recorded, RunsCounted, RunsEnd, SkipsKept, SkipsTrue, SlotsCovered,
    WithinLease, WorkersEnd,
};
use sim::cluster;
use sim::plan::Plan;
use sim::sabotage::{ALL, Sabotage};

/// How many seeds are tried for each at most.
const SEEDS: u64 = 150;

type Row = (&'static str, fn(u64) -> Plan, &'static [Invariant]);

/// A sabotage, the scene in which it shows, and the promises of which one is broken.
const ROWS: [Row; 23] = [
    ("cursor-not-compared", scenes::any, &[CursorForward, SlotsCovered]),
    ("token-not-compared", scenes::any, &[RunsCounted, HolderEnds]),
    ("session-not-compared", scenes::claims_of_the_dead, &[Definition]),
    ("definition-not-compared", scenes::edits, &[Definition]),
    ("runs-not-compared", scenes::newer_versions, &[OneRecord]),
    ("fence-ignored", scenes::cut_off, &[WithinLease, HolderEnds]),
    ("spool-dropped", scenes::killed_without_a_log, &[Recorded]),
    ("orphans-live", scenes::killed_workers, &[GoneWithWorker]),
    ("forged", scenes::refusals, &[SkipsTrue, HolderEnds, RunsEnd, JobsGoOn, RunsCounted]),
    ("grace-cut", scenes::long_goodbye, &[Grace]),
    ("stop-unheard", scenes::long_goodbye, &[WorkersEnd]),
    ("never-listed-again", scenes::broken_watch, &[JobsGoOn]),
    ("older-answer-believed", scenes::two_owners, &[SkipsTrue, JobsGoOn]),
    ("session-change-forgotten", scenes::sessions_end, &[WithinLease]),
    ("read-back-started", scenes::answers_lost, &[WithinLease, HolderEnds]),
    ("kill-compares-token", scenes::kills_and_moves, &[KillsReach]),
    ("absence-stamped-early", scenes::seen_late, &[HolderEnds, LostTruly]),
    ("skips-not-carried", scenes::skips_without_a_log, &[SkipsKept]),
    ("nothing-given-back", scenes::sessions_end_alone, &[RunsEnd]),
    ("incarnation-forgotten", scenes::created_again, &[KillsReach]),
    ("deaf-while-ending", scenes::long_goodbye, &[Grace]),
    ("place-in-line-lost", scenes::few_places, &[FairShare]),
    ("needs-ignored", scenes::two_versions, &[NeedsKept]),
];

/// How a row went: what it is, whether it is as it should be, and a line.
fn tried((name, scene, expected): Row) -> Result<String, String> {
    let (began, sabotage) = (Instant::now(), Sabotage::by_name(name)?);
    let mut others = Vec::new();
    for seed in 1..=SEEDS {
        let plan = scene(seed);
        let Some(found) = cluster::run(&plan, Some(sabotage), false).violation else { continue };
        if !expected.contains(&found.invariant) {
            others.push(format!("{seed}: {found}"));
            continue;
        }
        if let Some(violation) = cluster::run(&plan, None, false).violation {
            return Err(format!("{name}: seed {seed} breaks a promise without it: {violation}"));
        }
        let took = began.elapsed().as_secs_f64();
        return Ok(format!("{name}: {} in seed {seed}, {took:.1} s", found.invariant));
    }
    Err(format!("{name}: none of {SEEDS} seeds shows it as {expected:?}; others: {others:#?}"))
}

#[test]
fn every_rule_that_is_left_out_is_noticed() {
    let named: BTreeSet<&str> = ROWS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(named, ALL.iter().map(|(name, _)| *name).collect::<BTreeSet<&str>>());
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(row) = ROWS.get(next.fetch_add(1, Ordering::Relaxed)) {
            match tried(*row) {
                Ok(line) => println!("{line}"),
                Err(line) => wrong.lock().unwrap().push(line),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
