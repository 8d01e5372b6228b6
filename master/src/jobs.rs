//! Changes of jobs on the tree.
//!
//! Each reads a job's key, decides, and writes on condition that the key has not moved meanwhile. Where it has, all of
//! it is done again on what is there now. So nothing is taken from an owner, and the job said to be replaced is the one
//! that was.

use model::job::{JobError, Owner};
use model::keys::Key;
use model::legacy::{JobValue, LegacyJob, MAX_VALUE_BYTES};
use model::name::NameError;
use model::run::Revision;
use model::{Dialect, Job, JobName, Schedule, TimeZone};
use serde::Deserialize;
use store::{KeyValue, RunLog, Tree, TreeError, protocol};
use thiserror::Error;

use crate::app::App;
use crate::clock;

/// How often a change is tried while others change the same job.
const TRIES: u32 = 8;

/// Why a job was not changed. `Display` says what to do instead.
#[derive(Debug, Error)]
pub(crate) enum ChangeError {
    #[error("name: {0}")]
    Name(NameError),
    #[error("{}: {}", legacy_field(.0), .0.explain())]
    Job(JobError),
    #[error(
        "command: the job as a whole has {0} bytes; at most {MAX_VALUE_BYTES} are stored: put the command into a script and write the script's path"
    )]
    TooLarge(usize),
    #[error("the job {name} comes from {origin}; edit that {what} and start again", what = if *.file { "file" } else { "manifest" })]
    Owned { name: JobName, origin: String, file: bool },
    #[error("the job {0} is being changed by others at this moment; look at it and try again")]
    Busy(JobName),
    #[error("nothing runs under the name {0} now, so nothing was killed")]
    Idle(JobName),
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// The field of the legacy form that a field of a spec is shown in.
fn legacy_field(error: &JobError) -> &'static str {
    match error.field() {
        "schedule" | "timeZone" => "cronExpr",
        _ => "command",
    }
}

impl<T: Tree, L: RunLog> App<T, L> {
    /// Creates or changes a job; returns the one it replaced.
    pub(crate) async fn save(&self, wanted: LegacyJob) -> Result<Option<LegacyJob>, ChangeError> {
        let name = JobName::new(&wanted.name).map_err(ChangeError::Name)?;
        for _ in 0..TRIES {
            let present = self.tree.get(Key::Job(name.clone())).await?;
            let seen = present.as_ref().map_or(Revision::NONE, |pair| pair.modified);
            if let Some(pair) = &present {
                refuse_owned(&name, pair)?;
            }
            let value =
                changed(present.as_ref(), &name, wanted.clone(), self.zone).map_err(ChangeError::Job)?;
            let value = value.to_bytes();
            if value.len() > MAX_VALUE_BYTES {
                return Err(ChangeError::TooLarge(value.len()));
            }
            let reply = self.tree.commit(protocol::put_job(&name, value, seen)).await?;
            if reply.succeeded {
                self.index.shows(reply.revision).await;
                return Ok(present.map(|pair| shown(name.as_str(), &pair.value)));
            }
        }
        Err(ChangeError::Busy(name))
    }

    /// Deletes a job; returns it, or nothing where there was none.
    pub(crate) async fn delete(&self, name: &str) -> Result<Option<LegacyJob>, ChangeError> {
        let name = JobName::new(name).map_err(ChangeError::Name)?;
        for _ in 0..TRIES {
            let Some(pair) = self.tree.get(Key::Job(name.clone())).await? else { return Ok(None) };
            refuse_owned(&name, &pair)?;
            let reply = self.tree.commit(protocol::delete_job(&name, pair.modified)).await?;
            if reply.succeeded {
                self.index.shows(reply.revision).await;
                return Ok(Some(shown(name.as_str(), &pair.value)));
            }
        }
        Err(ChangeError::Busy(name))
    }

    /// Asks for the end of what runs under a name. It is asked for when this returns, not yet ended.
    pub(crate) async fn kill(&self, name: &str) -> Result<(), ChangeError> {
        let name = JobName::new(name).map_err(ChangeError::Name)?;
        let reply = self.tree.commit(protocol::kill(&name, clock::now())).await?;
        // The transaction succeeds where there is nothing to kill.
        if reply.succeeded { Err(ChangeError::Idle(name)) } else { Ok(()) }
    }
}

/// What the legacy calls show of a value: the key's name, and nothing else of a value that is no job.
pub(crate) fn shown(name: &str, value: &[u8]) -> LegacyJob {
    let legacy = JobValue::from_bytes(value).map(|value| value.legacy).unwrap_or_default();
    LegacyJob { name: name.to_owned(), ..legacy }
}

/// The value after a change of command and expression. Of a job in full everything else stays; an expression equal to
/// the one that was shown changes nothing, another one is translated.
fn changed(
    present: Option<&KeyValue>,
    name: &JobName,
    wanted: LegacyJob,
    zone: TimeZone,
) -> Result<JobValue, JobError> {
    let present = present.and_then(|pair| JobValue::from_bytes(&pair.value).ok());
    let Some(JobValue { legacy: shown, spec: Some(mut spec), owner: _ }) = present else {
        Job::legacy(name.clone(), wanted.command.clone(), &wanted.cron_expr, zone)?;
        return Ok(JobValue::of_legacy(wanted));
    };
    if wanted.cron_expr != shown.cron_expr {
        let schedule =
            Schedule::parse(&wanted.cron_expr, Dialect::Legacy, zone, name).map_err(JobError::Schedule)?;
        spec.schedule = schedule.legacy_text().ok_or_else(|| JobError::Field {
            field: "schedule".to_owned(),
            message: "the expression is too long when its fields are written out; write fewer values"
                .to_owned(),
        })?;
    }
    if wanted.command != shown.command {
        spec.template.command = Some(wanted.command);
        spec.template.exec.clear();
    }
    let job = Job::new(name.clone(), spec.clone())?;
    Ok(JobValue::of_spec(&job, spec, None))
}

/// The owner alone, read even where the rest of the value can't be.
#[derive(Deserialize)]
struct Owned {
    #[serde(default)]
    owner: Option<serde_json::Value>,
}

/// An owner would put back what is changed here. One that this version does not know has its job left alone too.
fn refuse_owned(name: &JobName, pair: &KeyValue) -> Result<(), ChangeError> {
    let owner = serde_json::from_slice::<Owned>(&pair.value).ok().and_then(|value| value.owner);
    let Some(owner) = owner else { return Ok(()) };
    let (origin, file) = match serde_json::from_value(owner) {
        Ok(Owner::Manifest { path }) if path == "-" => ("standard input".to_owned(), false),
        Ok(Owner::Manifest { path }) => (path, true),
        Ok(Owner::Resource { namespace, name, uid: _ }) => {
            (format!("the NodeCronJob {name} in namespace {namespace}"), false)
        }
        Err(_) => ("a program of another version".to_owned(), false),
    };
    Err(ChangeError::Owned { name: name.clone(), origin, file })
}
