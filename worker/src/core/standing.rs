//! Jobs of other workers that stand still although something is due: since when, on a clock that nobody sets.

use std::collections::HashMap;
use std::time::Duration;

use model::Lane;
use model::run::Revision;

use crate::executor::Boottime;

/// The jobs of other workers of which something is due: the revision of what is due, and since when it stands there.
#[derive(Debug, Default)]
pub(super) struct Standing {
    since: HashMap<Lane, (Revision, Boottime)>,
}

impl Standing {
    /// How much of `patience` is left with a job that stands at this revision now.
    pub(super) fn left(&mut self, lane: &Lane, at: Revision, patience: Duration, now: Boottime) -> Duration {
        let standing = self.since.entry(lane.clone()).or_insert((at, now));
        if standing.0 != at {
            *standing = (at, now);
        }
        patience.saturating_sub(now.0.saturating_sub(standing.1.0))
    }

    /// As [`Self::left`], for a job that is known to stand at this revision; `None` once nothing is left.
    pub(super) fn still(
        &self,
        lane: &Lane,
        at: Revision,
        patience: Duration,
        now: Boottime,
    ) -> Option<Duration> {
        let (_, since) = self.since.get(lane).filter(|standing| standing.0 == at)?;
        Some(patience.saturating_sub(now.0.saturating_sub(since.0))).filter(|left| !left.is_zero())
    }

    pub(super) fn forget(&mut self, lane: &Lane) {
        self.since.remove(lane);
    }
}

#[cfg(test)]
mod tests {
    use model::JobName;

    use super::*;

    #[test]
    fn only_a_job_that_stands_still_for_the_whole_time_is_taken_from_its_owner() {
        let (lane, patience) = (Lane::from(JobName::new("a").unwrap()), Duration::from_secs(75));
        let at = |seconds| Boottime(Duration::from_secs(seconds));
        let mut standing = Standing::default();
        assert_eq!(standing.left(&lane, Revision(1), patience, at(0)), patience);
        assert_eq!(standing.left(&lane, Revision(1), patience, at(70)), Duration::from_secs(5));
        assert_eq!(standing.still(&lane, Revision(1), patience, at(70)), Some(Duration::from_secs(5)));
        assert_eq!(standing.still(&lane, Revision(1), patience, at(75)), None);
        assert_eq!(standing.still(&lane, Revision(2), patience, at(70)), None);
        // The owner moved the cursor, and is late with the next slot too.
        assert_eq!(standing.left(&lane, Revision(2), patience, at(74)), patience);
        assert_eq!(standing.left(&lane, Revision(2), patience, at(150)), Duration::ZERO);
        standing.forget(&lane);
        assert_eq!(standing.left(&lane, Revision(2), patience, at(151)), patience);
    }
}
