//! What the engine sets under way: each is a future whose reply is one more input.

use std::sync::Arc;

use futures::future::FutureExt;
use model::record::RunRecord;
use model::run::{Skipped, Slot};
use model::{Job, JobName, UnixMillis};
use store::{RunLog, Tree, protocol};

use super::Engine;
use super::orphans::Orphans;
use super::replies::{Claim, Reply};
use crate::executor::StopReason;
use crate::finish::{self, By, Ended};
use crate::runs::Running;

impl<T: Tree, L: RunLog> Engine<T, L> {
    pub(super) fn claim(
        &mut self,
        job: Arc<Job>,
        known: protocol::Known,
        slot: Slot,
        skipped: Vec<Skipped>,
        claimed: UnixMillis,
    ) {
        self.claiming += 1;
        let (run, txn) =
            protocol::claim(&job, known, &self.session, &self.config.node, slot, skipped.clone(), claimed);
        self.view.entry(&job.name).deciding += 1;
        let tree = self.tree.clone();
        let future = async move {
            let reply = tree.commit(txn).await;
            let claim = Claim { job, created: known.created, run, slot, skipped, claimed };
            Reply::Claimed(claim, reply)
        };
        self.in_flight.push(future.boxed());
    }

    pub(super) fn pass(&mut self, job: Arc<Job>, known: protocol::Known, slot: Slot, skipped: Vec<Skipped>) {
        let entry = self.view.entry(&job.name);
        entry.deciding += 1;
        let status = (!skipped.is_empty()).then(|| {
            let mut status = entry.status.value.clone().unwrap_or_default();
            status.add_skipped(&skipped);
            status
        });
        let txn = protocol::pass(&job, known, &self.session, slot, status.as_deref());
        let tree = self.tree.clone();
        let future = async move {
            let reply = tree.commit(txn).await;
            Reply::Passed { job, created: known.created, slot, skipped, status, reply }
        };
        self.in_flight.push(future.boxed());
    }

    /// A deleted job: its runs are ended, and what it left in the tree goes once the last of them has.
    pub(super) fn clear_away(&mut self, name: &JobName) {
        match self.recover(name) {
            Orphans::UnderWay => return,
            Orphans::Wait(until) => self.look_at(name, Some(until)),
            Orphans::None => {}
        }
        for (key, running) in self.runs.alive_of(name) {
            running.stopped = Some("killed because the job was deleted");
            if let Some(executor) = &self.executor {
                executor.stop(key, StopReason::Killed);
            }
        }
        let owner = self.view.peers.rank(name) == 0;
        let entry = self.view.entry(name);
        if entry.is_litter() && owner {
            entry.deciding += 1;
            let txn = protocol::collect(name, entry.known().lock);
            let (tree, name) = (self.tree.clone(), name.clone());
            self.in_flight
                .push(async move { Reply::Collected { reply: tree.commit(txn).await, name } }.boxed());
        } else {
            self.view.forget_if_gone(name);
        }
    }

    /// Records the end of a run of ours and gives its claim back.
    pub(super) fn finish(&mut self, running: &Running, record: RunRecord) {
        let entry = self.view.entry(&running.job.name);
        let ended = Ended {
            record: Arc::new(record),
            keep: running.job.history,
            skipped: running.skipped.clone(),
            token: running.token,
            status: entry.status.value.clone(),
            status_seen: entry.known().status,
            by: By::Holder,
        };
        let (tree, log, trouble, key) =
            (self.tree.clone(), self.log.clone(), self.trouble.clone(), running.key);
        let future = async move {
            let finished = finish::finish(tree, log, ended, trouble).await;
            Reply::Finished { key, finished: Box::new(finished) }
        };
        self.in_flight.push(future.boxed());
    }
}
