//! The ends of runs, and the counters of the status, held against what a transaction did.

use std::collections::BTreeMap;

use model::run::{Outcome, RunId, Skipped};
use model::values::{ActiveRun, JobStatus, PendingSkip};

use super::facts::{Facts, WorkerId};
use super::invariant::{Broken, Invariant, broken};
use super::ledger::{Done, Ledger, SeenRun, by_reason, count, difference};
use super::reading::{Delta, Read};
use crate::time::At;

impl Ledger {
    /// Checks what a transaction counted: the ends of the runs that are gone, and the skipped stretches.
    pub(super) fn counted(
        &mut self,
        (now, by): (At, WorkerId),
        delta: &Delta,
        gone: &[(RunId, SeenRun)],
        new_skips: &[PendingSkip],
        facts: &Facts,
        done: &mut Done,
    ) -> Result<(), Broken> {
        if gone.len() > 1 {
            return broken(Invariant::RunsCounted, "two runs ended in one transaction".to_owned());
        }
        let gone = gone.first();
        let collected = matches!(delta.cursor, Some(None));
        let Some(status) = &delta.status else {
            return self.uncounted(now, gone, new_skips, facts);
        };
        let after = match status {
            Some(Read::Value(after)) => after,
            None if collected && gone.is_none() => return Ok(()),
            None => return broken(Invariant::RunsCounted, "a worker deleted the status".to_owned()),
            Some(Read::Unreadable) => {
                return broken(Invariant::RunsCounted, "a worker put a status that can't be read".to_owned());
            }
        };
        // Of a run that became skipped slots, the cursor has the stretches; of one that ended, its record had them.
        let ended = gone.filter(|_| delta.cursor.is_none());
        let skips: Vec<PendingSkip> = match ended {
            Some((_, SeenRun { active: Some(active), .. })) => active.skips().collect(),
            Some(_) | None => new_skips.to_vec(),
        };
        let skipped: Vec<Skipped> = skips.iter().map(|skip| skip.skipped).collect();
        if self.status.is_none() {
            // Somebody wrote what can't be read; it begins anew.
            self.status = Some(JobStatus::default());
            self.expect(&JobStatus::default(), after, ended, &skipped).ok();
        } else {
            let before = self.status.clone().unwrap_or_default();
            self.expect(&before, after, ended, &skipped)?;
        }
        self.skips.extend(skips.iter().map(|skip| (*skip, now)));
        done.skipped += count(&skipped);
        if let Some((run, SeenRun { active: Some(active), .. })) = ended {
            let outcome = after.recent.last().map_or(Outcome::Lost, |recent| recent.outcome);
            Self::ended(by, run, active, outcome, facts)?;
            self.counted.insert((run.clone(), active.attempt), (outcome, now));
            done.ends += 1;
            done.lost += u64::from(outcome == Outcome::Lost);
        }
        Ok(())
    }

    /// Holds the counters against what is to be counted.
    fn expect(
        &self,
        before: &JobStatus,
        after: &JobStatus,
        ended: Option<&(RunId, SeenRun)>,
        skipped: &[Skipped],
    ) -> Result<(), Broken> {
        let runs = difference(&before.runs, &after.runs);
        let last = after.recent.last();
        let expected: BTreeMap<Outcome, i128> = match (ended, last) {
            (Some((run, _)), Some(last)) if last.run == *run => [(last.outcome, 1)].into(),
            (Some((run, _)), _) => {
                let text = format!("the run {run} is gone and not the latest of the status");
                return broken(Invariant::RunsCounted, text);
            }
            (None, _) => BTreeMap::new(),
        };
        if runs != expected {
            let text = format!("the status of {} counted {runs:?} runs, expected {expected:?}", self.name);
            return broken(Invariant::RunsCounted, text);
        }
        let (counted, expected) = (difference(&before.skipped, &after.skipped), by_reason(skipped));
        if counted != expected {
            let text = format!("the status counted {counted:?} skipped slots, expected {expected:?}");
            return broken(Invariant::RunsCounted, text);
        }
        Ok(())
    }

    /// A transaction without a status.
    fn uncounted(
        &mut self,
        now: At,
        gone: Option<&(RunId, SeenRun)>,
        new_skips: &[PendingSkip],
        facts: &Facts,
    ) -> Result<(), Broken> {
        if !new_skips.is_empty() {
            return broken(Invariant::RunsCounted, format!("the stretches {new_skips:?} were not counted"));
        }
        let Some((run, SeenRun { active: Some(active), .. })) = gone else { return Ok(()) };
        let attempt = (run.clone(), active.attempt);
        if !facts.had_no_space || !facts.spooled.contains_key(&attempt) {
            let text = format!("the record of the run {run} is gone, and its end was not counted");
            return broken(Invariant::RunsCounted, text);
        }
        self.skips.extend(active.skips().map(|skip| (skip, now)));
        self.released.push(attempt);
        Ok(())
    }

    /// Checks that whoever ended a run was the one to do so, and that it has ended.
    fn ended(
        by: WorkerId,
        run: &RunId,
        active: &ActiveRun,
        outcome: Outcome,
        facts: &Facts,
    ) -> Result<(), Broken> {
        let attempt = (run.clone(), active.attempt);
        let process = facts.witness.of_attempt(&attempt);
        if active.waiting.is_some() {
            let declared = active.ended.as_ref().is_some_and(|end| end.outcome == outcome);
            if !declared || process.is_some() {
                let text = format!("the waiting run {run} ended as {outcome}");
                return broken(Invariant::HolderEnds, text);
            }
            return Ok(());
        }
        let lives = process.filter(|process| process.gone.is_none());
        if let Some(process) = lives.filter(|process| process.start.exclusive && !process.unguarded) {
            let text =
                format!("the run {run} was ended as {outcome} while its process {} lives", process.start.pid);
            return broken(Invariant::HolderEnds, text);
        }
        let holder = facts.worker_of(&active.session) == Some(by);
        if !holder && facts.session_lives(&active.session) {
            let text = format!("a stranger ended the run {run} of a session that lives");
            return broken(Invariant::HolderEnds, text);
        }
        if outcome == Outcome::Lost {
            if !facts.may_be_lost(&attempt, &active.session) {
                return broken(
                    Invariant::LostTruly,
                    format!("the run {run} is called lost, and nothing died"),
                );
            }
        } else if !holder && !facts.is_recorded(&attempt, outcome) {
            let text = format!("a stranger ended the run {run} as {outcome}, of which there is no record");
            return broken(Invariant::HolderEnds, text);
        }
        Ok(())
    }
}
