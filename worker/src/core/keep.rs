//! Keeping the session and telling the others about this worker.
//!
//! The session is renewed only while this worker is fit to work, so that otherwise others take its jobs.

use std::time::Duration;

use model::run::Revision;
use model::values::{ActiveRun, NotClaiming, WorkerInfo};
use store::{Renewed, Session, TreeError, TxnReply, protocol};

use super::runs::Stage;
use super::session::Care;
use super::take::in_words;
use super::transactions::Ask;
use super::{Act, AskId, Core, Count, Level, Order, RETRY_AFTER, Timer};
use crate::executor::{Boottime, RunKey};
use crate::times::{ANNOUNCE_EVERY, TREE_SPEAKS};

/// How often the executor is asked whether it is there. However long a session lasts, the answer is fresh when it is
/// renewed.
const PING_EVERY: Duration = Duration::from_millis(1500);

/// Between two announcements that have a reason.
const ANNOUNCE_PAUSE: Duration = Duration::from_secs(1);

impl Core {
    pub(super) fn is_tree_silent(&self, now: Boottime) -> bool {
        self.sessions.is_leased() && now.0.saturating_sub(self.heard.0) > TREE_SPEAKS
    }

    /// Does what is due: renews the session, opens the next one, tells the others about this worker.
    pub(super) fn keep_session(&mut self) {
        if self.sessions.is_leased() && self.now.boot.0.saturating_sub(self.pinged.0) >= PING_EVERY {
            self.pinged = self.now.boot;
            self.order(Order::Ping);
        }
        match self.sessions.due(self.now.boot) {
            Some(Care::Renew) => self.renew(),
            Some(Care::Open) => self.open_next(),
            None => {}
        }
        self.announce();
    }

    fn renew(&mut self) {
        if let Some(why) = self.unfit() {
            if self.sessions.not_renewed(why) {
                let text = format!("the session is not renewed, so that other workers take over: {why}");
                self.note(Level::Error, None, text);
            }
            return;
        }
        let id = self.ask_id();
        self.sessions.renewing(id, self.now.boot);
        let (session, timeout) = (self.sessions.present().clone(), self.sessions.renew_timeout());
        self.act(Act::Renew(id, session, timeout));
    }

    /// Why this worker should not keep its jobs.
    fn unfit(&self) -> Option<&'static str> {
        if self.is_executor_silent(self.now.boot) {
            return Some("the process that runs the commands does not answer");
        }
        self.is_tree_silent(self.now.boot).then_some("there is no news of the job tree")
    }

    pub(super) fn renewed(&mut self, id: AskId, reply: Result<Renewed, TreeError>) {
        match reply {
            Ok(Renewed::Lives) => {
                if self.sessions.renewed(id) {
                    self.send_fence();
                }
            }
            Ok(Renewed::Ended) => {
                if self.sessions.is_renewing(id) {
                    self.end_session("the session ended before it was renewed");
                }
            }
            Err(why) => {
                if self.sessions.renewal_failed(id, self.now.boot, in_words(&why)) {
                    self.trouble_with(&why);
                }
            }
        }
    }

    /// Whoever ended it, its exclusive commands have no claim any more.
    pub(super) fn end_session(&mut self, why: &str) {
        if self.sessions.ended(self.now.boot, why) {
            let session = &self.sessions.present().id;
            let text = format!("{why} ({session}); a new one follows once its commands have ended");
            self.note(Level::Error, None, text);
            self.send_fence();
        }
    }

    fn open_next(&mut self) {
        if self.ending.is_some() || self.runs.alive().any(|(_, run)| run.job.is_exclusive()) {
            return;
        }
        let id = self.ask_id();
        self.sessions.opening(id, self.now.boot);
        let info = self.info();
        self.act(Act::Open(id, Box::new(info)));
    }

    pub(super) fn opened(&mut self, id: AskId, reply: Result<Session, TreeError>) {
        match reply {
            Ok(session) => {
                self.sessions.opened(id, session);
                let session = self.sessions.present().id.clone();
                self.note(Level::Info, None, format!("a new session has begun: {session}"));
                self.count(Count::Session);
                self.over_trouble();
                self.view.peers.rename(session);
                self.send_fence();
                // Commands that may overlap with others went on; the new session takes them over.
                for key in self.runs.alive().map(|(key, _)| key).collect::<Vec<_>>() {
                    self.readopt(key);
                }
                self.look_at_all_again();
            }
            Err(why) => {
                self.sessions.not_opened(id, self.now.boot, RETRY_AFTER, in_words(&why));
                self.trouble_with(&why);
            }
        }
    }

    /// Moves a run of a former session to the present one.
    pub(super) fn readopt(&mut self, key: RunKey) {
        let Some(run) = self.runs.get(key).filter(|run| run.stage == Stage::Ordered) else { return };
        let session = self.sessions.present();
        if run.active.session == session.id {
            return;
        }
        let (lane, id) = (&run.lane, &run.run);
        let (active, txn) = protocol::readopt(lane, (id, &run.active), run.token, session);
        self.commit(Ask::Readopt { key, active }, txn);
    }

    pub(super) fn readopted(&mut self, key: RunKey, moved: ActiveRun, reply: Result<TxnReply, TreeError>) {
        let Some(run) = self.runs.get_mut(key) else { return };
        let (lane, id, created) = (run.lane.clone(), run.run.clone(), run.created);
        match reply {
            Ok(reply) if reply.succeeded => {
                (run.token, run.active) = (reply.revision, moved.clone());
                self.view.put_run(&lane, &id, created, reply.revision, moved);
            }
            Ok(reply) => {
                self.take_found(&lane, &id, &reply);
                let Some(run) = self.runs.get_mut(key) else { return };
                let found = reply.found.first();
                let found =
                    found.and_then(|pair| Some((pair.modified, protocol::read::<ActiveRun>(pair).ok()?)));
                match found {
                    // An earlier request of ours whose reply was lost had moved it.
                    Some((token, active)) if active.is_held() && self.sessions.is_mine(&active.session) => {
                        (run.token, run.active) = (token, active);
                        self.readopt(key);
                    }
                    _ => {
                        let text = "a run of the former session was declared lost meanwhile; it goes on, and its \
                                    record will say how it ended";
                        self.note(Level::Warn, Some(&lane.job), format!("run {id}: {text}"));
                    }
                }
            }
            Err(why) => {
                self.trouble_with(&why);
                self.after(RETRY_AFTER, Timer::Readopt(key));
            }
        }
    }

    /// What the others are to know of this worker.
    fn info(&self) -> WorkerInfo {
        let info = self.config.info(self.since, self.now.wall);
        WorkerInfo { not_claiming: self.not_claiming, ..info }
    }

    /// Says from time to time that this worker is there, and soon whether it takes jobs, when that changes.
    fn announce(&mut self) {
        let skewed = self.view.peers.skew();
        let full = self.capacity.tell_full(self.runs.len(), self.now.boot);
        let not_claiming = if self.ending.is_some() {
            Some(NotClaiming::Ending)
        } else if skewed.is_some() {
            Some(NotClaiming::ClockSkew)
        } else {
            full.then_some(NotClaiming::Full)
        };
        if not_claiming != self.not_claiming {
            if let (Some(ahead), Some(NotClaiming::ClockSkew)) = (skewed, not_claiming) {
                let text = format!(
                    "the other workers' clocks are ahead of this one by {} s; it takes no jobs until that is mended",
                    ahead / 1000
                );
                self.note(Level::Error, None, text);
            }
            self.not_claiming = not_claiming;
            self.announce_soon();
        }
        if self.now.boot < self.announce_at || !self.sessions.may_start(self.now.boot) {
            return;
        }
        self.announced = self.now.boot;
        self.announce_at = Boottime(self.announced.0 + ANNOUNCE_EVERY);
        let txn = protocol::announce(self.sessions.present(), &self.info());
        self.commit(Ask::Announce, txn);
    }

    /// Another worker came: it is told about this one at once.
    pub(super) fn announce_soon(&mut self) {
        self.announce_at = self.announce_at.min(Boottime(self.announced.0 + ANNOUNCE_PAUSE));
    }

    /// Whether the changes that were followed are as new as this.
    pub(super) fn has_followed(&self, revision: Revision) -> bool {
        #[cfg(feature = "broken-rules")]
        if self.breaks(super::Broken::AbsenceStampedEarly) {
            return true;
        }
        self.view.followed() >= revision
    }
}
