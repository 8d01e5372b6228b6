//! The promises, held against what happens.
//!
//! The checker sees three things that no worker can: every committed change of the tree in its order, every process that
//! came to be, and true time. It never asks a worker what it believes.
//!
//! - `ledger` and `counts` are the ledger of one job: each transaction has to keep it right.
//! - `witness` has the processes.
//! - `facts` is what is true of sessions, workers, executors, spools and the log.
//! - `finale` looks at the whole once the faults have been over for a while.

mod counts;
mod cover;
mod cursors;
mod facts;
mod fair;
mod finale;
mod invariant;
mod ledger;
mod reading;
mod runs;
mod tally;
mod truth;
mod witness;

use std::collections::BTreeMap;
use std::time::Duration;

use model::keys::KeyPrefix;
use model::run::{RunId, SessionId, Slot};
use model::schedule::TimeZone;
use model::values::LockValue;
use model::{JobName, UnixMillis};
use store::memory::LogState;
use store::{Change, LogEntry};

pub use facts::{ExecutorId, WorkerId};
pub use finale::End;
pub use invariant::{Invariant, Violation};
pub use tally::Tally;
pub use witness::{Asked, Exit, Start};

use self::facts::Facts;
use self::fair::Fair;
use self::invariant::Broken;
use self::ledger::{Done, Ledger};
use self::reading::Registration;
use self::witness::Process;
use crate::time::At;

/// For so long news of a kill may take to reach a worker, whatever goes wrong.
const KILL_REACHES: Duration = Duration::from_mins(2);

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

/// Everything that is known, and the first promise that was broken.
#[derive(Debug)]
pub struct Checker {
    prefix: KeyPrefix,
    zone: TimeZone,
    ledgers: BTreeMap<JobName, Ledger>,
    facts: Facts,
    /// Where a worker takes only so many runs at once: who waits for a place.
    fair: Option<Fair>,
    /// What a true wall clock reads at the beginning.
    epoch: UnixMillis,
    /// Until when something may go wrong because of a fault.
    disturbed: At,
    violation: Option<Violation>,
    tally: Tally,
}

impl Checker {
    /// Nothing has happened yet. `zone` is the one of jobs in the legacy form; `limited` says whether a worker takes only
    /// so many runs at once.
    pub fn new(prefix: KeyPrefix, zone: TimeZone, epoch: UnixMillis, limited: bool) -> Self {
        let (ledgers, facts, tally) = (BTreeMap::new(), Facts::default(), Tally::default());
        let fair = limited.then(Fair::default);
        Self { prefix, zone, ledgers, facts, fair, epoch, disturbed: At(0), violation: None, tally }
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
        for (session, registration) in read.sessions {
            self.session_changed(now, by, &session, registration);
        }
        for (name, delta) in read.jobs {
            let ledger = self.ledgers.entry(name.clone()).or_insert_with(|| Ledger::new(name.clone()));
            let foreign = matches!(delta.lock, Some(Some(LockValue::Foreign)));
            let result = match by {
                By::Worker(worker) => ledger.apply(now, worker, delta, &self.facts),
                By::Lease | By::Others => {
                    ledger.take(now, delta);
                    Ok(Done::default())
                }
            };
            match result {
                Ok(done) => {
                    self.count(done);
                    if let Some(slot) = done.slot {
                        self.turn(now, &name, slot);
                    }
                }
                Err((invariant, text)) => self.fail(now, invariant, Some(&name), text),
            }
            if foreign {
                self.other_system_runs(now, &name);
            }
        }
    }

    /// A job was claimed, perhaps before others that wait for a place.
    fn turn(&mut self, now: At, job: &JobName, slot: Slot) {
        let Some(fair) = &mut self.fair else { return };
        if now < self.disturbed || self.facts.live_sessions() != 1 {
            return fair.forget();
        }
        let wall = self.epoch + now.elapsed();
        if let Err((job, (invariant, text))) = fair.claimed((job, slot), self.ledgers.values(), wall) {
            self.fail(now, invariant, Some(&job), text);
        }
    }

    /// Something may go wrong until then.
    pub fn disturbed_until(&mut self, until: At) {
        self.disturbed = self.disturbed.max(until);
    }

    fn count(&mut self, done: Done) {
        let Done { claims, slot: _, ends, skipped, given_back, retried, lost } = done;
        self.tally.claims += claims;
        self.tally.ends += ends;
        self.tally.skipped += skipped;
        self.tally.given_back += given_back;
        self.tally.retried += retried;
        self.tally.lost += lost;
    }

    fn session_changed(&mut self, now: At, by: By, id: &SessionId, registration: Registration) {
        let Some(session) = self.facts.sessions.get_mut(id) else { return };
        session.lives = matches!(registration, Registration::Put(..));
        if let Registration::Put(clock, features) = registration {
            session.features = features;
            session.clocks.extend(clock.map(|clock| (now, clock)));
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
        self.facts.had_no_space |= no_space;
    }

    /// A process came to be.
    pub fn started(&mut self, now: At, start: Start) {
        self.tally.processes += 1;
        let job = start.job.clone();
        let session = self.facts.sessions.get(&start.session);
        let over = session.is_none_or(|session| !session.lives && !session.removed);
        if over && start.exclusive && start.guarded {
            let text = format!("process {} starts after its session {} has ended", start.pid, start.session);
            self.fail(now, Invariant::WithinLease, Some(&job), text);
        }
        if start.exclusive && self.facts.is_former(&start.session) {
            let text = format!("process {} starts for a former session of its worker", start.pid);
            self.fail(now, Invariant::WithinLease, Some(&job), text);
        }
        let foreign = self.ledgers.get(&job).is_some_and(Ledger::has_foreign_lock);
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
            process.fenced |= why == Asked::Fence;
        }
    }

    /// A group was asked to end after its own process had ended.
    pub fn asked_late(&mut self, pid: u64, why: Asked) {
        if let Some(process) = self.facts.witness.get_mut(pid) {
            process.fenced |= why == Asked::Fence;
        }
    }

    /// A worker was asked to end, with this grace for its commands.
    pub fn stopped(&mut self, worker: WorkerId, grace: Duration) {
        let shortest = self.facts.stops.entry(worker).or_insert(grace);
        *shortest = grace.min(*shortest);
    }

    /// A group got SIGTERM.
    pub fn terminated(&mut self, now: At, pid: u64) {
        if let Some(process) = self.facts.witness.get_mut(pid) {
            process.terminated.get_or_insert(now);
        }
    }

    /// A group gets SIGKILL because its grace is over.
    pub fn grace_over(&mut self, now: At, pid: u64) {
        let Some(process) = self.facts.witness.get(pid).filter(|process| !process.fenced) else { return };
        let stop = self.facts.stops.get(&process.start.worker);
        let promised = stop.map_or(process.start.grace, |stop| process.start.grace.min(*stop));
        let given = process.terminated.map_or(Duration::ZERO, |at| now.since(at));
        if given < promised {
            let text = format!("process {pid} is killed {given:?} after SIGTERM, promised are {promised:?}");
            let job = process.start.job.clone();
            self.fail(now, Invariant::Grace, Some(&job), text);
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
    pub fn exited(&mut self, now: At, pid: u64, exit: Exit) {
        self.kill_reached(now, pid);
        if let Some(process) = self.facts.witness.get_mut(pid) {
            process.exit = Some(exit);
        }
    }

    /// Holds a process that was not asked to end, up to now, against the kills of its job.
    fn kill_reached(&mut self, now: At, pid: u64) {
        let Some(process) = self.facts.witness.get(pid).filter(|process| process.asked.is_none()) else {
            return;
        };
        let Some(ledger) = self.ledgers.get(&process.start.job) else { return };
        if let Some(at) = ledger.hit(&process.start.run).filter(|at| now.since(*at) > KILL_REACHES) {
            let text =
                format!("process {pid} was not asked to end, and its job was killed or deleted at {at}");
            let job = process.start.job.clone();
            self.fail(now, Invariant::KillsReach, Some(&job), text);
        }
    }

    fn kills_reached(&mut self, now: At) {
        let running = self.facts.witness.all().filter(|process| process.exit.is_none());
        for pid in running.map(|process| process.start.pid).collect::<Vec<_>>() {
            self.kill_reached(now, pid);
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
                self.facts.spooled_skips.insert(facts::skip_name(record));
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
                    self.facts.logged_skips.entry(facts::skip_name(record)).or_insert_with(|| record.clone());
                }
            }
        }
    }
}
