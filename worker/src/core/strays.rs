//! Run records that name a session of this process, present or former, while the process neither holds the run nor has
//! asked for it: claims that were answered too late or not at all, and claims whose command was not started.
//!
//! They are **given back**: the run waits in the tree, and any worker takes it. Starting it from the record instead would
//! start it twice, when an older answer shows a record whose run has ended.

use std::collections::BTreeMap;

use model::run::{Revision, RunId};
use model::values::{ActiveRun, Waiting};
use model::{JobName, Unknown};
use store::{TreeError, TxnReply, protocol};

use super::runs::HeldRun;
use super::transactions::Ask;
use super::view::KnownRun;
use super::{Core, RETRY_AFTER, Timer};
use crate::executor::RunKey;

/// The claims that are being given back.
#[derive(Debug, Default)]
pub(super) struct Strays {
    claims: BTreeMap<(JobName, RunId), Stray>,
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
        let Some(HeldRun { job, run, token, .. }) = self.runs.remove(key) else { return };
        self.give_back(&job.name, &run, Stray { token, because });
    }

    /// Gives back what this process neither holds nor asked for.
    pub(super) fn check_strays(&mut self, name: &JobName) {
        let Some(entry) = self.view.get(name) else { return };
        let is_stray = |known: &&KnownRun| {
            let mine = known
                .active()
                .is_some_and(|active| active.is_held() && self.sessions.is_mine(&active.session));
            mine && !self.runs.holds(name, &known.run)
        };
        let found: Vec<(RunId, Revision)> =
            entry.runs().filter(is_stray).map(|known| (known.run.clone(), known.token)).collect();
        for (run, token) in found {
            let under_way = self.strays.claims.get(&(name.clone(), run.clone()));
            if under_way.is_some_and(|stray| stray.token == token) {
                continue;
            }
            #[cfg(feature = "broken-rules")]
            if self.breaks(super::Broken::ReadBackStarted) {
                self.start_read_back(name, &run);
                continue;
            }
            let because = "the answer to its claim came too late".to_owned();
            self.give_back(name, &run, Stray { token, because });
        }
    }

    fn give_back(&mut self, name: &JobName, run: &RunId, stray: Stray) {
        self.strays.claims.insert((name.clone(), run.clone()), stray);
        self.give_back_again(name, run);
    }

    pub(super) fn give_back_again(&mut self, name: &JobName, run: &RunId) {
        let place = (name.clone(), run.clone());
        let Some(Stray { token, because }) = self.strays.claims.get(&place) else { return };
        let known = self.view.get(name).and_then(|entry| entry.run(run));
        match known.filter(|known| known.token == *token).and_then(KnownRun::active) {
            Some(active) if active.is_held() && !self.runs.holds(name, run) => {
                let txn = protocol::give_back(name, (run, active), *token, because);
                self.commit(Ask::GiveBack { name: name.clone(), run: run.clone(), token: *token }, txn);
            }
            // It waits already, or somebody has taken it or declared it lost.
            Some(_) | None => {
                self.strays.claims.remove(&place);
                self.check_strays(name);
            }
        }
    }

    pub(super) fn gave_back(
        &mut self,
        name: &JobName,
        run: &RunId,
        token: Revision,
        reply: Result<TxnReply, TreeError>,
    ) {
        let place = (name.clone(), run.clone());
        let stray = self.strays.claims.get(&place).filter(|stray| stray.token == token).cloned();
        match reply {
            Ok(reply) => {
                self.over_trouble();
                if !reply.succeeded {
                    self.take_found(name, run, &reply);
                }
                let known = self.view.get(name).and_then(|entry| entry.run(run)).cloned();
                match (&known, stray) {
                    (Some(known), Some(Stray { because, .. })) if reply.succeeded && known.token == token => {
                        let waiting = Some(Waiting { because, unknown: Unknown::default() });
                        let waits = known.active().map(|active| ActiveRun { waiting, ..active.clone() });
                        if let Some(waits) = waits {
                            self.view.put_run(name, run, known.created, reply.revision, waits);
                        }
                        self.view.entry(name).lock.freed(token, reply.revision);
                        self.strays.claims.remove(&place);
                    }
                    (_, Some(_)) => drop(self.strays.claims.remove(&place)),
                    (_, None) => {}
                }
                self.look_again(name);
                self.check_strays(name);
            }
            Err(why) => {
                self.trouble_with(&why);
                if stray.is_some() {
                    self.after(RETRY_AFTER, Timer::Stray(name.clone(), run.clone()));
                }
            }
        }
    }

    /// See [`super::Broken::ReadBackStarted`].
    #[cfg(feature = "broken-rules")]
    fn start_read_back(&mut self, name: &JobName, run: &RunId) {
        let Some(entry) = self.view.get(name) else { return };
        let (Some(job), Some(known)) = (entry.job().cloned(), entry.run(run)) else { return };
        let Some(active) = known.active().cloned() else { return };
        let (token, created) = (known.token, known.created);
        let key = self.runs.insert(HeldRun {
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
