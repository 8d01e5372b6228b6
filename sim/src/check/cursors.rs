//! The cursor of one job, held against the promises: which slots it passes, which skipped stretches it holds, and when
//! it may be set back.

use std::time::Duration;

use model::decide::CURSOR_AHEAD;
use model::run::{Revision, RunId, SkipReason, Skipped};
use model::values::{ActiveRun, Cursor, MOST_PENDING, PendingSkip};

use super::cover;
use super::facts::{Facts, WorkerId};
use super::invariant::{Broken, Invariant, broken};
use super::ledger::{Ledger, SeenCursor, SeenRun, count};
use super::reading::Definition;
use crate::time::At;

/// For so long a worker may believe that a lock is held which has been let go: no news of that came.
const LOCK_BELIEVED: Duration = Duration::from_mins(2);

impl Ledger {
    /// A cursor was put. Returns the stretches that are new in it.
    pub(super) fn moved(
        &self,
        (now, by): (At, WorkerId),
        cursor: &Cursor,
        claimed: &[(&RunId, &ActiveRun)],
        gone: &[(RunId, SeenRun)],
        facts: &Facts,
    ) -> Result<Vec<PendingSkip>, Broken> {
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
        let mut before: Vec<PendingSkip> =
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
        if let Some(skip) = new.iter().find(|skip| skip.skipped.reason == SkipReason::Overlap)
            && !self.is_busy(now, facts)
        {
            return broken(
                Invariant::SkipsTrue,
                format!("{skip:?} is called an overlap, and the job has no run"),
            );
        }
        Self::skipped_now(cursor, gone, &new)?;
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
            let new = Self::set_back(cursor, former, definition, plain, new)?;
            if let Some(session) = facts.ahead_of(former.cursor.slot.0 - CURSOR_AHEAD, now, by) {
                let text = format!(
                    "the cursor was set back from {} although the clock of {session} is not behind it",
                    former.cursor.slot
                );
                return broken(Invariant::CursorForward, text);
            }
            return Ok(new);
        }
        if cursor.slot < former.cursor.slot {
            let text = format!("the cursor moves back from {} to {}", former.cursor.slot, cursor.slot);
            return broken(Invariant::CursorForward, text);
        }
        if let [(run, seen)] = gone {
            return Self::skipped_waiting(run, seen, cursor, former, new);
        }
        if !claimed.is_empty() && !former.cursor.timetable.is_of(job) {
            let text = "a slot was claimed while the cursor was armed for another timetable".to_owned();
            return broken(Invariant::Definition, text);
        }
        let claims = claimed.iter().flat_map(|(_, active)| {
            std::iter::once(active.slot.into()).chain(active.skipped.iter().map(|skip| (*skip).into()))
        });
        let pieces = new.iter().map(|skip| skip.skipped.into()).chain(claims).collect();
        if let Some(schedule) = &former.schedule {
            let covered = cover::exactly(schedule, (former.cursor.slot, cursor.slot), pieces);
            covered.or_else(|why| broken(Invariant::SlotsCovered, why))?;
        }
        Ok(new)
    }

    /// Whether a slot may overlap with something, as far as a worker can know.
    fn is_busy(&self, now: At, facts: &Facts) -> bool {
        let lock = self.lock_freed.is_some_and(|at| now.since(at) < LOCK_BELIEVED);
        // Where there was no space, an end is not counted, so that workers may not know of it.
        !self.runs.is_empty()
            || !self.foreign_runs.is_empty()
            || self.has_foreign_lock()
            || lock
            || facts.no_space
    }

    /// The cursor was ahead of all clocks, and somebody let the job go on from its right time.
    pub(super) fn set_back(
        cursor: &Cursor,
        former: &SeenCursor,
        definition: &Definition,
        plain: bool,
        new: Vec<PendingSkip>,
    ) -> Result<Vec<PendingSkip>, Broken> {
        let was = former.cursor.slot;
        let ahead = was.0 > cursor.slot.0 + CURSOR_AHEAD;
        let asked = definition.modified > former.modified && cursor.epoch == former.modified;
        let reason = SkipReason::ClockSet;
        let skipped = Skipped { from: cursor.slot, to: was, count: None, reason };
        let owed = [PendingSkip { skipped, job: cursor.job, epoch: cursor.epoch }];
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
        run: &RunId,
        seen: &SeenRun,
        cursor: &Cursor,
        former: &SeenCursor,
        new: Vec<PendingSkip>,
    ) -> Result<Vec<PendingSkip>, Broken> {
        let Some(active) = seen.active.as_ref().filter(|active| active.waiting.is_some()) else {
            let text = format!("the cursor took the run {run}, which does not wait");
            return broken(Invariant::RunsCounted, text);
        };
        let first = active.skipped.iter().map(|skip| skip.from).chain([active.slot]).min();
        let last = active.skipped.iter().map(|skip| skip.to).chain([active.slot]).max();
        let owed = 1 + count(&active.skipped);
        let stretches: Vec<Skipped> = new.iter().map(|skip| skip.skipped).collect();
        let same = stretches.iter().map(|skip| skip.from).min() == first
            && stretches.iter().map(|skip| skip.to).max() == last
            && count(&stretches) == owed;
        if !same || cursor.slot != former.cursor.slot {
            let text = format!("the waiting run {run} with {:?} became {new:?}", active.skipped);
            return broken(Invariant::SlotsCovered, text);
        }
        Ok(new)
    }

    /// What a deleted job left was removed.
    pub(super) fn collected(&self, facts: &Facts) -> Result<(), Broken> {
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

    /// New stretches are of the epoch that the cursor is in, or of that in which the run was claimed that waited.
    fn skipped_now(cursor: &Cursor, gone: &[(RunId, SeenRun)], new: &[PendingSkip]) -> Result<(), Broken> {
        let of_run = gone.iter().find_map(|(_, seen)| seen.active.as_ref());
        let (job, epoch) = of_run.map_or((cursor.job, cursor.epoch), |active| (active.job, active.epoch));
        match new.iter().find(|skip| (skip.job, skip.epoch) != (job, epoch)) {
            None => Ok(()),
            Some(skip) => {
                let text = format!("{skip:?} was skipped in the incarnation {job} and its epoch {epoch}");
                broken(Invariant::SkipsTrue, text)
            }
        }
    }

    fn is_recorded(&self, skip: &PendingSkip, facts: &Facts) -> bool {
        facts.is_skip_recorded(&self.skip_name(skip))
    }
}
