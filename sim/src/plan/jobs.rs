//! Jobs of a plan, and what their processes do.

use std::fmt;
use std::time::Duration;

use model::job::{ConcurrencyPolicy, JobSpec, MissedRunPolicy, OutputLimit, RunTemplate};
use model::legacy::{JobValue, LegacyJob};
use model::schedule::TimeZone;
use model::{Job, JobName, UnixMillis, Words};

/// In which form a job is in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In full.
    Spec,
    /// In full, and the replaced system is kept out.
    Reserved,
    /// In the three fields of the replaced system.
    Legacy,
}

/// What happens to slots that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// The latest runs.
    Latest,
    /// None runs that is too late.
    Skip,
    /// At most so many of them run.
    All(u32),
}

/// What processes of a job do. Each of them draws from this.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// The shortest run, in milliseconds.
    pub least: u64,
    /// The longest.
    pub most: u64,
    /// How many of a hundred end with another status than 0.
    pub fail: u64,
    /// How many of a hundred end by a signal.
    pub crash: u64,
    /// How many of a hundred ignore SIGTERM.
    pub stubborn: u64,
    /// How many of a hundred leave children in their group.
    pub leave: u64,
    /// How many milliseconds at most they take to end upon SIGTERM.
    pub slow: u64,
}

impl Profile {
    /// How long one takes at most to end once it is asked to, unless it is stubborn.
    pub fn slow_to_end(&self) -> Duration {
        Duration::from_millis(self.slow)
    }
}

/// A job.
#[derive(Clone, Debug)]
pub struct JobPlan {
    /// Its number.
    pub id: usize,
    /// Its name.
    pub name: JobName,
    /// Its form in the tree.
    pub form: Form,
    /// When it runs.
    pub schedule: String,
    /// Where.
    pub zone: &'static str,
    /// Whether runs may overlap.
    pub allow: bool,
    /// What happens to slots that passed.
    pub missed: Missed,
    /// In seconds.
    pub starting_deadline: Option<u32>,
    /// In seconds.
    pub active_deadline: Option<u32>,
    /// In seconds.
    pub grace: u32,
    /// Whether it is suspended.
    pub suspend: bool,
    /// Whether it needs [`LATER`](super::LATER). Not one of the replaced system's form.
    pub later: bool,
    /// What its processes do.
    pub profile: Profile,
}

/// Records are not to be forgotten: the checker wants all of them.
const ALL_RECORDS: u32 = u32::MAX;

impl JobPlan {
    fn spec(&self) -> JobSpec {
        let (missed_run_policy, missed_run_limit) = match self.missed {
            Missed::Latest => (MissedRunPolicy::Latest, None),
            Missed::Skip => (MissedRunPolicy::Skip, None),
            Missed::All(limit) => (MissedRunPolicy::All, Some(limit)),
        };
        JobSpec {
            schedule: self.schedule.clone(),
            time_zone: self.zone.to_owned(),
            suspend: self.suspend,
            concurrency_policy: if self.allow { ConcurrencyPolicy::Allow } else { ConcurrencyPolicy::Forbid },
            starting_deadline_seconds: self.starting_deadline,
            missed_run_policy,
            missed_run_limit,
            successful_runs_history_limit: ALL_RECORDS,
            failed_runs_history_limit: ALL_RECORDS,
            template: RunTemplate {
                command: Some("work".to_owned()),
                active_deadline_seconds: self.active_deadline,
                termination_grace_period_seconds: self.grace,
                output: OutputLimit::default(),
                ..RunTemplate::default()
            },
        }
    }

    /// What whoever runs it must understand.
    pub fn needs(&self) -> Words {
        self.later.then_some(super::LATER).into_iter().collect()
    }

    /// The value of its key.
    ///
    /// # Panics
    ///
    /// When the plan made a job that is not valid.
    pub fn value(&self) -> Vec<u8> {
        if self.form == Form::Legacy {
            let legacy = LegacyJob {
                name: self.name.to_string(),
                command: "work".to_owned(),
                cron_expr: self.schedule.clone(),
            };
            return JobValue::of_legacy(legacy).to_bytes();
        }
        let spec = self.spec();
        let job = Job::new(self.name.clone(), spec.clone()).expect("plans have valid jobs");
        let mut value = JobValue::of_spec(&job, spec, None);
        value.needs = self.needs();
        value.to_bytes()
    }

    /// About how long it is from slot to slot.
    pub fn interval(&self) -> Duration {
        let job = JobValue::read(&self.value(), &self.needs())
            .and_then(|value| value.into_job(self.name.clone(), TimeZone::UTC));
        let Ok(job) = job else { return Duration::ZERO };
        let begin = UnixMillis(1_772_323_200_000);
        let first = job.schedule.next_after(begin);
        let second = first.and_then(|first| job.schedule.next_after(first));
        first.zip(second).map_or(Duration::ZERO, |(first, second)| second.since(first))
    }
}

impl fmt::Display for JobPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, form, schedule, zone, allow, missed, starting_deadline, .. } = self;
        let Self { active_deadline, grace, suspend, profile, .. } = self;
        let policy = if *allow { "Allow" } else { "Forbid" };
        write!(f, "job {id} {name}: {form:?} {schedule:?} {zone} {policy} {missed:?}")?;
        if let Some(seconds) = starting_deadline {
            write!(f, ", starting deadline {seconds} s")?;
        }
        if let Some(seconds) = active_deadline {
            write!(f, ", active deadline {seconds} s")?;
        }
        if *suspend {
            write!(f, ", suspended")?;
        }
        if self.later {
            write!(f, ", needs {}", self.needs())?;
        }
        let Profile { least, most, fail, crash, stubborn, leave, slow } = profile;
        write!(
            f,
            ", grace {grace} s; lasts {least} to {most} ms, ends within {slow} ms, fails {fail} %, crashes {crash} %, \
             stubborn {stubborn} %, leaves children {leave} %"
        )
    }
}
