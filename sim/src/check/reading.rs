//! The changes of one revision, read and put in order by job.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::keys::{Key, KeyPrefix};
use model::legacy::JobValue;
use model::run::{Revision, RunId, SessionId};
use model::values::{ActiveRun, Cursor, JobStatus, LockValue, WorkerInfo, needs_of};
use model::{Job, JobName, Lane, TimeZone, UnixMillis, Words};
use serde::de::DeserializeOwned;
use store::{Change, KeyValue, protocol};

/// A value, if it can be read.
#[derive(Clone, Debug)]
pub(super) enum Read<T> {
    Value(T),
    Unreadable,
}

/// A job's key.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    pub(super) created: Revision,
    pub(super) modified: Revision,
    /// `None` where the value can't be used.
    pub(super) job: Option<Arc<Job>>,
    pub(super) needs: Words,
}

/// A run record that was put.
#[derive(Clone, Debug)]
pub(super) struct PutRun {
    pub(super) created: Revision,
    pub(super) token: Revision,
    pub(super) active: Read<ActiveRun>,
}

/// What one revision changes of one job. The inner `None` of each field means that the key was deleted.
#[derive(Clone, Debug, Default)]
#[expect(clippy::option_option, reason = "the outer one says whether there was a change")]
pub(super) struct Delta {
    /// That of the changes.
    pub(super) revision: Revision,
    pub(super) job: Option<Option<Definition>>,
    pub(super) cursor: Option<Option<(Revision, Read<Cursor>)>>,
    pub(super) status: Option<Option<Read<JobStatus>>>,
    pub(super) lock: Option<Option<LockValue>>,
    pub(super) kill: Option<Option<Revision>>,
    /// The replaced system's kill signal was put.
    pub(super) signal: bool,
    pub(super) runs: Vec<(RunId, Option<PutRun>)>,
    /// Runs in the job's lanes on nodes that were put (or deleted), by their keys.
    pub(super) foreign_runs: Vec<(String, bool)>,
}

/// What became of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Registration {
    /// It was put, and says what the worker's clock reads, and what it understands.
    Put(Option<UnixMillis>, Words),
    Ended,
}

/// What one revision changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Transaction {
    pub(super) jobs: BTreeMap<JobName, Delta>,
    /// Registrations.
    pub(super) sessions: Vec<(SessionId, Registration)>,
}

/// Reads the changes of one revision. Keys that are no business of workers are left out.
pub(super) fn read(prefix: &KeyPrefix, zone: TimeZone, changes: &[Change]) -> Transaction {
    let mut read = Transaction::default();
    for change in changes {
        let (text, put, revision) = match change {
            Change::Put(pair) => (&pair.key, Some(pair), pair.modified),
            Change::Deleted { key, revision } => (key, None, *revision),
        };
        let Ok(key) = prefix.decode(text) else { continue };
        let jobs = &mut read.jobs;
        match key {
            Key::Job(name) => {
                let definition = put.map(|pair| definition(&name, zone, pair));
                delta(jobs, name, revision).job = Some(definition);
            }
            Key::Cursor(Lane { job: name, node: None }) => {
                delta(jobs, name, revision).cursor = Some(put.map(|pair| (pair.modified, value(pair))));
            }
            Key::Status(Lane { job: name, node: None }) => {
                delta(jobs, name, revision).status = Some(put.map(value));
            }
            Key::Lock(name) => {
                delta(jobs, name, revision).lock = Some(put.map(|pair| LockValue::from_bytes(&pair.value)));
            }
            Key::Kill(name) => delta(jobs, name, revision).kill = Some(put.map(|pair| pair.modified)),
            Key::Run(Lane { job: name, node: None }, run) => {
                let put = put.map(|pair| PutRun {
                    created: pair.created,
                    token: pair.modified,
                    active: value(pair),
                });
                delta(jobs, name, revision).runs.push((run, put));
            }
            Key::Run(Lane { job: name, node: Some(_) }, _) => {
                delta(jobs, name, revision).foreign_runs.push((text.clone(), put.is_some()));
            }
            Key::Worker(session) => {
                let registration = put.map_or(Registration::Ended, |pair| {
                    let info = protocol::read::<WorkerInfo>(pair).ok();
                    info.map_or(Registration::Put(None, Words::default()), |info| {
                        Registration::Put(info.clock, info.features)
                    })
                });
                read.sessions.push((session, registration));
            }
            Key::Killer(name) => delta(jobs, name, revision).signal |= put.is_some(),
            _ => {}
        }
    }
    read
}

fn delta(jobs: &mut BTreeMap<JobName, Delta>, name: JobName, revision: Revision) -> &mut Delta {
    let delta = jobs.entry(name).or_default();
    delta.revision = revision;
    delta
}

fn definition(name: &JobName, zone: TimeZone, pair: &KeyValue) -> Definition {
    let needs = needs_of(&pair.value);
    let job = JobValue::read(&pair.value, &needs).and_then(|value| value.into_job(name.clone(), zone));
    Definition { created: pair.created, modified: pair.modified, job: job.ok().map(Arc::new), needs }
}

fn value<T: DeserializeOwned>(pair: &KeyValue) -> Read<T> {
    protocol::read(pair).map_or(Read::Unreadable, Read::Value)
}
