//! The mirror of the tree.
//!
//! It is built from what the worker follows and from the replies to its own transactions, which may come earlier or
//! later. So each key is kept with its revision, an absent one too, and news that is older than what is known is
//! dropped: the mirror only moves forward, key by key. Work per change is that of one job; nothing here walks all of
//! them, except after a listing.

mod entry;
mod listing;
mod peers;

use std::collections::HashMap;
use std::sync::Arc;

use model::keys::{Key, KeyError, KeyPrefix};
use model::legacy::{JobValue, ValueError};
use model::run::{Revision, RunId, SessionId};
use model::schedule::TimeZone;
use model::values::{ActiveRun, JobStatus, LockValue, WorkerInfo, needs_of};
use model::{JobName, UnixMillis, Words};
use store::protocol;
use store::{Change, KeyValue};

pub(super) use entry::{Definition, Entry, Holder, KnownRun, RunState};
pub(super) use peers::Peers;

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
pub(super) enum News {
    /// Nothing that it did not know.
    None,
    /// A job must be looked at again.
    Job(JobName),
    /// Runs of a job that were created before this revision are to be ended.
    Kill(JobName, Revision),
    /// A worker of ours registered, or takes jobs again, or takes none any more.
    Workers(SessionId),
    /// A worker's registration ended.
    WorkerGone(SessionId),
    /// A key or value that can't be used; the job of that name, if any, must be looked at again.
    Malformed(Option<JobName>, Malformed),
}

/// Where a key and its value come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// A listing or the reply to a transaction, as of this revision: it may be older than what is known.
    Answer(Revision),
    /// The followed changes, which come in their order; and what our wall clock reads.
    Change(UnixMillis),
}

/// Everything a worker knows of the tree.
#[derive(Debug)]
pub(super) struct View {
    prefix: KeyPrefix,
    zone: TimeZone,
    /// What this worker understands.
    features: Words,
    /// Boxed, so that the table's spare places are small.
    entries: HashMap<JobName, Box<Entry>>,
    pub(super) peers: Peers,
    /// Every key is known as of this revision.
    followed: Revision,
    /// The latest revision that anything told.
    latest: Revision,
    jobs: usize,
    /// See [`crate::core::Broken::OlderAnswerBelieved`].
    #[cfg(feature = "broken-rules")]
    pub(super) believes_older: bool,
    /// See [`crate::core::Broken::NeedsIgnored`].
    #[cfg(feature = "broken-rules")]
    pub(super) ignores_needs: bool,
}

impl View {
    pub(super) fn new(prefix: KeyPrefix, session: SessionId, zone: TimeZone, features: Words) -> Self {
        Self {
            prefix,
            zone,
            peers: Peers::new(session, features.clone()),
            features,
            entries: HashMap::new(),
            followed: Revision::NONE,
            latest: Revision::NONE,
            jobs: 0,
            #[cfg(feature = "broken-rules")]
            believes_older: false,
            #[cfg(feature = "broken-rules")]
            ignores_needs: false,
        }
    }

    pub(super) fn prefix(&self) -> &KeyPrefix {
        &self.prefix
    }

    pub(super) fn entry(&mut self, name: &JobName) -> &mut Entry {
        self.entries.entry(name.clone()).or_default()
    }

    pub(super) fn get(&self, name: &JobName) -> Option<&Entry> {
        self.entries.get(name).map(|entry| &**entry)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &JobName> {
        self.entries.keys()
    }

    /// How many jobs there are.
    pub(super) fn jobs(&self) -> usize {
        self.jobs
    }

    /// Every key is known as of this revision, from what is followed.
    pub(super) fn followed(&self) -> Revision {
        self.followed
    }

    /// The latest revision that anything told. A request that is sent now is answered at this revision or a later one.
    pub(super) fn latest(&self) -> Revision {
        self.latest
    }

    /// All changes up to `revision` have come.
    pub(super) fn follow_to(&mut self, revision: Revision) {
        self.followed = self.followed.max(revision);
        self.heard_of(revision);
    }

    /// Something told this revision.
    pub(super) fn heard_of(&mut self, revision: Revision) {
        self.latest = self.latest.max(revision);
    }

    /// The revision as of which an unknown key does not exist.
    fn floor(&self) -> Revision {
        #[cfg(feature = "broken-rules")]
        if self.believes_older {
            return Revision::NONE;
        }
        self.followed
    }

    /// The sessions that run records name, each as often as it is named.
    pub(super) fn sessions_of_runs(&self) -> impl Iterator<Item = &SessionId> {
        let runs = self.entries.values().flat_map(|entry| entry.runs());
        runs.filter_map(|run| run.active().map(|active| &active.session))
    }

    /// What a deleted job left was removed at this revision, by this worker: all but a lock that was not the reserved one.
    pub(super) fn removed(&mut self, name: &JobName, lock: Revision, revision: Revision) {
        let floor = self.floor();
        self.define(name, revision, None);
        let entry = self.entry(name);
        entry.set_cursor(revision, None);
        entry.status.set(revision, None);
        entry.kill.set(revision, false);
        entry.retain_runs(&[], revision, floor);
        if lock != Revision::NONE {
            entry.lock.freed(lock, revision);
        }
    }

    /// Forgets a job of which nothing is left and of which nothing older can be told any more.
    pub(super) fn forget_if_gone(&mut self, name: &JobName) {
        self.forget_if_gone_as_of(name, self.followed);
    }

    fn forget_if_gone_as_of(&mut self, name: &JobName, revision: Revision) {
        let gone = |entry: &Entry| entry.is_gone() && entry.latest() <= revision;
        if self.entries.get(name).is_some_and(|entry| gone(entry)) {
            self.entries.remove(name);
        }
    }

    /// Takes in a change that was followed.
    pub(super) fn apply(&mut self, change: Change, now: UnixMillis) -> News {
        match change {
            Change::Put(pair) => self.take(&pair, Source::Change(now)),
            Change::Deleted { key, revision } => self.deleted(&key, revision),
        }
    }

    /// Takes in a key that was found as of a revision.
    pub(super) fn put(&mut self, pair: &KeyValue, as_of: Revision) -> News {
        self.take(pair, Source::Answer(as_of))
    }

    /// Takes in what a refused transaction found about one job: what it did not find does not exist at `revision`.
    pub(super) fn refresh(&mut self, name: &JobName, found: &[KeyValue], revision: Revision) -> Vec<News> {
        let (mut job, mut cursor, mut status, mut lock, mut kill) = (false, false, false, false, false);
        let (mut runs, mut news) = (Vec::new(), Vec::new());
        for pair in found {
            match self.prefix.decode(&pair.key) {
                Ok(Key::Job(_)) => job = true,
                Ok(Key::Cursor(_)) => cursor = true,
                Ok(Key::Status(_)) => status = true,
                Ok(Key::Lock(_)) => lock = true,
                Ok(Key::Kill(_)) => kill = true,
                Ok(Key::Run(_, run)) => runs.push(run),
                _ => {}
            }
            news.push(self.put(pair, revision));
        }
        let floor = self.floor();
        if !job {
            self.define(name, revision, None);
        }
        let entry = self.entry(name);
        if !cursor {
            entry.set_cursor(revision, None);
        }
        if !status {
            entry.status.set(revision, None);
        }
        if !lock {
            entry.lock.set(revision, Holder::Nobody);
        }
        if !kill {
            entry.kill.set(revision, false);
        }
        entry.retain_runs(&runs, revision, floor);
        news
    }

    /// A run record of ours was put by this worker's own transaction.
    pub(super) fn put_run(
        &mut self,
        name: &JobName,
        run: &RunId,
        created: Revision,
        token: Revision,
        active: ActiveRun,
    ) {
        let known = KnownRun { run: run.clone(), created, token, state: RunState::Active(Box::new(active)) };
        let floor = self.floor();
        self.entry(name).put_run(known, token, floor);
    }

    /// A run record was deleted by this worker's own transaction, or not found.
    pub(super) fn delete_run(&mut self, name: &JobName, run: &RunId, revision: Revision) {
        let floor = self.floor();
        self.entry(name).delete_run(run, revision, floor);
    }

    /// A status that this worker wrote or found.
    pub(super) fn set_status(&mut self, name: &JobName, revision: Revision, status: Option<Box<JobStatus>>) {
        self.entry(name).status.set(revision, status);
    }

    fn define(&mut self, name: &JobName, revision: Revision, definition: Option<Definition>) -> bool {
        let entry = self.entry(name);
        let before = usize::from(!entry.is_deleted());
        let news = entry.set_definition(revision, definition);
        let after = usize::from(!entry.is_deleted());
        self.jobs = self.jobs + after - before;
        news
    }

    fn take(&mut self, pair: &KeyValue, source: Source) -> News {
        let key = match self.prefix.decode(&pair.key) {
            Ok(key) => key,
            // Keys of newer versions and of others are not our business; a job with a name nobody can use is.
            Err(KeyError::Unknown) => return News::None,
            Err(KeyError::Name(why)) => {
                let what = Malformed { key: pair.key.clone(), message: why.to_string() };
                return News::Malformed(None, what);
            }
        };
        let revision = pair.modified;
        let floor = match source {
            Source::Answer(as_of) if as_of < self.floor() => self.floor(),
            Source::Answer(_) | Source::Change(_) => Revision::NONE,
        };
        let as_of = match source {
            #[cfg(feature = "broken-rules")]
            Source::Answer(_) if self.believes_older => Revision(i64::MAX),
            Source::Answer(as_of) => as_of,
            Source::Change(_) => revision,
        };
        if let Key::Job(name) | Key::Cursor(name) | Key::Status(name) | Key::Lock(name) = &key
            && revision <= floor
            && !self.entries.contains_key(name)
        {
            // All that existed then is known, so it was deleted since.
            return News::None;
        }
        match key {
            Key::Job(name) => self.put_job(name, pair),
            Key::Cursor(name) => match protocol::read(pair) {
                Ok(cursor) => job_if(self.entry(&name).set_cursor(revision, Some(cursor)), name),
                Err(why) => unreadable(self.entry(&name).cursor.set_unreadable(revision), name, pair, &why),
            },
            Key::Status(name) => match protocol::read(pair) {
                // Nothing is decided by a status.
                Ok(status) => {
                    self.entry(&name).status.set(revision, Some(Box::new(status)));
                    News::None
                }
                Err(why) => unreadable(self.entry(&name).status.set_unreadable(revision), name, pair, &why),
            },
            Key::Run(name, run) => {
                let (state, why) = read_run(pair, &self.features);
                let known = KnownRun { run, created: pair.created, token: revision, state };
                let news = self.entry(&name).put_run(known, as_of, floor);
                match why {
                    None => job_if(news, name),
                    Some(why) => unreadable(news, name, pair, &why),
                }
            }
            Key::Kill(name) => {
                let news = self.entry(&name).kill.set(revision, true);
                if news { News::Kill(name, revision) } else { News::None }
            }
            Key::Lock(name) => {
                let holder = match LockValue::from_bytes(&pair.value) {
                    LockValue::Reserved => Holder::Reserved,
                    LockValue::Held { .. } | LockValue::Foreign => Holder::Somebody,
                };
                job_if(self.entry(&name).lock.set(revision, holder), name)
            }
            Key::Killer(name) => {
                if let Some(entry) = self.entries.get_mut(&name) {
                    entry.kill.signal(revision);
                }
                News::Kill(name, revision)
            }
            Key::Worker(session) => {
                // Any other value is a worker of the replaced system.
                let Ok(info) = protocol::read::<WorkerInfo>(pair) else {
                    self.peers.put_other(session);
                    return News::None;
                };
                let heard = match source {
                    Source::Change(now) => Some(now),
                    Source::Answer(_) => None,
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
        #[cfg(feature = "broken-rules")]
        let all = self.ignores_needs.then(|| needs_of(&pair.value));
        #[cfg(not(feature = "broken-rules"))]
        let all: Option<Words> = None;
        let value = JobValue::read(&pair.value, all.as_ref().unwrap_or(&self.features));
        let needs = match &value {
            Ok(value) => value.needs.clone(),
            Err(ValueError::Needs { needs, .. }) => needs.clone(),
            Err(_) => Words::default(),
        };
        let (job, malformed) = match value.and_then(|value| value.into_job(name.clone(), self.zone)) {
            Ok(job) => (Some(Arc::new(job)), None),
            // It is for others.
            Err(ValueError::Needs { .. }) => (None, None),
            Err(why) => (None, Some(Malformed { key: pair.key.clone(), message: why.explain() })),
        };
        let definition = Definition { created: pair.created, job, needs };
        self.define(&name, pair.modified, Some(definition));
        match malformed {
            Some(what) => News::Malformed(Some(name), what),
            None => News::Job(name),
        }
    }

    fn deleted(&mut self, key: &str, revision: Revision) -> News {
        let Ok(key) = self.prefix.decode(key) else { return News::None };
        // Whatever is told after this is newer.
        let floor = revision;
        let (name, news) = match key {
            Key::Job(name) => {
                let news = self.define(&name, revision, None);
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
                let news = self.entry(&name).delete_run(&run, revision, floor);
                (name, news)
            }
            Key::Lock(name) => {
                let news = self.entry(&name).lock.set(revision, Holder::Nobody);
                (name, news)
            }
            Key::Kill(name) => {
                self.entry(&name).kill.set(revision, false);
                (name, false)
            }
            Key::Worker(session) => {
                self.peers.remove(&session);
                return News::WorkerGone(session);
            }
            _ => return News::None,
        };
        self.forget_if_gone_as_of(&name, self.followed.max(revision));
        if news { News::Job(name) } else { News::None }
    }
}

/// What a run record says to a worker with these features; and why it can't be read, if it should be.
fn read_run(pair: &KeyValue, features: &Words) -> (RunState, Option<serde_json::Error>) {
    match protocol::read::<ActiveRun>(pair) {
        Ok(active) if features.hold(&active.needs) => (RunState::Active(Box::new(active)), None),
        Ok(active) => (RunState::Beyond(active.needs), None),
        Err(why) => match needs_of(&pair.value) {
            needs if features.hold(&needs) => (RunState::Unreadable, Some(why)),
            needs => (RunState::Beyond(needs), None),
        },
    }
}

fn job_if(news: bool, name: JobName) -> News {
    if news { News::Job(name) } else { News::None }
}

fn unreadable(news: bool, name: JobName, pair: &KeyValue, why: &serde_json::Error) -> News {
    if !news {
        return News::None;
    }
    let message = format!(
        "the value can't be read ({why}); if a newer version wrote it, update this one, otherwise delete the key"
    );
    News::Malformed(Some(name), Malformed { key: pair.key.clone(), message })
}

#[cfg(test)]
mod tests;
