//! The mirror of the tree.
//!
//! It is built from what the worker follows and from the replies to its own transactions, which may come earlier or
//! later. So each key is kept with its revision, an absent one too, and news that is older than what is known is
//! dropped: the mirror only moves forward, key by key. Work per change is that of one job; nothing here walks all of
//! them, except after a listing.

mod entry;
mod job;
mod lane;
mod listing;
mod peers;

use std::collections::HashMap;
use std::sync::Arc;

use model::keys::{Key, KeyError, KeyPrefix};
use model::legacy::{JobValue, ValueError};
use model::run::{Revision, RunId, SessionId};
use model::schedule::TimeZone;
use model::values::{ActiveRun, Cursor, JobStatus, LockValue, NotClaiming, WorkerInfo, needs_of};
use model::{JobName, Lane, NodeName, UnixMillis, Words};
use store::protocol;
use store::{Change, KeyValue};

pub(super) use entry::Entry;
pub(super) use job::Holder;
use job::{Definition, KnownJob};
use lane::KnownLane;
pub(super) use lane::{KnownRun, RunState};
use peers::PeerChange;
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
    /// The lanes of a job must be looked at again.
    Job(JobName),
    /// Runs of a job that were created before this revision are to be ended.
    Kill(JobName, Revision),
    /// A worker of ours registered, or understands other things than before.
    Workers(SessionId),
    /// A worker of ours takes jobs again, or takes none any more; before it said this.
    Claiming(SessionId, Option<NotClaiming>),
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
    known: HashMap<JobName, Box<KnownJob>>,
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
            known: HashMap::new(),
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

    pub(super) fn job(&mut self, name: &JobName) -> &mut KnownJob {
        self.known.entry(name.clone()).or_default()
    }

    pub(super) fn lane(&mut self, lane: &Lane) -> &mut KnownLane {
        self.job(&lane.job).lane_mut(lane.node.as_ref())
    }

    /// A lane with its job, if either is known.
    pub(super) fn get(&self, lane: &Lane) -> Option<Entry<'_>> {
        let of_job = &**self.known.get(&lane.job)?;
        let of_lane = of_job.lane(lane.node.as_ref())?;
        Some(Entry { of_job, lane: of_lane, is_any: lane.node.is_none() })
    }

    /// The incarnation of a job, [`Revision::NONE`] while there is none.
    pub(super) fn incarnation(&self, name: &JobName) -> Revision {
        self.known.get(name).map_or(Revision::NONE, |job| job.created())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &JobName> {
        self.known.keys()
    }

    /// The lanes of a job of which anything is known.
    pub(super) fn lanes_of(&self, name: &JobName) -> Vec<Lane> {
        let lanes = self.known.get(name).into_iter().flat_map(|job| job.lanes());
        lanes.map(|(node, _)| Lane { job: name.clone(), node: node.cloned() }).collect()
    }

    /// All lanes of which anything is known.
    pub(super) fn lanes(&self) -> impl Iterator<Item = Lane> {
        self.known.keys().flat_map(|name| self.lanes_of(name))
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
        let lanes = self.known.values().flat_map(|job| job.lanes());
        let runs = lanes.flat_map(|(_, lane)| lane.runs());
        runs.filter_map(|run| run.active().map(|active| &active.session))
    }

    /// What a deleted job left in a lane was removed at this revision, by this worker: all but a lock that was not the
    /// reserved one.
    pub(super) fn removed(&mut self, lane: &Lane, lock: Revision, revision: Revision) {
        let floor = self.floor();
        self.define(&lane.job, revision, None);
        let of_lane = self.lane(lane);
        of_lane.cursor.set(revision, None);
        of_lane.status.set(revision, None);
        of_lane.retain_runs(&[], revision, floor);
        if lane.node.is_none() {
            let job = self.job(&lane.job);
            job.kill.set(revision, false);
            if lock != Revision::NONE {
                job.lock.freed(lock, revision);
            }
        }
    }

    /// Forgets a job of which nothing is left and of which nothing older can be told any more.
    pub(super) fn forget_if_gone(&mut self, name: &JobName) {
        self.forget_if_gone_as_of(name, self.followed);
    }

    fn forget_if_gone_as_of(&mut self, name: &JobName, revision: Revision) {
        let gone = |job: &KnownJob| job.is_gone() && job.latest() <= revision;
        if self.known.get(name).is_some_and(|job| gone(job)) {
            self.known.remove(name);
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

    /// Takes in what a refused transaction found about one lane: what it did not find does not exist at `revision`.
    pub(super) fn refresh(&mut self, lane: &Lane, found: &[KeyValue], revision: Revision) -> Vec<News> {
        let (mut job, mut cursor, mut status, mut has_lock, mut kill) = (false, false, false, false, false);
        let (mut runs, mut news): (Vec<(Option<NodeName>, RunId)>, _) = (Vec::new(), Vec::new());
        for pair in found {
            match self.prefix.decode(&pair.key) {
                Ok(Key::Job(_)) => job = true,
                Ok(Key::Cursor(_)) => cursor = true,
                Ok(Key::Status(_)) => status = true,
                Ok(Key::Lock(_)) => has_lock = true,
                Ok(Key::Kill(_)) => kill = true,
                Ok(Key::Run(lane, run)) => runs.push((lane.node, run)),
                _ => {}
            }
            news.push(self.put(pair, revision));
        }
        let floor = self.floor();
        if !job {
            self.define(&lane.job, revision, None);
        }
        let of_lane = self.lane(lane);
        if !cursor {
            of_lane.cursor.set(revision, None);
        }
        if !status {
            of_lane.status.set(revision, None);
        }
        let of_job = self.job(&lane.job);
        if !has_lock {
            of_job.lock.set(revision, Holder::Nobody);
        }
        if !kill {
            of_job.kill.set(revision, false);
        }
        for (node, known) in of_job.lanes_mut() {
            let found = runs.iter().filter(|(on, _)| on.as_ref() == node).map(|(_, run)| run.clone());
            known.retain_runs(&found.collect::<Vec<_>>(), revision, floor);
        }
        news
    }

    /// A run record of ours was put by this worker's own transaction.
    pub(super) fn put_run(
        &mut self,
        lane: &Lane,
        run: &RunId,
        created: Revision,
        token: Revision,
        active: ActiveRun,
    ) {
        let known = KnownRun { run: run.clone(), created, token, state: RunState::Active(Box::new(active)) };
        let floor = self.floor();
        self.lane(lane).put_run(known, token, floor);
    }

    /// A run record was deleted by this worker's own transaction, or not found.
    pub(super) fn delete_run(&mut self, lane: &Lane, run: &RunId, revision: Revision) {
        let floor = self.floor();
        self.lane(lane).delete_run(run, revision, floor);
    }

    /// A status that this worker wrote or found.
    pub(super) fn set_status(&mut self, lane: &Lane, revision: Revision, status: Option<Box<JobStatus>>) {
        self.lane(lane).status.set(revision, status);
    }

    /// A cursor that this worker wrote or found. Returns whether it was news.
    pub(super) fn set_cursor(&mut self, lane: &Lane, revision: Revision, cursor: Option<Cursor>) -> bool {
        self.job(&lane.job).set_cursor(lane.node.as_ref(), revision, cursor)
    }

    fn define(&mut self, name: &JobName, revision: Revision, definition: Option<Definition>) -> bool {
        let job = self.job(name);
        let before = usize::from(!job.is_deleted());
        let news = job.set_definition(revision, definition);
        let after = usize::from(!job.is_deleted());
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
        if let Key::Job(job) | Key::Cursor(Lane { job, .. }) | Key::Status(Lane { job, .. }) | Key::Lock(job) =
            &key
            && revision <= floor
            && !self.known.contains_key(job)
        {
            // All that existed then is known, so it was deleted since.
            return News::None;
        }
        match key {
            Key::Job(name) => self.put_job(name, pair),
            Key::Cursor(lane) => match protocol::read(pair) {
                Ok(cursor) => job_if(self.set_cursor(&lane, revision, Some(cursor)), lane.job),
                Err(why) => {
                    unreadable(self.lane(&lane).cursor.set_unreadable(revision), lane.job, pair, &why)
                }
            },
            Key::Status(lane) => match protocol::read(pair) {
                // Nothing is decided by a status.
                Ok(status) => {
                    self.set_status(&lane, revision, Some(Box::new(status)));
                    News::None
                }
                Err(why) => {
                    unreadable(self.lane(&lane).status.set_unreadable(revision), lane.job, pair, &why)
                }
            },
            Key::Run(lane, run) => {
                let (state, why) = read_run(pair, &self.features);
                let known = KnownRun { run, created: pair.created, token: revision, state };
                let news = self.lane(&lane).put_run(known, as_of, floor);
                match why {
                    None => job_if(news, lane.job),
                    Some(why) => unreadable(news, lane.job, pair, &why),
                }
            }
            Key::Kill(name) => {
                let news = self.job(&name).kill.set(revision, true);
                if news { News::Kill(name, revision) } else { News::None }
            }
            Key::Lock(name) => {
                let holder = match LockValue::from_bytes(&pair.value) {
                    LockValue::Reserved => Holder::Reserved,
                    LockValue::Held { .. } | LockValue::Foreign => Holder::Somebody,
                };
                job_if(self.job(&name).lock.set(revision, holder), name)
            }
            Key::Killer(name) => {
                if let Some(job) = self.known.get_mut(&name) {
                    job.kill.signal(revision);
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
                match self.peers.put(session.clone(), info, heard) {
                    PeerChange::None => News::None,
                    PeerChange::Claiming { before } => News::Claiming(session, before),
                    PeerChange::Whole => News::Workers(session),
                }
            }
            _ => News::None,
        }
    }

    fn put_job(&mut self, name: JobName, pair: &KeyValue) -> News {
        if pair.modified <= self.job(&name).definition.revision {
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
            Key::Cursor(lane) => {
                let news = self.set_cursor(&lane, revision, None);
                (lane.job, news)
            }
            Key::Status(lane) => {
                self.set_status(&lane, revision, None);
                (lane.job, false)
            }
            Key::Run(lane, run) => {
                let news = self.lane(&lane).delete_run(&run, revision, floor);
                (lane.job, news)
            }
            Key::Lock(name) => {
                let news = self.job(&name).lock.set(revision, Holder::Nobody);
                (name, news)
            }
            Key::Kill(name) => {
                self.job(&name).kill.set(revision, false);
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
