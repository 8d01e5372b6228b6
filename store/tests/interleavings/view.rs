//! What a worker knows of the tree. It may be old, and it only moves forward, key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use model::run::{Revision, RunId, SessionId};
use model::values::{ActiveRun, Cursor, JobStatus, LockValue};
use store::memory::TreeState;
use store::protocol::Known;

use crate::world::{Body, Fact, Lab};

/// A key, and the revision at which this became known. An absent key has one too.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen<T> {
    pub(crate) revision: Revision,
    pub(crate) value: Option<T>,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { revision: Revision::NONE, value: None }
    }
}

impl<T: PartialEq> Seen<T> {
    fn set(&mut self, revision: Revision, value: Option<T>) {
        if revision > self.revision {
            *self = Self { revision, value };
        }
    }

    /// What a transaction compares the mod revision with.
    pub(crate) fn compared(&self) -> Revision {
        self.value.as_ref().map_or(Revision::NONE, |_| self.revision)
    }

    fn tells(&self, other: &Self) -> bool {
        self.value == other.value && self.compared() == other.compared()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeenJob {
    pub(crate) created: Revision,
    pub(crate) suspended: bool,
}

/// A run record. Without a value it was deleted at `token`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SeenRun {
    pub(crate) created: Revision,
    pub(crate) token: Revision,
    pub(crate) active: Option<Rc<ActiveRun>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) job: Seen<SeenJob>,
    pub(crate) cursor: Seen<Rc<Cursor>>,
    pub(crate) status: Seen<Rc<JobStatus>>,
    pub(crate) lock: Seen<Rc<LockValue>>,
    pub(crate) kill: Seen<()>,
    /// The latest kill request ever seen.
    pub(crate) killed: Revision,
    pub(crate) runs: BTreeMap<RunId, SeenRun>,
    /// The sessions that are in the tree. No worker's view is asked for these.
    pub(crate) sessions: BTreeSet<SessionId>,
    /// Every run record is known as of this revision, from a reply or from what was followed.
    pub(crate) complete: Revision,
    /// Every key is known as of this revision.
    pub(crate) followed: Revision,
}

impl View {
    /// The present tree.
    pub(crate) fn of(lab: &Lab, tree: &TreeState) -> Self {
        let mut view = Self::default();
        for pair in tree.pairs() {
            view.put(&lab.read(pair));
        }
        (view.followed, view.complete) = (tree.revision(), tree.revision());
        view
    }

    /// All changes up to the present have come.
    pub(crate) fn watch(&mut self, fresh: &Self) {
        let killed = self.killed.max(fresh.killed);
        *self = Self { killed, ..fresh.clone() };
    }

    /// Whether both tell the same.
    pub(crate) fn tells(&self, other: &Self) -> bool {
        self.job.tells(&other.job)
            && self.cursor.tells(&other.cursor)
            && self.status.tells(&other.status)
            && self.lock.tells(&other.lock)
            && self.kill.tells(&other.kill)
            && self.present_runs().eq(other.present_runs())
    }

    /// The revisions as of which everything is known.
    pub(crate) fn revisions(&self) -> impl Iterator<Item = Revision> {
        let keys = [
            self.job.revision,
            self.cursor.revision,
            self.status.revision,
            self.lock.revision,
            self.kill.revision,
            self.complete,
            self.followed,
        ];
        keys.into_iter().chain(self.runs.values().map(|run| run.token))
    }

    /// The run records that exist.
    pub(crate) fn present_runs(&self) -> impl Iterator<Item = (&RunId, &SeenRun)> {
        self.runs.iter().filter(|(_, run)| run.active.is_some())
    }

    /// The records that exist, with what they say.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&RunId, &SeenRun, &Rc<ActiveRun>)> {
        self.runs.iter().filter_map(|(id, run)| Some((id, run, run.active.as_ref()?)))
    }

    /// The record of one run, if it exists.
    pub(crate) fn run(&self, id: &RunId) -> Option<&SeenRun> {
        self.runs.get(id).filter(|run| run.active.is_some())
    }

    pub(crate) fn created(&self) -> Revision {
        self.job.value.map_or(Revision::NONE, |job| job.created)
    }

    pub(crate) fn known(&self) -> Known {
        let reserved = matches!(self.lock.value.as_deref(), Some(LockValue::Reserved));
        Known {
            created: self.created(),
            definition: self.job.compared(),
            cursor: self.cursor.compared(),
            status: self.status.compared(),
            lock: if reserved { self.lock.revision } else { Revision::NONE },
            kill: self.kill.compared(),
        }
    }

    /// Whether somebody holds the lock.
    pub(crate) fn is_locked(&self) -> bool {
        self.lock.value.as_deref().is_some_and(|lock| *lock != LockValue::Reserved)
    }

    /// Takes in a key that a reply tells of.
    pub(crate) fn put(&mut self, fact: &Fact) {
        let revision = fact.modified;
        if let Body::Worker(session) = &fact.body {
            self.sessions.insert(session.clone());
        }
        if revision <= self.followed {
            return;
        }
        match &fact.body {
            Body::Job { suspended } => {
                let job = SeenJob { created: fact.created, suspended: *suspended };
                self.job.set(revision, Some(job));
            }
            Body::Cursor(cursor) => self.cursor.set(revision, Some(Rc::clone(cursor))),
            Body::Status(status) => self.status.set(revision, Some(Rc::clone(status))),
            Body::Lock(lock) => self.lock.set(revision, Some(Rc::clone(lock))),
            Body::Kill => {
                self.kill.set(revision, Some(()));
                self.killed = self.killed.max(revision);
            }
            Body::Run(id, active) => self.put_run(id, fact.created, revision, Rc::clone(active)),
            Body::Worker(_) => {}
        }
    }

    /// Takes in what a refused decision read: what it did not find does not exist at `revision`.
    pub(crate) fn refresh(&mut self, found: &[Fact], revision: Revision) {
        let has = |is: fn(&Body) -> bool| found.iter().any(|fact| is(&fact.body));
        if !has(|body| matches!(body, Body::Job { .. })) {
            self.set_job(revision, None);
        }
        if !has(|body| matches!(body, Body::Cursor(_))) {
            self.set_cursor(revision, None);
        }
        if !has(|body| matches!(body, Body::Status(_))) {
            self.set_status(revision, None);
        }
        if !has(|body| matches!(body, Body::Lock(_))) {
            self.set_lock(revision, None);
        }
        if !has(|body| matches!(body, Body::Kill)) && revision > self.followed {
            self.kill.set(revision, None);
        }
        for fact in found {
            self.put(fact);
        }
        let listed =
            |id: &RunId| found.iter().any(|fact| matches!(&fact.body, Body::Run(run, _) if run == id));
        self.runs.retain(|id, run| run.token > revision || listed(id));
        self.complete = self.complete.max(revision);
        self.forget_gone();
    }

    fn set_job(&mut self, revision: Revision, job: Option<SeenJob>) {
        if revision > self.followed {
            self.job.set(revision, job);
        }
    }

    pub(crate) fn set_cursor(&mut self, revision: Revision, cursor: Option<Rc<Cursor>>) {
        if revision > self.followed {
            self.cursor.set(revision, cursor);
        }
    }

    pub(crate) fn set_status(&mut self, revision: Revision, status: Option<Rc<JobStatus>>) {
        if revision > self.followed {
            self.status.set(revision, status);
        }
    }

    pub(crate) fn set_lock(&mut self, revision: Revision, lock: Option<Rc<LockValue>>) {
        if revision > self.followed {
            self.lock.set(revision, lock);
        }
    }

    pub(crate) fn put_run(&mut self, id: &RunId, created: Revision, token: Revision, active: Rc<ActiveRun>) {
        // A record as old as what is known completely, and not known, was deleted since.
        let known = self.runs.get(id).map_or(self.complete, |run| run.token);
        if token > known {
            self.runs.insert(id.clone(), SeenRun { created, token, active: Some(active) });
        }
    }

    pub(crate) fn delete_run(&mut self, id: &RunId, revision: Revision) {
        let known = self.runs.get(id).map_or(self.complete, |run| run.token);
        if revision > known {
            let gone = SeenRun { created: Revision::NONE, token: revision, active: None };
            self.runs.insert(id.clone(), gone);
        }
        self.forget_gone();
    }

    fn forget_gone(&mut self) {
        let complete = self.complete;
        self.runs.retain(|_, run| run.active.is_some() || run.token > complete);
    }
}
