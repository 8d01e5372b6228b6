//! The ledger ([`sim::check`]) notices: made-up transactions and processes, each of which breaks a promise.

mod made_up;

use std::time::Duration;

use made_up::{FIRST, Ledger, SECOND, json, name, session, skip, slot};
use model::keys::Key;
use model::run::{Outcome, SkipReason, Skipped};
use model::values::{ActiveRun, Cursor, DeclaredEnd, JobStatus};
use sim::check::{Asked, By, Exit, Invariant, Start};
use store::Op;

type Case = (&'static str, Invariant, fn(&mut Ledger));

fn each_breaks(cases: &[Case]) {
    for (what, invariant, makes) in cases {
        let mut ledger = Ledger::new();
        makes(&mut ledger);
        assert_eq!(ledger.broken(), Some(*invariant), "{what}: {:?}", ledger.checker.violation());
    }
}

#[test]
fn a_whole_life_of_a_job_breaks_nothing() {
    let mut ledger = Ledger::new();
    ledger.claim(10);
    ledger.starts(1, 10);
    let waits = skip(20, 30, SkipReason::Overlap);
    let status = JobStatus { skipped: [(SkipReason::Overlap, 2)].into(), ..JobStatus::default() };
    let then = vec![ledger.cursor(30, &[waits]), Op::Put(Key::Status(name().into()), json(&status))];
    ledger.by(FIRST, then);
    ledger.checker.exited(ledger.now, 1, Exit::Status(0));
    ledger.checker.gone(ledger.now, 1);
    ledger.end(FIRST, 10, Outcome::Succeeded);
    let then = vec![ledger.cursor(40, &[waits]), ledger.put_run(40, &ledger.active(40, FIRST))];
    ledger.by(FIRST, then);
    assert_eq!(ledger.broken(), None, "{:?}", ledger.checker.violation());
}

#[test]
fn what_a_cursor_may_not_do() {
    each_breaks(&[
        ("it passes slots", Invariant::SlotsCovered, |ledger| ledger.claim(30)),
        ("it stands while a slot is claimed", Invariant::SlotsCovered, |ledger| {
            let then = vec![ledger.put_run(10, &ledger.active(10, FIRST))];
            ledger.by(FIRST, then);
        }),
        ("it moves back", Invariant::CursorForward, |ledger| {
            ledger.claim(10);
            let then = vec![ledger.cursor(0, &[])];
            ledger.by(FIRST, then);
        }),
        ("it loses a stretch", Invariant::SkipsKept, |ledger| {
            let status = JobStatus { skipped: [(SkipReason::Missed, 1)].into(), ..JobStatus::default() };
            let skips = [skip(10, 10, SkipReason::Missed)];
            let then = vec![ledger.cursor(10, &skips), Op::Put(Key::Status(name().into()), json(&status))];
            ledger.by(FIRST, then);
            ledger.claim(20);
        }),
        ("it calls a slot an overlap with nothing", Invariant::SkipsTrue, |ledger| {
            let then = vec![ledger.cursor(10, &[skip(10, 10, SkipReason::Overlap)])];
            ledger.by(FIRST, then);
        }),
    ]);
}

/// The cursor is far ahead, somebody edits the job, and a worker sets the cursor back.
fn set_back(ledger: &mut Ledger, other_clock: i64) {
    let skips = [skip(10, 990, SkipReason::Missed)];
    let status = JobStatus { skipped: [(SkipReason::Missed, 99)].into(), ..JobStatus::default() };
    let then = vec![ledger.cursor(990, &skips), Op::Put(Key::Status(name().into()), json(&status))];
    ledger.by(FIRST, then);
    ledger.register(SECOND, other_clock);
    ledger.now = ledger.now + Duration::from_secs(70);
    ledger.put_job(false);
    let reason = SkipReason::ClockSet;
    let set = Skipped { from: slot(70), to: slot(990), count: None, reason };
    let epoch = ledger.tree.get(&Key::Cursor(name().into())).unwrap().modified;
    let mut cursor = Cursor { epoch, ..ledger.cursor_value(70, &[skips[0], set]) };
    cursor.skips[1].epoch = epoch;
    let status = JobStatus {
        skipped: [(SkipReason::Missed, 99), (reason, 1)].into(),
        last_skipped: Some(set),
        ..JobStatus::default()
    };
    let then = vec![
        Op::Put(Key::Cursor(name().into()), json(&cursor)),
        Op::Put(Key::Status(name().into()), json(&status)),
    ];
    ledger.by(FIRST, then);
}

#[test]
fn a_cursor_is_set_back_only_when_all_clocks_are_behind_it() {
    let mut ledger = Ledger::new();
    set_back(&mut ledger, 2000);
    assert_eq!(ledger.broken(), None, "{:?}", ledger.checker.violation());
    let mut ledger = Ledger::new();
    set_back(&mut ledger, 950_000);
    assert_eq!(ledger.broken(), Some(Invariant::CursorForward));
}

#[test]
fn what_a_claim_may_not_do() {
    each_breaks(&[
        ("an old definition", Invariant::Definition, |ledger| {
            let active = ledger.active(10, FIRST);
            ledger.put_job(false);
            let then = vec![ledger.cursor(10, &[]), ledger.put_run(10, &active)];
            ledger.by(FIRST, then);
        }),
        ("a suspended job", Invariant::Definition, |ledger| {
            ledger.put_job(true);
            ledger.claim(10);
        }),
        ("a dead session", Invariant::Definition, |ledger| {
            ledger.commit(By::Lease, vec![Op::Delete(Key::Worker(session(FIRST)))]);
            ledger.claim(10);
        }),
        ("beside a run", Invariant::OneRecord, |ledger| {
            ledger.claim(10);
            ledger.claim(20);
        }),
        ("under another name", Invariant::RunsCounted, |ledger| {
            let put = Op::Put(Key::Run(name().into(), ledger.run(20)), json(&ledger.active(10, FIRST)));
            let then = vec![ledger.cursor(10, &[]), put];
            ledger.by(FIRST, then);
        }),
    ]);
}

#[test]
fn what_may_not_become_of_a_run_record() {
    each_breaks(&[
        ("a stranger gives it back", Invariant::HolderEnds, |ledger| {
            ledger.claim(10);
            let then = vec![ledger.put_run(10, &ledger.waits(10))];
            ledger.by(SECOND, then);
        }),
        ("it is given back after it started", Invariant::HolderEnds, |ledger| {
            ledger.claim(10);
            ledger.starts(1, 10);
            let then = vec![ledger.put_run(10, &ledger.waits(10))];
            ledger.by(FIRST, then);
        }),
        ("it is called lost while its session lives", Invariant::LostTruly, |ledger| {
            ledger.claim(10);
            let ended = Some(DeclaredEnd {
                outcome: Outcome::Lost,
                message: String::new(),
                unknown: model::Unknown::default(),
            });
            let lost = ActiveRun { ended, ..ledger.active(10, FIRST) };
            let then = vec![ledger.put_run(10, &lost)];
            ledger.by(SECOND, then);
        }),
        ("it is called killed, and nobody killed it", Invariant::LostTruly, |ledger| {
            ledger.claim(10);
            let then = vec![ledger.put_run(10, &ledger.waits(10))];
            ledger.by(FIRST, then);
            let ended = Some(DeclaredEnd {
                outcome: Outcome::Killed,
                message: String::new(),
                unknown: model::Unknown::default(),
            });
            let killed = ActiveRun { ended, ..ledger.waits(10) };
            let then = vec![ledger.put_run(10, &killed)];
            ledger.by(SECOND, then);
        }),
        ("it is taken again on an old definition", Invariant::Definition, |ledger| {
            ledger.claim(10);
            let then = vec![ledger.put_run(10, &ledger.waits(10))];
            ledger.by(FIRST, then);
            let active = ledger.active(10, SECOND);
            ledger.put_job(false);
            let then = vec![ledger.put_run(10, &active)];
            ledger.by(SECOND, then);
        }),
        ("it goes uncounted", Invariant::RunsCounted, |ledger| {
            ledger.claim(10);
            let then = vec![Op::Delete(Key::Run(name().into(), ledger.run(10)))];
            ledger.by(FIRST, then);
        }),
        ("it is counted twice", Invariant::RunsCounted, |ledger| {
            ledger.claim(10);
            let mut status = ledger.status(10, Outcome::Failed);
            *status.runs.entry(Outcome::Failed).or_default() += 1;
            let gone = Op::Delete(Key::Run(name().into(), ledger.run(10)));
            let then = vec![gone, Op::Put(Key::Status(name().into()), json(&status))];
            ledger.by(FIRST, then);
        }),
        ("a skipped slot is not counted", Invariant::RunsCounted, |ledger| {
            let then = vec![ledger.cursor(10, &[skip(10, 10, SkipReason::Missed)])];
            ledger.by(FIRST, then);
        }),
        ("it ends while its process lives", Invariant::HolderEnds, |ledger| {
            ledger.claim(10);
            ledger.starts(1, 10);
            ledger.end(FIRST, 10, Outcome::Failed);
        }),
        ("a stranger ends it", Invariant::HolderEnds, |ledger| {
            ledger.claim(10);
            ledger.end(SECOND, 10, Outcome::Failed);
        }),
    ]);
}

#[test]
fn what_processes_may_not_do() {
    each_breaks(&[
        ("two of one attempt", Invariant::StartedOnce, |ledger| {
            ledger.claim(10);
            ledger.starts(1, 10);
            ledger.checker.gone(ledger.now, 1);
            ledger.starts(2, 10);
        }),
        ("two of one job", Invariant::OneAtATime, |ledger| {
            ledger.claim(10);
            ledger.starts(1, 10);
            ledger.starts(2, 20);
        }),
        ("an older token", Invariant::TokensGrow, |ledger| {
            ledger.starts(1, 10);
            ledger.checker.gone(ledger.now, 1);
            ledger.starts(2, 20);
        }),
        ("one starts without a session", Invariant::WithinLease, |ledger| {
            ledger.claim(10);
            ledger.commit(By::Lease, vec![Op::Delete(Key::Worker(session(FIRST)))]);
            ledger.starts(1, 10);
        }),
        ("one outlives its session", Invariant::WithinLease, |ledger| {
            ledger.claim(10);
            ledger.starts(1, 10);
            ledger.commit(By::Lease, vec![Op::Delete(Key::Worker(session(FIRST)))]);
        }),
        ("one starts beside the replaced system's", Invariant::OneSystem, |ledger| {
            ledger.claim(10);
            ledger.commit(By::Others, vec![Op::Put(Key::Lock(name()), Vec::new())]);
            ledger.starts(1, 10);
        }),
        ("one gets less than its grace", Invariant::Grace, |ledger| {
            ledger.claim(10);
            ledger.starts(1, 10);
            ledger.checker.asked(1, Asked::Kill);
            ledger.checker.terminated(ledger.now, 1);
            ledger.checker.grace_over(ledger.now + Duration::from_secs(4), 1);
        }),
        ("one goes on after its kill", Invariant::KillsReach, |ledger| {
            ledger.claim(10);
            ledger.starts(1, 10);
            ledger.commit(By::Others, vec![Op::Put(Key::Kill(name()), b"{}".to_vec())]);
            ledger.checker.exited(ledger.now + Duration::from_secs(200), 1, Exit::Status(0));
        }),
    ]);
}

#[test]
fn a_grace_may_be_cut_by_the_fence_and_by_a_second_stop() {
    let mut ledger = Ledger::new();
    for (pid, at) in [(1, 10), (2, 20)] {
        let start = Start { exclusive: false, ..ledger.process(pid, at) };
        ledger.checker.started(ledger.now, start);
        ledger.checker.terminated(ledger.now, pid);
    }
    ledger.checker.asked(1, Asked::Fence);
    ledger.checker.grace_over(ledger.now + Duration::from_secs(1), 1);
    assert_eq!(ledger.broken(), None);
    ledger.checker.stopped(FIRST, Duration::from_hours(1));
    ledger.checker.stopped(FIRST, Duration::ZERO);
    ledger.checker.grace_over(ledger.now, 2);
    assert_eq!(ledger.broken(), None);
}
