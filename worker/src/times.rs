//! The times of a session. All of them follow from how long it lasts without a renewal, so that they fit together
//! whatever that is set to: a longer one rides out a longer absence of the tree, and hands over later.

use std::time::Duration;

/// A session that lasts less than this leaves no room for a renewal that is lost once.
pub const SHORTEST_SESSION: Duration = Duration::from_secs(6);

/// The times of one session, for its worker.
///
/// With L how long the session lasts, and 1 % for clocks that run at different speeds: two renewals in sequence fit
/// before the fence; fence, grace and the time a kill takes end half a second before the session can; and a survivor
/// waits for longer than that before it declares a run lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// Between two renewals.
    pub(crate) renew_every: Duration,
    /// How long a renewal is waited for.
    pub(crate) renew_timeout: Duration,
    /// From the moment an acknowledged renewal was asked for until nothing starts any more and exclusive runs get
    /// SIGTERM.
    pub(crate) fence: Duration,
    /// From then until SIGKILL.
    pub(crate) grace: Duration,
}

impl Times {
    pub(crate) fn of(lasts: Duration) -> Self {
        Self { renew_every: lasts / 5, renew_timeout: lasts * 3 / 20, fence: lasts * 3 / 5, grace: lasts / 5 }
    }
}

/// A worker renews its session only while its executor answers within this: otherwise its jobs are better off elsewhere.
pub(crate) const EXECUTOR_ANSWERS: Duration = Duration::from_secs(5);

/// As [`EXECUTOR_ANSWERS`], for news of the tree.
pub(crate) const TREE_SPEAKS: Duration = Duration::from_secs(15);

/// How long a job whose slot is due may stand still before the next worker in its order takes it from a live owner.
pub(crate) const OWNER_STUCK: Duration = Duration::from_secs(75);

/// How often a worker says that it is there and what its clock shows.
pub(crate) const ANNOUNCE_EVERY: Duration = Duration::from_secs(30);

/// A clock that differs by more from the median of the others' is taken to be wrong.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// How long after SIGKILL a process may take to be gone.
    fn kill_latency(lasts: Duration) -> Duration {
        lasts / 10
    }

    #[test]
    fn the_times_of_every_session_fit_together() {
        for lasts in (SHORTEST_SESSION.as_secs()..=600).map(Duration::from_secs) {
            let Times { renew_every, renew_timeout, fence, grace } = Times::of(lasts);
            let gone = fence + grace + kill_latency(lasts);
            assert!(fence >= 2 * renew_every + renew_timeout, "{lasts:?}");
            assert!(gone + Duration::from_millis(500) <= lasts.mul_f64(0.99), "{lasts:?}");
            // A survivor waits for `lasts` after it saw the session gone.
            assert!(lasts >= gone.mul_f64(1.01), "{lasts:?}");
        }
    }
}
