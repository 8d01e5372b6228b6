//! The end of a run: its record goes to the log, then its claim is given up and counted.
//!
//! In that order, so that a crash in between loses nothing: the claim is still there, and whoever finds it finds the
//! record too and only repeats the second step. Each step is tried again for as long as it takes. A step whose reply was
//! lost may have been done: an end is recognised by what the status says of the run.

use std::sync::Arc;

use model::job::History;
use model::keys::Key;
use model::record::{RunRecord, SkipRecord};
use model::run::Revision;
use model::values::{ActiveRun, JobStatus, PendingSkip, RecentRun};
use model::{Lane, Unknown};
use store::{LogEntry, LogError, TreeError, TxnReply, protocol};

use super::runs::Stage;
use super::transactions::Ask;
use super::{Act, Core, Level, RETRY_AFTER, Timer};
use crate::Report;
use crate::executor::RunKey;

/// Names an end that is being recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EndId(u64);

/// A run that has ended and that is still in the tree.
#[derive(Clone, Debug)]
pub(super) struct End {
    lane: Lane,
    pub(super) record: Arc<RunRecord>,
    pub(super) keep: History,
    /// The stretches that its claim passed over.
    pub(super) skips: Vec<PendingSkip>,
    pub(super) token: Revision,
    /// The run, where this process holds it.
    pub(super) key: Option<RunKey>,
    /// The record is in the log.
    recorded: bool,
    /// The status that the transaction under way puts.
    status: Option<Box<JobStatus>>,
    /// A transaction whose reply was lost may have been done.
    unsure: bool,
    /// The run may have been deleted without its end being counted.
    released: bool,
}

impl End {
    pub(super) fn new(
        lane: Lane,
        record: RunRecord,
        keep: History,
        skips: Vec<PendingSkip>,
        token: Revision,
        key: Option<RunKey>,
    ) -> Self {
        let record = Arc::new(record);
        Self {
            lane,
            record,
            keep,
            skips,
            token,
            key,
            recorded: false,
            status: None,
            unsure: false,
            released: false,
        }
    }

    fn skips(&self) -> impl Iterator<Item = SkipRecord> {
        let RunRecord { job, node, claimed, .. } = &*self.record;
        self.skips.iter().map(|skip| SkipRecord {
            first_run: skip.first_run(&self.lane),
            job: job.clone(),
            node: node.clone(),
            decided: *claimed,
            skipped: skip.skipped,
        })
    }

    fn entries(&self) -> Vec<LogEntry> {
        let run = LogEntry::Run { record: RunRecord::clone(&self.record), keep: self.keep };
        self.skips().map(LogEntry::Skipped).chain([run]).collect()
    }

    fn recent(&self) -> RecentRun {
        let RunRecord { run, slot, outcome, ended, .. } = &*self.record;
        RecentRun {
            run: run.clone(),
            slot: *slot,
            outcome: *outcome,
            ended: *ended,
            unknown: Unknown::default(),
        }
    }

    /// The status with this run in it.
    fn counted(&self, before: Option<&JobStatus>) -> Box<JobStatus> {
        let mut status = before.cloned().unwrap_or_default();
        status.add_skipped(self.skips.iter().map(|skip| &skip.skipped));
        status.add_run(self.recent());
        Box::new(status)
    }
}

/// Whether the end is in the job's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    Yes,
    /// The end had been decided by another worker.
    Elsewhere,
    /// The tree takes no puts for lack of space: only the log knows the end.
    NoSpace,
}

impl Core {
    /// Records the end of a run that this process holds.
    pub(super) fn end_held(&mut self, key: RunKey, record: RunRecord) {
        let Some(run) = self.runs.get_mut(key) else { return };
        run.stage = Stage::Ending;
        let (keep, skips, token) = (run.job.history, run.active.skips().collect(), run.token);
        let end = End::new(run.lane.clone(), record, keep, skips, token, Some(key));
        self.record_end(end);
    }

    /// Begins to record an end. Of a run that this process does not hold, nothing else is decided about the job meanwhile.
    pub(super) fn record_end(&mut self, end: End) {
        if end.key.is_none() {
            self.view.lane(&end.lane).deciding = true;
        }
        self.last_end += 1;
        let id = EndId(self.last_end);
        self.ends.insert(id, end);
        self.go_on_with_end(id);
    }

    /// Asks for the next step.
    pub(super) fn go_on_with_end(&mut self, id: EndId) {
        let Some(end) = self.ends.get(&id) else { return };
        if !end.recorded {
            let entries = end.entries();
            let ask = self.ask(Ask::Append(id));
            self.act(Act::Append(ask, entries));
            return;
        }
        let lane = end.lane.clone();
        let status_known = &self.view.lane(&lane).status;
        let status = end.counted(status_known.value.as_deref());
        let seen = status_known.compared();
        let txn = protocol::finish(&lane, &end.record.run, end.token, seen, &status);
        if let Some(end) = self.ends.get_mut(&id) {
            end.status = Some(status);
        }
        self.commit(Ask::Finish(id), txn);
    }

    pub(super) fn appended_end(&mut self, id: EndId, reply: Result<(), LogError>) {
        match reply {
            Ok(()) => {
                if let Some(end) = self.ends.get_mut(&id) {
                    end.recorded = true;
                }
                self.go_on_with_end(id);
            }
            Err(why) => {
                self.trouble_with(&why);
                self.after(RETRY_AFTER, Timer::End(id));
            }
        }
    }

    pub(super) fn finished(&mut self, id: EndId, reply: Result<TxnReply, TreeError>) {
        let Some(end) = self.ends.get_mut(&id) else { return };
        match reply {
            Ok(reply) if reply.succeeded => {
                let status = end.status.take();
                self.over_trouble();
                self.ended(id, Counted::Yes, status, reply.revision);
            }
            Ok(reply) => self.finish_refused(id, &reply),
            Err(why) => {
                end.unsure = true;
                let release = matches!(why, TreeError::NoSpace(_));
                end.released |= release;
                let (lane, run, token) = (end.lane.clone(), end.record.run.clone(), end.token);
                self.trouble_with(&why);
                if release {
                    // A full etcd refuses puts, but not deletions.
                    self.commit(Ask::Release(id), protocol::release(&lane, &run, token));
                } else {
                    self.after(RETRY_AFTER, Timer::End(id));
                }
            }
        }
    }

    pub(super) fn released(&mut self, id: EndId, reply: Result<TxnReply, TreeError>) {
        match reply {
            Ok(reply) if reply.succeeded => self.ended(id, Counted::NoSpace, None, reply.revision),
            Ok(_) => self.after(RETRY_AFTER, Timer::End(id)),
            Err(why) => {
                self.trouble_with(&why);
                self.after(RETRY_AFTER, Timer::End(id));
            }
        }
    }

    /// The run or the status is not as it was thought to be.
    fn finish_refused(&mut self, id: EndId, reply: &TxnReply) {
        let Some(end) = self.ends.get(&id) else { return };
        let (lane, run) = (end.lane.clone(), end.record.run.clone());
        let key = |key| self.view.prefix().encode(&key);
        let run_key = key(Key::Run(lane.clone(), run.clone()));
        let status_key = key(Key::Status(lane.clone()));
        let at = |key: &str| reply.found.iter().find(|pair| pair.key == *key);
        let present = at(&run_key).map(|pair| (pair.modified, protocol::read::<ActiveRun>(pair).ok()));
        let status = at(&status_key).map_or(Revision::NONE, |pair| pair.modified);
        self.take_found(&lane, &run, reply);
        if status == Revision::NONE {
            self.view.set_status(&lane, reply.revision, None);
        }
        let Some(end) = self.ends.get_mut(&id) else { return };
        let mine = |active: &ActiveRun| self.sessions.is_mine(&active.session) && active.is_held();
        match present {
            // The status had moved.
            Some((token, _)) if token == end.token => self.go_on_with_end(id),
            // Our own request to move it to a later session had been done.
            Some((token, Some(active))) if end.key.is_some() && mine(&active) => {
                end.token = token;
                self.go_on_with_end(id);
            }
            Some(_) => self.ended(id, Counted::Elsewhere, None, reply.revision),
            None => {
                let status = self.view.get(&lane).and_then(|entry| entry.lane.status.value.as_deref());
                let ours = end.unsure && status.is_some_and(|status| status.recent.contains(&end.recent()));
                let counted = match (ours, end.released) {
                    (true, _) => Counted::Yes,
                    (false, true) => Counted::NoSpace,
                    (false, false) => Counted::Elsewhere,
                };
                self.ended(id, counted, None, reply.revision);
            }
        }
    }

    /// The run is not in the tree any more, or is another worker's to end.
    fn ended(&mut self, id: EndId, counted: Counted, status: Option<Box<JobStatus>>, revision: Revision) {
        let Some(end) = self.ends.remove(&id) else { return };
        let (lane, run) = (end.lane.clone(), end.record.run.clone());
        self.orphans.forget(&lane, &run, end.token);
        if counted != Counted::Elsewhere {
            self.view.delete_run(&lane, &run, revision);
        }
        if let Some(status) = status {
            self.view.set_status(&lane, revision, Some(status));
        }
        if counted != Counted::Elsewhere {
            self.view.job(&lane.job).lock.freed(end.token, revision);
        }
        match end.key {
            Some(key) => drop(self.runs.remove(key)),
            None => self.view.lane(&lane).deciding = false,
        }
        match counted {
            Counted::Yes => {}
            Counted::NoSpace => {
                let text =
                    "the job tree is full, so this end is in the log alone and not in the job's status";
                self.note(Level::Warn, Some(&lane.job), format!("run {run}: {text}"));
            }
            Counted::Elsewhere => {
                let text = "another worker had decided the end of this run; its record is kept";
                self.note(Level::Warn, Some(&lane.job), format!("run {run}: {text}"));
            }
        }
        if end.key.is_some() || counted != Counted::Elsewhere {
            for skip in end.skips() {
                self.act(Act::Tell(Report::Skipped(Arc::new(skip))));
            }
            self.act(Act::Tell(Report::Ended(end.record)));
        }
        self.look_at_job_again(&lane.job);
        self.check_strays(&lane);
    }
}
