//! Runs of sessions that have ended.
//!
//! Their processes end with the session at the latest, so a survivor waits for that before it calls a run lost. A record
//! that the dead worker left (in the log, or in the spool of this node) decides at once: what has a record has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::FutureExt;
use model::run::{Revision, RunId};
use model::values::ActiveRun;
use model::{JobName, UnixMillis};
use store::{RunLog, Tree};

use super::Engine;
use super::replies::Reply;
use crate::finish::{self, By, Ended};
use crate::{now, recover};

/// What there is to be done about a job's orphans.
pub(super) enum Orphans {
    /// Nothing now.
    None,
    /// An end is being recorded; its reply looks at the job again.
    UnderWay,
    /// Nothing before this instant.
    Wait(UnixMillis),
}

impl<T: Tree, L: RunLog> Engine<T, L> {
    /// Records the ends of runs that dead sessions left.
    pub(super) fn recover(&mut self, name: &JobName) -> Orphans {
        let orphans = self.view.orphans(name);
        if orphans.is_empty() {
            return Orphans::None;
        }
        let owner = self.view.peers.rank(name) == 0;
        let mut outcome = Orphans::None;
        for (run, token, active) in orphans {
            if self.runs.holds(token) {
                continue;
            }
            let here = active.node == self.config.node;
            let absent = self.absent.entry(active.session.clone()).or_insert_with(Instant::now).elapsed();
            let left = Duration::from_millis(active.lost_after).saturating_sub(absent);
            // A record is looked for once, and then once more when the time has come.
            let first = here && self.searched.insert(token);
            if !first && (!left.is_zero() || !(here || owner)) {
                if let Orphans::None = outcome {
                    outcome = Orphans::Wait(now() + left);
                }
                continue;
            }
            self.record_end(name, run, token, active, left.is_zero());
            outcome = Orphans::UnderWay;
        }
        outcome
    }

    fn record_end(&mut self, name: &JobName, run: RunId, token: Revision, active: ActiveRun, dead: bool) {
        if dead && active.node == self.config.node && self.swept.insert(active.session.clone()) {
            crate::executor::kill_escapees(&active.session.0);
        }
        let entry = self.view.entry(name);
        entry.deciding += 1;
        let job = entry.definition.value.as_ref().and_then(|definition| definition.job.clone());
        let (status, status_seen) = (entry.status.value.clone(), entry.known().status);
        let (tree, log, trouble) = (self.tree.clone(), self.log.clone(), self.trouble.clone());
        let (name, session) = (name.clone(), self.session.clone());
        let future = async move {
            let found = recover::recorded(&log, &run, active.attempt, &trouble).await;
            let (record, by) = match found {
                Some(record) => (record, By::Holder),
                None if dead => {
                    let command = job.as_ref().map(|job| job.command.display()).unwrap_or_default();
                    let record = recover::lost(&name, command, &run, &active, now());
                    (record, By::Survivor { holder: Box::new(active.clone()), session })
                }
                None => return Reply::Recovered { name, token, finished: None },
            };
            let keep = job.map(|job| job.history).unwrap_or_default();
            let skipped = active.skipped.clone();
            let ended = Ended { record: Arc::new(record), keep, skipped, token, status, status_seen, by };
            let finished = finish::finish(tree, log, ended, trouble).await;
            Reply::Recovered { name, token, finished: Some(Box::new(finished)) }
        };
        self.in_flight.push(future.boxed());
    }
}
