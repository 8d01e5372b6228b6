//! What goes into the core and what comes out of it.

use std::time::Duration;

use model::record::RunRecord;
use model::run::{RunId, SessionId};
use model::values::WorkerInfo;
use model::{JobName, UnixMillis};
use store::{Follow, LogEntry, LogError, Renewed, Session, TreeError, Txn, TxnReply};

use crate::Report;
use crate::executor::{Boottime, Event, Fence, RunKey, Start, StopReason};

/// What the clocks of the node read. The core reads none by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The wall clock. It may be wrong and may be set.
    pub wall: UnixMillis,
    /// The boot-time clock, which nobody sets.
    pub boot: Boottime,
}

/// Ties an answer to what was asked. Used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// Something that the core did not know before.
#[derive(Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// News of the tree, at most [`super::AT_ONCE`] keys of it.
    Tree(Follow),
    /// The answer to [`Act::Commit`].
    Committed(AskId, Result<TxnReply, TreeError>),
    /// The answer to [`Act::Append`]: with `Ok`, all of it is durable.
    Appended(AskId, Result<(), LogError>),
    /// The answer to [`Act::Find`].
    Found(AskId, Result<Option<RunRecord>, LogError>),
    /// The answer to [`Act::Renew`].
    Renewed(AskId, Result<Renewed, TreeError>),
    /// The answer to [`Act::Open`].
    Opened(AskId, Result<Session, TreeError>),
    /// News of the executor.
    Executor(Event),
    /// The answer to [`Act::Spawn`].
    Spawned(Result<(), String>),
    /// The answer to [`Act::Sweep`]: no process of the session is left on this node.
    Swept(SessionId),
    /// End: claim nothing more. What runs gets at most this long between SIGTERM and SIGKILL.
    Stop {
        /// How long.
        grace: Duration,
    },
}

/// Something to do. Acts are done in their order, and none is waited for: what became of it is an input.
#[derive(Debug)]
pub enum Act {
    /// Run a transaction.
    Commit(AskId, Txn),
    /// Append to the run log.
    Append(AskId, Vec<LogEntry>),
    /// Look for the record of an attempt. Without an answer after a few seconds the log counts as unavailable.
    Find(AskId, RunId, u32),
    /// Renew the session. Without an answer after this time the tree counts as unavailable.
    Renew(AskId, Session, Duration),
    /// Open a session under a new id.
    Open(AskId, Box<WorkerInfo>),
    /// Tell the executor.
    Order(Order),
    /// Start an executor in place of the dead one.
    Spawn,
    /// Kill every process on this node that carries a session in its environment.
    Sweep(SessionId),
    /// The mirror of the tree was thrown away: follow it anew, beginning with a listing.
    Follow,
    /// Tell whoever listens.
    Tell(Report),
    /// Write a line to the log of this program.
    Note(Note),
    /// Count something.
    Count(Count),
}

/// What the executor is told.
#[derive(Clone, Debug)]
pub enum Order {
    /// Start a command at its instant.
    Start(Box<Start>),
    /// Stop a run; one that has not started never will.
    Stop(RunKey, StopReason),
    /// Stop all runs with at most this grace and start none any more.
    StopAll(Duration),
    /// Until when the session is sure to live.
    Fence(Fence),
    /// Answer with [`Event::Alive`].
    Ping,
}

/// A line of this program's own log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How much it matters.
    pub level: Level,
    /// The job it is about, if it is about one.
    pub job: Option<JobName>,
    /// A sentence.
    pub text: String,
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As expected.
    Info,
    /// Somebody should look at it some day.
    Warn,
    /// Somebody should look at it now.
    Error,
}

/// What is counted besides reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// A claim was committed.
    Claim,
    /// A claim was refused.
    Refused,
    /// A command started this long after its slot.
    Started(Duration),
    /// The whole tree was read.
    Listing,
    /// A session began.
    Session,
    /// A store did not take a request.
    StoreError,
}
