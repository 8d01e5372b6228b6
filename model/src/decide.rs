//! What to do about a job now: the whole of the scheduling rules as one pure function.
//!
//! [`decide`] is called when a job's next instant comes, and whenever something about the job changed. It never acts;
//! the worker turns its answer into one transaction of the tree, which fails harmlessly if the view was stale.
//!
//! Missed slots, as `Latest` and `Skip` see them: a slot that is late by no more than [`LATE_IS_MISSED`] is merely late
//! and runs (a take-over from a dead worker needs some ten seconds). Of several slots that have passed, only the latest
//! can run; the earlier ones are recorded as skipped. How long the gap was does not matter: the latest slot is computed
//! directly, and no more than [`COUNTED_SLOTS`] are counted.
//!
//! With `All` the slots from the cursor to now are a **backlog**: all of them wait, whatever kept them from starting, and
//! run one after the other, the oldest first. What is beyond the deadline or the limit leaves it at the old end. So no
//! slot of such a job is skipped as an overlap, and a job that is held just waits. Whether a slot was missed or came
//! while another one ran is never asked: it could not be told from the cursor.

use std::time::Duration;

use crate::job::{Job, MissedRuns};
use crate::run::{Revision, SkipReason, Skipped, Slot};
use crate::schedule::{Schedule, TimeZone};
use crate::values::Timetable;
use crate::{JobName, UnixMillis};

/// Beyond this a slot counts as missed for `missedRunPolicy: Skip`; Quartz calls it the misfire threshold and has the
/// same default.
pub const LATE_IS_MISSED: Duration = Duration::from_mins(1);

/// A cursor that is further ahead of the clock was moved by a clock that was wrong, or the clock is wrong now.
pub const CURSOR_AHEAD: Duration = Duration::from_mins(1);

/// A stretch of skipped slots is counted up to this many; a longer one has no count.
pub const COUNTED_SLOTS: u32 = 1000;

/// What is known of a job besides its definition.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The create revision of the job's key: its incarnation.
    pub created: Revision,
    /// The cursor, if there is one.
    pub cursor: Option<SeenCursor<'a>>,
    /// Whether a run of the job has not ended.
    pub busy: bool,
}

/// A cursor, compared with the job as it stands.
#[derive(Clone, Copy, Debug)]
pub struct SeenCursor<'a> {
    /// The last decided instant.
    pub slot: Slot,
    /// The incarnation it was written for.
    pub job: Revision,
    /// The timetable it was armed for; `None` when that is still the job's own.
    pub armed_for: Option<&'a Timetable>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing before this instant; `None`: nothing until something changes.
    Wait(Option<UnixMillis>),
    /// Put the cursor to `slot` with the job's present timetable: it is new, or was edited, suspended or resumed.
    /// The past never runs because of that; what was owed by the former timetable is recorded.
    Arm {
        /// Where the cursor goes.
        slot: Slot,
        /// The slots that the former timetable owed.
        skipped: Vec<Skipped>,
    },
    /// Claim this slot and run it when it is due.
    Claim {
        /// The slot.
        slot: Slot,
        /// The slots passed over.
        skipped: Vec<Skipped>,
    },
    /// The cursor is more than [`CURSOR_AHEAD`] ahead: nothing is decided until the clock has caught up with it, or until
    /// somebody lets the job go on from its right time ([`may_set`]).
    Ahead,
    /// Record slots that will not run.
    Skip {
        /// Where the cursor goes.
        slot: Slot,
        /// The slots passed over, this one included.
        skipped: Vec<Skipped>,
    },
}

/// Decides about `job` at `now`. A slot may be claimed up to `lead` before it is due.
pub fn decide(now: UnixMillis, lead: Duration, job: &Job, seen: &Seen<'_>) -> Decision {
    let Some(cursor) = seen.cursor.filter(|cursor| cursor.job == seen.created) else {
        return Decision::Arm { slot: Slot(now), skipped: Vec::new() };
    };
    if cursor.slot.0 > now + CURSOR_AHEAD {
        return Decision::Ahead;
    }
    if let Some(former) = cursor.armed_for {
        return Decision::Arm {
            slot: Slot(now).max(cursor.slot),
            skipped: owed(&job.name, former, cursor.slot, now),
        };
    }
    if job.suspend {
        return Decision::Wait(None);
    }
    let Some(first) = job.schedule.next_after(cursor.slot.0) else {
        return Decision::Wait(None);
    };
    let held = seen.busy && job.is_exclusive();
    let limit = match job.missed {
        // Its end is news of the job, upon which this is asked again.
        MissedRuns::All(_) if held => return Decision::Wait(None),
        MissedRuns::All(limit) => limit.get(),
        MissedRuns::Latest | MissedRuns::Skip => 1,
    };
    if first > now {
        return match held {
            // Whether the earlier run is in the way is only known at the slot.
            true if first <= now + lead => Decision::Wait(Some(first)),
            false if first <= now + lead => Decision::Claim { slot: Slot(first), skipped: Vec::new() },
            _ => Decision::Wait(Some(first - lead)),
        };
    }

    // `first` is due, so there is a latest due slot: itself or a later one.
    let latest = job.schedule.previous_before(now + Duration::from_millis(1)).unwrap_or(first).max(first);
    let all = |reason| Decision::Skip {
        slot: Slot(latest),
        skipped: vec![stretch(&job.schedule, first, latest, reason)],
    };
    if held {
        return all(SkipReason::Overlap);
    }
    let late = now.since(latest);
    if job.starting_deadline.is_some_and(|deadline| late > deadline) {
        return all(SkipReason::Deadline);
    }
    if job.missed == MissedRuns::Skip && late > LATE_IS_MISSED {
        return all(SkipReason::Missed);
    }
    let in_time = |slot: UnixMillis| job.starting_deadline.is_none_or(|deadline| now.since(slot) <= deadline);
    let mut oldest = latest;
    for _ in 1..limit {
        match job.schedule.previous_before(oldest) {
            Some(slot) if slot >= first && in_time(slot) => oldest = slot,
            _ => break,
        }
    }
    Decision::Claim { slot: Slot(oldest), skipped: left_behind(job, first, oldest, now) }
}

/// Where the cursor of a job that is [`Decision::Ahead`] may be set back to: the latest of the live workers' clocks, if
/// all of them are more than [`CURSOR_AHEAD`] behind the cursor. As long as one of them is not, it can't be told which is
/// wrong.
pub fn may_set(cursor: Slot, clocks: impl IntoIterator<Item = UnixMillis>) -> Option<UnixMillis> {
    clocks.into_iter().max().filter(|latest| cursor.0 > *latest + CURSOR_AHEAD)
}

/// What becomes of a claimed slot whose command did not start and that waits for a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// It runs as soon as a worker has room for it.
    Run,
    /// Its slot is further ahead than slots are claimed; nothing before this instant.
    Wait(UnixMillis),
    /// It is skipped, as it would be if it had not been claimed before.
    Skip(SkipReason),
}

/// Decides about the waiting run of `slot` at `now`. It comes before newer slots. Unless the policy is `All`, it gives
/// way once a newer slot is due, because of several slots that have passed only the latest can run.
pub fn waiting(now: UnixMillis, lead: Duration, job: &Job, slot: Slot) -> Waiting {
    let late = now.since(slot.0);
    let missed = match job.missed {
        MissedRuns::All(_) => false,
        MissedRuns::Skip if late > LATE_IS_MISSED => true,
        MissedRuns::Latest | MissedRuns::Skip => {
            job.schedule.next_after(slot.0).is_some_and(|next| next <= now)
        }
    };
    if slot.0 > now + CURSOR_AHEAD {
        Waiting::Skip(SkipReason::ClockSet)
    } else if job.suspend {
        Waiting::Skip(SkipReason::Suspended)
    } else if slot.0 > now + lead {
        Waiting::Wait(slot.0 - lead)
    } else if job.starting_deadline.is_some_and(|deadline| late > deadline) {
        Waiting::Skip(SkipReason::Deadline)
    } else if missed {
        Waiting::Skip(SkipReason::Missed)
    } else {
        Waiting::Run
    }
}

/// The slots from `first` on that are passed over for the one at `claimed`.
fn left_behind(job: &Job, first: UnixMillis, claimed: UnixMillis, now: UnixMillis) -> Vec<Skipped> {
    let schedule = &job.schedule;
    let Some(last) = schedule.previous_before(claimed).filter(|last| *last >= first) else {
        return Vec::new();
    };
    // Only a backlog has a reason for each end: of `Latest`, what is passed over was missed.
    let late = match (job.missed, job.starting_deadline) {
        (MissedRuns::All(_), Some(deadline)) => schedule.previous_before(now - deadline),
        _ => None,
    };
    let Some(late) = late.filter(|late| *late >= first).map(|late| late.min(last)) else {
        return vec![stretch(schedule, first, last, SkipReason::Missed)];
    };
    let mut skipped = vec![stretch(schedule, first, late, SkipReason::Deadline)];
    if let Some(next) = schedule.next_after(late).filter(|next| *next <= last) {
        skipped.push(stretch(schedule, next, last, SkipReason::Missed));
    }
    skipped
}

/// What a former timetable owed between the cursor and now. The instant of the edit is not known, so a stretch can
/// reach a little past it.
fn owed(job: &JobName, former: &Timetable, after: Slot, now: UnixMillis) -> Vec<Skipped> {
    let parsed = TimeZone::parse(&former.zone)
        .ok()
        .and_then(|zone| Schedule::parse(&former.schedule, former.dialect, zone, job).ok());
    let Some(schedule) = parsed else { return Vec::new() };
    let first = schedule.next_after(after.0).filter(|first| *first <= now);
    let last = schedule.previous_before(now + Duration::from_millis(1));
    let reason = if former.suspended { SkipReason::Suspended } else { SkipReason::Missed };
    match (first, last) {
        (Some(first), Some(last)) if first <= last => vec![stretch(&schedule, first, last, reason)],
        _ => Vec::new(),
    }
}

/// The slots from `from` to `to`, both included.
fn stretch(schedule: &Schedule, from: UnixMillis, to: UnixMillis, reason: SkipReason) -> Skipped {
    let slots =
        std::iter::successors(Some(from), |slot| schedule.next_after(*slot)).take_while(|slot| *slot <= to);
    let count = slots.take(COUNTED_SLOTS as usize + 1).count();
    let count = u32::try_from(count).ok().filter(|count| *count <= COUNTED_SLOTS);
    Skipped { from: Slot(from), to: Slot(to), count, reason }
}

#[cfg(test)]
mod backlog;
#[cfg(test)]
mod kubernetes;
#[cfg(test)]
mod tests;
