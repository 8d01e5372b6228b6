//! One lane with its job: what is decided by.

use std::sync::Arc;

use model::decide::{CURSOR_AHEAD, Seen, SeenCursor};
use model::run::{Revision, RunId};
use model::values::PendingSkip;
use model::{Job, UnixMillis, Unknown, Words};
use store::protocol::Known;

use super::job::{Holder, KnownJob};
use super::lane::{KnownLane, KnownRun, RunState};

/// What is known of one lane and of its job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) of_job: &'a KnownJob,
    pub(crate) lane: &'a KnownLane,
    /// Whether this is the lane for any node.
    pub(super) is_any: bool,
}

impl<'a> Entry<'a> {
    /// The revisions that transactions about this lane compare.
    pub(crate) fn known(self) -> Known {
        let KnownJob { definition, lock, kill, .. } = self.of_job;
        Known {
            created: self.created(),
            definition: definition.compared(),
            cursor: self.lane.cursor.compared(),
            status: self.lane.status.compared(),
            lock: if lock.holder == Holder::Reserved { lock.revision } else { Revision::NONE },
            kill: kill.compared(),
        }
    }

    /// The incarnation of the job, [`Revision::NONE`] while there is none.
    pub(crate) fn created(self) -> Revision {
        self.of_job.created()
    }

    /// The job, if there is a valid one.
    pub(crate) fn job(self) -> Option<&'a Arc<Job>> {
        self.of_job.job()
    }

    /// The run records of the lane that exist, the oldest slot first.
    pub(crate) fn runs(self) -> impl Iterator<Item = &'a KnownRun> {
        self.lane.runs()
    }

    /// The record of a run, if it exists.
    pub(crate) fn run(self, run: &RunId) -> Option<&'a KnownRun> {
        self.runs().find(|known| known.run == *run)
    }

    /// Whether something keeps an exclusive run from starting. A lane on a node is also held by runs in the lane for any
    /// node, and that one by all: the job may have been changed from one to the other.
    fn is_busy(self) -> bool {
        let in_the_way = |node_less: bool| node_less || self.is_any;
        let mut lanes = self.of_job.lanes();
        self.runs().next().is_some()
            || lanes.any(|(node, lane)| in_the_way(node.is_none()) && lane.runs().next().is_some())
            || self.of_job.lock.holder == Holder::Somebody
    }

    /// The job, if there is a valid one, and what is known besides.
    pub(crate) fn to_decide(self) -> Option<(&'a Arc<Job>, Seen<'a>)> {
        let cursor = self.lane.cursor.value.as_ref().map(|cursor| SeenCursor {
            slot: cursor.slot,
            job: cursor.job,
            armed_for: cursor.armed_for.as_deref(),
        });
        Some((self.job()?, Seen { created: self.created(), cursor, busy: self.is_busy() }))
    }

    /// The epoch that the cursor is in; a new incarnation begins with its first one.
    pub(crate) fn epoch(self) -> Revision {
        let cursor = self.lane.cursor.value.as_ref().filter(|cursor| cursor.job == self.created());
        cursor.map_or(Revision::NONE, |cursor| cursor.epoch)
    }

    /// What a newer version put into the cursor; a new incarnation begins without.
    pub(crate) fn unknown_of_cursor(self) -> Unknown {
        let cursor = self.lane.cursor.value.as_ref().filter(|cursor| cursor.job == self.created());
        cursor.map(|cursor| cursor.unknown.clone()).unwrap_or_default()
    }

    /// What whoever takes, ends or declares a run of the job must understand.
    pub(crate) fn needs(self) -> Words {
        let of_job = self.of_job.definition.value.as_ref().map(|definition| &definition.needs);
        let of_runs = self.runs().filter_map(|run| match &run.state {
            RunState::Active(active) => Some(&active.needs),
            RunState::Beyond(needs) => Some(needs),
            RunState::Unreadable | RunState::Gone => None,
        });
        of_job
            .into_iter()
            .chain(of_runs)
            .filter(|needs| !needs.is_empty())
            .fold(Words::default(), |all, needs| all.and(needs))
    }

    /// Whether the cursor was armed for the job as it stands.
    pub(crate) fn is_armed(self) -> bool {
        let cursor = self.lane.cursor.value.as_ref();
        cursor.is_some_and(|cursor| cursor.job == self.created() && cursor.armed_for.is_none())
    }

    /// Whether the cursor is further ahead of the clock than a claim puts it.
    pub(crate) fn is_ahead(self, now: UnixMillis) -> bool {
        self.lane.cursor.value.as_ref().is_some_and(|cursor| cursor.slot.0 > now + CURSOR_AHEAD)
    }

    /// The job's key is not in the tree.
    pub(crate) fn is_deleted(self) -> bool {
        self.of_job.is_deleted()
    }

    /// Whether slots are decided in the lane: a job has only the one for any node. Runs in another lane, which a newer
    /// version put, end as runs do, and nothing new is decided there.
    pub(crate) fn is_decided_in(self) -> bool {
        self.is_any
    }

    /// What a deleted job left in the lane, and nobody needs any more. What it left as a whole goes with the lane for any
    /// node, once no lane has a run.
    pub(crate) fn is_litter(self) -> bool {
        let KnownLane { cursor, status, deciding, noting, .. } = self.lane;
        // A reserved lock alone is that of a job which is about to be put.
        let left = cursor.exists || status.exists;
        let has_runs = |lane: &KnownLane| lane.runs().next().is_some();
        let runs = has_runs(self.lane) || self.is_any && self.of_job.lanes().any(|(_, lane)| has_runs(lane));
        left && self.is_deleted() && !runs && !deciding && !noting
    }

    /// The skipped stretches in the cursor of which it is not known that they are in the run log.
    pub(crate) fn pending(self) -> Vec<PendingSkip> {
        self.lane.pending()
    }
}
