//! Run records that name a session of this process, present or former, while the process neither holds the run nor has
//! asked for it: claims that were answered too late or not at all, and claims whose command was not started.
//!
//! They are **given back**: the run waits in the tree, and any worker takes it. Starting it from the record instead would
//! start it twice, when an older answer shows a record whose run has ended.

use std::collections::BTreeMap;

use model::JobName;
use model::run::RunId;
use store::{TreeError, TxnReply, protocol};

use super::runs::Run;
use super::transactions::Ask;
use super::{Core, RETRY_AFTER, Timer};
use crate::executor::RunKey;

/// The claims that are being given back, and why their commands did not start.
#[derive(Debug, Default)]
pub(super) struct Strays {
    because: BTreeMap<(JobName, RunId), String>,
}

impl Strays {
    pub(super) fn is_empty(&self) -> bool {
        self.because.is_empty()
    }
}

impl Core {
    /// Gives a run back whose command did not start.
    pub(super) fn give_back_held(&mut self, key: RunKey, because: String) {
        #[cfg(feature = "broken-rules")]
        if self.breaks(super::Broken::NothingGivenBack) {
            return;
        }
        let Some(Run { job, run, .. }) = self.runs.remove(key) else { return };
        self.give_back(job.name.clone(), run, because);
    }

    /// Gives back what this process neither holds nor asked for.
    pub(super) fn check_strays(&mut self, name: &JobName) {
        let Some(entry) = self.view.get(name) else { return };
        let mine = |run: &&super::view::KnownRun| {
            run.active()
                .is_some_and(|active| active.waiting.is_none() && self.sessions.is_mine(&active.session))
        };
        let stray = |run: &&super::view::KnownRun| !self.runs.holds(name, &run.run);
        let found: Vec<RunId> = entry.runs().filter(mine).filter(stray).map(|run| run.run.clone()).collect();
        for run in found {
            if !self.strays.because.contains_key(&(name.clone(), run.clone())) {
                #[cfg(feature = "broken-rules")]
                if self.breaks(super::Broken::ReadBackStarted) {
                    self.start_read_back(name, &run);
                    continue;
                }
                self.give_back(name.clone(), run, "the answer to its claim came too late".to_owned());
            }
        }
    }

    fn give_back(&mut self, name: JobName, run: RunId, because: String) {
        self.strays.because.insert((name.clone(), run.clone()), because);
        self.give_back_again(&name, &run);
    }

    pub(super) fn give_back_again(&mut self, name: &JobName, run: &RunId) {
        let place = (name.clone(), run.clone());
        let Some(because) = self.strays.because.get(&place) else { return };
        let known = self.view.get(name).and_then(|entry| entry.run(run));
        let known = known.and_then(|known| Some((known.token, known.active()?)));
        match known {
            Some((token, active)) if active.waiting.is_none() && self.sessions.is_mine(&active.session) => {
                let txn = protocol::give_back(name, (run, active), token, because);
                self.commit(Ask::GiveBack { name: name.clone(), run: run.clone() }, txn);
            }
            // Somebody declared it lost, or it waits already.
            Some(_) | None => drop(self.strays.because.remove(&place)),
        }
    }

    pub(super) fn gave_back(&mut self, name: &JobName, run: &RunId, reply: Result<TxnReply, TreeError>) {
        match reply {
            Ok(reply) => {
                self.over_trouble();
                // What is there now comes with the followed changes; of a refusal, with the reply.
                for pair in &reply.found {
                    let _ = self.view.put(pair);
                }
                let known = self.view.get(name).and_then(|entry| entry.run(run));
                if reply.succeeded
                    && let Some(known) = known
                    && let Some(active) = known.active()
                    && known.token < reply.revision
                {
                    let because =
                        self.strays.because.get(&(name.clone(), run.clone())).cloned().unwrap_or_default();
                    let waits = model::values::ActiveRun {
                        waiting: Some(model::values::Waiting { because }),
                        ..active.clone()
                    };
                    let created = known.created;
                    self.view.put_run(name, run, created, reply.revision, waits);
                } else if !reply.succeeded && reply.found.is_empty() {
                    self.view.delete_run(name, run, reply.revision);
                }
                self.strays.because.remove(&(name.clone(), run.clone()));
                self.look_again(name);
                self.check_strays(name);
            }
            Err(why) => {
                self.trouble_with(&why);
                self.after(RETRY_AFTER, Timer::Stray(name.clone(), run.clone()));
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
        let key = self.runs.insert(Run {
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
