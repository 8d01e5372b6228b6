//! Jobs and runs as these commands print them: the shapes of `-o json` and `-o yaml`, which docs/cronctl.md promises.
//!
//! They are read from a master's `/api/v1`, whose names they keep, or made from resources.

use std::collections::BTreeMap;

use model::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A job as it stands.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Job {
    /// Its name in the tree.
    pub(crate) name: String,
    pub(crate) state: State,
    /// Why it is invalid or pending, or stands still.
    pub(crate) message: Option<String>,
    pub(crate) suspended: bool,
    /// Nothing where the job is invalid.
    pub(crate) schedule: Option<Schedule>,
    pub(crate) command: String,
    /// Whether a list shows the beginning of the command alone.
    #[serde(default, skip_serializing)]
    pub(crate) command_cut: bool,
    /// Who writes the job: nothing for one saved through the page or by hand.
    pub(crate) owner: Option<Value>,
    /// The next slot.
    pub(crate) next: Option<String>,
    pub(crate) active_count: usize,
    /// The first of its runs that have not ended.
    pub(crate) active: Vec<Active>,
    pub(crate) status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Idle,
    Running,
    /// A resource that its controller has not taken up.
    Pending,
    Invalid,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Schedule {
    pub(crate) text: String,
    pub(crate) dialect: String,
    pub(crate) time_zone: String,
    /// In words.
    pub(crate) description: String,
}

/// A run that has not ended.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Active {
    pub(crate) run: String,
    pub(crate) attempt: u32,
    pub(crate) node: String,
    pub(crate) slot: String,
    /// When a worker took it.
    pub(crate) claimed: Option<String>,
}

/// What became of a job's slots. The API server has no more than the last times and the last outcome.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Status {
    /// Ended runs by outcome.
    pub(crate) runs: BTreeMap<String, u64>,
    /// Skipped slots by reason.
    pub(crate) skipped: BTreeMap<String, u64>,
    pub(crate) last_outcome: Option<String>,
    pub(crate) last_schedule_time: Option<String>,
    pub(crate) last_successful_time: Option<String>,
    pub(crate) last_failure_time: Option<String>,
    pub(crate) last_skipped: Option<Skipped>,
    /// What the master says; `last_outcome` is the first of them.
    #[serde(skip_serializing)]
    pub(crate) recent: Vec<Recent>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Recent {
    pub(crate) outcome: String,
}

/// A stretch of slots that did not run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Skipped {
    pub(crate) from: String,
    pub(crate) to: String,
    /// Nothing where they were too many to count.
    pub(crate) count: Option<u32>,
    pub(crate) reason: String,
}

/// An ended attempt of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the master calls it so")]
pub(crate) struct Run {
    pub(crate) run: String,
    pub(crate) attempt: u32,
    pub(crate) node: String,
    pub(crate) slot: String,
    pub(crate) claimed: String,
    pub(crate) started: Option<String>,
    pub(crate) ended: String,
    pub(crate) outcome: String,
    pub(crate) exit_status: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// One sentence on anything but success.
    pub(crate) message: String,
    pub(crate) command: String,
}

impl Run {
    /// What no other record has.
    pub(crate) fn attempt_id(&self) -> (String, u32) {
        (self.run.clone(), self.attempt)
    }

    /// What records are listed by, the newest first. The slot stands in for a start that is not known.
    pub(crate) fn began(&self) -> UnixMillis {
        self.started.as_ref().unwrap_or(&self.slot).parse().unwrap_or_default()
    }
}

/// A page of a job's records.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Records {
    /// Newest start first.
    pub(crate) runs: Vec<Run>,
    /// Latest first.
    pub(crate) skipped: Vec<Skipped>,
}
