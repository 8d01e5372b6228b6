//! What is known of one job.

use std::sync::Arc;

use model::decide::{Seen, SeenCursor};
use model::run::{Revision, RunId, Slot};
use model::values::{ActiveRun, Cursor, JobStatus, Timetable};
use model::{Job, UnixMillis};
use store::protocol::Known;

/// The value of a key and the revision at which it became known.
#[derive(Clone, Debug)]
pub(crate) struct Versioned<T> {
    /// Nothing where there is no such key, or where its value can't be read.
    pub(crate) value: Option<T>,
    exists: bool,
    pub(crate) revision: Revision,
}

impl<T> Default for Versioned<T> {
    fn default() -> Self {
        Self { value: None, exists: false, revision: Revision::NONE }
    }
}

impl<T> Versioned<T> {
    /// Takes news, unless something as new is known. Says whether it was news.
    pub(crate) fn set(&mut self, revision: Revision, value: Option<T>) -> bool {
        let news = revision > self.revision;
        if news {
            *self = Self { exists: value.is_some(), value, revision };
        }
        news
    }

    /// As [`Self::set`], for a key whose value can't be read: it is there, and a transaction can replace it.
    pub(crate) fn set_unreadable(&mut self, revision: Revision) -> bool {
        let news = self.set(revision, None);
        self.exists |= news;
        news
    }

    /// What a transaction compares the mod revision with.
    fn compared(&self) -> Revision {
        if self.exists { self.revision } else { Revision::NONE }
    }
}

/// A job's key.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) created: Revision,
    /// The job, or nothing where the value is malformed: that was reported, and such a job is never due.
    pub(crate) job: Option<Arc<Job>>,
}

/// A cursor. Nearly always it was armed for the job as it stands, and then the timetable is not kept twice.
#[derive(Clone, Debug)]
pub(crate) struct KnownCursor {
    slot: Slot,
    job: Revision,
    armed_for: Option<Box<Timetable>>,
}

/// A claimed slot of another session.
#[derive(Clone, Debug)]
pub(crate) struct ForeignRun {
    pub(crate) run: RunId,
    pub(crate) token: Revision,
    /// What its value says, if it can be read.
    pub(crate) active: Option<ActiveRun>,
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
    /// Takes news, unless something as new is known. Says whether the job must be looked at again.
    pub(crate) fn set(&mut self, revision: Revision, holder: Holder) -> bool {
        let news = revision > self.revision;
        let freed = news && self.holder != holder && holder != Holder::Somebody;
        if news {
            *self = Self { holder, revision };
        }
        freed
    }
}

/// One job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) definition: Versioned<Definition>,
    pub(crate) cursor: Versioned<KnownCursor>,
    pub(crate) status: Versioned<Box<JobStatus>>,
    pub(crate) foreign: Vec<ForeignRun>,
    /// `foreign` is complete as of this revision.
    pub(crate) runs_as_of: Revision,
    /// `lock/n`.
    pub(crate) lock: Lock,
    /// The mod revision of the latest kill request.
    pub(crate) kill: Revision,
    /// Runs of this session that have not been finished.
    pub(crate) running: u32,
    /// Transactions of this worker that decide about the job and are not answered yet.
    pub(crate) deciding: u32,
    /// When the job is looked at next.
    pub(crate) due: Option<UnixMillis>,
}

impl Entry {
    /// The revisions that transactions about this job compare.
    pub(crate) fn known(&self) -> Known {
        Known {
            created: self.definition.value.as_ref().map_or(Revision::NONE, |d| d.created),
            definition: self.definition.compared(),
            cursor: self.cursor.compared(),
            status: self.status.compared(),
            lock: if self.lock.holder == Holder::Reserved { self.lock.revision } else { Revision::NONE },
        }
    }

    /// The job, if there is a valid one, and what is known besides.
    pub(crate) fn to_decide(&self) -> Option<(&Arc<Job>, Seen<'_>)> {
        let definition = self.definition.value.as_ref()?;
        let cursor = self.cursor.value.as_ref().map(|cursor| SeenCursor {
            slot: cursor.slot,
            job: cursor.job,
            armed_for: cursor.armed_for.as_deref(),
        });
        let locked = self.lock.holder == Holder::Somebody;
        let busy = self.running > 0 || !self.foreign.is_empty() || locked;
        Some((definition.job.as_ref()?, Seen { created: definition.created, cursor, busy }))
    }

    /// Nothing of it is in the tree, and nothing of it runs.
    pub(crate) fn is_gone(&self) -> bool {
        let Self {
            definition,
            cursor,
            status,
            foreign,
            runs_as_of: _,
            lock,
            kill: _,
            running,
            deciding,
            due: _,
        } = self;
        !definition.exists
            && !cursor.exists
            && !status.exists
            && foreign.is_empty()
            && lock.holder == Holder::Nobody
            && *running == 0
            && *deciding == 0
    }

    /// Its key is not in the tree.
    pub(crate) fn is_deleted(&self) -> bool {
        !self.definition.exists
    }

    /// What a deleted job left, and nobody needs any more.
    pub(crate) fn is_litter(&self) -> bool {
        // A reserved lock alone is that of a job which is about to be put.
        let left = self.cursor.exists || self.status.exists;
        left && !self.definition.exists && self.foreign.is_empty() && self.running == 0 && self.deciding == 0
    }

    pub(crate) fn set_cursor(&mut self, revision: Revision, cursor: Option<Cursor>) -> bool {
        let job = self.definition.value.as_ref().and_then(|d| d.job.as_deref());
        let cursor = cursor.map(|Cursor { slot, job: incarnation, timetable }| KnownCursor {
            slot,
            job: incarnation,
            armed_for: match job {
                Some(job) if timetable.is_of(job) => None,
                _ => Some(Box::new(timetable)),
            },
        });
        self.cursor.set(revision, cursor)
    }

    /// Keeps the cursor's timetable right while the job it was compared with changes.
    pub(crate) fn set_definition(&mut self, revision: Revision, definition: Option<Definition>) -> bool {
        if revision <= self.definition.revision {
            return false;
        }
        let new = definition.as_ref().and_then(|d| d.job.as_deref());
        let old = self.definition.value.as_ref().and_then(|d| d.job.as_deref());
        if let Some(cursor) = &mut self.cursor.value {
            let armed_for = cursor.armed_for.take().or_else(|| old.map(|old| Box::new(Timetable::of(old))));
            cursor.armed_for = match new {
                Some(new) => armed_for.filter(|timetable| !timetable.is_of(new)),
                None => armed_for,
            };
        }
        self.definition.set(revision, definition)
    }
}
