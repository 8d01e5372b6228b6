//! What a resource asks for: checked once, when it comes in. Pure.

use crds::{ConvertError, NodeCronJob};
use kube::ResourceExt as _;
use model::job::{JobError, Owner};
use model::legacy::JobValue;
use model::schedule::Schedule;
use model::{Job, JobName};
use xxhash_rust::xxh64::xxh64;

use crate::Config;

/// A resource that can be a job.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// What the tree should hold.
    pub(crate) value: Vec<u8>,
    /// [`hash`] of that.
    pub(crate) hash: u64,
    /// When it runs.
    pub(crate) schedule: Schedule,
    /// Whether new slots are held back.
    pub(crate) suspend: bool,
}

/// Why a resource can't be a job until it is edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// One word for programs, as in a condition's `reason`.
    pub(crate) reason: &'static str,
    /// One sentence for people: what is wrong, and what to write.
    pub(crate) message: String,
}

/// What a value in the tree is compared by.
pub(crate) fn hash(value: &[u8]) -> u64 {
    xxh64(value, 0)
}

/// The name that a resource wants, where it wants one that can be had, and what it wants there.
pub(crate) fn validate(
    resource: &NodeCronJob,
    config: &Config,
) -> (Option<JobName>, Result<Wanted, Refusal>) {
    let name = match crds::job_name(resource) {
        Ok(name) => name,
        Err(why) => return (None, Err(refusal(&why))),
    };
    let namespace = resource.namespace().unwrap_or_default();
    if resource.spec.job_name.is_some() && !config.job_name_namespaces.contains(&namespace) {
        let message = format!(
            "jobName is not honoured in namespace {namespace}; create the object without it, or start the controller with --job-name-namespace {namespace}"
        );
        return (None, Err(Refusal { reason: "JobNameNotHonoured", message }));
    }
    let spec = model::job::JobSpec::from(resource.spec.clone());
    let wanted = match Job::new(name.clone(), spec.clone()) {
        Ok(job) => {
            let owner = Owner::Resource {
                namespace,
                name: resource.name_any(),
                uid: resource.uid().unwrap_or_default(),
            };
            let value = JobValue::of_spec(&job, spec, Some(owner)).to_bytes();
            Ok(Wanted { hash: hash(&value), value, schedule: job.schedule, suspend: job.suspend })
        }
        Err(why) => Err(refusal(&ConvertError::Spec(why))),
    };
    (Some(name), wanted)
}

fn refusal(why: &ConvertError) -> Refusal {
    match why {
        ConvertError::Name(why) => {
            Refusal { reason: "InvalidName", message: format!("metadata.name: {why}") }
        }
        ConvertError::JobName(why) => {
            Refusal { reason: "InvalidJobName", message: format!("spec.jobName: {why}") }
        }
        ConvertError::Spec(why) => {
            let reason = match why {
                JobError::Schedule(_) => "InvalidSchedule",
                JobError::Zone(_) => "InvalidTimeZone",
                JobError::Field { .. } => "InvalidSpec",
            };
            Refusal { reason, message: format!("spec.{}: {}", why.field(), why.explain()) }
        }
    }
}
