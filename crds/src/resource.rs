//! The Rust types of the resources.
//!
//! The doc comment of a field is its description in the schema and in `docs/reference.md`, so it speaks to the person
//! who writes a manifest. A type's own doc comment is shown where no field describes it.

#![expect(
    unreachable_pub,
    reason = "the derive macro repeats each struct inside a function, visibility included"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens when a slot is due and an earlier run of the job has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// The slot is skipped.
    #[default]
    Forbid,
    /// It starts beside the earlier run.
    Allow,
}

/// What happens to slots that passed while nothing could run them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MissedRunPolicy {
    /// The latest of them runs, once.
    #[default]
    Latest,
    /// None of them runs.
    Skip,
    /// Each of them runs, the oldest first.
    All,
}

/// One environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Name of the variable: letters, digits and `_`, not beginning with a digit. Names that begin with `CRON_` are set
    /// by the worker and are refused.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(
        validation = Rule::new("self.matches('^[A-Za-z_][A-Za-z0-9_]*$')").message("this is not a variable's name; use letters, digits and _, and begin with a letter or _"),
        validation = Rule::new("!self.startsWith('CRON_')").message("names that begin with CRON_ are set by the worker; choose another"),
    )]
    pub name: String,
    /// Its value, as it is: nothing is expanded. It is stored in clear, so a password does not belong here.
    #[serde(default)]
    #[schemars(length(max = 32768))]
    pub value: String,
}

/// How much output of a run is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Bytes of output, stdout and stderr together, that are kept of a run. Of a longer output the beginning and the end
    /// are kept, and the cut is marked. The run itself is not disturbed.
    #[serde(default = "one_mebibyte")]
    #[schemars(range(min = 0, max = 67_108_864))]
    pub limit_bytes: u64,
}

impl Default for Output {
    fn default() -> Self {
        Self { limit_bytes: one_mebibyte() }
    }
}

/// What one run does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.command) || has(self.exec)").message("the command is missing; write command: \"a line for the shell\" or exec: [program, argument]"),
    validation = Rule::new("!(has(self.command) && has(self.exec))").message("command and exec are both given; keep command (a line for the shell) or exec (a program and its arguments)"),
    validation = Rule::new("!has(self.exec) || self.shell == ['/bin/sh', '-c']").message("exec runs without a shell; remove shell, or write command instead of exec").field_path(".shell"),
)]
pub struct RunTemplate {
    /// A line for the shell. Give either this or `exec`. At most 128,000 bytes: what is longer belongs in a script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128_000))]
    #[x_kube(validation = Rule::new("self.trim() != ''").message("the command is blank; write the line to run"))]
    pub command: Option<String>,
    /// A program and its arguments, started without a shell: nothing is expanded. A program without a `/` is looked for
    /// in the worker's `PATH`. Give either this or `command`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256), inner(length(max = 32768)))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = Rule::new("self.size() == 0 || self[0] != ''").message("the program is empty; write its path or name"),
    )]
    pub exec: Vec<String>,
    /// The program and the flags that get `command` as their last argument.
    #[serde(default = "default_shell")]
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub shell: Vec<String>,
    /// The folder a run starts in, as an absolute path. Without it a run starts in the worker's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("workingDir must be an absolute path; write one such as /srv"))]
    pub working_dir: Option<String>,
    /// Environment variables of a run, over those of the worker. All of them together may have 262,144 bytes. The worker
    /// adds `CRON_JOB_NAME`, `CRON_RUN_ID`, `CRON_SCHEDULED_TIME`, `CRON_ATTEMPT`, `CRON_LAST_SUCCESS_TIME` and
    /// `CRON_FENCING_TOKEN`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
    /// Seconds a run may last. Then it is ended and recorded as `TimedOut`. Without it a run may last for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub active_deadline_seconds: Option<u32>,
    /// Seconds between SIGTERM and SIGKILL when a run is ended early. Both go to the whole process group.
    #[serde(default = "thirty")]
    #[schemars(range(min = 0, max = 3600))]
    pub termination_grace_period_seconds: u32,
    /// What is kept of a run's output.
    #[serde(default)]
    pub output: Output,
}

/// What runs, when, and under which rules.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "crontab.dev",
    version = "v1alpha1",
    kind = "NodeCronJob",
    namespaced,
    status = "NodeCronJobStatus",
    derive = "PartialEq",
    shortname = "ncj",
    category = "crontab",
    doc = "A command that runs on nodes by the clock.",
    selectable = ".spec.suspend",
    selectable = ".spec.jobName",
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule"),
    printcolumn(name = "Timezone", type_ = "string", json_path = ".spec.timeZone"),
    printcolumn(name = "Suspend", type_ = "boolean", json_path = ".spec.suspend"),
    printcolumn(name = "Active", type_ = "integer", json_path = ".status.active"),
    printcolumn(name = "Last Schedule", type_ = "date", json_path = ".status.lastScheduleTime"),
    // A date in the future is printed as <invalid>, so this one is text.
    printcolumn(name = "Next Schedule", type_ = "string", json_path = ".status.nextScheduleTime"),
    printcolumn(name = "Last Result", type_ = "string", json_path = ".status.conditions[?(@.type==\"LastRunSucceeded\")].reason"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.missedRunPolicy) || self.missedRunPolicy != 'All' || has(self.missedRunLimit)").message("missedRunPolicy: All needs a limit; write missedRunLimit, such as 10, beside it").field_path(".missedRunPolicy"),
    validation = Rule::new("!has(self.missedRunLimit) || has(self.missedRunPolicy) && self.missedRunPolicy == 'All'").message("missedRunLimit is given without missedRunPolicy: All; remove it, or write missedRunPolicy: All").field_path(".missedRunLimit"),
    // On the parent: a rule on the field itself is passed over where the field is removed, or added later.
    validation = Rule::new("has(self.jobName) == has(oldSelf.jobName) && (!has(self.jobName) || self.jobName == oldSelf.jobName)").message("jobName can't be set, changed or removed after creation; delete the object and create another").field_path(".jobName"),
)]
pub struct NodeCronJobSpec {
    /// When it runs: 5 fields (minute, hour, day of month, month, day of week), 6 (second first) or 7 (second first, year
    /// last), or one of `@yearly @annually @monthly @weekly @daily @midnight @hourly`, or `@every` with a duration such
    /// as `90s` or `1h30m`. Where day of month and day of week are both restricted, a day that matches either counts.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(
        validation = Rule::new(r"!self.contains('TZ=')").message("a schedule has no TZ= inside; remove it and use timeZone"),
        validation = Rule::new(r"self.matches('^\\s*@') || self.matches('^\\s*\\S+(\\s+\\S+){4,6}\\s*$')").message("the schedule has another number of fields; write 5 (minute, hour, day of month, month, day of week), 6 with the second before them, or 7 with the year after them as well"),
        validation = Rule::new(r"!self.matches('^\\s*@') || self.matches('^\\s*@(yearly|annually|monthly|weekly|daily|midnight|hourly|every)(\\s|$)')").message("the schedule is none of @yearly @annually @monthly @weekly @daily @midnight @hourly @every"),
        validation = Rule::new(r"!self.matches('^\\s*@every(\\s|$)') || self.matches('^\\s*@every\\s+[+]?([0-9.]+(h|m|s|ms|us|µs|μs|ns))+\\s*$')").message("after @every write a duration such as 90s, 15m or 1h30m"),
        validation = Rule::new(r"self.matches('^\\s*@') || self.contains('TZ=') || self.matches('^[0-9A-Za-z*?,/#()\\s-]+$')").message("a schedule has digits, names and * ? , - / # ( ) alone; remove other characters"),
    )]
    pub schedule: String,
    /// The time zone in which `schedule` is read: an IANA name such as `Europe/Paris`.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(
        validation = Rule::new("self.matches('^[A-Za-z][A-Za-z0-9_+/-]*$') && !self.matches('^(?i)(local|localtime|system)$')").message("the time zone is an offset or depends on the machine; write an IANA name such as Europe/Paris"),
        // An unknown name makes the rule fail as it is evaluated, which refuses the object too, with this message.
        validation = Rule::new("timestamp('2024-01-01T00:00:00Z').getFullYear(self) > 2000").message("the time zone is unknown; write an IANA name such as Europe/Paris"),
    )]
    pub time_zone: String,
    /// Whether new runs are held back. Runs that have started go on, and what passed meanwhile does not run later.
    #[serde(default)]
    pub suspend: bool,
    /// What happens when a slot is due and an earlier run has not ended: `Forbid` skips the slot, `Allow` starts it beside
    /// the earlier one. The default differs from that of a Kubernetes `CronJob`, which is `Allow`.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// Seconds after its slot that a run may still start. A later one is skipped. Without it there is no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub starting_deadline_seconds: Option<u32>,
    /// What happens to slots that passed while nothing could run them: `Latest` runs the latest of them once, `Skip` runs
    /// none, `All` runs each of them, the oldest first, up to `missedRunLimit`. With `All` a slot that comes while an
    /// earlier run lasts is one of them too: `Forbid` then puts it off and does not skip it.
    #[serde(default)]
    pub missed_run_policy: MissedRunPolicy,
    /// How many slots may wait with `missedRunPolicy: All`, which needs it; of more, the oldest are skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub missed_run_limit: Option<u32>,
    /// How many records of succeeded runs are kept.
    #[serde(default = "hundred")]
    #[schemars(range(min = 0, max = 100_000))]
    pub successful_runs_history_limit: u32,
    /// How many records of runs that did not succeed are kept.
    #[serde(default = "hundred")]
    #[schemars(range(min = 0, max = 100_000))]
    pub failed_runs_history_limit: u32,
    /// The job's name in the tree, instead of `namespace/name`: for a job that had a name before it became a resource.
    /// Fixed at creation, and honoured only in namespaces that the controller is told. Of two resources that want one
    /// name the one that has it keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(
        validation = Rule::new("!self.contains('/')").message("jobName contains '/'; names with a slash belong to namespaces: write one without, or leave jobName out"),
        validation = Rule::new("self.trim() == self").message("the name begins or ends with a space; remove it"),
    )]
    pub job_name: Option<String>,
    /// What a run does.
    pub template: RunTemplate,
}

/// A run that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActiveRun {
    /// Its id, as in the log and in `CRON_RUN_ID`.
    #[schemars(length(max = 64))]
    pub run_id: String,
    /// The node it runs on.
    #[schemars(length(max = 253))]
    pub node: String,
    /// Its slot.
    pub scheduled_time: Time,
    /// When a worker took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
}

/// What the controller last saw of the job. Outside a cluster there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeCronJobStatus {
    /// The `metadata.generation` that the rest of the status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The job's name in the tree: `spec.jobName`, or `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub job_name: Option<String>,
    /// The latest slot that was started or skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Time>,
    /// When a run last ended with success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<Time>,
    /// When a run last ended without success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure_time: Option<Time>,
    /// The next slot. Absent while the job is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<Time>,
    /// How many runs have not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub active: Option<i32>,
    /// The runs that have not ended, at most 20 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["runId".into()]))]
    pub active_runs: Vec<ActiveRun>,
    /// `Ready`: the job is taken up and runs by its schedule. `Stalled`: only an edit can mend it. `Suspended`: new runs
    /// are held back. `LastRunSucceeded`: how the last run ended, its outcome as the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

pub(crate) fn default_shell() -> Vec<String> {
    vec!["/bin/sh".to_owned(), "-c".to_owned()]
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
fn one_mebibyte() -> u64 {
    1 << 20
}
