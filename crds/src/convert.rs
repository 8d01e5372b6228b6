//! From the resource to the domain's job.

use model::hash::stable_hash;
use model::job::{self, Job, JobError, JobSpec};
use model::name::{JobName, NameError};
use thiserror::Error;

use crate::resource::{
    ConcurrencyPolicy, EnvVar, MissedRunPolicy, NodeCronJob, NodeCronJobSpec, Output, RunTemplate,
    default_shell,
};

/// The namespace of an object that names none, as in kubectl.
pub const DEFAULT_NAMESPACE: &str = "default";

/// How many characters of a stem are in the name of an object.
const SLUG: usize = 40;

/// A name for an object made by a program: what of `stem` can be in one, and a hash of `identity`. The same two always
/// give the same name, which has at most 57 characters and is a label as RFC 1123 has it.
pub fn object_name(stem: &str, identity: &[&str]) -> String {
    let mut slug = String::new();
    for c in stem.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }) {
        if slug.len() < SLUG && (c != '-' || !slug.is_empty() && !slug.ends_with('-')) {
            slug.push(c);
        }
    }
    let slug = slug.trim_end_matches('-');
    let slug = if slug.is_empty() { "job" } else { slug };
    format!("{slug}-{:016x}", stable_hash(identity))
}

/// Why a resource is not a job.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConvertError {
    /// `metadata.name` and `metadata.namespace` don't make a name in the tree.
    #[error("metadata.name can't name a job")]
    Name(#[source] NameError),
    /// `spec.jobName` is none that a resource may have.
    #[error("spec.jobName can't name a job")]
    JobName(#[source] JobNameError),
    /// The spec breaks a rule that the schema can't express, or it passed no schema.
    #[error("the spec is not a job's")]
    Spec(#[source] JobError),
}

/// Why a `spec.jobName` can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JobNameError {
    /// It would be the name of another object's job.
    #[error(
        "jobName contains '/'; names with a slash belong to namespaces: write one without, or leave jobName out"
    )]
    Slash,
    /// It is no name at all.
    #[error("{0}")]
    Name(NameError),
}

/// Checks a resource and makes it the job of its [`job_name`].
pub fn to_job(resource: &NodeCronJob) -> Result<Job, ConvertError> {
    let name = job_name(resource)?;
    Job::new(name, resource.spec.clone().into()).map_err(ConvertError::Spec)
}

/// The name of a resource's job in the tree: its `spec.jobName`, or `namespace/name`. An object without a namespace is
/// in [`DEFAULT_NAMESPACE`]; one without a name (which no API server stores) is refused.
pub fn job_name(resource: &NodeCronJob) -> Result<JobName, ConvertError> {
    let namespace = resource.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let name = resource.metadata.name.as_deref().unwrap_or_default();
    tree_name(namespace, name, resource.spec.job_name.as_deref())
}

/// The name in the tree of the object `name` in `namespace`, which may want another one.
pub(crate) fn tree_name(namespace: &str, name: &str, wanted: Option<&str>) -> Result<JobName, ConvertError> {
    match wanted {
        Some(wanted) if wanted.contains('/') => Err(ConvertError::JobName(JobNameError::Slash)),
        Some(wanted) => JobName::new(wanted).map_err(|why| ConvertError::JobName(JobNameError::Name(why))),
        None if name.is_empty() => Err(ConvertError::Name(NameError::Empty)),
        None => JobName::new(&format!("{namespace}/{name}")).map_err(ConvertError::Name),
    }
}

impl From<NodeCronJobSpec> for JobSpec {
    fn from(spec: NodeCronJobSpec) -> Self {
        // Destructured without `..`, so that a new field can't be forgotten here.
        let NodeCronJobSpec {
            schedule,
            time_zone,
            suspend,
            concurrency_policy,
            starting_deadline_seconds,
            missed_run_policy,
            missed_run_limit,
            successful_runs_history_limit,
            failed_runs_history_limit,
            job_name: _, // it is the name of the key
            template,
        } = spec;
        Self {
            schedule,
            time_zone,
            suspend,
            concurrency_policy: concurrency_policy.into(),
            starting_deadline_seconds,
            missed_run_policy: missed_run_policy.into(),
            missed_run_limit,
            successful_runs_history_limit,
            failed_runs_history_limit,
            template: template.into(),
        }
    }
}

impl From<RunTemplate> for job::RunTemplate {
    fn from(template: RunTemplate) -> Self {
        let RunTemplate {
            command,
            exec,
            shell,
            working_dir,
            env,
            active_deadline_seconds,
            termination_grace_period_seconds,
            output: Output { limit_bytes },
        } = template;
        Self {
            command,
            exec,
            // The API server writes the default into every object, beside `exec` too, where a shell means nothing.
            shell: if shell == default_shell() { Vec::new() } else { shell },
            working_dir,
            env: env.into_iter().map(Into::into).collect(),
            active_deadline_seconds,
            termination_grace_period_seconds,
            output: job::OutputLimit { limit_bytes },
        }
    }
}

impl From<EnvVar> for job::EnvVar {
    fn from(EnvVar { name, value }: EnvVar) -> Self {
        Self { name, value }
    }
}

impl From<ConcurrencyPolicy> for job::ConcurrencyPolicy {
    fn from(policy: ConcurrencyPolicy) -> Self {
        match policy {
            ConcurrencyPolicy::Forbid => Self::Forbid,
            ConcurrencyPolicy::Allow => Self::Allow,
        }
    }
}

impl From<MissedRunPolicy> for job::MissedRunPolicy {
    fn from(policy: MissedRunPolicy) -> Self {
        match policy {
            MissedRunPolicy::Latest => Self::Latest,
            MissedRunPolicy::Skip => Self::Skip,
            MissedRunPolicy::All => Self::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_named_after_its_stem() {
        for (stem, slug) in [
            ("rotate", "rotate-"),
            ("Rotate Logs_2", "rotate-logs-2-"),
            ("--x--y--", "x-y-"),
            ("夜间", "job-"),
            (&"a".repeat(500), &("a".repeat(40) + "-")),
        ] {
            let name = object_name(stem, &[stem]);
            assert!(
                name.len() <= 57 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
                "{name}"
            );
            assert!(name.starts_with(slug) && name.len() == slug.len() + 16, "{stem}: {name}");
        }
        assert_ne!(object_name("A", &["A"]), object_name("a", &["a"]));
    }
}
