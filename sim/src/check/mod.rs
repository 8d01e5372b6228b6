//! The promises, held against what happens.
//!
//! The checker sees three things that no worker can: every committed change of the tree in its order, every process that
//! came to be, and true time. It never asks a worker what it believes.
//!
//! - [`lane`] and [`counts`] are the ledger of one job: each transaction has to keep it right.
//! - [`witness`] has the processes.
//! - [`facts`] is what is true of sessions, workers, executors, spools and the log.
//! - [`finale`] looks at the whole once the faults have been over for a while.

mod counts;
mod cover;
mod facts;
mod finale;
mod lane;
mod reading;
mod truth;
mod witness;

use std::collections::BTreeMap;
use std::fmt;

use model::keys::KeyPrefix;
use model::run::{RunId, SessionId};
use model::schedule::TimeZone;
use model::values::LockValue;
use model::{JobName, UnixMillis};
use store::memory::LogState;
use store::{Change, LogEntry};

pub use facts::{ExecutorId, WorkerId};
pub use finale::End;
pub use witness::{Asked, Exit, Start};

use self::facts::Facts;
use self::lane::{Done, Lane};
use self::witness::Process;
use crate::time::At;

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Each attempt of a run starts one process at most.
    StartedOnce,
    /// Of the exclusive processes of one job, one lives at a time.
    OneAtATime,
    /// A job of the replaced system's form is not run by both systems at one time.
    OneSystem,
    /// An exclusive process is gone before its session's lease ends.
    WithinLease,
    /// Every slot that the cursor passes is in exactly one run or skipped stretch.
    SlotsCovered,
    /// A cursor does not move back within an incarnation.
    CursorForward,
    /// Fencing tokens grow.
    TokensGrow,
    /// At most one run record of an exclusive job exists.
    OneRecord,
    /// A run record goes only with its end counted, once, and the counters say what happened.
    RunsCounted,
    /// A skipped stretch leaves the cursor once it is recorded.
    SkipsKept,
    /// A run is ended or given back by its holder, or once that is dead.
    HolderEnds,
    /// Nothing is decided on a definition that is not the present one, or that is suspended.
    Definition,
    /// A command gets the grace that it was promised.
    Grace,
    /// A record says what happened to the process.
    TrueRecords,
    /// A run is called lost only where something died.
    LostTruly,
    /// Every end and every skipped slot is in the log.
    Recorded,
    /// A job whose slot is due is decided within a bound.
    JobsGoOn,
    /// No run record stays without somebody who ends it.
    RunsEnd,
    /// A worker that was asked to end has ended within a bound.
    WorkersEnd,
    /// A worker does not work without end at one instant.
    Livelock,
    /// A worker does not panic.
    Panics,
    /// The simulation itself is the same each time.
    Repeatable,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Invariant {
    /// The promise as a sentence.
    pub fn promise(self) -> &'static str {
        match self {
            Self::StartedOnce => "Promised: each attempt of a run starts one process at most.",
            Self::OneAtATime => "Promised: of the exclusive processes of one job, one lives at a time.",
            Self::OneSystem => "Promised: a job is not run by both systems at one time.",
            Self::WithinLease => "Promised: an exclusive process is gone before its session's lease ends.",
            Self::SlotsCovered => {
                "Promised: every slot that the cursor passes is in exactly one run or skipped stretch."
            }
            Self::CursorForward => "Promised: a cursor does not move back within an incarnation.",
            Self::TokensGrow => "Promised: fencing tokens grow.",
            Self::OneRecord => "Promised: at most one run record of an exclusive job exists.",
            Self::RunsCounted => "Promised: a run record goes only with its end counted, once.",
            Self::SkipsKept => "Promised: a skipped stretch leaves the cursor once it is recorded.",
            Self::HolderEnds => "Promised: a run is ended or given back by its holder, or once that is dead.",
            Self::Definition => "Promised: nothing is decided on a definition that is not the present one.",
            Self::Grace => "Promised: a command gets its grace, unless something cuts it.",
            Self::TrueRecords => "Promised: a record says what happened to the process.",
            Self::LostTruly => "Promised: a run is called lost only where something died.",
            Self::Recorded => "Promised: every end and every skipped slot is in the log.",
            Self::JobsGoOn => "Promised: a job whose slot is due is decided within a bound.",
            Self::RunsEnd => "Promised: no run record stays without somebody who ends it.",
            Self::WorkersEnd => "Promised: a worker that was asked to end has ended within a bound.",
            Self::Livelock => "Promised: a worker does not work without end at one instant.",
            Self::Panics => "Promised: a worker does not panic.",
            Self::Repeatable => "Promised: the simulation is a function of its plan.",
        }
    }
}

/// A promise that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When.
    pub at: At,
    /// The job concerned, if it is one job's.
    pub job: Option<JobName>,
    /// A sentence.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.invariant, self.at)?;
        if let Some(job) = &self.job {
            write!(f, ", job {job}")?;
        }
        write!(f, ": {}", self.text)
    }
}

/// A promise that was broken, before it is known where and when.
type Broken = (Invariant, String);

fn broken<T>(invariant: Invariant, text: String) -> Result<T, Broken> {
    Err((invariant, text))
}

/// Who changed the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A worker, by a transaction or by registering.
    Worker(WorkerId),
    /// The tree itself, because a session was closed or its lease ended.
    Lease,
    /// Anybody else, who may do anything.
    Others,
}

/// What happened, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Claims that were committed.
    pub claims: u64,
    /// Runs whose end was counted.
    pub ends: u64,
    /// Those of them that were lost.
    pub lost: u64,
    /// Skipped slots that were counted.
    pub skipped: u64,
    /// Claims that were given back.
    pub given_back: u64,
    /// Runs that were taken again after that.
    pub retried: u64,
    /// Processes.
    pub processes: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self { claims, ends, lost, skipped, given_back, retried, processes } = other;
        self.claims += claims;
        self.ends += ends;
        self.lost += lost;
        self.skipped += skipped;
        self.given_back += given_back;
        self.retried += retried;
        self.processes += processes;
    }
}

/// Everything that is known, and the first promise that was broken.
#[derive(Debug)]
pub struct Checker {
    prefix: KeyPrefix,
    zone: TimeZone,
    lanes: BTreeMap<JobName, Lane>,
    facts: Facts,
    violation: Option<Violation>,
    tally: Tally,
}

impl Checker {
    /// Nothing has happened yet. `zone` is the one of jobs in the legacy form.
    pub fn new(prefix: KeyPrefix, zone: TimeZone) -> Self {
        let (lanes, facts, tally) = (BTreeMap::new(), Facts::default(), Tally::default());
        Self { prefix, zone, lanes, facts, violation: None, tally }
    }

    /// The first promise that was broken.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// What happened so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Something is wrong.
    pub fn fail(&mut self, now: At, invariant: Invariant, job: Option<&JobName>, text: String) {
        let job = job.cloned();
        self.violation.get_or_insert(Violation { invariant, at: now, job, text });
    }

    fn hold(&mut self, now: At, job: &JobName, result: Result<(), Broken>) {
        if let Err((invariant, text)) = result {
            self.fail(now, invariant, Some(job), text);
        }
    }

    /// The changes of one revision.
    pub fn transaction(&mut self, now: At, by: By, changes: &[Change]) {
        let read = reading::read(&self.prefix, self.zone, changes);
        for (session, lives) in read.sessions {
            self.session_changed(now, by, &session, lives);
        }
        for (name, delta) in read.jobs {
            let lane = self.lanes.entry(name.clone()).or_insert_with(|| Lane::new(name.clone()));
            let foreign = matches!(delta.lock, Some(Some(LockValue::Foreign)));
            let put: Vec<RunId> =
                delta.runs.iter().filter(|(_, put)| put.is_some()).map(|(run, _)| run.clone()).collect();
            let result = match by {
                By::Worker(worker) => lane.apply(now, worker, delta, &self.facts),
                By::Lease | By::Others => {
                    lane.take(delta);
                    Ok(Done::default())
                }
            };
            for run in put {
                if let Some(run) = lane.runs.get_mut(&run) {
                    run.put_at = now;
                }
            }
            match result {
                Ok(done) => self.count(done),
                Err((invariant, text)) => self.fail(now, invariant, Some(&name), text),
            }
            if foreign {
                self.other_system_runs(now, &name);
            }
        }
    }

    fn count(&mut self, done: Done) {
        let Done { claims, ends, skipped, given_back, retried, lost } = done;
        self.tally.claims += claims;
        self.tally.ends += ends;
        self.tally.skipped += skipped;
        self.tally.given_back += given_back;
        self.tally.retried += retried;
        self.tally.lost += lost;
    }

    fn session_changed(&mut self, now: At, by: By, id: &SessionId, lives: bool) {
        let Some(session) = self.facts.sessions.get_mut(id) else { return };
        session.lives = lives;
        if lives {
            return;
        }
        if by == By::Others {
            session.removed = true;
            return;
        }
        if session.removed {
            return;
        }
        let guarded = |process: &&Process| process.start.exclusive && !process.unguarded;
        let found = self.facts.witness.of_session(id).find(guarded);
        if let Some(process) = found {
            let (pid, job) = (process.start.pid, process.start.job.clone());
            let text = format!("process {pid} (run {}) lives when its session {id} ends", process.start.run);
            self.fail(now, Invariant::WithinLease, Some(&job), text);
        }
    }

    fn other_system_runs(&mut self, now: At, job: &JobName) {
        let guarded = |process: &&Process| process.start.exclusive && !process.unguarded;
        let found = self.facts.witness.alive(job).find(guarded);
        if let Some(process) = found {
            let text =
                format!("the replaced system takes the lock while process {} lives", process.start.pid);
            self.fail(now, Invariant::OneSystem, Some(job), text);
        }
    }

    /// A worker asked for a session.
    pub fn session_asked(&mut self, id: SessionId, worker: WorkerId) {
        self.facts.opened(id, worker);
    }

    /// The process of a worker is gone.
    pub fn worker_died(&mut self, worker: WorkerId, now: At) {
        self.facts.worker_died(worker, now);
    }

    /// An executor was killed, and its processes may live on.
    pub fn executor_died(&mut self, executor: ExecutorId) {
        self.facts.executor_died(executor);
    }

    /// An executor was told to start an attempt.
    pub fn ordered(&mut self, run: RunId, attempt: u32, executor: ExecutorId) {
        self.facts.ordered(run, attempt, executor);
    }

    /// The tree began to refuse puts, or it is long enough since it did.
    pub fn no_space(&mut self, no_space: bool) {
        self.facts.no_space = no_space;
    }

    /// A process came to be.
    pub fn started(&mut self, now: At, start: Start) {
        self.tally.processes += 1;
        let job = start.job.clone();
        let foreign = self.lanes.get(&job).is_some_and(|lane| lane.lock == Some(LockValue::Foreign));
        if foreign && start.exclusive {
            let text = format!("process {} starts while the replaced system holds the lock", start.pid);
            self.fail(now, Invariant::OneSystem, Some(&job), text);
        }
        let result = self.facts.witness.started(start, now);
        self.hold(now, &job, result);
    }

    /// What the wall clock read when a process came to be.
    pub fn started_at(&self, pid: u64) -> Option<UnixMillis> {
        self.facts.witness.get(pid).map(|process| process.start.wall)
    }

    /// A process was asked to end while its own process ran.
    pub fn asked(&mut self, pid: u64, why: Asked) {
        if let Some(process) = self.facts.witness.get_mut(pid) {
            process.asked.get_or_insert(why);
        }
    }

    /// Nobody keeps the fence for a process for some time.
    pub fn unguarded(&mut self, pid: u64) {
        if let Some(process) = self.facts.witness.get_mut(pid) {
            process.unguarded = true;
        }
    }

    /// A process wrote.
    pub fn wrote(&mut self, pid: u64, bytes: &[u8]) {
        if let Some(process) = self.facts.witness.get_mut(pid) {
            process.output.extend_from_slice(bytes);
        }
    }

    /// The command's own process ended.
    pub fn exited(&mut self, pid: u64, exit: Exit) {
        if let Some(process) = self.facts.witness.get_mut(pid) {
            process.exit = Some(exit);
        }
    }

    /// The last process of a group is gone.
    pub fn gone(&mut self, now: At, pid: u64) {
        self.facts.witness.gone(pid, now);
    }

    /// An executor told its worker that a group is gone, and when by its wall clock.
    pub fn told(&mut self, pid: u64, wall: UnixMillis) {
        if let Some(process) = self.facts.witness.get_mut(pid) {
            process.told = Some(wall);
        }
    }

    /// An entry is in a spool.
    pub fn spooled(&mut self, now: At, entry: &LogEntry) {
        match entry {
            LogEntry::Run { record, .. } => {
                let attempt = (record.run.clone(), record.attempt);
                // Whoever finds a record appends it again, without its output; the first one stays.
                if !self.facts.is_recorded(&attempt, record.outcome) {
                    let result = truth::of_record(record, &self.facts);
                    self.hold(now, &record.job, result);
                }
                self.facts.spooled.entry(attempt).or_default().insert(record.outcome);
            }
            LogEntry::Skipped(record) => {
                self.facts.spooled_skips.insert((
                    record.job.clone(),
                    record.skipped.from,
                    record.skipped.reason,
                ));
            }
        }
    }

    /// The log took entries.
    pub fn logged(&mut self, log: &LogState, entries: &[LogEntry]) {
        for entry in entries {
            match entry {
                LogEntry::Run { record, .. } => {
                    if let Some(found) = log.find(&record.run, record.attempt) {
                        self.facts.logged.insert((record.run.clone(), record.attempt), found);
                    }
                }
                LogEntry::Skipped(record) => {
                    let name = (record.job.clone(), record.skipped.from, record.skipped.reason);
                    self.facts.logged_skips.entry(name).or_insert_with(|| record.clone());
                }
            }
        }
    }
}
