//! The transactions that decide about a job, and what their replies mean.
//!
//! At most one of them is under way for a job. A refused one was based on an old view, and its reply brings the present
//! state. Of one that failed it is not known whether it was committed: the job is looked at again after a while, on what
//! is known then. If it was committed after all, the next one is refused, and a claim is given back ([`super::strays`]).

use std::sync::Arc;

use model::run::{Revision, RunId, SkipReason, Skipped, Slot};
use model::values::{ActiveRun, JobStatus, PendingSkip};
use model::{Job, Lane};
use store::protocol::{self, Known, Move};
use store::{TreeError, TxnReply};

use super::ends::EndId;
use super::runs::{HeldRun, Stage};
use super::view::{Entry, Holder, News};
use super::{Core, Count, RETRY_AFTER};
use crate::executor::{Boottime, RunKey};

/// What was asked of a store.
#[derive(Debug)]
pub(super) enum Ask {
    /// A slot; and where the cursor goes.
    Claim { key: RunKey, known: Known, to: Move },
    /// A run that waits.
    Retry { key: RunKey, known: Known },
    /// A move of the cursor without a run, or with the end of a run that waits.
    Pass {
        lane: Lane,
        job: Arc<Job>,
        known: Known,
        to: Move,
        status: Option<Box<JobStatus>>,
        waiting: Option<RunId>,
    },
    /// To remove what a deleted job left.
    Collect { lane: Lane, lock: Revision },
    /// To give a claim back.
    GiveBack { lane: Lane, run: RunId, token: Revision },
    /// To declare how a run ended that nobody executes.
    Declare { lane: Lane, run: RunId, ended: Box<ActiveRun> },
    /// To move a run to the present session.
    Readopt { key: RunKey, active: ActiveRun },
    /// To tell the others about this worker.
    Announce,
    /// To put the record of an end into the log.
    Append(EndId),
    /// To count an end and delete the run.
    Finish(EndId),
    /// To delete the run where the tree has no space to count its end.
    Release(EndId),
    /// To put skipped stretches into the log.
    Note { lane: Lane, skipped: Vec<PendingSkip> },
    /// For the record of a dead session's run; `dead`: none of its processes can live.
    Find { lane: Lane, run: RunId, token: Revision, dead: bool },
}

impl Core {
    pub(super) fn claim(
        &mut self,
        lane: &Lane,
        job: Arc<Job>,
        known: Known,
        slot: Slot,
        skipped: Vec<Skipped>,
    ) {
        let to = self.move_to(lane, slot, &[]);
        let (session, node) = (self.sessions.present(), &self.config.node);
        let (run, active, txn) =
            protocol::claim(lane, &job, known, session, node, to.clone(), skipped, self.now.wall);
        let key = self.hold(lane, job, run, active);
        self.commit(Ask::Claim { key, known, to }, txn);
    }

    /// Takes a run that waits.
    pub(super) fn retry(
        &mut self,
        lane: &Lane,
        job: Arc<Job>,
        known: Known,
        run: (&RunId, &ActiveRun),
        token: Revision,
    ) {
        let (session, node) = (self.sessions.present(), &self.config.node);
        let now = self.now.wall;
        let (active, txn) = protocol::retry(lane, &job, known, session, node, run, token, now);
        let key = self.hold(lane, job, run.0.clone(), active);
        self.commit(Ask::Retry { key, known }, txn);
    }

    /// A run that will be held if its transaction commits.
    fn hold(&mut self, lane: &Lane, job: Arc<Job>, run: RunId, active: ActiveRun) -> RunKey {
        self.view.lane(lane).deciding = true;
        self.runs.insert(HeldRun {
            lane: lane.clone(),
            job,
            run,
            active,
            token: Revision::NONE,
            created: Revision::NONE,
            stage: Stage::Claiming,
            started: None,
            head: Vec::new(),
            stopped: None,
        })
    }

    /// Moves the cursor without a run.
    pub(super) fn pass(&mut self, lane: &Lane, job: Arc<Job>, known: Known, slot: Slot, skipped: &[Skipped]) {
        let epoch = self.epoch(lane);
        let pending = |skipped: &Skipped| PendingSkip { skipped: *skipped, job: known.created, epoch };
        let skips: Vec<PendingSkip> = skipped.iter().map(pending).collect();
        let to = self.move_to(lane, slot, &skips);
        self.pass_to(lane, job, known, to, &skips);
    }

    fn pass_to(&mut self, lane: &Lane, job: Arc<Job>, known: Known, to: Move, skips: &[PendingSkip]) {
        let status = (!skips.is_empty()).then(|| self.with_skips(lane, skips));
        let session = self.sessions.present();
        let txn = protocol::pass(lane, &job, known, session, to.clone(), status.as_deref());
        self.view.lane(lane).deciding = true;
        self.commit(Ask::Pass { lane: lane.clone(), job, known, to, status, waiting: None }, txn);
    }

    /// Skips the slot of a run that waits, and those that its claim passed over. The cursor stays where it is.
    pub(super) fn skip_waiting(
        &mut self,
        lane: &Lane,
        job: Arc<Job>,
        known: Known,
        (run, token): (RunId, Revision),
        at: Slot,
        skips: &[PendingSkip],
    ) {
        let to = self.move_to(lane, at, skips);
        let status = self.with_skips(lane, skips);
        let session = self.sessions.present();
        let txn = protocol::skip_waiting(lane, &job, known, session, (&run, token), to.clone(), &status);
        self.view.lane(lane).deciding = true;
        self.commit(
            Ask::Pass { lane: lane.clone(), job, known, to, status: Some(status), waiting: Some(run) },
            txn,
        );
    }

    /// Sets the cursor of a job back to its right time, in a new epoch.
    pub(super) fn set_back(&mut self, lane: &Lane, job: Arc<Job>, known: Known, to: Slot, from: Slot) {
        let skipped = Skipped { from: to, to: from, count: None, reason: SkipReason::ClockSet };
        let skips = [PendingSkip { skipped, job: known.created, epoch: known.cursor }];
        let to = Move { epoch: known.cursor, ..self.move_to(lane, to, &skips) };
        self.pass_to(lane, job, known, to, &skips);
    }

    /// Where the cursor goes, with these stretches added to it.
    fn move_to(&mut self, lane: &Lane, slot: Slot, more: &[PendingSkip]) -> Move {
        self.skips.asked(lane, more);
        let mut skips = self.carried(lane);
        skips.extend_from_slice(more);
        let unknown = self.view.get(lane).map(Entry::unknown_of_cursor).unwrap_or_default();
        Move { slot, epoch: self.epoch(lane), skips, unknown }
    }

    fn epoch(&self, lane: &Lane) -> Revision {
        self.view.get(lane).map_or(Revision::NONE, Entry::epoch)
    }

    /// The stretches that a move of the cursor has to carry along.
    fn carried(&mut self, lane: &Lane) -> Vec<PendingSkip> {
        #[cfg(feature = "broken-rules")]
        if self.breaks(super::Broken::SkipsNotCarried) {
            return Vec::new();
        }
        self.view.lane(lane).pending()
    }

    fn with_skips(&mut self, lane: &Lane, skips: &[PendingSkip]) -> Box<JobStatus> {
        let mut status = self.view.lane(lane).status.value.clone().unwrap_or_default();
        status.add_skipped(skips.iter().map(|skip| &skip.skipped));
        status
    }

    pub(super) fn claimed(
        &mut self,
        key: RunKey,
        known: Known,
        to: Option<Move>,
        reply: Result<TxnReply, TreeError>,
    ) {
        let Some(run) = self.runs.get_mut(key) else { return };
        let (lane, job, id) = (run.lane.clone(), Arc::clone(&run.job), run.run.clone());
        match reply {
            Ok(reply) if reply.succeeded => {
                let token = reply.revision;
                run.token = token;
                run.created = token;
                let active = run.active.clone();
                if to.is_none()
                    && let Some(before) = self.view.get(&lane).and_then(|entry| entry.run(&id))
                {
                    run.created = before.created;
                }
                let created = run.created;
                self.view.put_run(&lane, &id, created, token, active);
                if let Some(to) = to {
                    self.view.set_cursor(&lane, token, Some(protocol::cursor(&job, known, to)));
                }
                if job.is_exclusive() && known.lock == Revision::NONE {
                    self.view.job(&lane.job).lock.set(token, Holder::Somebody);
                }
                self.count(Count::Claim);
                self.over_trouble();
                self.settled(&lane);
                self.start_claimed(key);
            }
            reply => {
                self.runs.remove(key);
                if reply.is_ok() {
                    self.count(Count::Refused);
                }
                self.undecided(&lane, reply);
            }
        }
    }

    /// A claim was answered: its command starts, unless the answer is too late.
    fn start_claimed(&mut self, key: RunKey) {
        let Some(run) = self.runs.get(key) else { return };
        let lane = run.lane.clone();
        let same_session = run.active.session == self.sessions.present().id;
        #[cfg(feature = "broken-rules")]
        let same_session = same_session || self.breaks(super::Broken::SessionChangeForgotten);
        let too_late = if self.ending.is_some() {
            Some("the worker was stopped")
        } else if !same_session || !self.sessions.may_start(self.now.boot) {
            Some("the worker's session may have ended")
        } else if !self.executor.is_alive() {
            Some("the executor had ended")
        } else {
            None
        };
        if let Some(why) = too_late {
            return self.give_back_held(key, format!("{why} before the command started"));
        }
        let entry = self.view.get(&lane);
        let killed = if entry.is_none_or(|entry| entry.created() != run.active.job) {
            Some("killed because the job was deleted")
        } else {
            entry.filter(|entry| entry.of_job.kill.latest > run.created).map(|_| "killed on request")
        };
        match killed {
            Some(why) => {
                let record = run.never_started(self.now.wall, why);
                self.end_held(key, record);
            }
            None => self.order_start(key),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all that was asked, and the reply")]
    pub(super) fn passed(
        &mut self,
        lane: &Lane,
        job: &Arc<Job>,
        known: Known,
        to: Move,
        status: Option<Box<JobStatus>>,
        waiting: Option<&RunId>,
        reply: Result<TxnReply, TreeError>,
    ) {
        match reply {
            Ok(reply) if reply.succeeded => {
                if let Some(run) = waiting {
                    self.view.delete_run(lane, run, reply.revision);
                }
                self.view.set_cursor(lane, reply.revision, Some(protocol::cursor(job, known, to)));
                if let Some(status) = status {
                    self.view.set_status(lane, reply.revision, Some(status));
                }
                self.over_trouble();
                self.settled(lane);
                self.note_skips(lane);
            }
            reply => self.undecided(lane, reply),
        }
    }

    pub(super) fn collected(&mut self, lane: &Lane, lock: Revision, reply: Result<TxnReply, TreeError>) {
        match reply {
            Ok(reply) if reply.succeeded => {
                self.over_trouble();
                self.view.removed(lane, lock, reply.revision);
                self.settled(lane);
            }
            // The job or a run of it is there again, which the reply then shows.
            reply => self.undecided(lane, reply),
        }
        self.view.forget_if_gone(&lane.job);
    }

    /// A transaction about a job is answered: it is looked at again.
    pub(super) fn settled(&mut self, lane: &Lane) {
        self.view.lane(lane).deciding = false;
        self.look_again(lane);
    }

    /// A transaction about a job was refused, or it is not known whether it was committed.
    fn undecided(&mut self, lane: &Lane, reply: Result<TxnReply, TreeError>) {
        self.view.lane(lane).deciding = false;
        let known = |core: &Self| core.view.get(lane).map(Entry::known);
        let before = known(self);
        let pause = match reply {
            Ok(reply) => {
                self.over_trouble();
                self.refresh(lane, &reply);
                // Without anything that it could decide otherwise by: not at once again.
                known(self) == before
            }
            Err(why) => {
                self.trouble_with(&why);
                true
            }
        };
        if pause {
            self.look_after(lane, RETRY_AFTER);
        } else {
            self.look_again(lane);
        }
        self.check_strays(lane);
    }

    fn refresh(&mut self, lane: &Lane, reply: &TxnReply) {
        for news in self.view.refresh(lane, &reply.found, reply.revision) {
            if matches!(news, News::Kill(..) | News::Malformed(..)) {
                self.take_news(news);
            }
        }
        self.stop_former_incarnations(&lane.job);
    }

    pub(super) fn look_after(&mut self, lane: &Lane, wait: std::time::Duration) {
        self.line.again(lane, Boottime(self.now.boot.0 + wait));
    }
}
