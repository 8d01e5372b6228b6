//! The end of a run: its record goes to the log, then its claim is given back.
//!
//! In that order, so that a crash in between loses nothing: the claim is still there, and whoever finds it finds the
//! record too and only repeats the second step ([`crate::recover`]).

use std::sync::Arc;
use std::time::Duration;

use model::JobName;
use model::job::History;
use model::record::{RunRecord, SkipRecord};
use model::run::{Revision, SessionId, Skipped};
use model::values::{ActiveRun, JobStatus, RecentRun};
use store::protocol;
use store::{LogEntry, RunLog, Session, Tree, TreeError, Txn};
use tokio::sync::mpsc;

/// How long to wait before a write that failed is tried again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Who gives a claim back.
#[derive(Clone, Debug)]
pub(crate) enum By {
    /// The session that holds it.
    Holder,
    /// Another one, because the holder is dead.
    Survivor { holder: Box<ActiveRun>, session: Session },
}

/// A run that has ended but is not given back yet.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) record: Arc<RunRecord>,
    pub(crate) keep: History,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) token: Revision,
    pub(crate) status: Option<Box<JobStatus>>,
    pub(crate) status_seen: Revision,
    pub(crate) by: By,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) record: Arc<RunRecord>,
    pub(crate) skipped: Vec<Arc<SkipRecord>>,
    pub(crate) counted: Counted,
}

/// Whether the end is in the job's status.
#[derive(Debug)]
pub(crate) enum Counted {
    /// It is, since this revision.
    Now { status: Box<JobStatus>, revision: Revision },
    /// The end had been decided by somebody else.
    Before,
    /// The tree takes no puts for lack of space: the claim is given back, and only the log knows the end.
    NoSpace,
}

/// Records the end and gives the claim back, trying again for as long as it takes. Each failure is told to `trouble`.
pub(crate) async fn finish<T: Tree, L: RunLog>(
    tree: T,
    log: L,
    mut ended: Ended,
    trouble: mpsc::UnboundedSender<Trouble>,
) -> Finished {
    let skipped: Vec<Arc<SkipRecord>> = ended.skips();
    loop {
        match log.append(ended.entries(&skipped)).await {
            Ok(()) => break,
            Err(why) => Trouble::tell(&trouble, &why),
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
    loop {
        let status = ended.counted();
        match tree.commit(ended.txn(&status)).await {
            Ok(reply) if reply.succeeded => {
                let counted = Counted::Now { status, revision: reply.revision };
                return Finished { record: ended.record, skipped, counted };
            }
            Ok(reply) => {
                let Some(status) = ended.still_ours(&tree, &reply.found) else {
                    return Finished { record: ended.record, skipped, counted: Counted::Before };
                };
                (ended.status, ended.status_seen) = status;
            }
            Err(why) => {
                Trouble::tell(&trouble, &why);
                if matches!(why, TreeError::NoSpace(_)) && ended.release(&tree).await {
                    return Finished { record: ended.record, skipped, counted: Counted::NoSpace };
                }
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

impl Ended {
    fn name(&self) -> &JobName {
        &self.record.job
    }

    fn skips(&self) -> Vec<Arc<SkipRecord>> {
        let RunRecord { job, node, claimed, .. } = &*self.record;
        let record = |skipped: &Skipped| SkipRecord {
            job: job.clone(),
            node: node.clone(),
            decided: *claimed,
            skipped: *skipped,
        };
        self.skipped.iter().map(|skipped| Arc::new(record(skipped))).collect()
    }

    fn entries(&self, skipped: &[Arc<SkipRecord>]) -> Vec<LogEntry> {
        let skipped = skipped.iter().map(|record| LogEntry::Skipped(SkipRecord::clone(record)));
        let run = LogEntry::Run { record: RunRecord::clone(&self.record), keep: self.keep };
        skipped.chain([run]).collect()
    }

    /// The status with this run in it.
    fn counted(&self) -> Box<JobStatus> {
        let mut status = self.status.clone().unwrap_or_default();
        let RunRecord { run, slot, outcome, ended, .. } = &*self.record;
        status.add_skipped(&self.skipped);
        status.add_run(RecentRun { run: run.clone(), slot: *slot, outcome: *outcome, ended: *ended });
        status
    }

    fn txn(&self, status: &JobStatus) -> Txn {
        let run = &self.record.run;
        match &self.by {
            By::Holder => protocol::finish(self.name(), run, self.token, self.status_seen, status),
            By::Survivor { holder, session } => {
                protocol::lose(self.name(), (run, holder), self.token, session, self.status_seen, status)
            }
        }
    }

    /// Gives the claim back without counting the end: a full etcd refuses puts, but not deletions. Says whether that
    /// was done.
    async fn release<T: Tree>(&self, tree: &T) -> bool {
        let By::Holder = self.by else { return false };
        let release = protocol::release(self.name(), &self.record.run, self.token);
        tree.commit(release).await.is_ok_and(|reply| reply.succeeded)
    }

    /// The present status, if the run is still there under our token and only the status had moved.
    fn still_ours<T: Tree>(
        &self,
        tree: &T,
        found: &[store::KeyValue],
    ) -> Option<(Option<Box<JobStatus>>, Revision)> {
        let key = |key| tree.prefix().encode(&key);
        let run = key(model::keys::Key::Run(self.name().clone(), self.record.run.clone()));
        found.iter().find(|pair| pair.key == run && pair.modified == self.token)?;
        let status = key(model::keys::Key::Status(self.name().clone()));
        let status = found.iter().find(|pair| pair.key == status);
        let seen = status.map_or(Revision::NONE, |pair| pair.modified);
        if seen == self.status_seen {
            // Neither moved: it was a session that the transaction found alive or gone.
            return None;
        }
        Some((status.and_then(|pair| protocol::read(pair).ok()), seen))
    }
}

/// A write that the store has not taken.
#[derive(Debug)]
pub(crate) struct Trouble(pub(crate) String);

impl Trouble {
    pub(crate) fn tell(to: &mpsc::UnboundedSender<Self>, why: &(dyn std::error::Error + 'static)) {
        // Without a receiver the engine has ended, and nobody is left to be told.
        let _ = to.send(Self(in_words(why)));
    }
}

/// An error and what caused it.
pub(crate) fn in_words(why: &(dyn std::error::Error + 'static)) -> String {
    let mut text = why.to_string();
    let mut source = why.source();
    while let Some(why) = source {
        text.push_str(": ");
        text.push_str(&why.to_string());
        source = why.source();
    }
    text
}

/// A session's own name in messages.
pub(crate) fn lost_message(session: &SessionId) -> String {
    format!("the worker ({session}) ended while the command ran; how far it came is not known")
}
