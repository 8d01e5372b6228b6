//! The transactions that decide about a job, and what their replies mean.
//!
//! At most one of them is under way for a job. A refused one was based on an old view, and its reply brings the present
//! state. Of one that failed it is not known whether it was committed: the job is looked at again after a while, on what
//! is known then. If it was committed after all, the next one is refused, and a claim is given back ([`super::strays`]).

use std::sync::Arc;

use model::run::{Revision, RunId, SkipReason, Skipped, Slot};
use model::values::{ActiveRun, JobStatus};
use model::{Job, JobName};
use store::protocol::{self, Known, Move};
use store::{TreeError, TxnReply};

use super::ends::EndId;
use super::runs::{HeldRun, Stage};
use super::view::{Holder, News};
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
    Pass { job: Arc<Job>, known: Known, to: Move, status: Option<Box<JobStatus>>, waiting: Option<RunId> },
    /// To remove what a deleted job left.
    Collect { name: JobName, lock: Revision },
    /// To give a claim back.
    GiveBack { name: JobName, run: RunId, token: Revision },
    /// To declare how a run ended that nobody executes.
    Declare { name: JobName, run: RunId, ended: Box<ActiveRun> },
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
    Note { name: JobName, skipped: Vec<Skipped> },
    /// For the record of a dead session's run; `dead`: none of its processes can live.
    Find { name: JobName, run: RunId, token: Revision, dead: bool },
}

impl Core {
    pub(super) fn claim(&mut self, job: Arc<Job>, known: Known, slot: Slot, skipped: Vec<Skipped>) {
        let to = self.move_to(&job.name, slot, &[]);
        let (session, node) = (self.sessions.present(), &self.config.node);
        let (run, active, txn) =
            protocol::claim(&job, known, session, node, to.clone(), skipped, self.now.wall);
        let key = self.hold(job, run, active);
        self.commit(Ask::Claim { key, known, to }, txn);
    }

    /// Takes a run that waits.
    pub(super) fn retry(
        &mut self,
        job: Arc<Job>,
        known: Known,
        run: RunId,
        token: Revision,
        waits: &ActiveRun,
    ) {
        let (session, node) = (self.sessions.present(), &self.config.node);
        let (active, txn) = protocol::retry(&job, known, session, node, (&run, waits), token, self.now.wall);
        let key = self.hold(job, run, active);
        self.commit(Ask::Retry { key, known }, txn);
    }

    /// A run that will be held if its transaction commits.
    fn hold(&mut self, job: Arc<Job>, run: RunId, active: ActiveRun) -> RunKey {
        self.view.entry(&job.name).deciding = true;
        self.runs.insert(HeldRun {
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
    pub(super) fn pass(&mut self, job: Arc<Job>, known: Known, slot: Slot, skipped: &[Skipped]) {
        let to = self.move_to(&job.name, slot, skipped);
        self.pass_to(job, known, to, skipped);
    }

    fn pass_to(&mut self, job: Arc<Job>, known: Known, to: Move, skipped: &[Skipped]) {
        let status = (!skipped.is_empty()).then(|| self.with_skipped(&job.name, skipped));
        let txn = protocol::pass(&job, known, self.sessions.present(), to.clone(), status.as_deref());
        self.view.entry(&job.name).deciding = true;
        self.commit(Ask::Pass { job, known, to, status, waiting: None }, txn);
    }

    /// Skips the slot of a run that waits, and those that its claim passed over. The cursor stays where it is.
    pub(super) fn skip_waiting(
        &mut self,
        job: Arc<Job>,
        known: Known,
        (run, token): (RunId, Revision),
        at: Slot,
        skipped: &[Skipped],
    ) {
        let to = self.move_to(&job.name, at, skipped);
        let status = self.with_skipped(&job.name, skipped);
        let session = self.sessions.present();
        let txn = protocol::skip_waiting(&job, known, session, &run, token, to.clone(), &status);
        self.view.entry(&job.name).deciding = true;
        self.commit(Ask::Pass { job, known, to, status: Some(status), waiting: Some(run) }, txn);
    }

    /// Sets the cursor of a job back to its right time, in a new epoch.
    pub(super) fn set_back(&mut self, job: Arc<Job>, known: Known, to: Slot, from: Slot) {
        let skipped = [Skipped { from: to, to: from, count: None, reason: SkipReason::ClockSet }];
        let to = Move { epoch: known.cursor, ..self.move_to(&job.name, to, &skipped) };
        self.pass_to(job, known, to, &skipped);
    }

    /// Where the cursor goes, with these stretches added to it.
    fn move_to(&mut self, name: &JobName, slot: Slot, skipped: &[Skipped]) -> Move {
        self.skips.asked(name, skipped);
        let mut skips = self.carried(name);
        skips.extend_from_slice(skipped);
        let entry = self.view.entry(name);
        Move { slot, epoch: entry.epoch(), skips, unknown: entry.unknown_of_cursor() }
    }

    /// The stretches that a move of the cursor has to carry along.
    fn carried(&mut self, name: &JobName) -> Vec<Skipped> {
        #[cfg(feature = "broken-rules")]
        if self.breaks(super::Broken::SkipsNotCarried) {
            return Vec::new();
        }
        self.view.entry(name).pending()
    }

    fn with_skipped(&mut self, name: &JobName, skipped: &[Skipped]) -> Box<JobStatus> {
        let mut status = self.view.entry(name).status.value.clone().unwrap_or_default();
        status.add_skipped(skipped);
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
        let (job, id) = (Arc::clone(&run.job), run.run.clone());
        match reply {
            Ok(reply) if reply.succeeded => {
                let token = reply.revision;
                run.token = token;
                run.created = token;
                let active = run.active.clone();
                if to.is_none()
                    && let Some(before) = self.view.get(&job.name).and_then(|entry| entry.run(&id))
                {
                    run.created = before.created;
                }
                let created = run.created;
                self.view.put_run(&job.name, &id, created, token, active);
                let entry = self.view.entry(&job.name);
                if let Some(to) = to {
                    entry.set_cursor(token, Some(protocol::cursor(&job, known, to)));
                }
                if job.is_exclusive() && known.lock == Revision::NONE {
                    entry.lock.set(token, Holder::Somebody);
                }
                self.count(Count::Claim);
                self.over_trouble();
                self.settled(&job.name);
                self.start_claimed(key);
            }
            reply => {
                self.runs.remove(key);
                if reply.is_ok() {
                    self.count(Count::Refused);
                }
                self.undecided(&job.name, reply);
            }
        }
    }

    /// A claim was answered: its command starts, unless the answer is too late.
    fn start_claimed(&mut self, key: RunKey) {
        let Some(run) = self.runs.get(key) else { return };
        let name = run.job.name.clone();
        let same_session = run.active.session == self.sessions.present().id;
        #[cfg(feature = "broken-rules")]
        let same_session = same_session || self.breaks(super::Broken::SessionChangeForgotten);
        let late = if self.ending.is_some() {
            Some("the worker was stopped")
        } else if !same_session || !self.sessions.may_start(self.now.boot) {
            Some("the worker's session may have ended")
        } else if !self.executor.is_alive() {
            Some("the executor had ended")
        } else {
            None
        };
        if let Some(why) = late {
            return self.give_back_held(key, format!("{why} before the command started"));
        }
        let entry = self.view.get(&name);
        let killed = if entry.is_none_or(|entry| entry.created() != run.active.job) {
            Some("killed because the job was deleted")
        } else {
            entry.filter(|entry| entry.kill.latest > run.created).map(|_| "killed on request")
        };
        match killed {
            Some(why) => {
                let record = run.never_started(self.now.wall, why);
                self.end_held(key, record);
            }
            None => self.order_start(key),
        }
    }

    pub(super) fn passed(
        &mut self,
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
                    self.view.delete_run(&job.name, run, reply.revision);
                }
                let entry = self.view.entry(&job.name);
                entry.set_cursor(reply.revision, Some(protocol::cursor(job, known, to)));
                if let Some(status) = status {
                    entry.status.set(reply.revision, Some(status));
                }
                self.over_trouble();
                self.settled(&job.name);
                self.note_skips(&job.name);
            }
            reply => self.undecided(&job.name, reply),
        }
    }

    pub(super) fn collected(&mut self, name: &JobName, lock: Revision, reply: Result<TxnReply, TreeError>) {
        match reply {
            Ok(reply) if reply.succeeded => {
                self.over_trouble();
                self.view.removed(name, lock, reply.revision);
                self.settled(name);
            }
            // The job or a run of it is there again, which the reply then shows.
            reply => self.undecided(name, reply),
        }
        self.view.forget_if_gone(name);
    }

    /// A transaction about a job is answered: it is looked at again.
    pub(super) fn settled(&mut self, name: &JobName) {
        self.view.entry(name).deciding = false;
        self.look_again(name);
    }

    /// A transaction about a job was refused, or it is not known whether it was committed.
    fn undecided(&mut self, name: &JobName, reply: Result<TxnReply, TreeError>) {
        let entry = self.view.entry(name);
        entry.deciding = false;
        let before = entry.known();
        let pause = match reply {
            Ok(reply) => {
                self.over_trouble();
                self.refresh(name, &reply);
                // Without anything that it could decide otherwise by: not at once again.
                self.view.entry(name).known() == before
            }
            Err(why) => {
                self.trouble_with(&why);
                true
            }
        };
        if pause {
            self.look_after(name, RETRY_AFTER);
        } else {
            self.look_again(name);
        }
        self.check_strays(name);
    }

    fn refresh(&mut self, name: &JobName, reply: &TxnReply) {
        for news in self.view.refresh(name, &reply.found, reply.revision) {
            if matches!(news, News::Kill(..) | News::Malformed(..)) {
                self.take_news(news);
            }
        }
        self.stop_former_incarnations(name);
    }

    pub(super) fn look_after(&mut self, name: &JobName, wait: std::time::Duration) {
        self.line.again(name, Boottime(self.now.boot.0 + wait));
    }
}
