//! Run records that lane a session of this process, present or former, while the process neither holds the run nor has
//! asked for it: claims that were answered too late or not at all, and claims whose command was not started.
//!
//! They are **given back**: the run waits in the tree, and any worker takes it. Starting it from the record instead would
//! start it twice, when an older answer shows a record whose run has ended.

use std::collections::BTreeMap;

use model::run::{Revision, RunId};
use model::values::{ActiveRun, Waiting};
use model::{Lane, Unknown};
use store::{TreeError, TxnReply, protocol};

use super::runs::HeldRun;
use super::transactions::Ask;
use super::view::KnownRun;
use super::{Core, RETRY_AFTER, Timer};
use crate::executor::RunKey;

/// The claims that are being given back.
#[derive(Debug, Default)]
pub(super) struct Strays {
    claims: BTreeMap<(Lane, RunId), Stray>,
}

#[derive(Clone, Debug)]
struct Stray {
    /// The token of the claim. Under another one the run is another claim's.
    token: Revision,
    /// Why its command did not start.
    because: String,
}

impl Strays {
    pub(super) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }
}

impl Core {
    /// Gives a run back whose command did not start.
    pub(super) fn give_back_held(&mut self, key: RunKey, because: String) {
        #[cfg(feature = "broken-rules")]
        if self.breaks(super::Broken::NothingGivenBack) {
            return;
        }
        let Some(HeldRun { lane, run, token, .. }) = self.runs.remove(key) else { return };
        self.give_back(&lane, &run, Stray { token, because });
    }

    /// Gives back what this process neither holds nor asked for.
    pub(super) fn check_strays(&mut self, lane: &Lane) {
        let Some(entry) = self.view.get(lane) else { return };
        let is_stray = |known: &&KnownRun| {
            let mine = known
                .active()
                .is_some_and(|active| active.is_held() && self.sessions.is_mine(&active.session));
            mine && !self.runs.holds(lane, &known.run)
        };
        let found: Vec<(RunId, Revision)> =
            entry.runs().filter(is_stray).map(|known| (known.run.clone(), known.token)).collect();
        for (run, token) in found {
            let under_way = self.strays.claims.get(&(lane.clone(), run.clone()));
            if under_way.is_some_and(|stray| stray.token == token) {
                continue;
            }
            #[cfg(feature = "broken-rules")]
            if self.breaks(super::Broken::ReadBackStarted) {
                self.start_read_back(lane, &run);
                continue;
            }
            let because = "the answer to its claim came too late".to_owned();
            self.give_back(lane, &run, Stray { token, because });
        }
    }

    fn give_back(&mut self, lane: &Lane, run: &RunId, stray: Stray) {
        self.strays.claims.insert((lane.clone(), run.clone()), stray);
        self.give_back_again(lane, run);
    }

    pub(super) fn give_back_again(&mut self, lane: &Lane, run: &RunId) {
        let place = (lane.clone(), run.clone());
        let Some(Stray { token, because }) = self.strays.claims.get(&place) else { return };
        let known = self.view.get(lane).and_then(|entry| entry.run(run));
        match known.filter(|known| known.token == *token).and_then(KnownRun::active) {
            Some(active) if active.is_held() && !self.runs.holds(lane, run) => {
                let txn = protocol::give_back(lane, (run, active), *token, because);
                self.commit(Ask::GiveBack { lane: lane.clone(), run: run.clone(), token: *token }, txn);
            }
            // It waits already, or somebody has taken it or declared it lost.
            Some(_) | None => {
                self.strays.claims.remove(&place);
                self.check_strays(lane);
            }
        }
    }

    pub(super) fn gave_back(
        &mut self,
        lane: &Lane,
        run: &RunId,
        token: Revision,
        reply: Result<TxnReply, TreeError>,
    ) {
        let place = (lane.clone(), run.clone());
        let stray = self.strays.claims.get(&place).filter(|stray| stray.token == token).cloned();
        match reply {
            Ok(reply) => {
                self.over_trouble();
                if !reply.succeeded {
                    self.take_found(lane, run, &reply);
                }
                let known = self.view.get(lane).and_then(|entry| entry.run(run)).cloned();
                match (&known, stray) {
                    (Some(known), Some(Stray { because, .. })) if reply.succeeded && known.token == token => {
                        let waiting = Some(Waiting { because, unknown: Unknown::default() });
                        let waits = known.active().map(|active| ActiveRun { waiting, ..active.clone() });
                        if let Some(waits) = waits {
                            self.view.put_run(lane, run, known.created, reply.revision, waits);
                        }
                        self.view.job(&lane.job).lock.freed(token, reply.revision);
                        self.strays.claims.remove(&place);
                    }
                    (_, Some(_)) => drop(self.strays.claims.remove(&place)),
                    (_, None) => {}
                }
                self.look_at_job_again(&lane.job);
                self.check_strays(lane);
            }
            Err(why) => {
                self.trouble_with(&why);
                if stray.is_some() {
                    self.after(RETRY_AFTER, Timer::Stray(lane.clone(), run.clone()));
                }
            }
        }
    }

    /// See [`super::Broken::ReadBackStarted`].
    #[cfg(feature = "broken-rules")]
    fn start_read_back(&mut self, lane: &Lane, run: &RunId) {
        let Some(entry) = self.view.get(lane) else { return };
        let (Some(job), Some(known)) = (entry.job().cloned(), entry.run(run)) else { return };
        let Some(active) = known.active().cloned() else { return };
        let (token, created) = (known.token, known.created);
        let key = self.runs.insert(HeldRun {
            lane: lane.clone(),
            job,
            run: run.clone(),
            active,
            token,
            created,
            stage: super::runs::Stage::Ordered,
            started: None,
            head: Vec::new(),
            stopped: None,
        });
        self.order_start(key);
    }
}
