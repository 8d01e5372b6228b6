//! The whole, once the faults have been over for a while: nothing is missing, and nothing waits for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::record::SkipRecord;
use model::run::Outcome;
use model::values::ActiveRun;
use model::{JobName, UnixMillis};

use super::Checker;
use super::facts::{Attempt, Facts, skip_name};
use super::invariant::{Broken, Invariant, broken};
use super::ledger::Ledger;
use crate::time::At;

/// When and how it is looked.
#[derive(Clone, Debug)]
pub struct End {
    /// True time.
    pub now: At,
    /// What a true wall clock reads.
    pub wall: UnixMillis,
    /// When the last fault was over.
    pub quiet_since: At,
    /// How long a due slot may take to be decided, a run to be taken again, and a process to start, by job.
    pub patience: BTreeMap<JobName, Duration>,
    /// The jobs that need what no worker has.
    pub unmet: BTreeSet<JobName>,
}

/// How long a run may be recorded, or its end, without anything happening.
const SETTLES: Duration = Duration::from_mins(1);

impl Checker {
    /// Looks at everything. Spools have been shipped.
    pub fn finish(&mut self, end: &End) {
        self.kills_reached(end.now);
        let result = self.history(end);
        if let Err((job, (invariant, text))) = result {
            self.fail(end.now, invariant, job.as_ref(), text);
        }
        for ledger in self.ledgers.values() {
            if let Err((invariant, text)) = ledger.goes_on(end, &self.facts) {
                let name = ledger.name.clone();
                return self.fail(end.now, invariant, Some(&name), text);
            }
        }
    }

    fn history(&self, end: &End) -> Result<(), (Option<JobName>, Broken)> {
        for process in self.facts.witness.all() {
            let long_gone = process.gone.is_some_and(|gone| end.now.since(gone) > SETTLES);
            let attempt = (process.start.run.clone(), process.start.attempt);
            if long_gone && !self.facts.logged.contains_key(&attempt) {
                let text = format!("process {} (run {}) has no record", process.start.pid, attempt.0);
                return Err((Some(process.start.job.clone()), (Invariant::Recorded, text)));
            }
        }
        for ledger in self.ledgers.values() {
            let result = ledger.recorded(end, &self.facts);
            result.map_err(|broken| (Some(ledger.name.clone()), broken))?;
        }
        for (attempt, record) in &self.facts.logged {
            let ledger = self.ledgers.get(&record.job);
            if ledger.is_none_or(|ledger| !ledger.knows(attempt)) {
                let text = format!("the record of {} ({}) was never counted", attempt.0, record.outcome);
                return Err((Some(record.job.clone()), (Invariant::RunsCounted, text)));
            }
        }
        for record in self.facts.logged_skips.values() {
            let ledger = self.ledgers.get(&record.job);
            if ledger.is_none_or(|ledger| !ledger.knows_skip(record)) {
                let text = format!("the stretch {:?} is recorded and was never counted", record.skipped);
                return Err((Some(record.job.clone()), (Invariant::RunsCounted, text)));
            }
        }
        Ok(())
    }
}

impl Ledger {
    /// Whether an attempt is counted, or may still be.
    fn knows(&self, attempt: &Attempt) -> bool {
        self.counted.contains_key(attempt)
            || self.released.contains(attempt)
            || self.runs.contains_key(&attempt.0)
    }

    /// Whether a stretch is counted, or its run's end may still count it.
    fn knows_skip(&self, record: &SkipRecord) -> bool {
        let name = skip_name(record);
        let of_runs = self.runs.values().filter_map(|seen| seen.active.as_ref());
        let mut skips = self.skips.iter().map(|(skip, _)| *skip).chain(of_runs.flat_map(ActiveRun::skips));
        skips.any(|skip| self.skip_name(&skip) == name)
    }

    /// Whether everything that was counted is in the log.
    fn recorded(&self, end: &End, facts: &Facts) -> Result<(), Broken> {
        for attempt in &self.released {
            if !facts.logged.contains_key(attempt) {
                return broken(Invariant::Recorded, format!("the run {} has no record", attempt.0));
            }
        }
        for (attempt, (outcome, at)) in &self.counted {
            if end.now.since(*at) < SETTLES {
                continue;
            }
            let Some(record) = facts.logged.get(attempt) else {
                let text = format!("the run {} ended as {outcome} and has no record", attempt.0);
                return broken(Invariant::Recorded, text);
            };
            // A record that its dead worker wrote may come late, and tells more.
            if record.outcome != *outcome && *outcome != Outcome::Lost {
                let text = format!(
                    "the run {} was counted as {outcome} and recorded as {}",
                    attempt.0, record.outcome
                );
                return broken(Invariant::TrueRecords, text);
            }
        }
        let mut counted = BTreeSet::new();
        for (skip, at) in &self.skips {
            let name = self.skip_name(skip);
            if !counted.insert(name.clone()) {
                return broken(Invariant::RunsCounted, format!("the stretch {skip:?} was counted twice"));
            }
            if end.now.since(*at) < SETTLES {
                continue;
            }
            let Some(record) = facts.logged_skips.get(&name) else {
                return broken(
                    Invariant::Recorded,
                    format!("the stretch {skip:?} was counted and not recorded"),
                );
            };
            if record.skipped != skip.skipped {
                let text = format!("the stretch {skip:?} was recorded as {:?}", record.skipped);
                return broken(Invariant::TrueRecords, text);
            }
        }
        Ok(())
    }

    /// Whether nothing waits longer than it may.
    fn goes_on(&self, end: &End, facts: &Facts) -> Result<(), Broken> {
        let patience = end.patience.get(&self.name).copied().unwrap_or(SETTLES);
        let quiet = end.now.since(end.quiet_since);
        if quiet < patience || end.unmet.contains(&self.name) {
            return Ok(());
        }
        for (run, seen) in &self.runs {
            let age = end.now.since(seen.put_at);
            let Some(active) = &seen.active else { continue };
            let attempt = (run.clone(), active.attempt);
            let process = facts.witness.of_attempt(&attempt);
            let works =
                process.is_some_and(|process| process.gone.is_none_or(|gone| end.now.since(gone) < SETTLES));
            // A clock that was ahead has decided slots that are still to come: the job stands still until then.
            let ahead = self.cursor.as_ref().is_some_and(|seen| seen.cursor.slot.0 > end.wall + SETTLES);
            let future = active.slot.0 > end.wall || ahead;
            if active.waiting.is_some() {
                if age > patience && !future {
                    return broken(Invariant::RunsEnd, format!("the run {run} waits since {}", seen.put_at));
                }
            } else if !facts.session_lives(&active.session) {
                if age > patience {
                    return broken(Invariant::RunsEnd, format!("the run {run} of a dead session stays"));
                }
            } else if !works && !future && age > SETTLES {
                return broken(
                    Invariant::RunsEnd,
                    format!("the run {run} is held and no process of it lives"),
                );
            }
        }
        let Some(job) = self.job().filter(|job| !job.suspend) else { return Ok(()) };
        let armed = self.cursor.as_ref().filter(|seen| {
            seen.cursor.timetable.is_of(job)
                && self.definition.as_ref().is_some_and(|definition| definition.created == seen.cursor.job)
        });
        let Some(armed) = armed else {
            return broken(
                Invariant::JobsGoOn,
                "the cursor is not armed for the job as it stands".to_owned(),
            );
        };
        let Some(due) = job.schedule.next_after(armed.cursor.slot.0) else { return Ok(()) };
        let late = end.wall.since(due);
        if late > patience && facts.witness.alive(&self.name).next().is_none() {
            let text = format!(
                "the slot {due} is due for {} s and nobody decides it (allowed are {} s)",
                late.as_secs(),
                patience.as_secs()
            );
            return broken(Invariant::JobsGoOn, text);
        }
        if armed.cursor.slot.0 > end.wall + SETTLES {
            // A clock that was ahead has decided these slots.
            return Ok(());
        }
        self.ran(end, facts, patience)
    }

    /// Whether a job that does not lag runs at all.
    fn ran(&self, end: &End, facts: &Facts, patience: Duration) -> Result<(), Broken> {
        let Some(job) = self.job() else { return Ok(()) };
        let Some(slot) = job.schedule.previous_before(end.wall - patience) else { return Ok(()) };
        let ago = end.wall.since(slot);
        // A slot of the quiet time, with a margin for what the faults left behind.
        if ago + patience > end.now.since(end.quiet_since) {
            return Ok(());
        }
        let ran =
            facts.witness.last_start(&self.name).is_some_and(|last| end.now.since(last) <= ago + SETTLES);
        if ran || facts.witness.alive(&self.name).next().is_some() {
            return Ok(());
        }
        broken(Invariant::JobsGoOn, format!("no process has started since before the slot {slot}"))
    }
}
