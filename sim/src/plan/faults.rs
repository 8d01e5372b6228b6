//! What goes wrong, and what people do.

use std::fmt;
use std::time::Duration;

use super::jobs::Missed;
use crate::time::At;

/// One of them, from `at` for `lasts`. What happens in an instant has no duration.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Its number.
    pub id: usize,
    /// When it begins.
    pub at: At,
    /// How long it lasts.
    pub lasts: Duration,
    /// What.
    pub what: What,
}

/// How a job is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// It is put as it is.
    Same,
    /// Another schedule.
    Schedule(String),
    /// Whether runs may overlap.
    Allow(bool),
    /// What happens to slots that passed.
    Missed(Missed),
    /// Whether it needs [`LATER`](super::LATER).
    Later(bool),
}

/// Numbers are those of nodes and jobs; times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what the variant's line names")]
pub enum What {
    /// Requests and replies of a node take up to this long, each on its own.
    Slow { node: usize, up_to: u64 },
    /// Of a hundred requests and of a hundred replies of a node so many are lost.
    Lossy { node: usize, percent: u64 },
    /// So many of a hundred requests are answered with a failure and done up to this long after that.
    Late { node: usize, percent: u64, up_to: u64 },
    /// A node does not reach the tree.
    CutOff { node: usize },
    /// The tree has no leader. The next one extends all leases.
    TreeDown,
    /// Another leader extends all leases.
    LeaderChange,
    /// The tree takes no puts.
    NoSpace,
    /// The tree forgets its past changes.
    Compact,
    /// News of the tree come so late to a node.
    WatchLag { node: usize, by: u64 },
    /// A node's watch breaks and lists again.
    WatchBreak { node: usize },
    /// The log is not reached, by one node or by all.
    LogAway { node: Option<usize> },
    /// SIGKILL to a worker; another one starts at the end.
    KillWorker { node: usize },
    /// SIGTERM to a worker, with this grace, and a second one after `again`. Another one starts at the end, or as soon as
    /// the first has ended.
    StopWorker { node: usize, grace: u64, again: Option<u64> },
    /// SIGSTOP to a worker.
    PauseWorker { node: usize },
    /// SIGKILL to an executor.
    KillExecutor { node: usize },
    /// SIGSTOP to an executor.
    PauseExecutor { node: usize },
    /// The power of a node fails.
    CrashNode { node: usize },
    /// A node's wall clock is wrong by this.
    ClockStep { node: usize, by: i64 },
    /// A node's disk takes no records.
    DiskFull { node: usize },
    /// A node can't start processes.
    SpawnFails { node: usize },
    /// A worker is replaced by one of another version, which has [`LATER`](super::LATER) if that one had not, and the
    /// other way round; at the end by one as before.
    Upgrade { node: usize },
    /// Somebody deletes a worker's registration.
    Deregister { node: usize },
    /// A job is changed.
    Edit { job: usize, to: Edit },
    /// A job is suspended, and resumed at the end.
    Suspend { job: usize },
    /// A job is deleted, and created again at the end.
    Delete { job: usize },
    /// Somebody kills what runs of a job.
    Kill { job: usize },
    /// The same, by the replaced system.
    Killer { job: usize },
    /// A job's value can't be read.
    MalformedJob { job: usize },
    /// A job's status can't be read.
    MalformedStatus { job: usize },
    /// Keys of newer versions about a job are there.
    Foreign { job: usize },
    /// A worker of the replaced system runs a job, if it gets the lock.
    OldWorker { job: usize },
    /// Right after the next claim of a job, before its worker knows, the job is killed, edited or deleted.
    Ambush { job: usize, then: Ambush },
}

/// What happens between a claim and its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambush {
    /// The job is killed.
    Kill,
    /// It is put as it is.
    Edit,
    /// It is suspended, for ten seconds.
    Suspend,
    /// It is deleted and created again at once.
    Recreate,
}

impl What {
    /// The node that it is about.
    pub fn node(&self) -> Option<usize> {
        match self {
            Self::Slow { node, .. }
            | Self::Lossy { node, .. }
            | Self::Late { node, .. }
            | Self::CutOff { node }
            | Self::WatchLag { node, .. }
            | Self::WatchBreak { node }
            | Self::LogAway { node: Some(node) }
            | Self::KillWorker { node }
            | Self::StopWorker { node, .. }
            | Self::PauseWorker { node }
            | Self::KillExecutor { node }
            | Self::PauseExecutor { node }
            | Self::CrashNode { node }
            | Self::ClockStep { node, .. }
            | Self::DiskFull { node }
            | Self::SpawnFails { node }
            | Self::Upgrade { node }
            | Self::Deregister { node } => Some(*node),
            _ => None,
        }
    }

    /// The job that it is about.
    pub fn job(&self) -> Option<usize> {
        match self {
            Self::Edit { job, .. }
            | Self::Suspend { job }
            | Self::Delete { job }
            | Self::Kill { job }
            | Self::Killer { job }
            | Self::MalformedJob { job }
            | Self::MalformedStatus { job }
            | Self::Foreign { job }
            | Self::OldWorker { job }
            | Self::Ambush { job, .. } => Some(*job),
            _ => None,
        }
    }

    /// The first word, for counting.
    pub fn kind(&self) -> String {
        let text = format!("{self:?}");
        text.split(' ').next().unwrap_or_default().to_owned()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, at, lasts, what } = self;
        write!(f, "fault {id} at {at}")?;
        if !lasts.is_zero() {
            write!(f, " for {:.3} s", lasts.as_secs_f64())?;
        }
        write!(f, ": {what:?}")
    }
}
