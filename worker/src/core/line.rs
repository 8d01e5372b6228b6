//! The line of jobs to look at: ordered sets, so that work per event does not grow with the number of jobs.
//!
//! A job is in the line for up to three reasons: something about it has changed, its instant on the wall clock comes, or
//! something is to be tried again after a time on the boot clock, which nobody sets. Jobs that changed take turns with
//! those whose instant has come, so that an edit of all jobs makes none of them late.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use model::{Lane, UnixMillis};

use super::Now;
use crate::executor::Boottime;

/// The lanes by when they are looked at next.
#[derive(Debug, Default)]
pub(super) struct Line {
    by_time: BTreeSet<(UnixMillis, Lane)>,
    /// Those to be looked at as soon as possible: their instant is [`UnixMillis::EPOCH`].
    changed: BTreeSet<Lane>,
    /// Whose turn it is.
    changed_next: bool,
    /// Those to be looked at again after a time.
    again: BTreeSet<(Boottime, Lane)>,
    again_at: HashMap<Lane, Boottime>,
}

impl Line {
    /// Moves a job from one instant to another; `None` means never.
    pub(super) fn set(&mut self, lane: &Lane, from: Option<UnixMillis>, to: Option<UnixMillis>) {
        if from == to {
            return;
        }
        match from {
            Some(UnixMillis::EPOCH) => drop(self.changed.remove(lane)),
            Some(from) => drop(self.by_time.remove(&(from, lane.clone()))),
            None => {}
        }
        match to {
            Some(UnixMillis::EPOCH) => drop(self.changed.insert(lane.clone())),
            Some(to) => drop(self.by_time.insert((to, lane.clone()))),
            None => {}
        }
    }

    /// A job is to be looked at again at this instant of the boot clock, or before.
    pub(super) fn again(&mut self, lane: &Lane, at: Boottime) {
        match self.again_at.get(lane) {
            Some(before) if *before <= at => return,
            Some(before) => drop(self.again.remove(&(*before, lane.clone()))),
            None => {}
        }
        self.again.insert((at, lane.clone()));
        self.again_at.insert(lane.clone(), at);
    }

    /// The next job whose time to be tried again has come.
    pub(super) fn pop_again(&mut self, now: Boottime) -> Option<Lane> {
        let (at, _) = self.again.first()?;
        if *at > now {
            return None;
        }
        let (_, lane) = self.again.pop_first()?;
        self.again_at.remove(&lane);
        Some(lane)
    }

    /// How long there is nothing to do; `None` means until something changes.
    pub(super) fn sleep(&self, now: Now) -> Option<Duration> {
        if !self.changed.is_empty() {
            return Some(Duration::ZERO);
        }
        let due = self.by_time.first().map(|(at, _)| at.since(now.wall));
        let again = self.again.first().map(|(at, _)| at.0.saturating_sub(now.boot.0));
        due.into_iter().chain(again).min()
    }

    /// Whether a job can be taken out now.
    pub(super) fn is_due(&self, now: Now) -> bool {
        self.sleep(now) == Some(Duration::ZERO)
    }

    /// Takes out a job that is due at `now`.
    pub(super) fn pop(&mut self, now: UnixMillis) -> Option<Lane> {
        self.changed_next = !self.changed_next;
        if self.changed_next
            && let Some(lane) = self.changed.pop_first()
        {
            return Some(lane);
        }
        match self.by_time.first() {
            Some((at, _)) if *at <= now => self.by_time.pop_first().map(|(_, lane)| lane),
            _ => self.changed.pop_first(),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::JobName;

    use super::*;

    fn name(text: &str) -> Lane {
        JobName::new(text).unwrap().into()
    }

    fn at(wall: i64, boot: u64) -> Now {
        Now { wall: UnixMillis(wall), boot: Boottime(Duration::from_millis(boot)) }
    }

    #[test]
    fn jobs_that_changed_do_not_keep_others_waiting() {
        let mut line = Line::default();
        for i in 0..9 {
            line.set(&name(&format!("a{i}")), None, Some(UnixMillis::EPOCH));
        }
        line.set(&name("b"), None, Some(UnixMillis(10)));
        assert!(line.is_due(at(0, 0)));
        let first = [line.pop(UnixMillis(10)).unwrap(), line.pop(UnixMillis(10)).unwrap()];
        assert!(first.contains(&name("b")), "{first:?}");
        let rest = std::iter::from_fn(|| line.pop(UnixMillis(10))).count();
        assert_eq!(rest, 8);
    }

    #[test]
    fn jobs_come_out_in_order_and_only_when_due() {
        let (a, b) = (name("a"), name("b"));
        let mut line = Line::default();
        line.set(&a, None, Some(UnixMillis(20)));
        line.set(&b, None, Some(UnixMillis(10)));
        line.set(&a, Some(UnixMillis(20)), Some(UnixMillis(5)));
        assert_eq!(line.sleep(at(1, 0)), Some(Duration::from_millis(4)));
        assert_eq!(line.pop(UnixMillis(4)), None);
        assert_eq!(line.pop(UnixMillis(10)), Some(a));
        assert_eq!(line.pop(UnixMillis(10)), Some(b.clone()));
        line.set(&b, None, Some(UnixMillis(7)));
        line.set(&b, Some(UnixMillis(7)), None);
        assert_eq!(line.sleep(at(100, 0)), None);
    }

    #[test]
    fn a_wall_clock_that_is_set_back_does_not_put_off_what_is_tried_again() {
        let mut line = Line::default();
        line.again(&name("a"), Boottime(Duration::from_secs(1)));
        line.again(&name("a"), Boottime(Duration::from_secs(2)));
        assert_eq!(line.sleep(at(-7_200_000, 400)), Some(Duration::from_millis(600)));
        assert_eq!(line.pop_again(at(-7_200_000, 999).boot), None);
        assert_eq!(line.pop_again(at(-7_200_000, 1000).boot), Some(name("a")));
        assert_eq!(line.sleep(at(0, 5000)), None, "once, and at the earlier of the two times");
    }
}
