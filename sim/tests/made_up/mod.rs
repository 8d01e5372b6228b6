//! A ledger with made-up transactions: a tree, and the checker that follows it. In the beginning there is a job that runs
//! every ten seconds, whose cursor stands at 0, and two workers.

use std::time::Duration;

use model::keys::{Key, KeyPrefix};
use model::run::{Outcome, Revision, RunId, SessionId, SkipReason, Skipped, Slot};
use model::schedule::TimeZone;
use model::values::{ActiveRun, Cursor, JobStatus, PendingSkip, RecentRun, Timetable, Waiting, WorkerInfo};
use model::{JobName, Lane, UnixMillis, Unknown};
use serde::Serialize;
use sim::check::{By, Checker, ExecutorId, Invariant, Start, WorkerId};
use sim::plan::{Plan, Size};
use sim::time::At;
use store::memory::TreeState;
use store::{Op, Txn};

pub(crate) const FIRST: WorkerId = WorkerId(0);
pub(crate) const SECOND: WorkerId = WorkerId(1);

pub(crate) fn name() -> JobName {
    JobName::new("job").unwrap()
}

pub(crate) fn session(worker: WorkerId) -> SessionId {
    SessionId(format!("session-{}", worker.0))
}

pub(crate) fn slot(seconds: i64) -> Slot {
    Slot(UnixMillis(seconds * 1000))
}

pub(crate) fn skip(from: i64, to: i64, reason: SkipReason) -> Skipped {
    let count = u32::try_from((to - from) / 10 + 1).unwrap();
    Skipped { from: slot(from), to: slot(to), count: Some(count), reason }
}

pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// A tree and the checker that follows it.
pub(crate) struct Ledger {
    pub(crate) tree: TreeState,
    pub(crate) checker: Checker,
    pub(crate) now: At,
}

impl Ledger {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn put_job(&mut self, suspend: bool) {
        let size = Size { jobs: Some(1), faults: false, ..Size::default() };
        let mut job = Plan::make(1, &size).jobs.remove(0);
        (job.name, job.form, job.schedule, job.zone) =
            (name(), sim::plan::Form::Spec, "*/10 * * * * *".to_owned(), "UTC");
        (job.allow, job.suspend, job.starting_deadline, job.later) = (false, suspend, None, false);
        self.commit(By::Others, vec![Op::Put(Key::Job(name()), job.value())]);
    }

    pub(crate) fn register(&mut self, worker: WorkerId, clock: i64) {
        let info = WorkerInfo::new("a", "node", "1", UnixMillis(0));
        let info = WorkerInfo { clock: Some(UnixMillis(clock)), ..info };
        self.commit(By::Worker(worker), vec![Op::Put(Key::Worker(session(worker)), json(&info))]);
    }

    pub(crate) fn commit(&mut self, by: By, then: Vec<Op>) {
        let before = self.tree.revision();
        self.tree.commit(self.now.elapsed(), &Txn { when: vec![], then, otherwise: vec![] }).unwrap();
        let (_, groups) = self.tree.changes_since(before, &store::protocol::FOLLOWED).unwrap();
        for changes in groups {
            self.checker.transaction(self.now, by, &changes);
        }
    }

    pub(crate) fn by(&mut self, worker: WorkerId, then: Vec<Op>) {
        self.commit(By::Worker(worker), then);
    }

    pub(crate) fn broken(&self) -> Option<Invariant> {
        self.checker.violation().map(|violation| violation.invariant)
    }

    pub(crate) fn job(&self) -> (Revision, Revision) {
        let pair = self.tree.get(&Key::Job(name())).unwrap();
        (pair.created, pair.modified)
    }

    pub(crate) fn cursor_value(&self, to: i64, skips: &[Skipped]) -> Cursor {
        let (schedule, zone) = ("*/10 * * * * *".to_owned(), "UTC".to_owned());
        let timetable = Timetable { schedule, dialect: model::Dialect::Standard, zone, suspended: false };
        let (job, epoch) = (self.job().0, Revision::NONE);
        let skips = skips.iter().map(|skipped| PendingSkip { skipped: *skipped, job, epoch }).collect();
        Cursor { slot: slot(to), job, timetable, epoch, skips, unknown: Unknown::default() }
    }

    pub(crate) fn cursor(&self, to: i64, skips: &[Skipped]) -> Op {
        Op::Put(Key::Cursor(name().into()), json(&self.cursor_value(to, skips)))
    }

    pub(crate) fn run(&self, at: i64) -> RunId {
        RunId::of_slot_in(&Lane::from(name()), self.job().0, Revision::NONE, slot(at))
    }

    pub(crate) fn active(&self, at: i64, worker: WorkerId) -> ActiveRun {
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
            epoch: Revision::NONE,
            waiting: None,
            ended: None,
            needs: model::Words::default(),
            unknown: Unknown::default(),
        }
    }

    pub(crate) fn put_run(&self, at: i64, active: &ActiveRun) -> Op {
        Op::Put(Key::Run(name().into(), self.run(at)), json(active))
    }

    /// The first worker takes a slot.
    pub(crate) fn claim(&mut self, at: i64) {
        let then = vec![self.cursor(at, &[]), self.put_run(at, &self.active(at, FIRST))];
        self.by(FIRST, then);
    }

    pub(crate) fn waits(&self, at: i64) -> ActiveRun {
        let waiting = Some(Waiting { because: "late".to_owned(), unknown: Unknown::default() });
        ActiveRun { waiting, ..self.active(at, FIRST) }
    }

    pub(crate) fn status(&self, at: i64, outcome: Outcome) -> JobStatus {
        let before = self.tree.get(&Key::Status(name().into()));
        let mut status: JobStatus =
            before.map(|pair| serde_json::from_slice(&pair.value).unwrap()).unwrap_or_default();
        let unknown = Unknown::default();
        status.add_run(RecentRun {
            run: self.run(at),
            slot: slot(at),
            outcome,
            ended: UnixMillis(0),
            unknown,
        });
        status
    }

    pub(crate) fn end(&mut self, worker: WorkerId, at: i64, outcome: Outcome) {
        let status = json(&self.status(at, outcome));
        let then = vec![
            Op::Delete(Key::Run(name().into(), self.run(at))),
            Op::Put(Key::Status(name().into()), status),
        ];
        self.by(worker, then);
    }

    pub(crate) fn process(&self, pid: u64, at: i64) -> Start {
        let run = self.run(at);
        let token =
            self.tree.get(&Key::Run(name().into(), run.clone())).map_or(Revision(99), |pair| pair.modified);
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

    pub(crate) fn starts(&mut self, pid: u64, at: i64) {
        let start = self.process(pid, at);
        self.checker.started(self.now, start);
    }
}
