//! The invariants: each is one promise of the system. A violation is a promise that was broken, with its time and, where
//! it concerns one job, that job.

use std::fmt;

use model::JobName;

use crate::time::At;

/// What is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Each attempt of a run starts one process at most.
    StartedOnce,
    /// Of the exclusive processes of one job, one lives at a time.
    OneAtATime,
    /// A job of the replaced system's form is not run by both systems at one time.
    OneSystem,
    /// An exclusive process is gone before its session's lease ends.
    WithinLease,
    /// Every slot that the cursor passes is in exactly one run or skipped stretch.
    SlotsCovered,
    /// A cursor does not move back within an incarnation.
    CursorForward,
    /// Fencing tokens grow.
    TokensGrow,
    /// At most one run record of an exclusive job exists.
    OneRecord,
    /// A run record goes only with its end counted, once, and the counters say what happened.
    RunsCounted,
    /// A skipped stretch leaves the cursor once it is recorded.
    SkipsKept,
    /// A run is ended or given back by its holder, or once that is dead.
    HolderEnds,
    /// Nothing is decided on a definition that is not the present one, or that is suspended.
    Definition,
    /// A job's slots are decided by workers that have what it needs.
    NeedsKept,
    /// A command gets the grace that it was promised.
    Grace,
    /// A record says what happened to the process.
    TrueRecords,
    /// A run is called lost only where something died.
    LostTruly,
    /// Every end and every skipped slot is in the log.
    Recorded,
    /// Every process of a worker is gone shortly after the worker.
    GoneWithWorker,
    /// A run is asked to end soon after its job was killed or deleted.
    KillsReach,
    /// A slot is skipped as an overlap only while the job is busy.
    SkipsTrue,
    /// Of the jobs that wait for a place, none is passed over again and again.
    FairShare,
    /// A job whose slot is due is decided within a bound.
    JobsGoOn,
    /// No run record stays without somebody who ends it.
    RunsEnd,
    /// A worker that was asked to end has ended within a bound.
    WorkersEnd,
    /// A worker does not work without end at one instant.
    Livelock,
    /// A worker does not panic.
    Panics,
    /// The simulation itself is the same each time.
    Repeatable,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Invariant {
    /// The promise as a sentence.
    pub fn promise(self) -> &'static str {
        match self {
            Self::StartedOnce => "Promised: each attempt of a run starts one process at most.",
            Self::OneAtATime => "Promised: of the exclusive processes of one job, one lives at a time.",
            Self::OneSystem => "Promised: a job is not run by both systems at one time.",
            Self::WithinLease => "Promised: an exclusive process is gone before its session's lease ends.",
            Self::SlotsCovered => {
                "Promised: every slot that the cursor passes is in exactly one run or skipped stretch."
            }
            Self::CursorForward => "Promised: a cursor does not move back within an incarnation.",
            Self::TokensGrow => "Promised: fencing tokens grow.",
            Self::OneRecord => "Promised: at most one run record of an exclusive job exists.",
            Self::RunsCounted => "Promised: a run record goes only with its end counted, once.",
            Self::SkipsKept => "Promised: a skipped stretch leaves the cursor once it is recorded.",
            Self::HolderEnds => "Promised: a run is ended or given back by its holder, or once that is dead.",
            Self::Definition => "Promised: nothing is decided on a definition that is not the present one.",
            Self::NeedsKept => "Promised: a job's slots are decided by workers that have what it needs.",
            Self::Grace => "Promised: a command gets its grace, unless something cuts it.",
            Self::TrueRecords => "Promised: a record says what happened to the process.",
            Self::LostTruly => "Promised: a run is called lost only where something died.",
            Self::Recorded => "Promised: every end and every skipped slot is in the log.",
            Self::GoneWithWorker => "Promised: every process of a worker is gone shortly after the worker.",
            Self::KillsReach => "Promised: a run is asked to end soon after its job was killed or deleted.",
            Self::SkipsTrue => "Promised: a slot is skipped as an overlap only while the job is busy.",
            Self::FairShare => {
                "Promised: of the jobs that wait for a place, none is passed over again and again."
            }
            Self::JobsGoOn => "Promised: a job whose slot is due is decided within a bound.",
            Self::RunsEnd => "Promised: no run record stays without somebody who ends it.",
            Self::WorkersEnd => "Promised: a worker that was asked to end has ended within a bound.",
            Self::Livelock => "Promised: a worker does not work without end at one instant.",
            Self::Panics => "Promised: a worker does not panic.",
            Self::Repeatable => "Promised: the simulation is a function of its plan.",
        }
    }
}

/// A promise that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When.
    pub at: At,
    /// The job concerned, if it is one job's.
    pub job: Option<JobName>,
    /// A sentence.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.invariant, self.at)?;
        if let Some(job) = &self.job {
            write!(f, ", job {job}")?;
        }
        write!(f, ": {}", self.text)
    }
}

/// A promise that was broken, before it is known where and when.
pub(super) type Broken = (Invariant, String);

pub(super) fn broken<T>(invariant: Invariant, text: String) -> Result<T, Broken> {
    Err((invariant, text))
}
