//! A job: what to run, when, and under which rules.
//!
//! [`JobSpec`] is the text form, shaped like the `spec` of a `NodeCronJob` and stored so in the tree. [`Job`] is the
//! checked form: it can only be built from a valid spec, and everything else in the project works with it.
mod check;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::JobName;
use crate::schedule::{Dialect, Schedule, ScheduleError, TimeZone, ZoneError};

/// The longest command, in bytes. Linux takes 131,071 bytes in one argument; the rest is left for what a shell or a
/// wrapper puts before it.
pub const MAX_COMMAND_BYTES: usize = 128_000;
/// The highest `output.limitBytes`: 64 MiB.
pub const MAX_OUTPUT_BYTES: u64 = 64 << 20;
/// The highest `missedRunLimit`: one decision about a job looks at that many slots.
pub const MAX_MISSED_RUNS: u32 = 1000;
/// The most that the environment of a job may hold, names and values together.
pub const MAX_ENV_BYTES: usize = 256 << 10;

/// What happens when a slot is due and an earlier run of the job has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConcurrencyPolicy {
    /// The slot is skipped, reason `Overlap`.
    #[default]
    Forbid,
    /// It starts beside the earlier run.
    Allow,
}

/// What happens to slots that passed while nothing could run them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MissedRunPolicy {
    /// The latest of them runs, once; the others are skipped, reason `Missed`.
    #[default]
    Latest,
    /// None runs that is late by more than [`crate::decide::LATE_IS_MISSED`].
    Skip,
    /// Each of them runs, the oldest first, up to `missedRunLimit` of them.
    All,
}

/// [`MissedRunPolicy`], checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissedRuns {
    /// As there.
    Latest,
    /// As there.
    Skip,
    /// Slots wait until they can run; of more than this many that wait, the oldest are skipped, reason `Missed`.
    All(NonZeroU32),
}

/// What one run executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A line for a shell, given to `shell` as its last argument.
    Line {
        /// The line, as written.
        line: Arc<str>,
        /// The shell and its flags; `/bin/sh -c` unless the job says otherwise.
        shell: Arc<[String]>,
    },
    /// A program and its arguments, started without a shell.
    Exec(Arc<[String]>),
}

impl Command {
    /// The words to execute.
    pub fn argv(&self) -> Vec<String> {
        match self {
            Self::Line { line, shell } => shell.iter().cloned().chain([line.to_string()]).collect(),
            Self::Exec(words) => words.to_vec(),
        }
    }

    /// One line that shows the command: the line itself, or the words with shell quotes where they need them.
    pub fn display(&self) -> String {
        match self {
            Self::Line { line, .. } => line.to_string(),
            Self::Exec(words) => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
        }
    }
}

/// Quotes a word the way POSIX shells read it back.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Where a job comes from. A job without an owner was put by hand or by the legacy page, and nobody takes it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Owner {
    /// A manifest that `cronctl up` read.
    Manifest {
        /// The file, as it was named on the command line, or `-`.
        path: String,
    },
    /// A `NodeCronJob` resource, whose controller writes the key.
    Resource {
        /// `metadata.namespace`.
        namespace: String,
        /// `metadata.name`.
        name: String,
        /// `metadata.uid`: an object of the same name that was created later is another owner.
        uid: String,
    },
}

/// The text form of a job, as stored in the tree and written by people. See `docs/reference.md` for each field.
///
/// A field that this version does not know is refused where people write it: it is a typing error. In the tree it is kept
/// and passed over ([`crate::legacy::JobValue::read`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobSpec {
    /// A cron expression in the standard dialect.
    pub schedule: String,
    /// An IANA zone.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// Whether new slots are held back.
    #[serde(default)]
    pub suspend: bool,
    /// What happens when an earlier run has not ended.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// How many seconds after its slot a run may still start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starting_deadline_seconds: Option<u32>,
    /// What happens to slots that nothing could run.
    #[serde(default)]
    pub missed_run_policy: MissedRunPolicy,
    /// How many of them may run with `All`; given with it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_run_limit: Option<u32>,
    /// How many records of succeeded runs are kept.
    #[serde(default = "hundred")]
    pub successful_runs_history_limit: u32,
    /// How many records of other runs are kept.
    #[serde(default = "hundred")]
    pub failed_runs_history_limit: u32,
    /// What a run does.
    pub template: RunTemplate,
}

/// The text form of what a run does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunTemplate {
    /// A line for the shell; either this or `exec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// A program and its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exec: Vec<String>,
    /// The shell and its flags; empty means `/bin/sh -c`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    /// The folder a run starts in; the worker's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Variables added to the worker's environment, a later one over an earlier one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// How many seconds a run may last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_deadline_seconds: Option<u32>,
    /// Seconds between SIGTERM and SIGKILL.
    #[serde(default = "thirty")]
    pub termination_grace_period_seconds: u32,
    /// How much output is kept.
    #[serde(default)]
    pub output: OutputLimit,
}

/// One environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value, as it is: nothing is expanded.
    #[serde(default)]
    pub value: String,
}

/// How much output of a run is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputLimit {
    /// In bytes; what is longer keeps its beginning and its end.
    pub limit_bytes: u64,
}

impl Default for OutputLimit {
    fn default() -> Self {
        Self { limit_bytes: 1 << 20 }
    }
}

fn utc() -> String {
    "UTC".to_owned()
}
fn hundred() -> u32 {
    100
}
fn thirty() -> u32 {
    30
}

/// Why a spec is not a job. [`JobError::field`] names the place, `Display` says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JobError {
    /// The expression can't be read or never matches.
    #[error("the schedule can't be used")]
    Schedule(#[source] ScheduleError),
    /// No such zone.
    #[error("the time zone can't be used")]
    Zone(#[source] ZoneError),
    /// A field's value breaks a rule.
    #[error("{message}")]
    Field {
        /// The path below `spec`, such as `template.env[2].name`.
        field: String,
        /// What is wrong and what to write.
        message: String,
    },
}

impl JobError {
    fn at(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Field { field: field.into(), message: message.into() }
    }

    /// The field's path below `spec`.
    pub fn field(&self) -> &str {
        match self {
            Self::Schedule(_) => "schedule",
            Self::Zone(_) => "timeZone",
            Self::Field { field, .. } => field,
        }
    }

    /// The whole story in one sentence, for where no chain of sources is printed.
    pub fn explain(&self) -> String {
        match self {
            Self::Schedule(source) => source.to_string(),
            Self::Zone(source) => source.to_string(),
            Self::Field { message, .. } => message.clone(),
        }
    }
}

/// A valid job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its key in the tree.
    pub name: JobName,
    /// When it runs.
    pub schedule: Schedule,
    /// Whether new slots are held back.
    pub suspend: bool,
    /// What happens when an earlier run has not ended.
    pub concurrency: ConcurrencyPolicy,
    /// What happens to slots that nothing could run.
    pub missed: MissedRuns,
    /// How long after its slot a run may still start; for ever when absent.
    pub starting_deadline: Option<Duration>,
    /// What a run executes.
    pub command: Command,
    /// The folder a run starts in; the worker's own when absent.
    pub working_dir: Option<Box<str>>,
    /// Variables added to the worker's environment.
    pub env: Box<[EnvVar]>,
    /// How long a run may last; for ever when absent.
    pub active_deadline: Option<Duration>,
    /// How long a run has between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// How many bytes of output are kept.
    pub output_limit: u64,
    /// How many records are kept.
    pub history: History,
}

/// How many records of a job are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Of succeeded runs.
    pub succeeded: u32,
    /// Of runs with any other outcome.
    pub failed: u32,
}

impl Default for History {
    fn default() -> Self {
        Self { succeeded: hundred(), failed: hundred() }
    }
}

impl Job {
    /// Checks a spec and makes it the job `name`. The dialect is that of the text: standard in resources and manifests.
    pub fn new(name: JobName, spec: JobSpec) -> Result<Self, JobError> {
        // Destructured without `..`, so that a new field can't be forgotten here.
        let JobSpec {
            schedule,
            time_zone,
            suspend,
            concurrency_policy,
            starting_deadline_seconds,
            missed_run_policy,
            missed_run_limit,
            successful_runs_history_limit,
            failed_runs_history_limit,
            template,
        } = spec;
        let RunTemplate {
            command,
            exec,
            shell,
            working_dir,
            env,
            active_deadline_seconds,
            termination_grace_period_seconds,
            output,
        } = template;

        let zone = TimeZone::parse(&time_zone).map_err(JobError::Zone)?;
        let schedule =
            Schedule::parse(&schedule, Dialect::Standard, zone, &name).map_err(JobError::Schedule)?;
        let command = check::command(command, exec, shell)?;
        check::env(&env)?;
        if let Some(dir) = working_dir.as_deref() {
            if !dir.starts_with('/') {
                return Err(JobError::at(
                    "template.workingDir",
                    "workingDir must be an absolute path; write one such as /srv",
                ));
            }
            check::no_nul("template.workingDir", dir)?;
        }
        for (field, value) in [
            ("startingDeadlineSeconds", starting_deadline_seconds),
            ("template.activeDeadlineSeconds", active_deadline_seconds),
        ] {
            if value == Some(0) {
                return Err(JobError::at(
                    field,
                    "0 seconds would leave no time at all; write 1 or more, or leave it out",
                ));
            }
        }
        if output.limit_bytes > MAX_OUTPUT_BYTES {
            let message =
                format!("at most {MAX_OUTPUT_BYTES} bytes of output are kept; write a smaller limit");
            return Err(JobError::at("template.output.limitBytes", message));
        }
        let seconds = |s: u32| Duration::from_secs(u64::from(s));
        Ok(Self {
            name,
            schedule,
            suspend,
            concurrency: concurrency_policy,
            missed: check::missed_runs(missed_run_policy, missed_run_limit)?,
            starting_deadline: starting_deadline_seconds.map(seconds),
            command,
            working_dir: working_dir.map(Into::into),
            env: env.into(),
            active_deadline: active_deadline_seconds.map(seconds),
            grace: seconds(termination_grace_period_seconds),
            output_limit: output.limit_bytes,
            history: History { succeeded: successful_runs_history_limit, failed: failed_runs_history_limit },
        })
    }

    /// Whether at most one run of it exists at a time.
    pub fn is_exclusive(&self) -> bool {
        match self.concurrency {
            ConcurrencyPolicy::Forbid => true,
            ConcurrencyPolicy::Allow => false,
        }
    }

    /// A job in the form of the replaced system: a line, and an expression in the legacy dialect read in `zone`.
    /// Everything else has its default.
    pub fn legacy(name: JobName, command: String, cron_expr: &str, zone: TimeZone) -> Result<Self, JobError> {
        let schedule =
            Schedule::parse(cron_expr, Dialect::Legacy, zone, &name).map_err(JobError::Schedule)?;
        let command = check::command(Some(command), Vec::new(), Vec::new())?;
        Ok(Self {
            name,
            schedule,
            suspend: false,
            concurrency: ConcurrencyPolicy::default(),
            missed: MissedRuns::Latest,
            starting_deadline: None,
            command,
            working_dir: None,
            env: Box::default(),
            active_deadline: None,
            grace: Duration::from_secs(u64::from(thirty())),
            output_limit: OutputLimit::default().limit_bytes,
            history: History::default(),
        })
    }
}
