//! When to look at which job: an ordered set, so that work per event does not grow with the number of jobs.
//!
//! Jobs about which something has changed are looked at as soon as possible. They take turns with those whose instant has
//! come, so that an edit of all jobs makes none of them late.

use std::collections::BTreeSet;

use model::{JobName, UnixMillis};

/// The jobs by the instant at which they are looked at next.
#[derive(Debug, Default)]
pub(crate) struct Due {
    by_time: BTreeSet<(UnixMillis, JobName)>,
    /// Those to be looked at as soon as possible: their instant is [`UnixMillis::EPOCH`].
    changed: BTreeSet<JobName>,
    /// Whose turn it is.
    changed_next: bool,
}

impl Due {
    /// Moves a job from one instant to another; `None` is never.
    pub(crate) fn set(&mut self, name: &JobName, from: Option<UnixMillis>, to: Option<UnixMillis>) {
        if from == to {
            return;
        }
        match from {
            Some(UnixMillis::EPOCH) => drop(self.changed.remove(name)),
            Some(from) => drop(self.by_time.remove(&(from, name.clone()))),
            None => {}
        }
        match to {
            Some(UnixMillis::EPOCH) => drop(self.changed.insert(name.clone())),
            Some(to) => drop(self.by_time.insert((to, name.clone()))),
            None => {}
        }
    }

    /// The next instant at which anything is due.
    pub(crate) fn next(&self) -> Option<UnixMillis> {
        if self.changed.is_empty() {
            self.by_time.first().map(|(at, _)| *at)
        } else {
            Some(UnixMillis::EPOCH)
        }
    }

    /// Takes out a job that is due at `now`.
    pub(crate) fn pop(&mut self, now: UnixMillis) -> Option<JobName> {
        self.changed_next = !self.changed_next;
        if self.changed_next
            && let Some(name) = self.changed.pop_first()
        {
            return Some(name);
        }
        match self.by_time.first() {
            Some((at, _)) if *at <= now => self.by_time.pop_first().map(|(_, name)| name),
            _ => self.changed.pop_first(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_changed_do_not_keep_others_waiting() {
        let mut due = Due::default();
        let changed: Vec<JobName> = (0..9).map(|i| JobName::new(&format!("a{i}")).unwrap()).collect();
        for name in &changed {
            due.set(name, None, Some(UnixMillis::EPOCH));
        }
        let b = JobName::new("b").unwrap();
        due.set(&b, None, Some(UnixMillis(10)));
        assert_eq!(due.next(), Some(UnixMillis::EPOCH));
        let first = [due.pop(UnixMillis(10)).unwrap(), due.pop(UnixMillis(10)).unwrap()];
        assert!(first.contains(&b), "{first:?}");
        let rest = std::iter::from_fn(|| due.pop(UnixMillis(10))).count();
        assert_eq!(rest, 8);
    }

    #[test]
    fn jobs_come_out_in_order_and_only_when_due() {
        let (a, b) = (JobName::new("a").unwrap(), JobName::new("b").unwrap());
        let mut due = Due::default();
        due.set(&a, None, Some(UnixMillis(20)));
        due.set(&b, None, Some(UnixMillis(10)));
        due.set(&a, Some(UnixMillis(20)), Some(UnixMillis(5)));
        assert_eq!(due.next(), Some(UnixMillis(5)));
        assert_eq!(due.pop(UnixMillis(4)), None);
        assert_eq!(due.pop(UnixMillis(10)), Some(a));
        assert_eq!(due.pop(UnixMillis(10)), Some(b.clone()));
        due.set(&b, None, Some(UnixMillis(7)));
        due.set(&b, Some(UnixMillis(7)), None);
        assert_eq!(due.next(), None);
    }
}
