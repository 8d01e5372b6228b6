//! Runs of sessions that have ended: what is known of those sessions.
//!
//! Their processes end with the session at the latest, so a survivor waits for that before it calls a run lost. The wait
//! is counted from the first news that is as new as the run's record and does not have the session's key. Only then is
//! the session known to be gone: a record that comes in a reply may be newer than the registrations that were followed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use model::Lane;
use model::run::{Revision, RunId, SessionId};

use crate::executor::Boottime;

#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// Since when sessions that left runs behind are known to be gone. Their keys never come back.
    absent: HashMap<SessionId, Boottime>,
    /// The runs, by token, whose record was looked for.
    searched: HashSet<(Lane, RunId, Revision)>,
    /// The sessions whose processes on this node were looked for and killed.
    swept: HashSet<SessionId>,
    /// The sessions for which that is under way, and the jobs that wait for it.
    sweeping: HashMap<SessionId, BTreeSet<Lane>>,
}

impl Orphans {
    /// How long a session is known to be gone now.
    pub(super) fn absence(&mut self, session: &SessionId, now: Boottime) -> Duration {
        let since = self.absent.entry(session.clone()).or_insert(now);
        now.0.saturating_sub(since.0)
    }

    /// Whether the record of this run is to be looked for; only once.
    pub(super) fn search(&mut self, lane: &Lane, run: &RunId, token: Revision) -> bool {
        self.searched.insert((lane.clone(), run.clone(), token))
    }

    /// The run has ended.
    pub(super) fn forget(&mut self, lane: &Lane, run: &RunId, token: Revision) {
        self.searched.remove(&(lane.clone(), run.clone(), token));
    }

    /// Whether no process of a session is left on this node. If that is not known, `lane` waits for it; the second value
    /// says whether somebody has to look.
    pub(super) fn is_swept(&mut self, session: &SessionId, lane: &Lane) -> (bool, bool) {
        if self.swept.contains(session) {
            return (true, false);
        }
        let first = !self.sweeping.contains_key(session);
        self.sweeping.entry(session.clone()).or_default().insert(lane.clone());
        (false, first)
    }

    /// No process of the session is left. Returns the jobs that waited for this.
    pub(super) fn swept(&mut self, session: &SessionId) -> BTreeSet<Lane> {
        let waiting = self.sweeping.remove(session);
        if waiting.is_some() {
            self.swept.insert(session.clone());
        }
        waiting.unwrap_or_default()
    }

    /// Forgets the sessions that no run names, and the runs that are not there.
    pub(super) fn retain(
        &mut self,
        named: &HashSet<&SessionId>,
        is_there: impl Fn(&Lane, &RunId, Revision) -> bool,
    ) {
        self.searched.retain(|(lane, run, token)| is_there(lane, run, *token));
        self.absent.retain(|session, _| named.contains(session));
        self.swept.retain(|session| named.contains(session));
    }
}

#[cfg(test)]
mod tests {
    use model::JobName;

    use super::*;

    fn at(seconds: u64) -> Boottime {
        Boottime(Duration::from_secs(seconds))
    }

    #[test]
    fn the_wait_for_a_session_begins_once() {
        let (mut orphans, gone) = (Orphans::default(), SessionId("gone".to_owned()));
        assert_eq!(orphans.absence(&gone, at(5)), Duration::ZERO);
        assert_eq!(orphans.absence(&gone, at(9)), Duration::from_secs(4));
        orphans.retain(&HashSet::from([&gone]), |_, _, _| true);
        assert_eq!(orphans.absence(&gone, at(10)), Duration::from_secs(5));
        orphans.retain(&HashSet::new(), |_, _, _| true);
        assert_eq!(orphans.absence(&gone, at(11)), Duration::ZERO);
    }

    #[test]
    fn a_session_is_swept_once_for_all_jobs() {
        let (mut orphans, gone) = (Orphans::default(), SessionId("gone".to_owned()));
        let (a, b) = (Lane::from(JobName::new("a").unwrap()), Lane::from(JobName::new("b").unwrap()));
        assert_eq!(orphans.is_swept(&gone, &a), (false, true));
        assert_eq!(orphans.is_swept(&gone, &b), (false, false));
        assert_eq!(orphans.swept(&gone), BTreeSet::from([a.clone(), b]));
        assert_eq!(orphans.is_swept(&gone, &a), (true, false));
    }
}
