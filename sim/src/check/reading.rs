//! The changes of one revision, read and put in order by job.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::keys::{Key, KeyPrefix};
use model::legacy::JobValue;
use model::run::{Revision, RunId, SessionId};
use model::values::{ActiveRun, Cursor, JobStatus, LockValue};
use model::{Job, JobName, TimeZone};
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
pub(super) struct Delta {
    pub(super) job: Option<Option<Definition>>,
    pub(super) cursor: Option<Option<(Revision, Read<Cursor>)>>,
    pub(super) status: Option<Option<Read<JobStatus>>>,
    pub(super) lock: Option<Option<LockValue>>,
    pub(super) kill: Option<Option<Revision>>,
    pub(super) runs: Vec<(RunId, Option<PutRun>)>,
}

/// What one revision changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Transaction {
    pub(super) jobs: BTreeMap<JobName, Delta>,
    /// Registrations that came (or were put again), and that ended.
    pub(super) sessions: Vec<(SessionId, bool)>,
}

/// Reads the changes of one revision. Keys that are no business of workers are left out.
pub(super) fn read(prefix: &KeyPrefix, zone: TimeZone, changes: &[Change]) -> Transaction {
    let mut read = Transaction::default();
    for change in changes {
        let (key, put) = match change {
            Change::Put(pair) => (&pair.key, Some(pair)),
            Change::Deleted { key, .. } => (key, None),
        };
        let Ok(key) = prefix.decode(key) else { continue };
        let jobs = &mut read.jobs;
        match key {
            Key::Job(name) => {
                let definition = put.map(|pair| definition(&name, zone, pair));
                jobs.entry(name).or_default().job = Some(definition);
            }
            Key::Cursor(name) => {
                jobs.entry(name).or_default().cursor = Some(put.map(|pair| (pair.modified, value(pair))))
            }
            Key::Status(name) => jobs.entry(name).or_default().status = Some(put.map(value)),
            Key::Lock(name) => {
                jobs.entry(name).or_default().lock = Some(put.map(|pair| LockValue::from_bytes(&pair.value)));
            }
            Key::Kill(name) => jobs.entry(name).or_default().kill = Some(put.map(|pair| pair.modified)),
            Key::Run(name, run) => {
                let put = put.map(|pair| PutRun {
                    created: pair.created,
                    token: pair.modified,
                    active: value(pair),
                });
                jobs.entry(name).or_default().runs.push((run, put));
            }
            Key::Worker(session) => read.sessions.push((session, put.is_some())),
            _ => {}
        }
    }
    read
}

fn definition(name: &JobName, zone: TimeZone, pair: &KeyValue) -> Definition {
    let job = JobValue::from_bytes(&pair.value).and_then(|value| value.into_job(name.clone(), zone));
    Definition { created: pair.created, modified: pair.modified, job: job.ok().map(Arc::new) }
}

fn value<T: DeserializeOwned>(pair: &KeyValue) -> Read<T> {
    protocol::read(pair).map_or(Read::Unreadable, Read::Value)
}
