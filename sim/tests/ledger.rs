//! The ledger ([`sim::check`]) notices: made-up transactions and processes, each of which breaks a promise. They begin
//! with a job that runs every ten seconds, whose cursor stands at 0, and two workers.

use std::time::Duration;

use model::keys::{Key, KeyPrefix};
use model::run::{Outcome, Revision, RunId, SessionId, SkipReason, Skipped, Slot};
use model::schedule::TimeZone;
use model::values::{ActiveRun, Cursor, DeclaredEnd, JobStatus, RecentRun, Timetable, Waiting, WorkerInfo};
use model::{JobName, UnixMillis};
use serde::Serialize;
use sim::check::{Asked, By, Checker, ExecutorId, Exit, Invariant, Start, WorkerId};
use sim::plan::{Plan, Size};
use sim::time::At;
use store::memory::TreeState;
use store::{Op, Txn};

const FIRST: WorkerId = WorkerId(0);
const SECOND: WorkerId = WorkerId(1);

fn name() -> JobName {
    JobName::new("job").unwrap()
}

fn session(worker: WorkerId) -> SessionId {
    SessionId(format!("session-{}", worker.0))
}

fn slot(seconds: i64) -> Slot {
    Slot(UnixMillis(seconds * 1000))
}

fn skip(from: i64, to: i64, reason: SkipReason) -> Skipped {
    let count = u32::try_from((to - from) / 10 + 1).unwrap();
    Skipped { from: slot(from), to: slot(to), count: Some(count), reason }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// A tree and the checker that follows it.
struct Ledger {
    tree: TreeState,
    checker: Checker,
    now: At,
}

impl Ledger {
    fn new() -> Self {
        let prefix = KeyPrefix::default();
        let checker = Checker::new(prefix.clone(), TimeZone::UTC, UnixMillis(0), true);
        let mut ledger = Self { tree: TreeState::new(prefix), checker, now: At::seconds(1) };
        ledger.put_job(false);
        for worker in [FIRST, SECOND] {
            ledger.checker.session_asked(session(worker), worker);
            ledger.register(worker, 1000);
        }
        ledger.by(FIRST, vec![ledger.cursor(0, &[])]);
        assert_eq!(ledger.broken(), None);
        ledger
    }

    fn put_job(&mut self, suspend: bool) {
        let size = Size { jobs: Some(1), faults: false, ..Size::default() };
        let mut job = Plan::make(1, &size).jobs.remove(0);
        (job.name, job.form, job.schedule, job.zone) =
            (name(), sim::plan::Form::Spec, "*/10 * * * * *".to_owned(), "UTC");
        (job.allow, job.suspend, job.starting_deadline) = (false, suspend, None);
        self.commit(By::Others, vec![Op::Put(Key::Job(name()), job.value())]);
    }

    fn register(&mut self, worker: WorkerId, clock: i64) {
        let info = WorkerInfo::new("a", "node", "1", UnixMillis(0));
        let info = WorkerInfo { clock: Some(UnixMillis(clock)), ..info };
        self.commit(By::Worker(worker), vec![Op::Put(Key::Worker(session(worker)), json(&info))]);
    }

    fn commit(&mut self, by: By, then: Vec<Op>) {
        let before = self.tree.revision();
        self.tree.commit(self.now.elapsed(), &Txn { when: vec![], then, otherwise: vec![] }).unwrap();
        let (_, groups) = self.tree.changes_since(before, &store::protocol::FOLLOWED).unwrap();
        for changes in groups {
            self.checker.transaction(self.now, by, &changes);
        }
    }

    fn by(&mut self, worker: WorkerId, then: Vec<Op>) {
        self.commit(By::Worker(worker), then);
    }

    fn broken(&self) -> Option<Invariant> {
        self.checker.violation().map(|violation| violation.invariant)
    }

    fn job(&self) -> (Revision, Revision) {
        let pair = self.tree.get(&Key::Job(name())).unwrap();
        (pair.created, pair.modified)
    }

    fn cursor_value(&self, to: i64, skips: &[Skipped]) -> Cursor {
        let (schedule, zone) = ("*/10 * * * * *".to_owned(), "UTC".to_owned());
        let timetable =
            Timetable { schedule, dialect: model::Dialect::Standard, zone, suspended: false };
        let (job, epoch) = (self.job().0, Revision::NONE);
        Cursor { slot: slot(to), job, timetable, epoch, skips: skips.to_vec() }
    }

    fn cursor(&self, to: i64, skips: &[Skipped]) -> Op {
        Op::Put(Key::Cursor(name()), json(&self.cursor_value(to, skips)))
    }

    fn run(&self, at: i64) -> RunId {
        RunId::of_slot_in(&name(), self.job().0, Revision::NONE, slot(at))
    }

    fn active(&self, at: i64, worker: WorkerId) -> ActiveRun {
        let (job, definition) = self.job();
        ActiveRun {
            session: session(worker),
            node: "node".to_owned(),
            slot: slot(at),
            attempt: 0,
            claimed: UnixMillis(0),
            definition,
            lost_after: 0,
            skipped: Vec::new(),
            job,
            waiting: None,
            ended: None,
        }
    }

    fn put_run(&self, at: i64, active: &ActiveRun) -> Op {
        Op::Put(Key::Run(name(), self.run(at)), json(active))
    }

    /// The first worker takes a slot.
    fn claim(&mut self, at: i64) {
        let then = vec![self.cursor(at, &[]), self.put_run(at, &self.active(at, FIRST))];
        self.by(FIRST, then);
    }

    fn waits(&self, at: i64) -> ActiveRun {
        let waiting = Some(Waiting { because: "late".to_owned() });
        ActiveRun { waiting, ..self.active(at, FIRST) }
    }

    fn status(&self, at: i64, outcome: Outcome) -> JobStatus {
        let before = self.tree.get(&Key::Status(name()));
        let mut status: JobStatus =
            before.map(|pair| serde_json::from_slice(&pair.value).unwrap()).unwrap_or_default();
        status.add_run(RecentRun { run: self.run(at), slot: slot(at), outcome, ended: UnixMillis(0) });
        status
    }

    fn end(&mut self, worker: WorkerId, at: i64, outcome: Outcome) {
        let status = json(&self.status(at, outcome));
        let then = vec![Op::Delete(Key::Run(name(), self.run(at))), Op::Put(Key::Status(name()), status)];
        self.by(worker, then);
    }

    fn process(&self, pid: u64, at: i64) -> Start {
        let run = self.run(at);
        let token = self.tree.get(&Key::Run(name(), run.clone())).map_or(Revision(99), |pair| pair.modified);
        Start {
            pid,
            job: name(),
            run,
            attempt: 0,
            session: session(FIRST),
            token,
            exclusive: true,
            grace: Duration::from_secs(5),
            guarded: true,
            worker: FIRST,
            executor: ExecutorId(0),
            wall: UnixMillis(0),
        }
    }

    fn starts(&mut self, pid: u64, at: i64) {
        let start = self.process(pid, at);
        self.checker.started(self.now, start);
    }
}

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
    let then = vec![ledger.cursor(30, &[waits]), Op::Put(Key::Status(name()), json(&status))];
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
            let then = vec![ledger.cursor(10, &skips), Op::Put(Key::Status(name()), json(&status))];
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
    let then = vec![ledger.cursor(990, &skips), Op::Put(Key::Status(name()), json(&status))];
    ledger.by(FIRST, then);
    ledger.register(SECOND, other_clock);
    ledger.now = ledger.now + Duration::from_secs(70);
    ledger.put_job(false);
    let reason = SkipReason::ClockSet;
    let set = Skipped { from: slot(70), to: slot(990), count: None, reason };
    let epoch = ledger.tree.get(&Key::Cursor(name())).unwrap().modified;
    let cursor = Cursor { epoch, ..ledger.cursor_value(70, &[skips[0], set]) };
    let status = JobStatus {
        skipped: [(SkipReason::Missed, 99), (reason, 1)].into(),
        last_skipped: Some(set),
        ..JobStatus::default()
    };
    let then = vec![
        Op::Put(Key::Cursor(name()), json(&cursor)),
        Op::Put(Key::Status(name()), json(&status)),
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
            let put = Op::Put(Key::Run(name(), ledger.run(20)), json(&ledger.active(10, FIRST)));
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
            let ended = Some(DeclaredEnd { outcome: Outcome::Lost, message: String::new() });
            let lost = ActiveRun { ended, ..ledger.active(10, FIRST) };
            let then = vec![ledger.put_run(10, &lost)];
            ledger.by(SECOND, then);
        }),
        ("it is called killed, and nobody killed it", Invariant::LostTruly, |ledger| {
            ledger.claim(10);
            let then = vec![ledger.put_run(10, &ledger.waits(10))];
            ledger.by(FIRST, then);
            let ended = Some(DeclaredEnd { outcome: Outcome::Killed, message: String::new() });
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
            let then = vec![Op::Delete(Key::Run(name(), ledger.run(10)))];
            ledger.by(FIRST, then);
        }),
        ("it is counted twice", Invariant::RunsCounted, |ledger| {
            ledger.claim(10);
            let mut status = ledger.status(10, Outcome::Failed);
            *status.runs.entry(Outcome::Failed).or_default() += 1;
            let gone = Op::Delete(Key::Run(name(), ledger.run(10)));
            let then = vec![gone, Op::Put(Key::Status(name()), json(&status))];
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
    ledger.checker.stopped(FIRST, Duration::from_secs(3600));
    ledger.checker.stopped(FIRST, Duration::ZERO);
    ledger.checker.grace_over(ledger.now, 2);
    assert_eq!(ledger.broken(), None);
}
