//! The ledger of one job: what the tree says of it, and whether each transaction keeps the promises.

use std::collections::BTreeMap;

use model::decide::CURSOR_AHEAD;
use model::run::{Outcome, Revision, RunId, SkipReason, Skipped};
use model::schedule::{Schedule, TimeZone};
use model::values::{ActiveRun, Cursor, JobStatus, LockValue, MOST_PENDING, Timetable};
use model::{Job, JobName};

use super::facts::{Attempt, Facts, WorkerId};
use super::reading::{Definition, Delta, PutRun, Read};
use super::{Broken, Invariant, broken, cover};
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
    modified: Revision,
    pub(super) schedule: Option<Schedule>,
}

/// One job.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: JobName,
    pub(super) definition: Option<Definition>,
    pub(super) cursor: Option<SeenCursor>,
    pub(super) runs: BTreeMap<RunId, SeenRun>,
    /// What the counters are; `None` where somebody wrote what can't be read.
    pub(super) status: Option<JobStatus>,
    pub(super) lock: Option<LockValue>,
    kill: Revision,
    /// What each counted attempt's outcome was.
    pub(super) counted: BTreeMap<Attempt, (Outcome, At)>,
    /// The stretches that were counted.
    pub(super) skips: Vec<(Skipped, At)>,
    /// Attempts that ended without being counted, for lack of space.
    pub(super) released: Vec<Attempt>,
}

/// What a transaction did, for those who count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) claims: u64,
    pub(super) ends: u64,
    pub(super) skipped: u64,
    pub(super) given_back: u64,
    pub(super) retried: u64,
    pub(super) lost: u64,
}

impl Lane {
    pub(super) fn new(name: JobName) -> Self {
        Self {
            name,
            definition: None,
            cursor: None,
            runs: BTreeMap::new(),
            status: Some(JobStatus::default()),
            lock: None,
            kill: Revision::NONE,
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
    pub(super) fn take(&mut self, delta: Delta) {
        let Delta { job, cursor, status, lock, kill, runs } = delta;
        if let Some(definition) = job {
            self.definition = definition;
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
            self.lock = lock;
        }
        if let Some(kill) = kill {
            self.kill = kill.unwrap_or_default();
        }
        for (run, put) in runs {
            match put {
                None => drop(self.runs.remove(&run)),
                Some(put) => drop(self.runs.insert(run, seen_run(put))),
            }
        }
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
            Some(Some((_, Read::Value(cursor)))) => self.moved(cursor, &claimed, &gone, facts)?,
        };
        for (run, active) in &claimed {
            let epoch = match &delta.cursor {
                Some(Some((_, Read::Value(cursor)))) => cursor.epoch,
                _ => Revision::NONE,
            };
            self.claimed(run, active, epoch, facts, gone.len())?;
            done.claims += 1;
        }
        self.counted((now, by), &delta, &gone, &new_skips, facts, &mut done)?;
        self.take(delta);
        Ok(done)
    }

    /// A cursor was put. Returns the stretches that are new in it.
    fn moved(
        &self,
        cursor: &Cursor,
        claimed: &[(&RunId, &ActiveRun)],
        gone: &[(RunId, SeenRun)],
        facts: &Facts,
    ) -> Result<Vec<Skipped>, Broken> {
        let Some((definition, job)) =
            self.definition.as_ref().and_then(|definition| Some((definition, definition.job.as_deref()?)))
        else {
            return broken(Invariant::Definition, "the cursor moved without a valid job".to_owned());
        };
        if cursor.job != definition.created || !cursor.timetable.is_of(job) {
            return broken(
                Invariant::Definition,
                "the cursor was put for another definition than the present one".to_owned(),
            );
        }
        if cursor.skips.len() > MOST_PENDING {
            let text = format!(
                "the cursor holds {} stretches, at most {MOST_PENDING} are allowed",
                cursor.skips.len()
            );
            return broken(Invariant::SkipsKept, text);
        }
        let mut before: Vec<Skipped> =
            self.cursor.iter().flat_map(|seen| seen.cursor.skips.clone()).collect();
        let mut new = Vec::new();
        for skip in &cursor.skips {
            match before.iter().position(|known| known == skip) {
                Some(at) => drop(before.swap_remove(at)),
                None => new.push(*skip),
            }
        }
        if let Some(skip) = before.iter().find(|skip| !self.is_recorded(skip, facts)) {
            let text = format!("the stretch {skip:?} left the cursor and is in no spool and not in the log");
            return broken(Invariant::SkipsKept, text);
        }
        let former = self.cursor.as_ref().filter(|seen| seen.cursor.job == cursor.job);
        let Some(former) = former else {
            // First seen: it is armed, and owes nothing.
            let first = cursor.epoch == Revision::NONE;
            if claimed.is_empty() && new.is_empty() && gone.is_empty() && first {
                return Ok(new);
            }
            return broken(
                Invariant::SlotsCovered,
                "an incarnation that is first seen has decided a slot".to_owned(),
            );
        };
        if cursor.epoch != former.cursor.epoch {
            let plain = claimed.is_empty() && gone.is_empty();
            return self.set_back(cursor, former, definition, plain, new);
        }
        if cursor.slot < former.cursor.slot {
            let text = format!("the cursor moves back from {} to {}", former.cursor.slot, cursor.slot);
            return broken(Invariant::CursorForward, text);
        }
        if let [(run, seen)] = gone {
            return self.skipped_waiting(run, seen, cursor, former, new);
        }
        if !claimed.is_empty() && !former.cursor.timetable.is_of(job) {
            let text = "a slot was claimed while the cursor was armed for another timetable".to_owned();
            return broken(Invariant::Definition, text);
        }
        let claims = claimed.iter().flat_map(|(_, active)| {
            std::iter::once(active.slot.into()).chain(active.skipped.iter().map(|skip| (*skip).into()))
        });
        let pieces = new.iter().map(|skip| (*skip).into()).chain(claims).collect();
        if let Some(schedule) = &former.schedule {
            let covered = cover::exactly(schedule, (former.cursor.slot, cursor.slot), pieces);
            covered.or_else(|why| broken(Invariant::SlotsCovered, why))?;
        }
        Ok(new)
    }

    /// The cursor was ahead of all clocks, and somebody let the job go on from its right time.
    fn set_back(
        &self,
        cursor: &Cursor,
        former: &SeenCursor,
        definition: &Definition,
        plain: bool,
        new: Vec<Skipped>,
    ) -> Result<Vec<Skipped>, Broken> {
        let was = former.cursor.slot;
        let ahead = was.0 > cursor.slot.0 + CURSOR_AHEAD;
        let asked = definition.modified > former.modified && cursor.epoch == former.modified;
        let reason = SkipReason::ClockSet;
        let owed = [Skipped { from: cursor.slot, to: was, count: None, reason }];
        if plain && ahead && asked && new == owed {
            return Ok(new);
        }
        let text = format!(
            "the cursor of epoch {} was set back from {was} to {} with {new:?}",
            former.cursor.epoch, cursor.slot
        );
        broken(Invariant::CursorForward, text)
    }

    /// The slot of a waiting run became a skipped one.
    fn skipped_waiting(
        &self,
        run: &RunId,
        seen: &SeenRun,
        cursor: &Cursor,
        former: &SeenCursor,
        new: Vec<Skipped>,
    ) -> Result<Vec<Skipped>, Broken> {
        let Some(active) = seen.active.as_ref().filter(|active| active.waiting.is_some()) else {
            let text = format!("the cursor took the run {run}, which does not wait");
            return broken(Invariant::RunsCounted, text);
        };
        let first = active.skipped.iter().map(|skip| skip.from).chain([active.slot]).min();
        let last = active.skipped.iter().map(|skip| skip.to).chain([active.slot]).max();
        let owed = 1 + count(&active.skipped);
        let same = new.iter().map(|skip| skip.from).min() == first
            && new.iter().map(|skip| skip.to).max() == last
            && count(&new) == owed;
        if !same || cursor.slot != former.cursor.slot {
            let text = format!("the waiting run {run} with {:?} became {new:?}", active.skipped);
            return broken(Invariant::SlotsCovered, text);
        }
        Ok(new)
    }

    /// A new run record.
    fn claimed(
        &self,
        run: &RunId,
        active: &ActiveRun,
        epoch: Revision,
        facts: &Facts,
        gone: usize,
    ) -> Result<(), Broken> {
        let Some((definition, job)) = self.present_job() else {
            return broken(Invariant::Definition, format!("the run {run} was claimed without a valid job"));
        };
        if job.suspend || active.definition != definition.modified || active.job != definition.created {
            let text =
                format!("the run {run} was claimed on a definition that is suspended or not the present one");
            return broken(Invariant::Definition, text);
        }
        if !facts.session_lives(&active.session) {
            return broken(
                Invariant::Definition,
                format!("the run {run} was claimed by a session that has ended"),
            );
        }
        if *run != RunId::of_slot_in(&self.name, definition.created, epoch, active.slot)
            || active.attempt != 0
            || active.waiting.is_some()
        {
            return broken(Invariant::RunsCounted, format!("the run {run} is not a claim of its slot"));
        }
        if job.is_exclusive() && self.runs.len() > gone {
            return broken(Invariant::OneRecord, format!("the run {run} was claimed beside another run"));
        }
        Ok(())
    }

    fn present_job(&self) -> Option<(&Definition, &Job)> {
        let definition = self.definition.as_ref()?;
        Some((definition, definition.job.as_deref()?))
    }

    /// A run record was put again: given back, taken again, or moved to a later session.
    #[expect(clippy::too_many_arguments, reason = "the record before and after, and all that decides")]
    fn changed(
        &self,
        by: WorkerId,
        run: &RunId,
        before: &SeenRun,
        put: &PutRun,
        after: &ActiveRun,
        facts: &Facts,
        done: &mut Done,
    ) -> Result<(), Broken> {
        let Some(was) = &before.active else {
            return broken(Invariant::HolderEnds, format!("a worker overwrote the unreadable run {run}"));
        };
        if (was.slot, was.attempt, was.job) != (after.slot, after.attempt, after.job)
            || was.skipped != after.skipped
        {
            return broken(
                Invariant::RunsCounted,
                format!("the run {run} changed from {was:?} to {after:?}"),
            );
        }
        if put.token <= before.token {
            return broken(Invariant::TokensGrow, format!("the run {run} got the token {}", put.token));
        }
        let attempt = (run.clone(), was.attempt);
        match (&was.waiting, &after.waiting) {
            (None, Some(_)) => {
                if was.lost {
                    return broken(Invariant::HolderEnds, format!("the lost run {run} was given back"));
                }
                if facts.worker_of(&was.session) != Some(by) {
                    return broken(Invariant::HolderEnds, format!("a stranger gave the run {run} back"));
                }
                if facts.witness.of_attempt(&attempt).is_some() {
                    return broken(
                        Invariant::HolderEnds,
                        format!("the run {run} was given back after it started"),
                    );
                }
                done.given_back += 1;
            }
            (Some(_), None) => {
                let present = self.present_job().filter(|(definition, job)| {
                    !job.suspend && definition.modified == after.definition && definition.created == was.job
                });
                if present.is_none() || !facts.session_lives(&after.session) {
                    let text =
                        format!("the run {run} was taken again on an old definition or by a dead session");
                    return broken(Invariant::Definition, text);
                }
                if self.kill > before.created {
                    return broken(
                        Invariant::Definition,
                        format!("the run {run} was taken again after its kill"),
                    );
                }
                done.retried += 1;
            }
            // Declared lost, by a survivor of the session that held it: what is left is to record that.
            (None, None) if after.lost => {
                let dead = !facts.session_lives(&was.session);
                if was.lost || !dead || !facts.may_be_lost(&attempt, &was.session) {
                    let text = format!("the run {run} was declared lost while its session lived");
                    return broken(Invariant::LostTruly, text);
                }
            }
            (None, None) => {
                let same = !was.lost && facts.worker_of(&was.session) == facts.worker_of(&after.session);
                if !same || !facts.session_lives(&after.session) {
                    return broken(Invariant::HolderEnds, format!("another worker took the run {run} over"));
                }
            }
            (Some(_), Some(_)) => {
                return broken(Invariant::HolderEnds, format!("the waiting run {run} was put again"));
            }
        }
        Ok(())
    }

    /// What a deleted job left was removed.
    fn collected(&self, facts: &Facts) -> Result<(), Broken> {
        if self.definition.is_some() || !self.runs.is_empty() {
            return broken(
                Invariant::RunsCounted,
                "the cursor was deleted while the job or a run was there".to_owned(),
            );
        }
        let skips = self.cursor.iter().flat_map(|seen| &seen.cursor.skips);
        match skips.clone().find(|skip| !self.is_recorded(skip, facts)) {
            None => Ok(()),
            Some(skip) => {
                let text = format!("the stretch {skip:?} was deleted and is in no spool and not in the log");
                broken(Invariant::SkipsKept, text)
            }
        }
    }

    fn is_recorded(&self, skip: &Skipped, facts: &Facts) -> bool {
        facts.is_skip_recorded(&(self.name.clone(), skip.from, skip.reason))
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

fn seen_run(put: PutRun) -> SeenRun {
    SeenRun { created: put.created, token: put.token, active: readable(put.active), put_at: At::default() }
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
