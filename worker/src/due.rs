//! When to look at which job: an ordered set, so that work per event does not grow with the number of jobs.

use std::collections::BTreeSet;

use model::{JobName, UnixMillis};

/// The jobs by the instant at which they are looked at next.
#[derive(Debug, Default)]
pub(crate) struct Due {
    by_time: BTreeSet<(UnixMillis, JobName)>,
}

impl Due {
    /// Moves a job from one instant to another; `None` is never.
    pub(crate) fn set(&mut self, name: &JobName, from: Option<UnixMillis>, to: Option<UnixMillis>) {
        if from == to {
            return;
        }
        if let Some(from) = from {
            self.by_time.remove(&(from, name.clone()));
        }
        if let Some(to) = to {
            self.by_time.insert((to, name.clone()));
        }
    }

    /// The next instant at which anything is due.
    pub(crate) fn next(&self) -> Option<UnixMillis> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out a job that is due at `now`.
    pub(crate) fn pop(&mut self, now: UnixMillis) -> Option<JobName> {
        let (at, _) = self.by_time.first()?;
        if *at > now {
            return None;
        }
        self.by_time.pop_first().map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
