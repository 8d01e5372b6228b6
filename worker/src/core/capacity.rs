//! Places for runs, and the lanes that wait for one.
//!
//! With `--max-runs` a worker has that many places. Lanes that find none wait in a line, ordered by the instant since which
//! each has had no place: its oldest undecided slot, or its last run. That instant does not change while newer slots come,
//! and it is in the tree, so a lane keeps its turn when another worker takes it over. If something waits for long, the
//! worker tells the others that it is **full**, and they take its jobs. Both ends of that have a delay, because each change
//! makes every worker look at the jobs that move.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::time::Duration;

use model::{Lane, UnixMillis};

use crate::executor::Boottime;

/// How long jobs wait before the others are told that there is no place.
const FULL_AFTER: Duration = Duration::from_secs(1);

/// How long the others are told so at least.
const FULL_FOR: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Capacity {
    most: Option<NonZeroUsize>,
    /// The jobs that wait, by since when.
    line: BTreeSet<(UnixMillis, Lane)>,
    places: HashMap<Lane, UnixMillis>,
    /// Since when somebody waits.
    waited_for: Option<Boottime>,
    /// Since when the others are told that there is no place.
    full_since: Option<Boottime>,
}

impl Capacity {
    pub(super) fn new(most: Option<NonZeroUsize>) -> Self {
        Self { most, line: BTreeSet::new(), places: HashMap::new(), waited_for: None, full_since: None }
    }

    /// Whether `taken` places leave none.
    fn is_full(&self, taken: usize) -> bool {
        self.most.is_some_and(|most| taken >= most.get())
    }

    /// Whether a job has to wait now: there is no place, or there are others in the line.
    pub(super) fn must_wait(&self, taken: usize) -> bool {
        self.is_full(taken) || !self.line.is_empty()
    }

    /// Puts a job into the line that waits since this instant.
    pub(super) fn wait(&mut self, lane: &Lane, since: UnixMillis, now: Boottime) {
        if let Some(before) = self.places.insert(lane.clone(), since) {
            self.line.remove(&(before, lane.clone()));
        }
        self.line.insert((since, lane.clone()));
        self.waited_for.get_or_insert(now);
    }

    /// The job wants nothing any more.
    pub(super) fn leave(&mut self, lane: &Lane) {
        if let Some(since) = self.places.remove(lane) {
            self.line.remove(&(since, lane.clone()));
            self.note_end();
        }
    }

    /// The job whose turn it is, if there is a place for it. It is out of the line then.
    pub(super) fn call(&mut self, taken: usize) -> Option<Lane> {
        if self.is_full(taken) {
            return None;
        }
        let (_, lane) = self.line.pop_first()?;
        self.places.remove(&lane);
        self.note_end();
        Some(lane)
    }

    fn note_end(&mut self) {
        if self.line.is_empty() {
            self.waited_for = None;
        }
    }

    /// Whether the others are to be told that there is no place.
    pub(super) fn tell_full(&mut self, taken: usize, now: Boottime) -> bool {
        let waited = self.waited_for.map(|since| now.0.saturating_sub(since.0));
        match self.full_since {
            None if waited.is_some_and(|waited| waited >= FULL_AFTER) => self.full_since = Some(now),
            Some(since) if !self.is_full(taken) && now.0.saturating_sub(since.0) >= FULL_FOR => {
                self.full_since = None;
            }
            Some(_) | None => {}
        }
        self.full_since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use model::JobName;

    use super::*;

    fn name(text: &str) -> Lane {
        JobName::new(text).unwrap().into()
    }

    fn at(seconds: u64) -> Boottime {
        Boottime(Duration::from_secs(seconds))
    }

    fn slot(millis: i64) -> UnixMillis {
        UnixMillis(millis)
    }

    #[test]
    fn each_job_gets_its_turn() {
        let mut capacity = Capacity::new(NonZeroUsize::new(1));
        assert!(!capacity.must_wait(0));
        for (since, job) in [(3, "a"), (1, "b"), (2, "c"), (3, "a")] {
            capacity.wait(&name(job), slot(since), at(0));
        }
        assert_eq!(capacity.call(1), None);
        let mut turns = Vec::new();
        for turn in 0..6 {
            assert!(capacity.must_wait(0), "somebody waits longer");
            let job = capacity.call(0).unwrap();
            capacity.wait(&job, slot(10 + turn), at(1));
            turns.push(job.to_string());
        }
        assert_eq!(turns, ["b", "c", "a", "b", "c", "a"]);
        capacity.leave(&name("b"));
        assert_eq!(capacity.call(0), Some(name("c")));
        assert_eq!(capacity.call(0), Some(name("a")));
        assert_eq!(capacity.call(0), None);
    }

    #[test]
    fn the_others_are_told_late_and_not_at_every_change() {
        let mut capacity = Capacity::new(NonZeroUsize::new(1));
        capacity.wait(&name("a"), slot(1), at(0));
        assert!(!capacity.tell_full(1, at(0)));
        assert!(capacity.tell_full(1, at(1)));
        capacity.leave(&name("a"));
        assert!(capacity.tell_full(0, at(5)), "there is a place, but the change is only four seconds old");
        assert!(capacity.tell_full(1, at(11)), "there is none");
        assert!(!capacity.tell_full(0, at(11)));
    }
}
