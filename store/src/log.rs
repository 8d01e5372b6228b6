//! The run log: records of ended runs with their output, and of skipped slots.

use std::future::Future;

use model::JobName;
use model::job::History;
use model::record::{Output, RunRecord, SkipRecord};
use model::run::RunId;
use thiserror::Error;

/// Something to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEntry {
    /// An ended attempt.
    Run {
        /// The record.
        record: RunRecord,
        /// How many records of this job are kept; the oldest beyond that are removed, output and all. A store may do
        /// so only after about every tenth part of that many records, so that up to about a tenth more are there.
        keep: History,
    },
    /// Slots that did not run. At most [`KEPT_SKIPS`] are kept for a job.
    Skipped(SkipRecord),
}

/// How many records of skipped slots are kept for a job.
pub const KEPT_SKIPS: u32 = 100;

/// Which records to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// Those of one job, or of all.
    pub job: Option<JobName>,
    /// How many of the newest to pass over.
    pub skip: u32,
    /// How many to return at most.
    pub limit: u32,
    /// Whether their output is wanted; it is empty otherwise.
    pub with_output: bool,
}

/// Why the log did not do what was asked.
#[derive(Debug, Error)]
pub enum LogError {
    /// Nothing can be written until space is made.
    #[error("no space is left for the run log; make room and it goes on by itself")]
    NoSpace(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store could not be reached or did not answer.
    #[error("the run log is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// One of the entries can't be kept as it is, however often it is appended.
    #[error("the run log refuses an entry")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store was closed by this process.
    #[error("the run log is closed")]
    Closed,
}

/// Storage of the log. Cheap to clone; clones share one store.
pub trait RunLog: Clone + Send + Sync + 'static {
    /// Appends entries; when this returns `Ok` all of them are durable, otherwise perhaps some. To append an entry
    /// again changes nothing, so the caller repeats the whole call until it succeeds.
    ///
    /// The first record of an attempt stays, with one exception: one whose outcome is `Lost` is superseded by one with
    /// any other outcome, which was written before its worker died and comes late. It is never the other way round.
    fn append(&self, entries: Vec<LogEntry>) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Records of ended runs, newest start first (the slot stands in for a start that is not known).
    fn runs(&self, query: RunQuery) -> impl Future<Output = Result<Vec<RunRecord>, LogError>> + Send;

    /// The record of one attempt, without its output.
    fn find(
        &self,
        run: &RunId,
        attempt: u32,
    ) -> impl Future<Output = Result<Option<RunRecord>, LogError>> + Send;

    /// What one attempt wrote; `None` where there is no record of it.
    fn output(
        &self,
        run: &RunId,
        attempt: u32,
    ) -> impl Future<Output = Result<Option<Output>, LogError>> + Send;

    /// Skipped slots of a job, latest first.
    fn skipped(
        &self,
        job: &JobName,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<SkipRecord>, LogError>> + Send;
}
