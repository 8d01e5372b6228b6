//! Changes of jobs, on the tree or as resources of a cluster.
//!
//! A job's **place** is where it is changed: its key in the tree, or the resource that its key is made from. A master
//! outside of a cluster knows keys alone. Each change reads, decides, and writes on condition that nothing has moved
//! meanwhile; where it has, all of it is done again on what is there now. So nothing is taken from an owner, and the job
//! said to be replaced is the one that was.

mod key;
mod resource;

use axum::http::StatusCode;
use model::job::{JobError, Owner};
use model::keys::Key;
use model::legacy::{JobValue, LegacyJob, MAX_VALUE_BYTES, ValueError};
use model::name::NameError;
use model::{Job, JobName, TimeZone};
use serde::Deserialize;
use store::{KeyValue, RunLog, Tree, TreeError, protocol};
use thiserror::Error;

use crate::app::App;
use crate::clock;
use crate::resources::ClusterError;
use crds::NodeCronJob;

/// How often a change is tried while others change the same job.
const TRIES: u32 = 8;

/// Why a job was not changed. `Display` says what to do instead.
#[derive(Debug, Error)]
pub(crate) enum ChangeError {
    #[error("name: {0}")]
    Name(NameError),
    #[error("{}: {}", legacy_field(.0), .0.explain())]
    Job(JobError),
    #[error("the job {name} can't be read ({why}); save it anew")]
    Unreadable { name: JobName, why: String },
    #[error(
        "command: the job as a whole has {0} bytes; at most {MAX_VALUE_BYTES} are stored: put the command into a script and write the script's path"
    )]
    TooLarge(usize),
    #[error("the job {name} comes from {origin}; edit that {what} and start again", what = if *.file { "file" } else { "manifest" })]
    Owned { name: JobName, origin: String, file: bool },
    #[error("there is no job {0}")]
    Unknown(JobName),
    #[error(
        "there is no NodeCronJob for {0}; make it with kubectl, or write a name without a slash: its resource is made here"
    )]
    NoResource(JobName),
    #[error("the job {name} is saved but does not run: {why}")]
    Stalled { name: JobName, why: String },
    #[error("a worker of the replaced system runs the job {0} now; try again when it has ended")]
    Foreign(JobName),
    #[error("the job {0} is being changed by others at this moment; look at it and try again")]
    Busy(JobName),
    #[error("nothing runs under the name {0} now, so nothing was killed")]
    Idle(JobName),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl ChangeError {
    /// The status where an answer has one.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Name(_) => StatusCode::BAD_REQUEST,
            Self::Job(_)
            | Self::TooLarge(_)
            | Self::Unreadable { .. }
            | Self::Stalled { .. }
            | Self::Cluster(ClusterError::Refused(_)) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unknown(_) | Self::NoResource(_) => StatusCode::NOT_FOUND,
            Self::Owned { .. }
            | Self::Foreign(_)
            | Self::Busy(_)
            | Self::Idle(_)
            | Self::Cluster(ClusterError::Conflict) => StatusCode::CONFLICT,
            Self::Cluster(ClusterError::Forbidden { .. }) => StatusCode::FORBIDDEN,
            Self::Tree(_) | Self::Cluster(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// The field of the legacy form that a field of a spec is shown in.
fn legacy_field(error: &JobError) -> &'static str {
    match error.field() {
        "schedule" | "timeZone" => "cronExpr",
        _ => "command",
    }
}

/// Where a job is changed.
enum Place {
    /// Its key.
    Key,
    /// The resource that its key is made from.
    Resource(Box<NodeCronJob>),
    /// In a cluster: there is neither a key of nobody's nor a resource.
    Nowhere,
}

impl<T: Tree, L: RunLog> App<T, L> {
    /// Creates or changes a job; returns the one it replaced. When this returns, lists show it, unless whoever brings it
    /// into the tree takes long.
    pub(crate) async fn save(&self, wanted: LegacyJob) -> Result<Option<LegacyJob>, ChangeError> {
        let name = JobName::new(&wanted.name).map_err(ChangeError::Name)?;
        for _ in 0..TRIES {
            let present = self.tree.get(Key::Job(name.clone())).await?;
            let saved = match self.place(&name, present.as_ref()).await? {
                Place::Key => self.save_key(&name, present.as_ref(), &wanted).await?,
                Place::Resource(resource) => {
                    self.edit_resource(&name, present.as_ref(), &resource, &wanted).await?
                }
                Place::Nowhere => self.make_resource(&name, &wanted).await?,
            };
            if saved {
                return Ok(present.map(|pair| shown(name.as_str(), &pair.value)));
            }
        }
        Err(ChangeError::Busy(name))
    }

    /// Deletes a job; returns it, or nothing where there was none.
    pub(crate) async fn delete(&self, name: &str) -> Result<Option<LegacyJob>, ChangeError> {
        let name = JobName::new(name).map_err(ChangeError::Name)?;
        for _ in 0..TRIES {
            let present = self.tree.get(Key::Job(name.clone())).await?;
            let deleted = match (self.place(&name, present.as_ref()).await?, &present) {
                (Place::Resource(resource), _) => self.delete_resource(&name, &resource).await?,
                (Place::Key, Some(pair)) => self.delete_key(&name, pair).await?,
                (Place::Key, None) | (Place::Nowhere, _) => return Ok(None),
            };
            if deleted {
                return Ok(present.map(|pair| shown(name.as_str(), &pair.value)));
            }
        }
        Err(ChangeError::Busy(name))
    }

    /// Holds new runs of a job back, or lets them come again.
    pub(crate) async fn suspend(&self, name: &JobName, suspend: bool) -> Result<(), ChangeError> {
        for _ in 0..TRIES {
            let present = self.tree.get(Key::Job(name.clone())).await?;
            let done = match (self.place(name, present.as_ref()).await?, &present) {
                (Place::Resource(resource), _) => self.suspend_resource(name, &resource, suspend).await?,
                (Place::Key, Some(pair)) => self.suspend_key(name, pair, suspend).await?,
                (Place::Key, None) | (Place::Nowhere, _) => return Err(ChangeError::Unknown(name.clone())),
            };
            if done {
                return Ok(());
            }
        }
        Err(ChangeError::Busy(name.clone()))
    }

    /// Asks for the end of what runs under a name. It is asked for when this returns, not yet ended.
    pub(crate) async fn kill(&self, name: &str) -> Result<(), ChangeError> {
        let name = JobName::new(name).map_err(ChangeError::Name)?;
        let reply = self.tree.commit(protocol::kill(&name, clock::now())).await?;
        // The transaction succeeds where there is nothing to kill.
        if reply.succeeded { Err(ChangeError::Idle(name)) } else { Ok(()) }
    }

    /// Where a job is changed. An owner that is not a resource of ours would put back what is changed here; one that this
    /// version does not know has its job left alone too.
    async fn place(&self, name: &JobName, present: Option<&KeyValue>) -> Result<Place, ChangeError> {
        let refused = |origin: String, file| ChangeError::Owned { name: name.clone(), origin, file };
        let owner = match present.map(read_owner) {
            Some(Ok(read)) => read,
            Some(Err(_)) => return Err(refused("a program of another version".to_owned(), false)),
            None => None,
        };
        match (owner, &self.resources) {
            (Some(Owner::Manifest { path }), _) if path == "-" => {
                Err(refused("standard input".to_owned(), false))
            }
            (Some(Owner::Manifest { path }), _) => Err(refused(path, true)),
            (Some(Owner::Resource { namespace, name, uid: _ }), None) => {
                Err(refused(format!("the NodeCronJob {name} in namespace {namespace}"), false))
            }
            (Some(Owner::Resource { namespace, name: object, uid }), Some(resources)) => {
                let holder = resources.get(&namespace, &object).await?;
                match holder.filter(|holder| holder.metadata.uid.as_ref() == Some(&uid)) {
                    Some(holder) => Ok(Place::Resource(Box::new(holder))),
                    // It was deleted, and the tree does not show it yet. Another one may want the name.
                    None => Ok(resources
                        .find(name)
                        .await?
                        .map_or(Place::Nowhere, |r| Place::Resource(Box::new(r)))),
                }
            }
            (None, None) => Ok(Place::Key),
            (None, Some(_)) if present.is_some() => Ok(Place::Key),
            (None, Some(resources)) => {
                Ok(resources.find(name).await?.map_or(Place::Nowhere, |r| Place::Resource(Box::new(r))))
            }
        }
    }
}

/// What the legacy calls show of a value: the key's name, and nothing else of a value that is no job. One that needs what is
/// unknown here has these fields as well.
pub(crate) fn shown(name: &str, value: &[u8]) -> LegacyJob {
    let legacy = match JobValue::from_bytes(value) {
        Ok(value) => value.legacy,
        Err(ValueError::Needs { .. }) => serde_json::from_slice(value).unwrap_or_default(),
        Err(_) => LegacyJob::default(),
    };
    LegacyJob { name: name.to_owned(), ..legacy }
}

/// Who writes a key, read even where the rest of the value can't be.
fn read_owner(pair: &KeyValue) -> Result<Option<Owner>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Owned {
        #[serde(default)]
        owner: Option<serde_json::Value>,
    }
    let owner = serde_json::from_slice::<Owned>(&pair.value).ok().and_then(|value| value.owner);
    owner.map(serde_json::from_value).transpose()
}

/// Checks a job of the legacy form.
fn check(name: &JobName, wanted: &LegacyJob, zone: TimeZone) -> Result<Job, ChangeError> {
    Job::legacy(name.clone(), wanted.command.clone(), &wanted.cron_expr, zone).map_err(ChangeError::Job)
}
