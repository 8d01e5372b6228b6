//! What a worker knows of the tree.
//!
//! The view is built from what the worker follows and from the replies to its own transactions, which come earlier. So
//! everything is kept with its revision, and news older than what is known is dropped. Work per change is that of one
//! job: nothing here walks all of them.

mod entry;
mod peers;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use model::keys::{Key, KeyError, KeyPrefix};
use model::legacy::JobValue;
use model::run::{Revision, RunId, SessionId};
use model::schedule::TimeZone;
use model::values::{ActiveRun, LockValue, WorkerInfo};
use model::{JobName, UnixMillis};
use store::protocol;
use store::{Change, KeyValue};

use crate::now;

pub(crate) use entry::{Definition, Entry, ForeignRun, Holder};
pub(crate) use peers::Peers;

/// Something in the tree that can't be used. It is reported once for each revision, and nothing else is affected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The key as it is in the tree.
    pub key: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// What a change means for the worker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing that it did not know.
    None,
    /// A job must be looked at again.
    Job(JobName),
    /// Runs of a job that were claimed before this revision are to be ended.
    Kill(JobName, Revision),
    /// A worker of ours registered, or takes jobs again, or takes none any more.
    Workers(SessionId),
    /// A worker's registration ended.
    WorkerGone(SessionId),
    /// A key or value that can't be used; the job of that name, if any, must be looked at again.
    Malformed(Option<JobName>, Malformed),
}

/// Everything a worker knows.
#[derive(Debug)]
pub(crate) struct View {
    prefix: KeyPrefix,
    session: SessionId,
    zone: TimeZone,
    /// Boxed, so that the table's spare places are small.
    entries: HashMap<JobName, Box<Entry>>,
    pub(crate) peers: Peers,
}

impl View {
    pub(crate) fn new(prefix: KeyPrefix, session: SessionId, zone: TimeZone) -> Self {
        let peers = Peers::new(session.clone());
        Self { prefix, session, zone, entries: HashMap::new(), peers }
    }

    /// This worker has a new session. Runs of the former one are somebody else's from now on.
    pub(crate) fn rename(&mut self, session: SessionId) {
        self.peers.rename(session.clone());
        self.session = session;
    }

    pub(crate) fn entry(&mut self, name: &JobName) -> &mut Entry {
        self.entries.entry(name.clone()).or_default()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &JobName> {
        self.entries.keys()
    }

    /// How many jobs there are.
    pub(crate) fn jobs(&self) -> usize {
        self.entries.values().filter(|entry| !entry.is_deleted()).count()
    }

    /// The runs of a job whose sessions have ended.
    pub(crate) fn orphans(&self, name: &JobName) -> Vec<(RunId, Revision, ActiveRun)> {
        let runs = self.entries.get(name).into_iter().flat_map(|entry| &entry.foreign);
        runs.filter_map(|foreign| Some((foreign.run.clone(), foreign.token, foreign.active.clone()?)))
            .filter(|(_, _, active)| !self.peers.contains(&active.session))
            .collect()
    }

    /// Forgets a job of which nothing is left.
    pub(crate) fn forget_if_gone(&mut self, name: &JobName) {
        if self.entries.get(name).is_some_and(|entry| entry.is_gone()) {
            self.entries.remove(name);
        }
    }

    pub(crate) fn apply(&mut self, change: Change) -> News {
        match change {
            Change::Put(pair) => self.take(&pair, Some(now())),
            Change::Deleted { key, revision } => self.deleted(&key, revision),
        }
    }

    /// Takes in what a refused transaction found about one job: what it did not find does not exist at `revision`.
    pub(crate) fn refresh(
        &mut self,
        name: &JobName,
        found: &[KeyValue],
        revision: Revision,
    ) -> Vec<Malformed> {
        let (mut job, mut cursor, mut status, mut lock, mut runs) = (false, false, false, false, Vec::new());
        let mut malformed = Vec::new();
        for pair in found {
            match self.prefix.decode(&pair.key) {
                Ok(Key::Job(_)) => job = true,
                Ok(Key::Cursor(_)) => cursor = true,
                Ok(Key::Status(_)) => status = true,
                Ok(Key::Lock(_)) => lock = true,
                Ok(Key::Run(_, run)) => runs.push(run),
                _ => {}
            }
            if let News::Malformed(_, what) = self.put(pair) {
                malformed.push(what);
            }
        }
        let entry = self.entry(name);
        if !job {
            entry.set_definition(revision, None);
        }
        if !cursor {
            entry.set_cursor(revision, None);
        }
        if !status {
            entry.status.set(revision, None);
        }
        if !lock {
            entry.lock.set(revision, Holder::Nobody);
        }
        entry.foreign.retain(|foreign| foreign.token > revision || runs.contains(&foreign.run));
        entry.runs_as_of = entry.runs_as_of.max(revision);
        malformed
    }

    /// Takes in a key that was found.
    pub(crate) fn put(&mut self, pair: &KeyValue) -> News {
        self.take(pair, None)
    }

    /// `heard` is our clock, if the key was put just now.
    fn take(&mut self, pair: &KeyValue, heard: Option<UnixMillis>) -> News {
        let key = match self.prefix.decode(&pair.key) {
            Ok(key) => key,
            // Keys of newer versions and of others are not our business; a job with a name nobody can use is.
            Err(KeyError::Unknown) => return News::None,
            Err(KeyError::Name(why)) => {
                let what = Malformed { key: pair.key.clone(), message: why.to_string() };
                return News::Malformed(None, what);
            }
        };
        let unreadable = |name: JobName, why: &serde_json::Error| {
            let message = format!(
                "the value can't be read ({why}); if a newer version wrote it, update this one, otherwise delete the key"
            );
            News::Malformed(Some(name), Malformed { key: pair.key.clone(), message })
        };
        let revision = pair.modified;
        match key {
            Key::Job(name) => self.put_job(name, pair),
            Key::Cursor(name) => {
                let entry = self.entry(&name);
                match protocol::read(pair) {
                    Ok(cursor) => {
                        if entry.set_cursor(revision, Some(cursor)) {
                            News::Job(name)
                        } else {
                            News::None
                        }
                    }
                    Err(why) => {
                        if entry.cursor.set_unreadable(revision) {
                            unreadable(name, &why)
                        } else {
                            News::None
                        }
                    }
                }
            }
            Key::Status(name) => {
                let entry = self.entry(&name);
                match protocol::read(pair) {
                    // Nothing is decided by a status.
                    Ok(status) => {
                        entry.status.set(revision, Some(Box::new(status)));
                        News::None
                    }
                    Err(why) => {
                        if entry.status.set_unreadable(revision) {
                            unreadable(name, &why)
                        } else {
                            News::None
                        }
                    }
                }
            }
            Key::Run(name, run) => {
                let active = protocol::read::<ActiveRun>(pair);
                let mine = active.as_ref().is_ok_and(|active| active.session == self.session);
                let entry = self.entry(&name);
                // Runs of this session are known from the replies to its claims.
                if mine {
                    entry.foreign.retain(|foreign| foreign.run != run);
                    return News::None;
                }
                if revision <= entry.runs_as_of || entry.foreign.iter().any(|f| f.token == revision) {
                    return News::None;
                }
                entry.foreign.retain(|foreign| foreign.run != run);
                match active {
                    Ok(active) => {
                        entry.foreign.push(ForeignRun { run, token: revision, active: Some(active) });
                        News::Job(name)
                    }
                    Err(why) => {
                        entry.foreign.push(ForeignRun { run, token: revision, active: None });
                        unreadable(name, &why)
                    }
                }
            }
            Key::Kill(name) => {
                let entry = self.entry(&name);
                let news = revision > entry.kill;
                entry.kill = entry.kill.max(revision);
                if news { News::Kill(name, revision) } else { News::None }
            }
            Key::Lock(name) => {
                let holder = match LockValue::from_bytes(&pair.value) {
                    LockValue::Reserved => Holder::Reserved,
                    LockValue::Held { .. } | LockValue::Foreign => Holder::Somebody,
                };
                if self.entry(&name).lock.set(revision, holder) { News::Job(name) } else { News::None }
            }
            Key::Killer(name) => News::Kill(name, revision),
            Key::Worker(session) => {
                // Any other value is a worker of the replaced system.
                let Ok(info) = protocol::read::<WorkerInfo>(pair) else {
                    self.peers.put_other(session);
                    return News::None;
                };
                if self.peers.put(session.clone(), info, heard) { News::Workers(session) } else { News::None }
            }
            _ => News::None,
        }
    }

    fn put_job(&mut self, name: JobName, pair: &KeyValue) -> News {
        if pair.modified <= self.entry(&name).definition.revision {
            return News::None;
        }
        let job = JobValue::from_bytes(&pair.value).and_then(|value| value.into_job(name.clone(), self.zone));
        let (job, malformed) = match job {
            Ok(job) => (Some(Arc::new(job)), None),
            Err(why) => (None, Some(Malformed { key: pair.key.clone(), message: why.explain() })),
        };
        let definition = Definition { created: pair.created, job };
        self.entry(&name).set_definition(pair.modified, Some(definition));
        match malformed {
            Some(what) => News::Malformed(Some(name), what),
            None => News::Job(name),
        }
    }

    fn deleted(&mut self, key: &str, revision: Revision) -> News {
        let Ok(key) = self.prefix.decode(key) else { return News::None };
        let (name, news) = match key {
            Key::Job(name) => {
                let news = self.entry(&name).set_definition(revision, None);
                (name, news)
            }
            Key::Cursor(name) => {
                let news = self.entry(&name).set_cursor(revision, None);
                (name, news)
            }
            Key::Status(name) => {
                self.entry(&name).status.set(revision, None);
                (name, false)
            }
            Key::Run(name, run) => {
                let entry = self.entry(&name);
                let before = entry.foreign.len();
                entry.foreign.retain(|foreign| foreign.run != run || foreign.token > revision);
                let news = entry.foreign.len() < before;
                (name, news)
            }
            Key::Lock(name) => {
                let news = self.entry(&name).lock.set(revision, Holder::Nobody);
                (name, news)
            }
            Key::Worker(session) => {
                self.peers.remove(&session);
                return News::WorkerGone(session);
            }
            _ => return News::None,
        };
        self.forget_if_gone(&name);
        if news { News::Job(name) } else { News::None }
    }

    /// After a complete listing: what was not in it does not exist.
    pub(crate) fn retain(&mut self, listed: &HashSet<String>, revision: Revision) {
        let names: Vec<JobName> = self.entries.keys().cloned().collect();
        for name in names {
            let mut gone: Vec<String> = [Key::Job, Key::Cursor, Key::Status, Key::Lock]
                .map(|key| self.prefix.encode(&key(name.clone())))
                .into();
            let runs = self.entries[&name].foreign.iter();
            gone.extend(runs.map(|foreign| self.prefix.encode(&Key::Run(name.clone(), foreign.run.clone()))));
            for key in gone.into_iter().filter(|key| !listed.contains(key)) {
                // What it means, the caller finds by looking at every job.
                let _ = self.deleted(&key, revision);
            }
        }
    }

    /// As [`Self::retain`], for workers.
    pub(crate) fn retain_workers(&mut self, listed: &HashSet<String>) {
        let here =
            |session: &&SessionId| listed.contains(&self.prefix.encode(&Key::Worker((*session).clone())));
        let gone: Vec<SessionId> = self.peers.sessions().filter(|session| !here(session)).cloned().collect();
        for session in &gone {
            self.peers.remove(session);
        }
    }
}

#[cfg(test)]
mod tests;
