//! Slots, runs and how they end.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::hash::stable_hash;
use crate::words::{Word, named};
use crate::{Lane, UnixMillis};

/// One scheduled instant of one job. Jitter and lateness never change it: it is the slot's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub UnixMillis);

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A revision of the tree: it grows with every committed transaction, and 0 means "no such key".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub i64);

impl Revision {
    /// What a key that does not exist compares as.
    pub const NONE: Self = Self(0);
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one run for ever: the slot's milliseconds in 13 digits, a dash, and 16 hexadecimal digits that depend on the
/// job's name, lane, incarnation and epoch. So ids sort by time, and a repeated claim of a slot asks for the same id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(Box<str>);

/// A text that is not a run id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a run id: it looks like 1764000000000-1f2e3d4c5b6a7988")]
pub struct RunIdError;

impl RunId {
    /// The id of the run of `slot` in a lane of the incarnation of the job that was created at `created`.
    pub fn of_slot(lane: impl Into<Lane>, created: Revision, slot: Slot) -> Self {
        Self::of_slot_in(&lane.into(), created, Revision::NONE, slot)
    }

    /// As [`RunId::of_slot`], in an epoch of that incarnation ([`crate::values::Cursor::epoch`]): a slot that is decided
    /// once more, because the clock was set back, has another run.
    pub fn of_slot_in(lane: &Lane, created: Revision, epoch: Revision, slot: Slot) -> Self {
        let Lane { job, node } = lane;
        let (created, of_epoch) = (created.to_string(), epoch.to_string());
        let hash = match (node, epoch) {
            (None, Revision::NONE) => stable_hash(&[job.as_str(), &created]),
            (None, _) => stable_hash(&[job.as_str(), &created, &of_epoch]),
            (Some(node), _) => stable_hash(&[job.as_str(), &created, &of_epoch, node.as_str()]),
        };
        Self(format!("{:013}-{hash:016x}", slot.0.0.max(0)).into())
    }

    /// Stands for the first run of skipped slots in a record of version 0.1.0, which did not keep it.
    pub fn unknown() -> Self {
        Self(format!("{:013}-{:016x}", 0, 0).into())
    }

    /// Whether this is [`RunId::unknown`].
    pub fn is_unknown(&self) -> bool {
        *self == Self::unknown()
    }

    /// The id as text: `[0-9]{13,}-[0-9a-f]{16}`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for RunId {
    type Err = RunIdError;
    fn from_str(text: &str) -> Result<Self, RunIdError> {
        let (time, hash) = text.split_once('-').ok_or(RunIdError)?;
        let digits = (13..=16).contains(&time.len()) && time.bytes().all(|b| b.is_ascii_digit());
        let hex = hash.len() == 16 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if digits && hex { Ok(Self(text.into())) } else { Err(RunIdError) }
    }
}

impl TryFrom<String> for RunId {
    type Error = RunIdError;
    fn try_from(text: String) -> Result<Self, RunIdError> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0.into()
    }
}

/// One life of a worker process: the node's name and a boot nonce. Created once, never reused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub String);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The command's own process ended with status 0.
    Succeeded,
    /// It ended with another status, by a signal nobody here sent, or could not be started.
    Failed,
    /// It outlived `activeDeadlineSeconds` and was ended.
    TimedOut,
    /// Somebody asked for its end, or its worker was stopped.
    Killed,
    /// Its worker died; how far the command came is not known.
    Lost,
    /// A newer version's, which is kept, counted and shown under its name. None of those above.
    Other(Word),
}

named!(Outcome);

impl Outcome {
    /// Every outcome that this version decides, in the order of lists and counters.
    pub const ALL: [Self; 5] = [Self::Succeeded, Self::Failed, Self::TimedOut, Self::Killed, Self::Lost];

    /// The name that users read in status, records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::TimedOut => "TimedOut",
            Self::Killed => "Killed",
            Self::Lost => "Lost",
            Self::Other(word) => word.as_str(),
        }
    }

    /// The outcome of this name; `None` where [`Word::new`] makes no word of it.
    pub fn named(name: &str) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|outcome| outcome.as_str() == name);
        known.or_else(|| Word::new(name).map(Self::Other))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a slot did not become a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// An earlier run of the job had not ended, and the policy is `Forbid`.
    Overlap,
    /// `startingDeadlineSeconds` passed before anything could start it.
    Deadline,
    /// The job was suspended.
    Suspended,
    /// Nothing could run it in time, and the missed-run policy took a later slot or none.
    Missed,
    /// The clock had been ahead, and slots up to here were decided by it. It was set back, and the job goes on from its
    /// right time: the slots of the stretch are decided once more, as they come.
    ClockSet,
    /// A newer version's, which is kept, counted and shown under its name. None of those above.
    Other(Word),
}

named!(SkipReason);

impl SkipReason {
    /// Every reason that this version decides.
    pub const ALL: [Self; 5] = [Self::Overlap, Self::Deadline, Self::Suspended, Self::Missed, Self::ClockSet];

    /// The name that users read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overlap => "Overlap",
            Self::Deadline => "Deadline",
            Self::Suspended => "Suspended",
            Self::Missed => "Missed",
            Self::ClockSet => "ClockSet",
            Self::Other(word) => word.as_str(),
        }
    }

    /// The reason of this name; `None` where [`Word::new`] makes no word of it.
    pub fn named(name: &str) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|reason| reason.as_str() == name);
        known.or_else(|| Word::new(name).map(Self::Other))
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A stretch of slots of one job that did not run, all for one reason. It identifies itself: unlike other values it keeps
/// no field that this version does not know, so a newer version puts what it adds beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Skipped {
    /// The first slot of the stretch.
    pub from: Slot,
    /// The last one; equal to `from` for a single slot.
    pub to: Slot,
    /// How many there were; absent when there were more than anybody counts (see [`crate::decide`]) or when the
    /// schedule they belonged to is no longer known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Why.
    pub reason: SkipReason,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{JobName, NodeName};

    #[test]
    fn run_ids_sort_by_slot_and_read_back() {
        let job = JobName::new("ops/rotate").unwrap();
        let ids: Vec<RunId> = [999, 1_764_000_000_000, 1_764_000_001_000]
            .map(|ms| RunId::of_slot(&job, Revision(7), Slot(UnixMillis(ms))))
            .into();
        assert!(ids.is_sorted());
        for id in ids {
            assert_eq!(id.as_str().parse(), Ok(id));
        }
    }

    #[test]
    fn a_recreated_job_has_other_run_ids() {
        let job = JobName::new("a").unwrap();
        let slot = Slot(UnixMillis(1_764_000_000_000));
        assert_eq!(RunId::of_slot(&job, Revision(1), slot), RunId::of_slot(&job, Revision(1), slot));
        assert_ne!(RunId::of_slot(&job, Revision(1), slot), RunId::of_slot(&job, Revision(2), slot));
        let second_epoch = RunId::of_slot_in(&Lane::from(&job), Revision(1), Revision(7), slot);
        assert_ne!(RunId::of_slot(&job, Revision(1), slot), second_epoch);
        assert_ne!(RunId::of_slot(&job, Revision(7), slot), second_epoch);
        let on = |node| Lane { job: job.clone(), node: NodeName::new(node) };
        assert_ne!(RunId::of_slot(&job, Revision(1), slot), RunId::of_slot(on("a"), Revision(1), slot));
        assert_ne!(RunId::of_slot(on("b"), Revision(1), slot), RunId::of_slot(on("a"), Revision(1), slot));
    }

    #[test]
    fn texts_that_are_no_run_ids_are_refused() {
        for text in
            ["", "-", "1764000000000", "1764000000000-1F2E3D4C5B6A7988", "../1764000000000-1f2e3d4c5b6a7988"]
        {
            assert_eq!(text.parse::<RunId>(), Err(RunIdError), "{text:?}");
        }
    }
}
