//! What is known of one job, beside its lanes.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::run::Revision;
use model::values::{Cursor, Timetable};
use model::{Job, NodeName, Words};

use super::lane::{KnownLane, Versioned};

/// What `jobs/n` says.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    /// The create revision of the key: the job's incarnation.
    pub(crate) created: Revision,
    /// `None` where the value can't be used.
    pub(crate) job: Option<Arc<Job>>,
    /// What whoever runs it must understand. Where this worker does not, `job` is `None`.
    pub(crate) needs: Words,
}

/// Who holds a job's lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Holder {
    #[default]
    Nobody,
    /// It keeps the replaced system's workers out, and is in nobody's way.
    Reserved,
    /// A worker of the replaced system, or one of ours whose run record tells more.
    Somebody,
}

/// What is known of a job's lock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lock {
    pub(crate) holder: Holder,
    pub(crate) revision: Revision,
}

impl Lock {
    /// Takes news, unless something as new is known. Returns whether the job must be looked at again.
    pub(crate) fn set(&mut self, revision: Revision, holder: Holder) -> bool {
        let news = revision > self.revision;
        let freed = news && self.holder != holder && holder != Holder::Somebody;
        if news {
            *self = Self { holder, revision };
        }
        freed
    }

    /// The lock that was put at `token` was deleted at `revision`, if it was still there.
    pub(crate) fn freed(&mut self, token: Revision, revision: Revision) {
        if self.revision == token {
            self.set(revision, Holder::Nobody);
        }
    }
}

/// What is known of the kill request of a job.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kill {
    /// The mod revision of the latest request ever seen. It hits the runs that were created before it.
    pub(crate) latest: Revision,
    exists: bool,
    revision: Revision,
}

impl Kill {
    /// Takes news. Returns whether there is a request that was not known.
    pub(super) fn set(&mut self, revision: Revision, exists: bool) -> bool {
        if revision > self.revision {
            (self.exists, self.revision) = (exists, revision);
        }
        let news = exists && revision > self.latest;
        if news {
            self.latest = revision;
        }
        news
    }

    /// A kill signal of the replaced system.
    pub(super) fn signal(&mut self, revision: Revision) {
        self.latest = self.latest.max(revision);
    }

    pub(super) fn compared(&self) -> Revision {
        if self.exists { self.revision } else { Revision::NONE }
    }
}

/// One job, and its lanes.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownJob {
    pub(crate) definition: Versioned<Definition>,
    /// `lock/n`.
    pub(crate) lock: Lock,
    pub(crate) kill: Kill,
    /// The lane for any node. It is there whether or not the job has anything in it.
    any: KnownLane,
    /// The lanes on nodes.
    on: BTreeMap<NodeName, KnownLane>,
}

impl KnownJob {
    /// The incarnation of the job, [`Revision::NONE`] while there is none.
    pub(crate) fn created(&self) -> Revision {
        self.definition.value.as_ref().map_or(Revision::NONE, |definition| definition.created)
    }

    /// The job, if there is a valid one.
    pub(crate) fn job(&self) -> Option<&Arc<Job>> {
        self.definition.value.as_ref()?.job.as_ref()
    }

    /// Its key is not in the tree.
    pub(crate) fn is_deleted(&self) -> bool {
        !self.definition.exists
    }

    pub(crate) fn lane(&self, node: Option<&NodeName>) -> Option<&KnownLane> {
        match node {
            None => Some(&self.any),
            Some(node) => self.on.get(node),
        }
    }

    pub(crate) fn lane_mut(&mut self, node: Option<&NodeName>) -> &mut KnownLane {
        match node {
            None => &mut self.any,
            Some(node) => self.on.entry(node.clone()).or_default(),
        }
    }

    /// All lanes, each with its node.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (Option<&NodeName>, &KnownLane)> {
        let on = self.on.iter().map(|(node, lane)| (Some(node), lane));
        std::iter::once((None, &self.any)).chain(on)
    }

    pub(super) fn lanes_mut(&mut self) -> impl Iterator<Item = (Option<&NodeName>, &mut KnownLane)> {
        let on = self.on.iter_mut().map(|(node, lane)| (Some(node), lane));
        std::iter::once((None, &mut self.any)).chain(on)
    }

    /// Takes news of a lane's cursor, unless something as new is known. Returns whether it was news.
    pub(crate) fn set_cursor(
        &mut self,
        node: Option<&NodeName>,
        revision: Revision,
        cursor: Option<Cursor>,
    ) -> bool {
        let job = self.job().cloned();
        self.lane_mut(node).set_cursor(revision, cursor, job.as_deref())
    }

    /// Takes news of the job's key, unless something as new is known, and keeps the timetables of the cursors right: what
    /// they were compared with changes. Returns whether it was news.
    pub(super) fn set_definition(&mut self, revision: Revision, definition: Option<Definition>) -> bool {
        if revision <= self.definition.revision {
            return false;
        }
        let new = definition.as_ref().and_then(|definition| definition.job.clone());
        let old = self.job().cloned();
        for (_, lane) in self.lanes_mut() {
            if let Some(cursor) = &mut lane.cursor.value {
                let former = || old.as_deref().map(|old| Box::new(Timetable::of(old)));
                let armed_for = cursor.armed_for.take().or_else(former);
                cursor.armed_for = match &new {
                    Some(new) => armed_for.filter(|timetable| !timetable.is_of(new)),
                    None => armed_for,
                };
            }
        }
        self.definition.set(revision, definition)
    }

    /// Nothing of it is in the tree.
    pub(super) fn is_gone(&self) -> bool {
        let Self { definition, lock, kill: _, any: _, on: _ } = self;
        !definition.exists && lock.holder == Holder::Nobody && self.lanes().all(|(_, lane)| lane.is_gone())
    }

    /// The latest revision at which something of it was seen to change.
    pub(super) fn latest(&self) -> Revision {
        let lanes = self.lanes().map(|(_, lane)| lane.latest()).max();
        self.definition.revision.max(self.lock.revision).max(lanes.unwrap_or_default())
    }
}
