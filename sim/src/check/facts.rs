//! What is true of sessions, workers, executors and what was recorded, apart from what the tree says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::record::{RunRecord, SkipRecord};
use model::run::{Outcome, RunId, SessionId, SkipReason};
use model::{JobName, UnixMillis, Words};

use super::witness::Witness;
use crate::time::At;

/// A worker's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkerId(pub usize);

/// An executor's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExecutorId(pub usize);

/// A session.
#[derive(Clone, Debug)]
pub(super) struct SessionFacts {
    pub(super) of: WorkerId,
    /// Its key is in the tree.
    pub(super) lives: bool,
    /// Somebody else removed its key.
    pub(super) removed: bool,
    /// What its worker said that its clock reads, and when.
    pub(super) clocks: Vec<(At, UnixMillis)>,
    /// What its worker understands.
    pub(super) features: Words,
}

/// One attempt of a run.
pub(super) type Attempt = (RunId, u32);

/// For so long what a worker says of its clock may not be known to the others.
const CLOCK_HEARD: Duration = Duration::from_mins(1);

/// A skipped stretch, as the log names it: by the id that the run of its first slot would have had.
pub(super) type SkipName = (JobName, RunId, SkipReason);

/// Everything that decisions are held against.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) sessions: BTreeMap<SessionId, SessionFacts>,
    /// The session that each worker asked for last.
    latest: BTreeMap<WorkerId, SessionId>,
    /// When each worker's process ended, if it did.
    dead_workers: BTreeMap<WorkerId, At>,
    dead_executors: BTreeSet<ExecutorId>,
    /// Which executors were told to start an attempt.
    ordered: BTreeMap<Attempt, ExecutorId>,
    pub(super) witness: Witness,
    /// The outcomes that were ever put into a spool, by attempt; a spool is as durable as the log.
    pub(super) spooled: BTreeMap<Attempt, BTreeSet<Outcome>>,
    pub(super) spooled_skips: BTreeSet<SkipName>,
    /// What the log said of an attempt when it last took a record of it.
    pub(super) logged: BTreeMap<Attempt, RunRecord>,
    pub(super) logged_skips: BTreeMap<SkipName, SkipRecord>,
    /// The tree took no puts lately.
    pub(super) no_space: bool,
    /// The tree had no space at some time. An end that was refused for that may be given up uncounted a while later.
    pub(super) had_no_space: bool,
    /// The shortest grace with which each worker was asked to end.
    pub(super) stops: BTreeMap<WorkerId, Duration>,
}

/// How the log names this stretch.
pub(super) fn skip_name(record: &SkipRecord) -> SkipName {
    (record.job.clone(), record.first_run.clone(), record.skipped.reason)
}

impl Facts {
    pub(super) fn opened(&mut self, session: SessionId, of: WorkerId) {
        self.latest.insert(of, session.clone());
        let (clocks, features) = (Vec::new(), Words::default());
        self.sessions.insert(session, SessionFacts { of, lives: false, removed: false, clocks, features });
    }

    pub(super) fn worker_died(&mut self, worker: WorkerId, now: At) {
        self.dead_workers.entry(worker).or_insert(now);
    }

    pub(super) fn executor_died(&mut self, executor: ExecutorId) {
        self.dead_executors.insert(executor);
    }

    pub(super) fn ordered(&mut self, run: RunId, attempt: u32, executor: ExecutorId) {
        self.ordered.insert((run, attempt), executor);
    }

    /// A worker that lives says, and has said for some time, that its clock reads at least `limit`. The worker that
    /// decides (`by`) knows its own clock better.
    pub(super) fn ahead_of(&self, limit: UnixMillis, now: At, by: WorkerId) -> Option<&SessionId> {
        let lives = self.sessions.iter().filter(|(_, session)| session.lives && session.of != by);
        let mut ahead = lives.filter(|(_, session)| {
            let late = session.clocks.iter().filter(|(at, _)| now.since(*at) < CLOCK_HEARD);
            let before = session.clocks.iter().rev().find(|(at, _)| now.since(*at) >= CLOCK_HEARD);
            before.is_some() && before.into_iter().chain(late).all(|(_, clock)| *clock >= limit)
        });
        ahead.next().map(|(session, _)| session)
    }

    /// Whether its worker has asked for a later session.
    pub(super) fn is_former(&self, session: &SessionId) -> bool {
        let worker = self.worker_of(session);
        worker.and_then(|worker| self.latest.get(&worker)).is_some_and(|latest| latest != session)
    }

    /// Whether a worker said of any of its sessions that it understands all of this.
    pub(super) fn has(&self, worker: WorkerId, needs: &Words) -> bool {
        needs.is_empty()
            || self.sessions.values().any(|session| session.of == worker && session.features.hold(needs))
    }

    /// How many sessions live.
    pub(super) fn live_sessions(&self) -> usize {
        self.sessions.values().filter(|session| session.lives).count()
    }

    /// Whether the key of a session is in the tree.
    pub(super) fn session_lives(&self, session: &SessionId) -> bool {
        self.sessions.get(session).is_some_and(|session| session.lives)
    }

    /// Whose session it is.
    pub(super) fn worker_of(&self, session: &SessionId) -> Option<WorkerId> {
        self.sessions.get(session).map(|session| session.of)
    }

    /// Whether something died that makes this attempt's end unknown.
    pub(super) fn may_be_lost(&self, attempt: &Attempt, session: &SessionId) -> bool {
        let executor_died =
            self.ordered.get(attempt).is_some_and(|executor| self.dead_executors.contains(executor));
        let worker_died =
            self.worker_of(session).is_none_or(|worker| self.dead_workers.contains_key(&worker));
        executor_died || worker_died || !self.session_lives(session)
    }

    /// Whether there is a record of an attempt with this outcome.
    pub(super) fn is_recorded(&self, attempt: &Attempt, outcome: Outcome) -> bool {
        self.spooled.get(attempt).is_some_and(|outcomes| outcomes.contains(&outcome))
    }

    /// Whether a skipped stretch is in the log or a spool.
    pub(super) fn is_skip_recorded(&self, name: &SkipName) -> bool {
        self.logged_skips.contains_key(name) || self.spooled_skips.contains(name)
    }
}
