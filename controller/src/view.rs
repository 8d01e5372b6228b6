//! The tree, as it was last seen: of each job what the controller needs to know, and no more.

use std::collections::{BTreeMap, HashMap};

use model::job::Owner;
use model::keys::{Key, KeyPrefix};
use model::run::{Revision, RunId, Slot};
use model::values::{ActiveRun, Cursor, JobStatus, LockValue, RecentRun};
use model::{JobName, Lane, NodeName, UnixMillis};
use serde::Deserialize;
use store::{Change, KeyValue, protocol};

use crate::validate::hash;

/// Who writes a job's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Owned {
    /// Nobody, or there is no such key.
    #[default]
    Nobody,
    /// A resource or a manifest.
    By(Owner),
    /// Somebody this version does not know.
    Unknown,
}

/// A job's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobKey {
    /// Its mod revision, [`Revision::NONE`] where it does not exist.
    pub(crate) modified: Revision,
    /// Its create revision: its incarnation.
    created: Revision,
    /// Of its value, where it exists.
    pub(crate) hash: Option<u64>,
    pub(crate) owned: Owned,
    /// The revision as of which this is known.
    as_of: Revision,
}

/// A job's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Nobody holds it, or one of our runs: it can be reserved over this mod revision.
    Free(Revision),
    /// It is reserved.
    Reserved(Revision),
    /// A worker of the replaced system holds it.
    Foreign,
}

/// A claimed slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) node: String,
    pub(crate) slot: Slot,
    pub(crate) claimed: UnixMillis,
}

/// What a status of the tree says, as far as a resource's shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) last_schedule_time: Option<Slot>,
    pub(crate) last_successful_time: Option<UnixMillis>,
    pub(crate) last_failure_time: Option<UnixMillis>,
    pub(crate) last: Option<RecentRun>,
}

/// One name.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) job: JobKey,
    pub(crate) lock: Lock,
    lock_as_of: Revision,
    /// The cursor's slot, and the incarnation it is of.
    cursor: Option<(Slot, Revision)>,
    pub(crate) ended: Option<Box<Ended>>,
    pub(crate) runs: BTreeMap<RunId, Run>,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            job: JobKey::default(),
            lock: Lock::Free(Revision::NONE),
            lock_as_of: Revision::NONE,
            cursor: None,
            ended: None,
            runs: BTreeMap::new(),
        }
    }
}

impl Entry {
    /// The last slot that was decided, of the job as it is there now.
    pub(crate) fn decided(&self) -> Option<Slot> {
        self.cursor.filter(|(_, job)| *job == self.job.created).map(|(slot, _)| slot)
    }

    /// Nothing in the tree speaks of it.
    fn is_empty(&self) -> bool {
        self.job.hash.is_none()
            && self.lock == Lock::Free(Revision::NONE)
            && self.cursor.is_none()
            && self.ended.is_none()
            && self.runs.is_empty()
    }
}

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subject {
    Job(JobName),
    Node(NodeName),
}

/// The whole tree.
#[derive(Clone, Debug)]
pub(crate) struct View {
    prefix: KeyPrefix,
    entries: HashMap<JobName, Entry>,
    /// The values of `nodes/`, with their mod revisions.
    pub(crate) nodes: HashMap<NodeName, (Revision, Vec<u8>)>,
}

impl View {
    pub(crate) fn new(prefix: KeyPrefix) -> Self {
        Self { prefix, entries: HashMap::new(), nodes: HashMap::new() }
    }

    /// What is known of a name.
    pub(crate) fn get(&self, job: &JobName) -> Option<&Entry> {
        self.entries.get(job)
    }

    /// Every name of which the tree has anything.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = &JobName> {
        self.entries.keys()
    }

    /// Takes a change in, and says what it is about. Keys that are none of ours are passed over.
    pub(crate) fn change(&mut self, change: &Change) -> Option<Subject> {
        match change {
            Change::Put(pair) => self.put(pair),
            Change::Deleted { key, revision } => self.deleted(key, *revision),
        }
    }

    /// Takes in a key that exists.
    pub(crate) fn put(&mut self, pair: &KeyValue) -> Option<Subject> {
        Some(match self.prefix.decode(&pair.key).ok()? {
            Key::Job(name) => {
                let job = JobKey {
                    modified: pair.modified,
                    created: pair.created,
                    hash: Some(hash(&pair.value)),
                    owned: owner(&pair.value),
                    as_of: pair.modified,
                };
                self.set_job(name, job)
            }
            Key::Lock(name) => {
                let lock = match LockValue::from_bytes(&pair.value) {
                    LockValue::Reserved => Lock::Reserved(pair.modified),
                    LockValue::Held { .. } => Lock::Free(pair.modified),
                    LockValue::Foreign => Lock::Foreign,
                };
                self.set_lock(name, lock, pair.modified)
            }
            Key::Cursor(Lane { job: name, node: None }) => {
                let cursor = protocol::read::<Cursor>(pair).ok()?;
                self.with(name, |entry| entry.cursor = Some((cursor.slot, cursor.job)))
            }
            Key::Status(Lane { job: name, node: None }) => {
                let JobStatus {
                    last_schedule_time, last_successful_time, last_failure_time, mut recent, ..
                } = protocol::read(pair).ok()?;
                let last = recent.pop();
                let ended = Ended { last_schedule_time, last_successful_time, last_failure_time, last };
                self.with(name, |entry| entry.ended = Some(Box::new(ended)))
            }
            Key::Run(Lane { job: name, .. }, id) => {
                let ActiveRun { node, slot, claimed, waiting, .. } = protocol::read(pair).ok()?;
                self.with(name, |entry| match waiting {
                    None => drop(entry.runs.insert(id, Run { node, slot, claimed })),
                    // Nobody executes it.
                    Some(_) => drop(entry.runs.remove(&id)),
                })
            }
            Key::Node(name) => {
                self.nodes.insert(name.clone(), (pair.modified, pair.value.clone()));
                Subject::Node(name)
            }
            _ => return None,
        })
    }

    /// Takes in that a key does not exist as of a revision.
    pub(crate) fn deleted(&mut self, key: &str, revision: Revision) -> Option<Subject> {
        Some(match self.prefix.decode(key).ok()? {
            Key::Job(name) => self.set_job(name, JobKey { as_of: revision, ..JobKey::default() }),
            Key::Lock(name) => self.set_lock(name, Lock::Free(Revision::NONE), revision),
            Key::Cursor(Lane { job: name, node: None }) => self.with(name, |entry| entry.cursor = None),
            Key::Status(Lane { job: name, node: None }) => self.with(name, |entry| entry.ended = None),
            Key::Run(Lane { job: name, .. }, id) => self.with(name, |entry| drop(entry.runs.remove(&id))),
            Key::Node(name) => {
                self.nodes.remove(&name);
                Subject::Node(name)
            }
            _ => return None,
        })
    }

    /// Lets go of a name of which the tree has nothing. Not while a transaction about it is under way: its reply may be
    /// older than what is known.
    pub(crate) fn forget_if_empty(&mut self, name: &JobName) {
        if self.entries.get(name).is_some_and(Entry::is_empty) {
            self.entries.remove(name);
        }
    }

    /// Takes in what a transaction of ours left: a value, or nothing.
    pub(crate) fn wrote_job(&mut self, name: &JobName, value: Option<&[u8]>, revision: Revision) {
        let there = self.get(name).map(|entry| &entry.job).filter(|job| job.hash.is_some());
        let job = match value {
            Some(value) => JobKey {
                modified: revision,
                created: there.map_or(revision, |job| job.created),
                hash: Some(hash(value)),
                owned: owner(value),
                as_of: revision,
            },
            None => JobKey { as_of: revision, ..JobKey::default() },
        };
        self.set_job(name.clone(), job);
    }

    /// Takes in that a transaction of ours has reserved a lock.
    pub(crate) fn reserved(&mut self, name: &JobName, revision: Revision) {
        self.set_lock(name.clone(), Lock::Reserved(revision), revision);
    }

    /// Replies and changes come in any order: the newer one counts.
    fn set_job(&mut self, name: JobName, job: JobKey) -> Subject {
        self.with(name, |entry| {
            if job.as_of > entry.job.as_of {
                entry.job = job;
            }
        })
    }

    fn set_lock(&mut self, name: JobName, lock: Lock, as_of: Revision) -> Subject {
        self.with(name, |entry| {
            if as_of > entry.lock_as_of {
                entry.lock = lock;
                entry.lock_as_of = as_of;
            }
        })
    }

    fn with(&mut self, name: JobName, change: impl FnOnce(&mut Entry)) -> Subject {
        change(self.entries.entry(name.clone()).or_default());
        Subject::Job(name)
    }
}

/// The owner alone, whatever else a value holds. A value that can't be read was put by hand.
fn owner(value: &[u8]) -> Owned {
    #[derive(Deserialize)]
    struct Value {
        #[serde(default)]
        owner: Option<serde_json::Value>,
    }
    let Some(owner) = serde_json::from_slice::<Value>(value).ok().and_then(|value| value.owner) else {
        return Owned::Nobody;
    };
    serde_json::from_value(owner).map_or(Owned::Unknown, Owned::By)
}
