//! The values behind the tree's keys (see [`crate::keys`]), all of them JSON.
//!
//! Each type reads what any earlier version wrote: fields are only added, and an added one has a default. And it reads what
//! a later version wrote: what it does not know it keeps, so that the value can be written again without loss. What its
//! reader must not pass over is listed in `needs` ([`crate::features`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::job::Job;
use crate::run::{Outcome, Revision, RunId, SessionId, SkipReason, Skipped, Slot};
use crate::schedule::Dialect;
use crate::{Lane, UnixMillis, Unknown, Words};

/// How many outcomes a [`JobStatus`] remembers.
pub const RECENT_OUTCOMES: usize = 16;

/// How many skipped stretches a cursor holds. A job with that many waits until the run log takes some.
pub const MOST_PENDING: usize = 16;

/// What a cursor was armed for. As long as the job's own still equals it, the slots after the cursor are owed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timetable {
    /// The expression.
    pub schedule: String,
    /// How it is read.
    pub dialect: Dialect,
    /// The zone's name.
    pub zone: String,
    /// Whether the job was suspended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
}

impl Timetable {
    /// The timetable of a job as it stands.
    pub fn of(job: &Job) -> Self {
        Self {
            schedule: job.schedule.text().to_owned(),
            dialect: job.schedule.dialect(),
            zone: job.schedule.zone().to_string(),
            suspended: job.suspend,
        }
    }

    /// The same question as `*self == Self::of(job)`, without building anything.
    pub fn is_of(&self, job: &Job) -> bool {
        self.schedule == job.schedule.text()
            && self.dialect == job.schedule.dialect()
            && self.suspended == job.suspend
            && self.zone == job.schedule.zone().name()
    }
}

/// `cursor/n`: every slot of the incarnation at or before `slot` is decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cursor {
    /// The last decided instant. It only grows within one epoch of one incarnation.
    pub slot: Slot,
    /// The create revision of the job it belongs to.
    pub job: Revision,
    /// What it was armed for.
    #[serde(flatten)]
    pub timetable: Timetable,
    /// Which life of the cursor this is, by the mod revision of the former life's last value. A new one begins where the
    /// clock had been ahead and somebody let the job go on from its right time. [`Revision::NONE`] in the first.
    #[serde(default, skip_serializing_if = "is_none")]
    pub epoch: Revision,
    /// Skipped stretches that are counted in the status and perhaps not in the run log yet, at most [`MOST_PENDING`].
    /// Whoever moves the cursor leaves out those known to be in the log and carries the others along, so that a crash
    /// between the move and the record loses none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skips: Vec<PendingSkip>,
    /// What a newer version put beside these.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// A skipped stretch that may not be in the run log yet. It keeps the identity it was skipped under when a later life of
/// the cursor carries it along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PendingSkip {
    /// The slots and the reason.
    #[serde(flatten)]
    pub skipped: Skipped,
    /// The incarnation of the job in which they were skipped.
    #[serde(default, skip_serializing_if = "is_none")]
    pub job: Revision,
    /// The epoch of that incarnation.
    #[serde(default, skip_serializing_if = "is_none")]
    pub epoch: Revision,
}

impl PendingSkip {
    /// The id of the run that the first of the slots would have had; with the reason it identifies the record. Of a
    /// stretch that version 0.1.0 wrote it is not known, and the record of that version is the same one.
    pub fn first_run(&self, lane: &Lane) -> RunId {
        if self.job == Revision::NONE {
            return RunId::unknown();
        }
        RunId::of_slot_in(lane, self.job, self.epoch, self.skipped.from)
    }
}

/// `cluster`: the Kubernetes cluster whose resources' jobs are in the tree. Only its controllers delete them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterInfo {
    /// The uid of its namespace `kube-system`.
    pub uid: String,
    /// What a newer version put beside it.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// `runs/…`: a claimed slot. While this exists, the run is somebody's to finish.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveRun {
    /// Who claimed it.
    pub session: SessionId,
    /// The node that session is on.
    pub node: String,
    /// The slot.
    pub slot: Slot,
    /// Which try, counted from 0.
    pub attempt: u32,
    /// When it was claimed, by the claimer's clock.
    pub claimed: UnixMillis,
    /// The mod revision of the job's definition that it runs.
    pub definition: Revision,
    /// For how many milliseconds a survivor must have seen the session gone before it may declare the run lost: until
    /// then its processes may live.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost_after: u64,
    /// The stretch of slots that this claim passed over, if any. It is in the record of skips once the run is finished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// The create revision of the job: its incarnation. [`Revision::NONE`] where version 0.1.0 wrote the value.
    #[serde(default, skip_serializing_if = "is_none")]
    pub job: Revision,
    /// The epoch of the cursor in which it was claimed ([`Cursor::epoch`]).
    #[serde(default, skip_serializing_if = "is_none")]
    pub epoch: Revision,
    /// Present while nobody executes the run: its claim was given back before its command started. `session` and `node`
    /// are then those of the last holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Present once it is decided how the run ended, although nobody executes it: it was lost with its session, or it was
    /// killed while it waited. What is left is to record that, which any worker can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<DeclaredEnd>,
    /// What whoever takes, ends or declares the run must understand. Others leave it alone; it keeps its job busy for
    /// them too.
    #[serde(default, skip_serializing_if = "Words::is_empty")]
    pub needs: Words,
    /// What a newer version put beside these.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// The end of a run that nobody executes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeclaredEnd {
    /// `Lost` or `Killed`.
    pub outcome: Outcome,
    /// The sentence for its record.
    pub message: String,
    /// What a newer version put beside these.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl ActiveRun {
    /// The stretches that the claim passed over, as they go into the run log.
    pub fn skips(&self) -> impl Iterator<Item = PendingSkip> {
        self.skipped.iter().map(|skipped| PendingSkip { skipped: *skipped, job: self.job, epoch: self.epoch })
    }

    /// Whether a worker executes it, as far as the tree says.
    pub fn is_held(&self) -> bool {
        self.waiting.is_none() && self.ended.is_none()
    }

    /// Whether any worker may take it.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some() && self.ended.is_none()
    }
}

/// A claimed slot whose command did not start and that any worker may take.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Why its command did not start, as one sentence.
    pub because: String,
    /// What a newer version put beside it.
    #[serde(flatten)]
    pub unknown: Unknown,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it skips by reference")]
fn is_none(revision: &Revision) -> bool {
    *revision == Revision::NONE
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it skips by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// `lock/n`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LockValue {
    /// Nobody of the replaced system may run the job; its own exclusion is the run record.
    Reserved,
    /// One of our sessions runs the job.
    Held {
        /// Whose it is.
        session: SessionId,
        /// The run.
        run: RunId,
        /// Which try.
        attempt: u32,
    },
    /// Somebody else runs the job, most likely a worker of the replaced system.
    Foreign,
}

impl LockValue {
    /// The value as stored: `reserved`, or `session run attempt`.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Reserved => b"reserved".to_vec(),
            Self::Held { session, run, attempt } => format!("{session} {run} {attempt}").into_bytes(),
            Self::Foreign => Vec::new(),
        }
    }

    /// Reads any value.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let held = || {
            let mut words = std::str::from_utf8(bytes).ok()?.rsplitn(3, ' ');
            let (attempt, run, session) = (words.next()?, words.next()?, words.next()?);
            let (run, attempt) = (run.parse().ok()?, attempt.parse().ok()?);
            Some(Self::Held { session: SessionId(session.to_owned()), run, attempt })
        };
        match bytes {
            b"reserved" => Self::Reserved,
            _ => held().unwrap_or(Self::Foreign),
        }
    }
}

/// `status/n`: what became of a job's slots, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobStatus {
    /// Ended runs by outcome.
    pub runs: BTreeMap<Outcome, u64>,
    /// Skipped slots by reason; a stretch whose length nobody counted adds 1.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// The latest runs, oldest first, at most [`RECENT_OUTCOMES`].
    pub recent: Vec<RecentRun>,
    /// The latest slot that was claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Slot>,
    /// When the latest succeeded run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<UnixMillis>,
    /// When the latest run with any other outcome ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure_time: Option<UnixMillis>,
    /// The latest stretch of skipped slots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_skipped: Option<Skipped>,
    /// What a newer version put beside these.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// One entry of [`JobStatus::recent`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecentRun {
    /// The run.
    pub run: RunId,
    /// Its slot.
    pub slot: Slot,
    /// How it ended.
    pub outcome: Outcome,
    /// When it ended.
    pub ended: UnixMillis,
    /// What a newer version put beside these.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl JobStatus {
    /// Counts an ended run.
    pub fn add_run(&mut self, run: RecentRun) {
        *self.runs.entry(run.outcome).or_default() += 1;
        self.last_schedule_time = self.last_schedule_time.max(Some(run.slot));
        let last = match run.outcome {
            Outcome::Succeeded => &mut self.last_successful_time,
            Outcome::Failed | Outcome::TimedOut | Outcome::Killed | Outcome::Lost | Outcome::Other(_) => {
                &mut self.last_failure_time
            }
        };
        *last = (*last).max(Some(run.ended));
        if self.recent.len() >= RECENT_OUTCOMES {
            self.recent.drain(..=self.recent.len() - RECENT_OUTCOMES);
        }
        self.recent.push(run);
    }

    /// Counts skipped slots.
    pub fn add_skipped<'a>(&mut self, skipped: impl IntoIterator<Item = &'a Skipped>) {
        for stretch in skipped {
            *self.skipped.entry(stretch.reason).or_default() += u64::from(stretch.count.unwrap_or(1));
            self.last_skipped = Some(*stretch);
        }
    }
}

/// What the reader of a value must understand, of whatever kind and form the rest of it is. Where that says nothing that can
/// be read, it needs nothing.
pub fn needs_of(value: &[u8]) -> Words {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Needy {
        needs: Words,
    }
    serde_json::from_slice::<Needy>(value).unwrap_or_default().needs
}

/// Why a worker takes no slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NotClaiming {
    /// It has as many runs as it takes at once.
    Full,
    /// Its clock differs too much from the others'.
    ClockSkew,
    /// It was asked to end and only waits for its running commands.
    Ending,
    /// A newer version has a reason that this one does not know.
    #[serde(other)]
    Other,
}

/// `workers/<session>`: a live worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerInfo {
    /// The address people know the worker by, listed by the legacy calls.
    pub address: String,
    /// The node it runs on.
    pub node: String,
    /// The version of its program.
    pub version: String,
    /// When it registered, by its own clock.
    pub since: UnixMillis,
    /// What it can be chosen by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How many runs it takes at once, where that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// Why the others do its share at the moment, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_claiming: Option<NotClaiming>,
    /// Its clock when it wrote this. `since` stands in where an older version left it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<UnixMillis>,
    /// What it understands ([`crate::features`]); 0.1.0 says nothing, and has nothing of it.
    #[serde(default, skip_serializing_if = "Words::is_empty")]
    pub features: Words,
    /// What a newer version put beside these.
    #[serde(flatten)]
    pub unknown: Unknown,
}

impl WorkerInfo {
    /// A worker without labels and limits.
    pub fn new(address: &str, node: &str, version: &str, since: UnixMillis) -> Self {
        Self {
            address: address.to_owned(),
            node: node.to_owned(),
            version: version.to_owned(),
            since,
            labels: BTreeMap::new(),
            capacity: None,
            not_claiming: None,
            clock: None,
            features: Words::default(),
            unknown: Unknown::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobName;

    fn slot(second: i64) -> Slot {
        Slot(UnixMillis(second * 1000))
    }

    #[test]
    fn status_counts_and_forgets_the_oldest() {
        let job = JobName::new("a").unwrap();
        let mut status = JobStatus::default();
        for i in 0..20 {
            let slot = Slot(UnixMillis(i * 1000));
            let outcome = if i % 2 == 0 { Outcome::Succeeded } else { Outcome::Failed };
            let run = RunId::of_slot(&job, Revision(1), slot);
            let unknown = Unknown::default();
            status.add_run(RecentRun { run, slot, outcome, ended: UnixMillis(i * 1000 + 1), unknown });
        }
        assert_eq!(status.runs, [(Outcome::Succeeded, 10), (Outcome::Failed, 10)].into());
        assert_eq!(status.recent.len(), RECENT_OUTCOMES);
        assert_eq!(status.recent[0].slot, Slot(UnixMillis(4000)));
        assert_eq!(status.last_schedule_time, Some(Slot(UnixMillis(19_000))));
        assert_eq!(status.last_successful_time, Some(UnixMillis(18_001)));
        assert_eq!(status.last_failure_time, Some(UnixMillis(19_001)));
    }

    #[test]
    fn values_of_an_older_version_are_read() {
        assert_eq!(serde_json::from_str::<JobStatus>("{}").unwrap(), JobStatus::default());
        let skip = r#"{"from":1000,"to":2000,"count":2,"reason":"Missed"}"#;
        let skip: PendingSkip = serde_json::from_str(skip).unwrap();
        assert_eq!((skip.skipped.from, skip.job, skip.epoch), (slot(1), Revision::NONE, Revision::NONE));
    }

    #[test]
    fn a_skipped_stretch_is_named_by_lane_incarnation_and_epoch() {
        let (job, reason) = (JobName::new("a").unwrap(), SkipReason::Missed);
        let name = |node, job_created, epoch| {
            let skipped = Skipped { from: slot(1), to: slot(2), count: None, reason };
            let lane = Lane { job: job.clone(), node: crate::NodeName::new(node) };
            PendingSkip { skipped, job: Revision(job_created), epoch: Revision(epoch) }.first_run(&lane)
        };
        let all = [name("", 1, 0), name("", 2, 0), name("", 1, 2), name("n", 1, 0), name("m", 1, 0)];
        assert_eq!(std::collections::BTreeSet::from(all).len(), 5);
        assert_eq!(name("", 1, 2), RunId::of_slot_in(&Lane::from(&job), Revision(1), Revision(2), slot(1)));
        // The record that version 0.1.0 wrote of a stretch in its cursor is found again.
        assert_eq!(name("", 0, 0), RunId::unknown());
    }
}
