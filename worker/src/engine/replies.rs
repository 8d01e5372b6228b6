//! What the replies to the engine's own transactions mean.

use std::sync::Arc;
use std::time::Instant;

use model::keys::Key;
use model::record::SkipRecord;
use model::run::{Revision, RunId, Skipped, Slot};
use model::values::{ActiveRun, Cursor, JobStatus, Timetable};
use model::{Job, JobName, UnixMillis};
use store::{LogEntry, Renewed, RunLog, Session, Tree, TreeError, TxnReply, protocol};

use super::{Engine, ExecutorError, ExecutorPair, FutureExt};
use crate::executor::{Boottime, RunKey, Start, StopReason};
use crate::finish::{Counted, Finished, RETRY_AFTER, Trouble};
use crate::runs::{Running, key_of};
use crate::view::Holder;
use crate::{Report, environment, now};

/// A slot that was asked for.
pub(super) struct Claim {
    pub(super) job: Arc<Job>,
    pub(super) created: Revision,
    pub(super) run: RunId,
    pub(super) slot: Slot,
    pub(super) skipped: Vec<Skipped>,
    pub(super) claimed: UnixMillis,
}

/// A transaction, or a series of them, that came to its end.
pub(super) enum Reply {
    /// A claim.
    Claimed(Claim, Result<TxnReply, TreeError>),
    /// A cursor moved without a run.
    Passed {
        job: Arc<Job>,
        created: Revision,
        slot: Slot,
        skipped: Vec<Skipped>,
        status: Option<Box<JobStatus>>,
        reply: Result<TxnReply, TreeError>,
    },
    /// Skipped slots are in the log.
    Noted(Vec<Arc<SkipRecord>>),
    /// The present state of a job, read because a transaction's end is not known.
    Refreshed { job: Arc<Job>, created: Revision, reply: Result<TxnReply, TreeError> },
    /// A run of ours is given back.
    Finished { key: RunKey, finished: Box<Finished> },
    /// The run of a dead session is, or it is too early for that.
    Recovered { name: JobName, token: Revision, finished: Option<Box<Finished>> },
    /// The session was renewed, or not.
    Renewed { asked: Boottime, reply: Result<Renewed, TreeError> },
    /// A new session.
    Opened { asked: Boottime, reply: Result<Session, TreeError> },
    /// A run of a former session has a new token, or was declared lost.
    Readopted { name: JobName, key: RunKey, moved: Option<Revision> },
    /// The others were told about this worker.
    Announced(Result<TxnReply, TreeError>),
    /// What a deleted job left is gone.
    Collected { name: JobName, reply: Result<TxnReply, TreeError> },
    /// A new executor.
    Executor(Result<ExecutorPair, ExecutorError>),
}

impl<T: Tree, L: RunLog> Engine<T, L> {
    pub(super) fn take_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Claimed(claim, reply) => self.claimed(claim, reply),
            Reply::Passed { job, created, slot, skipped, status, reply } => match reply {
                Ok(reply) if reply.succeeded => {
                    self.over_trouble();
                    self.settled(&job.name);
                    let entry = self.view.entry(&job.name);
                    let cursor = Cursor { slot, job: created, timetable: Timetable::of(&job) };
                    entry.set_cursor(reply.revision, Some(cursor));
                    if let Some(status) = status {
                        entry.status.set(reply.revision, Some(status));
                    }
                    self.note(&job.name, &skipped);
                }
                reply => self.undecided(job, created, reply),
            },
            Reply::Noted(records) => {
                for record in records {
                    self.metrics.skipped(record.skipped.reason);
                    self.tell(Report::Skipped(record));
                }
            }
            Reply::Refreshed { job, created, reply } => self.refreshed(job, created, reply),
            Reply::Finished { key, finished } => {
                let Some(running) = self.runs.remove(key) else { return };
                let entry = self.view.entry(&running.job.name);
                entry.running -= 1;
                self.release_held();
                self.finished(&running.job.name, running.token, *finished);
            }
            Reply::Recovered { name, token, finished } => {
                let entry = self.view.entry(&name);
                entry.deciding -= 1;
                let Some(finished) = finished else { return self.look_again(&name) };
                entry.foreign.retain(|foreign| foreign.token != token);
                entry.runs_as_of = entry.runs_as_of.max(token);
                self.searched.remove(&token);
                self.finished(&name, token, *finished);
            }
            Reply::Renewed { asked, reply } => self.renewed(asked, reply),
            Reply::Opened { asked, reply } => self.opened(asked, reply),
            Reply::Readopted { name, key, moved } => self.readopted(&name, key, moved),
            Reply::Announced(Ok(_)) => {}
            Reply::Announced(Err(why)) => Trouble::tell(&self.trouble, &why),
            Reply::Collected { name, reply } => {
                let entry = self.view.entry(&name);
                entry.deciding -= 1;
                match reply {
                    Ok(reply) if reply.succeeded => {
                        self.over_trouble();
                        let _ = self.view.refresh(&name, &[], reply.revision);
                    }
                    // The job or a run of it is there again; the change that says so may have come before this.
                    Ok(_) => self.look_again(&name),
                    Err(why) => {
                        Trouble::tell(&self.trouble, &why);
                        self.look_at(&name, Some(now() + RETRY_AFTER));
                    }
                }
                self.view.forget_if_gone(&name);
            }
            Reply::Executor(Ok((executor, events))) => {
                if self.give_up.is_none() {
                    (self.executor, self.events) = (Some(executor), events);
                    self.answered = Instant::now();
                    self.send_fence();
                }
            }
            Reply::Executor(Err(why)) => {
                Trouble::tell(&self.trouble, &why);
                if self.give_up.is_none() {
                    self.start_executor(RETRY_AFTER);
                }
            }
        }
    }

    fn claimed(&mut self, claim: Claim, reply: Result<TxnReply, TreeError>) {
        let Claim { job, created, run, slot, skipped, claimed } = claim;
        self.claiming -= 1;
        match reply {
            Ok(reply) if reply.succeeded => {
                self.metrics.claims.inc();
                self.over_trouble();
                self.settled(&job.name);
                let token = reply.revision;
                let entry = self.view.entry(&job.name);
                if job.is_exclusive() && entry.known().lock == Revision::NONE {
                    entry.lock.set(token, Holder::Somebody);
                }
                entry.set_cursor(token, Some(Cursor { slot, job: created, timetable: Timetable::of(&job) }));
                self.start(Running {
                    job,
                    run,
                    key: key_of(token),
                    token,
                    slot,
                    claimed,
                    skipped,
                    started: None,
                    head: Vec::new(),
                    stopped: None,
                    ending: false,
                });
            }
            reply => {
                self.release_held();
                if reply.is_ok() {
                    self.metrics.claims_refused.inc();
                }
                self.undecided(job, created, reply);
            }
        }
    }

    /// A transaction about a job is answered: it is looked at again.
    fn settled(&mut self, name: &JobName) {
        self.view.entry(name).deciding -= 1;
        self.look_again(name);
    }

    /// A refused transaction was based on an old view, and its reply brings the present one. Of a failed one it is not
    /// known whether it was committed: the present state is read before anything else is decided about the job.
    fn undecided(&mut self, job: Arc<Job>, created: Revision, reply: Result<TxnReply, TreeError>) {
        match reply {
            Ok(reply) => {
                self.over_trouble();
                let before = self.view.entry(&job.name).known();
                for what in self.view.refresh(&job.name, &reply.found, reply.revision) {
                    self.report_malformed(what);
                }
                self.settled(&job.name);
                if self.view.entry(&job.name).known() == before {
                    // Nothing that it could decide otherwise by: not at once again.
                    self.look_at(&job.name, Some(now() + RETRY_AFTER));
                }
            }
            Err(why) => {
                Trouble::tell(&self.trouble, &why);
                let (tree, txn) = (self.tree.clone(), protocol::present(&job.name));
                let future = async move {
                    tokio::time::sleep(RETRY_AFTER).await;
                    Reply::Refreshed { reply: tree.commit(txn).await, job, created }
                };
                self.in_flight.push(future.boxed());
            }
        }
    }

    /// Takes over what a claim whose reply was lost had committed.
    fn refreshed(&mut self, job: Arc<Job>, created: Revision, reply: Result<TxnReply, TreeError>) {
        let found = match reply {
            Ok(reply) => {
                for what in self.view.refresh(&job.name, &reply.found, reply.revision) {
                    self.report_malformed(what);
                }
                reply.found
            }
            reply @ Err(_) => return self.undecided(job, created, reply),
        };
        self.settled(&job.name);
        for pair in found {
            let Ok(Key::Run(_, run)) = self.tree.prefix().decode(&pair.key) else { continue };
            let Ok(active) = protocol::read::<ActiveRun>(&pair) else { continue };
            if active.session == self.session.id && !self.runs.holds(pair.modified) {
                self.start(Running {
                    job: Arc::clone(&job),
                    run,
                    key: key_of(pair.modified),
                    token: pair.modified,
                    slot: active.slot,
                    claimed: active.claimed,
                    skipped: active.skipped,
                    started: None,
                    head: Vec::new(),
                    stopped: None,
                    ending: false,
                });
            }
        }
    }

    /// Hands a claimed slot to the executor, which waits for its instant.
    fn start(&mut self, mut running: Running) {
        let name = running.job.name.clone();
        self.metrics.runs.set(i64::try_from(self.runs.len() + 1).unwrap_or(i64::MAX));
        let entry = self.view.entry(&name);
        entry.running += 1;
        let killed = entry.kill > running.token;
        let env = environment::of_run(
            &self.inherited,
            &running.job,
            &running.run,
            running.slot,
            running.token,
            &self.session.id,
            entry.status.value.as_deref(),
        );
        let key = running.key;
        match &self.executor {
            Some(executor) if self.give_up.is_none() => {
                executor.start(Start {
                    key,
                    at: running.slot.0,
                    argv: running.job.command.argv(),
                    env,
                    working_dir: running.job.working_dir.as_deref().map(ToOwned::to_owned),
                    output_limit: running.job.output_limit,
                    active_deadline: running.job.active_deadline,
                    grace: running.job.grace,
                    exclusive: running.job.is_exclusive(),
                });
                if killed {
                    running.stopped = Some("killed on request");
                    executor.stop(key, StopReason::Killed);
                }
                self.runs.insert(running);
            }
            _ => {
                running.ending = true;
                let message = "the worker was stopped before the command started".to_owned();
                let record = running.never_started(&self.config.node, &self.session.id, now(), message);
                self.finish(&running, record);
                self.runs.insert(running);
            }
        }
    }

    fn finished(&mut self, name: &JobName, token: Revision, finished: Finished) {
        let Finished { record, skipped, counted } = finished;
        self.metrics.ended(record.outcome);
        self.metrics.runs.set(i64::try_from(self.runs.len()).unwrap_or(i64::MAX));
        if let Counted::Now { status, revision } = counted {
            self.over_trouble();
            let entry = self.view.entry(name);
            entry.status.set(revision, Some(status));
            if entry.lock.revision == token {
                entry.lock.set(revision, Holder::Nobody);
            }
        } else {
            let why = match counted {
                Counted::NoSpace => {
                    "the job tree is full, so this end is in the log alone and not in the job's status"
                }
                _ => "the end of this run had been decided by another worker; its record is kept",
            };
            tracing::warn!(job = %name, run = %record.run, why);
        }
        for skipped in skipped {
            self.metrics.skipped(skipped.skipped.reason);
            self.tell(Report::Skipped(skipped));
        }
        self.tell(Report::Ended(record));
        self.look_again(name);
    }

    /// Puts skipped slots into the log, trying again until it takes them.
    fn note(&mut self, name: &JobName, skipped: &[Skipped]) {
        if skipped.is_empty() {
            return;
        }
        let (node, decided) = (&self.config.node, now());
        let record = |skipped: &Skipped| {
            Arc::new(SkipRecord { job: name.clone(), node: node.clone(), decided, skipped: *skipped })
        };
        let records: Vec<Arc<SkipRecord>> = skipped.iter().map(record).collect();
        let (log, trouble) = (self.log.clone(), self.trouble.clone());
        let future = async move {
            let entries =
                || records.iter().map(|record| LogEntry::Skipped(SkipRecord::clone(record))).collect();
            while let Err(why) = log.append(entries()).await {
                Trouble::tell(&trouble, &why);
                tokio::time::sleep(RETRY_AFTER).await;
            }
            Reply::Noted(records)
        };
        self.in_flight.push(future.boxed());
    }
}
