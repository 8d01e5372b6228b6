//! The JSON that the replaced system reads and writes, and how ours fits into it.
//!
//! A job's value has the three legacy fields. Jobs of ours carry more, `spec`, `owner` and `needs`, which an old reader
//! ignores; `command` and `cronExpr` then only show what `spec` says.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::job::{Job, JobError, JobSpec, Owner};
use crate::lenient::{self, ReadError, Rest, UnknownName};
use crate::record::RunRecord;
use crate::schedule::{Dialect, Schedule, TimeZone};
use crate::{JobName, Words, features};

/// The largest value that is read as a job. etcd refuses requests beyond 1.5 MiB by default.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// The three fields of a job as the legacy calls and old workers know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LegacyJob {
    /// The name. In the tree the key decides, not this.
    #[serde(deserialize_with = "null_is_empty")]
    pub name: String,
    /// A line for the shell.
    #[serde(deserialize_with = "null_is_empty")]
    pub command: String,
    /// An expression in the legacy dialect.
    #[serde(deserialize_with = "null_is_empty")]
    pub cron_expr: String,
}

/// The value of `jobs/n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobValue {
    /// What old readers see.
    pub legacy: LegacyJob,
    /// The job in full; absent for one put by hand or by the legacy page.
    pub spec: Option<JobSpec>,
    /// Who writes this key.
    pub owner: Option<Owner>,
    /// What whoever runs the job must understand ([`crate::features`]). The lock of a job with needs is `reserved`: the
    /// replaced system understands none.
    pub needs: Words,
    /// What a newer version put beside these, or into them.
    rest: Rest,
}

/// The fields of a value, in their order.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fields {
    #[serde(default, deserialize_with = "null_is_empty")]
    name: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    command: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    cron_expr: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spec: Option<JobSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<Owner>,
    #[serde(default, skip_serializing_if = "Words::is_empty")]
    needs: Words,
}

/// Why a value is not a job.
#[derive(Debug, Error)]
pub enum ValueError {
    /// Larger than anything a job needs.
    #[error("the value has {0} bytes; at most {MAX_VALUE_BYTES} are read as a job")]
    TooLarge(usize),
    /// Not JSON, or not of the right shape.
    #[error("the value is not a job; write {{\"name\":\"…\",\"command\":\"…\",\"cronExpr\":\"…\"}}")]
    Json(#[source] serde_json::Error),
    /// A newer version wrote it, and it must be understood to run it. Nothing else of it was read.
    #[error("the job needs {missing}, which this program does not know; update this program")]
    Needs {
        /// Everything that it needs.
        needs: Words,
        /// What of that is unknown here.
        missing: Words,
    },
    /// A policy or another name that this version does not know. The value may be right, so it is not to be replaced.
    #[error("{place} is {name:?}, which this program does not know; write {known}, or update this program")]
    Name {
        /// The fields from the outermost one, with dots.
        place: String,
        /// What is there.
        name: String,
        /// What may be there, as far as is known.
        known: String,
    },
    /// JSON, but no valid job.
    #[error("the value is not a valid job")]
    Job(#[source] JobError),
}

impl ValueError {
    /// The whole story in one sentence.
    pub fn explain(&self) -> String {
        match self {
            Self::TooLarge(_) | Self::Needs { .. } | Self::Name { .. } => self.to_string(),
            Self::Json(source) => format!("{self} ({source})"),
            Self::Job(source) => source.explain(),
        }
    }

    /// Whether the value may be right for a newer version.
    pub fn may_be_newer(&self) -> bool {
        match self {
            Self::Needs { .. } | Self::Name { .. } => true,
            Self::TooLarge(_) | Self::Json(_) | Self::Job(_) => false,
        }
    }
}

impl JobValue {
    /// The value of a job of the legacy form.
    pub fn of_legacy(legacy: LegacyJob) -> Self {
        Self { legacy, spec: None, owner: None, needs: Words::default(), rest: Rest::default() }
    }

    /// The value of a job in full. `job` is what [`Job::new`] made of `spec`.
    pub fn of_spec(job: &Job, spec: JobSpec, owner: Option<Owner>) -> Self {
        let legacy = LegacyJob {
            name: job.name.to_string(),
            command: job.command.display(),
            cron_expr: job.schedule.legacy_text().unwrap_or_else(|| job.schedule.text().to_owned()),
        };
        let needs = features::needed_by(job);
        Self { legacy, spec: Some(spec), owner, needs, rest: Rest::default() }
    }

    /// The value after a change of its spec: what it needed and what is unknown of it stays.
    #[must_use]
    pub fn with_spec(self, job: &Job, spec: JobSpec, owner: Option<Owner>) -> Self {
        let new = Self::of_spec(job, spec, owner);
        Self { needs: self.needs.and(&new.needs), rest: self.rest, ..new }
    }

    /// Reads a stored value with what this version understands.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ValueError> {
        Self::read(bytes, &features::known())
    }

    /// Reads a stored value. Fields that are not known are kept. One that needs what is not among `features` is not read.
    pub fn read(bytes: &[u8], features: &Words) -> Result<Self, ValueError> {
        if bytes.len() > MAX_VALUE_BYTES {
            return Err(ValueError::TooLarge(bytes.len()));
        }
        let value: Value = serde_json::from_slice(bytes).map_err(ValueError::Json)?;
        let needs = value.get("needs").map_or(Ok(Words::default()), Words::deserialize);
        let needs = needs.map_err(ValueError::Json)?;
        if !features.hold(&needs) {
            let missing = features.lacking(&needs);
            return Err(ValueError::Needs { needs, missing });
        }
        let (fields, rest) = lenient::read(value).map_err(|why| match why {
            ReadError::Json(why) => ValueError::Json(why),
            ReadError::Name(UnknownName { place, name, known }) => {
                ValueError::Name { place: place.join("."), name, known: known.join(" or ") }
            }
        })?;
        let Fields { name, command, cron_expr, spec, owner, needs } = fields;
        Ok(Self { legacy: LegacyJob { name, command, cron_expr }, spec, owner, needs, rest })
    }

    /// The value as stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { legacy: LegacyJob { name, command, cron_expr }, spec, owner, needs, rest } = self.clone();
        let fields = Fields { name, command, cron_expr, spec, owner, needs };
        let written = if rest.is_empty() {
            serde_json::to_vec(&fields)
        } else {
            serde_json::to_value(&fields).and_then(|mut value| {
                rest.put_back(&mut value);
                serde_json::to_vec(&value)
            })
        };
        written.expect("strings and numbers always make JSON")
    }

    /// Whether both define the same job of the same owner, as this version understands them: whatever the order of their
    /// fields, whether defaults are spelt out, and whatever unknown fields they have. Of a job in full the legacy fields
    /// only show what the spec says, in the words of the version that wrote them, and don't count.
    pub fn means_the_same(&self, other: &Self) -> bool {
        let Self { legacy, spec, owner, needs, rest: _ } = self;
        let same_legacy = spec.is_some() || {
            let (ours, theirs) = (legacy, &other.legacy);
            (&ours.command, &ours.cron_expr) == (&theirs.command, &theirs.cron_expr)
        };
        same_legacy && *spec == other.spec && *owner == other.owner && *needs == other.needs
    }

    /// The job that this value under the key of `name` means. A legacy expression is read in `zone`.
    pub fn into_job(self, name: JobName, zone: TimeZone) -> Result<Job, ValueError> {
        let job = match self.spec {
            Some(spec) => Job::new(name, spec),
            None => Job::legacy(name, self.legacy.command, &self.legacy.cron_expr, zone),
        };
        job.map_err(ValueError::Job)
    }
}

/// One document of the legacy log: times in Unix milliseconds, `err` empty on success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LegacyLog {
    /// The job's name.
    pub job_name: String,
    /// The line that ran.
    pub command: String,
    /// What went wrong.
    pub err: String,
    /// Both output streams.
    pub output: String,
    /// The slot.
    pub plan_time: i64,
    /// When it was handed to execution.
    pub schedule_time: i64,
    /// When the process started.
    pub start_time: i64,
    /// When it was gone.
    pub end_time: i64,
}

impl From<&RunRecord> for LegacyLog {
    /// A run whose start is not known shows its slot as the start, so that lists stay in order, or its end if that was
    /// before: one that was claimed ahead of its slot may be killed before it starts.
    fn from(record: &RunRecord) -> Self {
        Self {
            job_name: record.job.to_string(),
            command: record.command.clone(),
            err: record.message.clone(),
            output: record.output.to_text(),
            plan_time: record.slot.0.0,
            schedule_time: record.claimed.max(record.slot.0).0,
            start_time: record.started.unwrap_or(record.slot.0.min(record.ended)).0,
            end_time: record.ended.0,
        }
    }
}

/// A legacy expression in the dialect of resources: 6 fields, which end with the year, get their second; the others stay
/// as they are. Where that would not mean the same, the seven fields that do.
pub fn in_standard_dialect(expression: &str, zone: TimeZone, name: &JobName) -> Result<String, JobError> {
    let legacy = Schedule::parse(expression, Dialect::Legacy, zone, name).map_err(JobError::Schedule)?;
    let mut words: Vec<&str> = expression.split_ascii_whitespace().collect();
    if words.len() == 6 {
        words.insert(0, "0");
    }
    let text = words.join(" ");
    let means = legacy.legacy_text();
    let same = |standard: Schedule| means.is_some() && standard.legacy_text() == means;
    if Schedule::parse(&text, Dialect::Standard, zone, name).is_ok_and(same) {
        return Ok(text);
    }
    means.ok_or_else(|| JobError::Field {
        field: "schedule".to_owned(),
        message: "the expression is too long when its fields are written out; write fewer values".to_owned(),
    })
}

/// The answer of every legacy call: HTTP 200 in any case, `errno` 0 or -1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer<T> {
    /// 0 on success, -1 on failure.
    pub errno: i32,
    /// `success`, or what went wrong.
    pub msg: String,
    /// What was asked for; null on failure and where a call has nothing to say.
    pub data: Option<T>,
}

impl<T> Answer<T> {
    /// A success.
    pub fn success(data: Option<T>) -> Self {
        Self { errno: 0, msg: "success".to_owned(), data }
    }

    /// A failure.
    pub fn failure(msg: impl Into<String>) -> Self {
        Self { errno: -1, msg: msg.into(), data: None }
    }
}

/// The replaced system's decoder leaves a field empty that is null.
fn null_is_empty<'de, D: serde::Deserializer<'de>>(text: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(text)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legacy_expression_reads_the_same_in_the_other_dialect() {
        let name = JobName::new("a").unwrap();
        for (legacy, standard) in [
            ("0 3 * * *", "0 3 * * *"),
            ("  */5\t* * * MON-FRI ", "*/5 * * * MON-FRI"),
            ("0 12 * * MON 2099", "0 0 12 * * MON 2099"),
            ("*/10 * * * * * *", "*/10 * * * * * *"),
            ("30 2 * * 5L", "30 2 * * 5L"),
            ("@daily", "@daily"),
        ] {
            assert_eq!(in_standard_dialect(legacy, TimeZone::UTC, &name).unwrap(), standard, "{legacy}");
        }
        for wrong in ["@midnight", "H * * * *", "* * * *", "0 0 31 2 *"] {
            assert!(in_standard_dialect(wrong, TimeZone::UTC, &name).is_err(), "{wrong}");
        }
    }
}
