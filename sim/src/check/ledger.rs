//! The ledger of one job: what the tree says of it, and whether each transaction keeps the promises. What a transaction does to the cursor is held against them in [`super::cursors`], run records in [`super::runs`], and
//! the counters in [`super::counts`].

use std::collections::{BTreeMap, BTreeSet};

use model::run::{Outcome, Revision, RunId, SkipReason, Skipped, Slot};
use model::schedule::{Schedule, TimeZone};
use model::values::{ActiveRun, Cursor, JobStatus, LockValue, PendingSkip, Timetable};
use model::{Job, JobName, Lane};

use super::facts::{Attempt, Facts, SkipName, WorkerId};
use super::invariant::{Broken, Invariant, broken};
use super::reading::{Definition, Delta, PutRun, Read};
use crate::time::At;

/// A run record.
#[derive(Clone, Debug)]
pub(super) struct SeenRun {
    pub(super) created: Revision,
    pub(super) token: Revision,
    /// `None` where the value can't be read.
    pub(super) active: Option<ActiveRun>,
    pub(super) put_at: At,
}

/// A cursor that can be read.
#[derive(Clone, Debug)]
pub(super) struct SeenCursor {
    pub(super) cursor: Cursor,
    pub(super) modified: Revision,
    pub(super) schedule: Option<Schedule>,
}

/// One job.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) name: JobName,
    pub(super) definition: Option<Definition>,
    pub(super) cursor: Option<SeenCursor>,
    pub(super) runs: BTreeMap<RunId, SeenRun>,
    /// What the counters are; `None` where somebody wrote what can't be read.
    pub(super) status: Option<JobStatus>,
    pub(super) lock: Option<LockValue>,
    pub(super) kill: Revision,
    /// Runs in the job's lanes on nodes, by their keys: a job that runs on any node has none of its own there.
    pub(super) foreign_runs: BTreeSet<String>,
    /// When the lock was last let go, unless it was reserved.
    pub(super) lock_freed: Option<At>,
    /// When its runs were killed or the job was deleted. That hits the runs that were created before.
    hits: Vec<(Revision, At)>,
    /// The replaced system's kill signals, which a worker may miss.
    signals: Vec<Revision>,
    /// What each counted attempt's outcome was.
    pub(super) counted: BTreeMap<Attempt, (Outcome, At)>,
    /// The stretches that were counted.
    pub(super) skips: Vec<(PendingSkip, At)>,
    /// Attempts that ended without being counted, for lack of space.
    pub(super) released: Vec<Attempt>,
}

/// What a transaction did, for those who count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) claims: u64,
    /// The slot that was claimed.
    pub(super) slot: Option<Slot>,
    pub(super) ends: u64,
    pub(super) skipped: u64,
    pub(super) given_back: u64,
    pub(super) retried: u64,
    pub(super) lost: u64,
}

impl Ledger {
    pub(super) fn new(name: JobName) -> Self {
        Self {
            name,
            definition: None,
            cursor: None,
            runs: BTreeMap::new(),
            status: Some(JobStatus::default()),
            lock: None,
            kill: Revision::NONE,
            foreign_runs: BTreeSet::new(),
            lock_freed: None,
            hits: Vec::new(),
            signals: Vec::new(),
            counted: BTreeMap::new(),
            skips: Vec::new(),
            released: Vec::new(),
        }
    }

    /// The job, if there is a valid one.
    pub(super) fn job(&self) -> Option<&Job> {
        self.definition.as_ref()?.job.as_deref()
    }

    /// Takes in what somebody else than a worker did: nothing is expected of that.
    pub(super) fn take(&mut self, now: At, delta: Delta) {
        let Delta { revision, job, cursor, status, lock, kill, signal, runs, foreign_runs } = delta;
        if signal {
            self.signals.push(revision);
        }
        if let Some(definition) = job {
            if definition.is_none() {
                self.hits.push((revision, now));
            }
            self.definition = definition;
        }
        for (key, put) in foreign_runs {
            if put {
                self.foreign_runs.insert(key);
            } else {
                self.foreign_runs.remove(&key);
            }
        }
        if let Some(cursor) = cursor {
            self.cursor = cursor.and_then(|(modified, read)| Some(self.seen(modified, readable(read)?)));
        }
        if let Some(status) = status {
            self.status = match status {
                None => Some(JobStatus::default()),
                Some(Read::Value(status)) => Some(status),
                Some(Read::Unreadable) => None,
            };
        }
        if let Some(lock) = lock {
            if self.lock.as_ref().is_some_and(|lock| *lock != LockValue::Reserved) {
                self.lock_freed = Some(now);
            }
            self.lock = lock;
        }
        if let Some(kill) = kill {
            if let Some(kill) = kill {
                self.hits.push((kill, now));
            }
            self.kill = kill.unwrap_or_default();
        }
        for (run, put) in runs {
            match put {
                None => drop(self.runs.remove(&run)),
                Some(put) => drop(self.runs.insert(run, seen_run(put, now))),
            }
        }
    }

    /// The lane for any node, which is the only one that the job has.
    pub(super) fn lane(&self) -> Lane {
        Lane::from(&self.name)
    }

    /// How the run log names a stretch.
    pub(super) fn skip_name(&self, skip: &PendingSkip) -> SkipName {
        (self.name.clone(), skip.first_run(&self.lane()), skip.skipped.reason)
    }

    /// Whether the replaced system holds the lock.
    pub(super) fn has_foreign_lock(&self) -> bool {
        self.lock == Some(LockValue::Foreign)
    }

    /// Whether a run that was created at this revision was killed, or its job was deleted.
    pub(super) fn is_hit(&self, created: Revision) -> bool {
        let hits = self.hits.iter().map(|(revision, _)| revision).chain(&self.signals);
        hits.into_iter().any(|revision| *revision > created)
    }

    /// When a run was killed or its job was deleted, if that happened after it was claimed.
    pub(super) fn hit(&self, run: &RunId) -> Option<At> {
        let created = self.runs.get(run)?.created;
        self.hits.iter().find(|(revision, _)| *revision > created).map(|(_, at)| *at)
    }

    /// Whether whoever decides a slot or takes a run that waits has what the job needs.
    fn understood(&self, by: WorkerId, delta: &Delta, facts: &Facts) -> Result<(), Broken> {
        let Some(definition) = &self.definition else { return Ok(()) };
        let taken = |(run, put): &(RunId, Option<PutRun>)| {
            let held = |active: &Read<ActiveRun>| matches!(active, Read::Value(active) if active.is_held());
            let waited = self.runs.get(run).and_then(|seen| seen.active.as_ref());
            waited.is_some_and(ActiveRun::is_waiting) && put.as_ref().is_some_and(|put| held(&put.active))
        };
        let decides = matches!(delta.cursor, Some(Some(_))) || delta.runs.iter().any(taken);
        if decides && !facts.has(by, &definition.needs) {
            let text = format!("worker {} lacks what the job needs: {}", by.0, definition.needs);
            return broken(Invariant::NeedsKept, text);
        }
        Ok(())
    }

    fn seen(&self, modified: Revision, cursor: Cursor) -> SeenCursor {
        let Timetable { schedule, dialect, zone, suspended: _ } = &cursor.timetable;
        let zone = TimeZone::parse(zone).ok();
        let schedule = zone.and_then(|zone| Schedule::parse(schedule, *dialect, zone, &self.name).ok());
        SeenCursor { cursor, modified, schedule }
    }

    /// Checks one transaction of a worker and takes it in.
    pub(super) fn apply(
        &mut self,
        now: At,
        by: WorkerId,
        delta: Delta,
        facts: &Facts,
    ) -> Result<Done, Broken> {
        let mut done = Done::default();
        if delta.job.is_some() {
            return broken(Invariant::Definition, "a worker wrote the job's own key".to_owned());
        }
        if let Some((key, _)) = delta.foreign_runs.iter().find(|(_, put)| *put) {
            let text = format!("a worker put {key}, and the job runs on any node");
            return broken(Invariant::Definition, text);
        }
        self.understood(by, &delta, facts)?;
        let gone: Vec<(RunId, SeenRun)> = delta
            .runs
            .iter()
            .filter(|(_, put)| put.is_none())
            .filter_map(|(run, _)| Some((run.clone(), self.runs.get(run)?.clone())))
            .collect();
        let mut claimed = Vec::new();
        for (run, put) in &delta.runs {
            let Some(put) = put else { continue };
            let Read::Value(active) = &put.active else {
                return broken(Invariant::RunsCounted, format!("a worker put the run {run} unreadably"));
            };
            match self.runs.get(run) {
                None => claimed.push((run, active)),
                Some(before) => self.changed(by, run, before, put, active, facts, &mut done)?,
            }
        }
        let new_skips = match &delta.cursor {
            None if claimed.is_empty() => Vec::new(),
            None => {
                let text = format!("the run {} came without a move of the cursor", claimed[0].0);
                return broken(Invariant::SlotsCovered, text);
            }
            Some(None) => {
                self.collected(facts)?;
                Vec::new()
            }
            Some(Some((_, Read::Unreadable))) => {
                return broken(
                    Invariant::SlotsCovered,
                    "a worker put a cursor that can't be read".to_owned(),
                );
            }
            Some(Some((_, Read::Value(cursor)))) => self.moved((now, by), cursor, &claimed, &gone, facts)?,
        };
        for (run, active) in &claimed {
            let epoch = match &delta.cursor {
                Some(Some((_, Read::Value(cursor)))) => cursor.epoch,
                _ => Revision::NONE,
            };
            self.claimed(run, active, epoch, facts, gone.len())?;
            done.claims += 1;
            done.slot = Some(active.slot);
        }
        self.counted((now, by), &delta, &gone, &new_skips, facts, &mut done)?;
        self.take(now, delta);
        Ok(done)
    }
}

pub(super) fn count(skipped: &[Skipped]) -> u64 {
    skipped.iter().map(|skip| u64::from(skip.count.unwrap_or(1))).sum()
}

fn readable<T>(read: Read<T>) -> Option<T> {
    match read {
        Read::Value(value) => Some(value),
        Read::Unreadable => None,
    }
}

fn seen_run(put: PutRun, put_at: At) -> SeenRun {
    SeenRun { created: put.created, token: put.token, active: readable(put.active), put_at }
}

/// How much was counted between two states of a status.
pub(super) fn difference<K: Ord + Copy>(
    before: &BTreeMap<K, u64>,
    after: &BTreeMap<K, u64>,
) -> BTreeMap<K, i128> {
    let mut difference = BTreeMap::new();
    for (key, count) in after {
        *difference.entry(*key).or_default() += i128::from(*count);
    }
    for (key, count) in before {
        *difference.entry(*key).or_default() -= i128::from(*count);
    }
    difference.retain(|_, count| *count != 0);
    difference
}

/// Skipped slots by reason.
pub(super) fn by_reason(skipped: &[Skipped]) -> BTreeMap<SkipReason, i128> {
    let mut counts = BTreeMap::new();
    for skip in skipped {
        *counts.entry(skip.reason).or_default() += i128::from(skip.count.unwrap_or(1));
    }
    counts
}
