//! Looking at a job: whether there is something to do about it now, and when to look next.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::decide::{Decision, decide};
use model::run::Revision;
use model::{JobName, UnixMillis};
use store::{RunLog, Tree};

use super::orphans::Orphans;
use super::{AT_ONCE, Engine, MOST_IN_FLIGHT};
use crate::times::OWNER_STUCK;
use crate::{CLAIM_LEAD, finish, now};

/// The jobs of other workers of which something is due: the cursor then, and since when it stands there. All of it is
/// measured on a clock that nobody sets.
#[derive(Debug, Default)]
pub(super) struct Standing {
    since: HashMap<JobName, (Revision, Instant)>,
}

impl Standing {
    /// How much of `patience` is left with a job whose cursor is this one now.
    fn left(&mut self, name: &JobName, cursor: Revision, patience: Duration, now: Instant) -> Duration {
        let standing = self.since.entry(name.clone()).or_insert((cursor, now));
        if standing.0 != cursor {
            *standing = (cursor, now);
        }
        patience.saturating_sub(now.saturating_duration_since(standing.1))
    }

    fn forget(&mut self, name: &JobName) {
        self.since.remove(name);
    }
}

/// Who does what is due of another worker's job.
enum Turn {
    Ours,
    /// Its owner, until this instant.
    Owners(Option<UnixMillis>),
}

impl<T: Tree, L: RunLog> Engine<T, L> {
    /// Looks at a job as soon as there is room for its transaction.
    pub(super) fn look_again(&mut self, name: &JobName) {
        self.look_at(name, Some(UnixMillis::EPOCH));
    }

    pub(super) fn look_at(&mut self, name: &JobName, at: Option<UnixMillis>) {
        let entry = self.view.entry(name);
        self.due.set(name, entry.due, at);
        entry.due = at;
    }

    pub(super) fn look_at_all_again(&mut self) {
        let names: Vec<JobName> = self.view.names().cloned().collect();
        self.metrics.jobs.set(i64::try_from(names.len()).unwrap_or(i64::MAX));
        for name in names {
            self.look_again(&name);
        }
    }

    pub(super) fn look_at_what_is_due(&mut self) {
        if !self.listed || self.give_up.is_some() {
            return;
        }
        for _ in 0..AT_ONCE {
            if self.in_flight.len() >= MOST_IN_FLIGHT {
                return;
            }
            let Some(name) = self.due.pop(now()) else { return };
            self.view.entry(&name).due = None;
            self.look(&name);
        }
    }

    /// Does what is to be done about a job now, and sets when to look next. While a transaction about it is under way
    /// there is nothing to do: its reply looks again.
    fn look(&mut self, name: &JobName) {
        if self.view.entry(name).deciding > 0 {
            return;
        }
        if self.view.entry(name).is_deleted() {
            self.clear_away(name);
            return;
        }
        let orphans = match self.recover(name) {
            Orphans::UnderWay => return,
            Orphans::Wait(until) => Some(until),
            Orphans::None => None,
        };
        let now = now();
        if self.executor.is_none() || !self.may_start() {
            return self.look_at(name, Some(now + finish::RETRY_AFTER));
        }
        let rank = self.view.peers.rank(name);
        let entry = self.view.entry(name);
        let known = entry.known();
        let Some((job, seen)) = entry.to_decide() else { return self.look_at(name, orphans) };
        let decision = decide(now, CLAIM_LEAD, job, &seen);
        let job = Arc::clone(job);
        if rank > 0
            && let Turn::Owners(until) = self.turn(name, rank, known.cursor, &decision)
        {
            return self.look_at(name, earlier(until, orphans));
        }
        match decision {
            Decision::Wait(at) => self.look_at(name, earlier(at, orphans)),
            Decision::Claim { slot, .. } if self.is_full() => {
                self.held.insert((slot, name.clone()));
                self.look_at(name, orphans);
            }
            Decision::Claim { slot, skipped } => self.claim(job, known, slot, skipped, now),
            Decision::Skip { slot, skipped } | Decision::Arm { slot, skipped } => {
                self.pass(job, known, slot, skipped);
            }
        }
    }

    /// Whose turn it is with another worker's job. It is ours where that worker lives and yet does not do its work. What is due must have stood still on our own clock for as long as our place in the job's order asks for: by the
    /// slot's age alone a worker whose clock is fast would take every slot.
    fn turn(&mut self, name: &JobName, rank: usize, cursor: Revision, decision: &Decision) -> Turn {
        let patience = OWNER_STUCK * u32::try_from(rank).unwrap_or(u32::MAX);
        if let Decision::Wait(at) = decision {
            self.standing.forget(name);
            return Turn::Owners(at.map(|at| at + patience));
        }
        let left = self.standing.left(name, cursor, patience, Instant::now());
        if left.is_zero() {
            tracing::warn!(job = %name, "the worker that owns this job lives and does not run it; this one does");
            self.standing.forget(name);
            return Turn::Ours;
        }
        Turn::Owners(Some(now() + left))
    }

    /// There is room for a run: whoever waits for it longest is looked at again.
    pub(super) fn release_held(&mut self) {
        if let Some((_, name)) = self.held.pop_first() {
            self.look_again(&name);
        }
    }
}

/// The earlier of two instants; nothing is never.
fn earlier(a: Option<UnixMillis>, b: Option<UnixMillis>) -> Option<UnixMillis> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_job_that_stands_still_for_the_whole_time_is_taken_from_its_owner() {
        let (name, begun, patience) = (JobName::new("a").unwrap(), Instant::now(), Duration::from_secs(75));
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut standing = Standing::default();
        assert_eq!(standing.left(&name, Revision(1), patience, at(0)), patience);
        assert_eq!(standing.left(&name, Revision(1), patience, at(70)), Duration::from_secs(5));
        // The owner moved the cursor, and is late with the next slot too.
        assert_eq!(standing.left(&name, Revision(2), patience, at(74)), patience);
        assert_eq!(standing.left(&name, Revision(2), patience, at(150)), Duration::ZERO);
        standing.forget(&name);
        assert_eq!(standing.left(&name, Revision(2), patience, at(151)), patience);
    }
}
