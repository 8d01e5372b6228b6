//! The run records of one job, held against the promises: who may claim a slot, give a run back, take it again, move it
//! to a later session, or declare it lost.

use model::Job;
use model::run::{Outcome, Revision, RunId};
use model::values::{ActiveRun, DeclaredEnd};

use super::facts::{Facts, WorkerId};
use super::invariant::{Broken, Invariant, broken};
use super::ledger::{Done, Ledger, SeenRun};
use super::reading::{Definition, PutRun};

impl Ledger {
    /// A new run record.
    pub(super) fn claimed(
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
        if active.epoch != epoch {
            let text =
                format!("the run {run} names the epoch {}, and the cursor is in {epoch}", active.epoch);
            return broken(Invariant::RunsCounted, text);
        }
        if *run != RunId::of_slot_in(&self.lane(), definition.created, epoch, active.slot)
            || active.attempt != 0
            || active.waiting.is_some()
        {
            return broken(Invariant::RunsCounted, format!("the run {run} is not a claim of its slot"));
        }
        if job.is_exclusive() && !self.foreign_runs.is_empty() {
            let text = format!("the run {run} was claimed beside a run in a lane on a node");
            return broken(Invariant::OneRecord, text);
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
    pub(super) fn changed(
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
        if (was.slot, was.attempt, was.job, was.epoch) != (after.slot, after.attempt, after.job, after.epoch)
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
        if was.ended.is_some() {
            return broken(Invariant::HolderEnds, format!("the ended run {run} was put again"));
        }
        let attempt = (run.clone(), was.attempt);
        if let Some(end) = &was.ended {
            let text = format!("the run {run} was declared {} and then put again", end.outcome);
            return broken(Invariant::HolderEnds, text);
        }
        if let Some(end) = &after.ended {
            return self.declared(run, before, (was, after), end, facts);
        }
        match (&was.waiting, &after.waiting) {
            (None, Some(_)) => {
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
            (None, None) => {
                let same = facts.worker_of(&was.session) == facts.worker_of(&after.session);
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

    /// It was decided how a run ended that nobody executes; what is left is to record that.
    fn declared(
        &self,
        run: &RunId,
        before: &SeenRun,
        (was, after): (&ActiveRun, &ActiveRun),
        end: &DeclaredEnd,
        facts: &Facts,
    ) -> Result<(), Broken> {
        let attempt = (run.clone(), was.attempt);
        let dead = !facts.session_lives(&was.session) && facts.may_be_lost(&attempt, &was.session);
        let deleted = self.definition.as_ref().is_none_or(|definition| definition.created != was.job);
        match (end.outcome, &was.waiting) {
            _ if was.waiting != after.waiting => broken(
                Invariant::HolderEnds,
                format!("the run {run} ended and was given back or taken at once"),
            ),
            (Outcome::Lost, None) if dead => Ok(()),
            (Outcome::Killed, Some(_)) if deleted || self.is_hit(before.created) => Ok(()),
            (outcome, _) => {
                let text =
                    format!("the run {run} was declared {outcome}, and it was neither lost nor killed");
                broken(Invariant::LostTruly, text)
            }
        }
    }
}
