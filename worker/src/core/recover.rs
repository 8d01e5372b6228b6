//! Ends of runs that nobody executes: those that dead sessions left, and those that were killed while they waited.
//!
//! Each is decided in the tree first (**declared**), so that nobody takes or gives back the run any more, then recorded,
//! then counted. A record that a dead worker left decides at once.

use std::time::Duration;

use model::Lane;
use model::record::RunRecord;
use model::run::{Revision, RunId};
use model::values::ActiveRun;
use store::{LogError, TreeError, Txn, TxnReply, protocol};

use super::ends::End;
use super::transactions::Ask;
use super::view::{Entry, KnownRun, RunState};
use super::{Act, Core, RETRY_AFTER, runs};

impl Core {
    /// Looks after the runs that dead sessions left. Returns whether the job has to wait for that.
    pub(super) fn recover(&mut self, lane: &Lane) -> bool {
        let Some(entry) = self.view.get(lane) else { return false };
        let is_orphan = |known: &&KnownRun| {
            known.active().is_some_and(|active| {
                let gone = || {
                    let session = &active.session;
                    !self.sessions.is_mine(session) && !self.view.peers.contains(session)
                };
                active.ended.is_some() || (active.is_held() && gone())
            })
        };
        let orphans: Vec<KnownRun> = entry.runs().filter(is_orphan).cloned().collect();
        if orphans.is_empty() {
            return false;
        }
        let owner = self.place(lane) == Some(0);
        let mut under_way = false;
        for KnownRun { run, token, state, .. } in orphans {
            let RunState::Active(active) = state else { continue };
            if active.ended.is_none() && !self.has_followed(token) {
                // Its worker may have registered after what is known of the workers.
                self.look_after(lane, RETRY_AFTER);
                continue;
            }
            let here = active.node == self.config.node;
            let left = if active.ended.is_some() {
                Duration::ZERO
            } else {
                let absent = self.orphans.absence(&active.session, self.now.boot);
                Duration::from_millis(active.lost_after).saturating_sub(absent)
            };
            // A record is looked for once, and then once more when the time has come.
            let first = here && self.orphans.search(lane, &run, token);
            if !first && (!left.is_zero() || !(here || owner)) {
                self.look_after(lane, left.max(RETRY_AFTER));
                continue;
            }
            let dead = left.is_zero();
            if dead && here && active.ended.is_none() {
                let (swept, sweep) = self.orphans.is_swept(&active.session, lane);
                if sweep {
                    self.act(Act::Sweep(active.session.clone()));
                }
                if !swept {
                    continue;
                }
            }
            self.view.lane(lane).deciding = true;
            let ask = self.ask(Ask::Find { lane: lane.clone(), run: run.clone(), token, dead });
            self.act(Act::Find(ask, run, active.attempt));
            under_way = true;
            // One at a time: the status that counts it is put for each of them.
            break;
        }
        under_way
    }

    /// The record of a dead session's run was looked for.
    pub(super) fn found(
        &mut self,
        lane: &Lane,
        run: &RunId,
        token: Revision,
        dead: bool,
        found: Result<Option<RunRecord>, LogError>,
    ) {
        let found = found.unwrap_or_else(|why| {
            // Its absence must not keep a job from running again. A record that turns up later takes the place of the
            // `Lost` that is recorded without it.
            self.trouble_with(&why);
            None
        });
        self.settled(lane);
        let Some(entry) = self.view.get(lane) else { return };
        let Some(known) = entry.run(run).filter(|known| known.token == token) else { return };
        let Some(active) = known.active().cloned() else { return };
        match (found, active.ended.is_some()) {
            (Some(record), _) => self.record_orphan(lane, record, token, &active),
            (None, true) => self.record_declared(lane, run, token, &active),
            (None, false) if dead => {
                let message = runs::lost_message(&active.session);
                let session = self.sessions.present();
                let declared = protocol::lose(lane, (run, &active), token, session, message);
                self.declare(lane, run.clone(), declared);
            }
            (None, false) => {}
        }
    }

    /// Decides in the tree how a run ended that nobody executes, before that is recorded.
    pub(super) fn declare(&mut self, lane: &Lane, run: RunId, (ended, txn): (ActiveRun, Txn)) {
        self.view.lane(lane).deciding = true;
        self.commit(Ask::Declare { lane: lane.clone(), run, ended: Box::new(ended) }, txn);
    }

    pub(super) fn declared(
        &mut self,
        lane: &Lane,
        run: &RunId,
        ended: &ActiveRun,
        reply: Result<TxnReply, TreeError>,
    ) {
        match reply {
            Ok(reply) if reply.succeeded => {
                self.over_trouble();
                let token = reply.revision;
                let created = self.view.get(lane).and_then(|entry| entry.run(run)).map(|known| known.created);
                if let Some(created) = created {
                    self.view.put_run(lane, run, created, token, ended.clone());
                }
                self.settled(lane);
                self.record_declared(lane, run, token, ended);
            }
            Ok(reply) => {
                let token = |core: &Self| core.view.get(lane)?.run(run).map(|known| known.token);
                let before = token(self);
                self.take_found(lane, run, &reply);
                self.view.lane(lane).deciding = false;
                if token(self) == before {
                    // It was our own session, or the holder's. Nothing else could be decided now.
                    self.look_after(lane, RETRY_AFTER);
                } else {
                    self.look_again(lane);
                }
                self.check_strays(lane);
            }
            Err(why) => {
                self.trouble_with(&why);
                self.view.lane(lane).deciding = false;
                self.look_after(lane, RETRY_AFTER);
            }
        }
    }

    fn record_declared(&mut self, lane: &Lane, run: &RunId, token: Revision, active: &ActiveRun) {
        let Some(end) = active.ended.clone() else { return };
        let job = self.view.get(lane).and_then(Entry::job);
        // What the job says now is the best that is known.
        let command = job.map(|job| job.command.display()).unwrap_or_default();
        let record = runs::outline(&lane.job, command, run, active, self.now.wall, end.outcome, end.message);
        self.record_orphan(lane, record, token, active);
    }

    fn record_orphan(&mut self, lane: &Lane, record: RunRecord, token: Revision, active: &ActiveRun) {
        let job = self.view.get(lane).and_then(Entry::job);
        let keep = job.map(|job| job.history).unwrap_or_default();
        self.record_end(End::new(lane.clone(), record, keep, active.skips().collect(), token, None));
    }
}
