//! A bounded queue on disk in front of a log that may be away.
//!
//! What is appended is durable in the **spool**, a file in a folder of its own, before the append returns. A task
//! **ships** it from there to the log behind (**inner**), in order, in batches, and removes it once the log has taken
//! it. A crash between the two ships it twice, which changes nothing at the log. So nothing is lost and nothing is
//! doubled, whichever of the two is killed.
//!
//! A **full** spool drops the oldest outputs first. Their records say so, and count the bytes as cut. When there are no
//! outputs left, it drops the oldest records. Both are counted in [`SpoolStatus`] and logged.
//!
//! Not here: what the log does with entries, and reading lists of them without it.

mod entry;
mod error;
mod file;
mod reserve;
mod ship;
mod status;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use model::JobName;
use model::record::{Output, RunRecord, SkipRecord};
use model::run::{Outcome, RunId};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::embedded::error::OpenError as FileError;
use crate::embedded::{lock, schema};
use crate::log::{LogEntry, LogError, RunLog, RunQuery};
use entry::Prepared;
pub use error::OpenError;
use file::{Owner, Requests};
use ship::Shipper;
pub use status::SpoolStatus;
use status::State;

const FILE: &str = "spool.db";

/// The application is "spol".
const FORMAT: schema::Format =
    schema::Format { application: 0x7370_6f6c, migrations: &[include_str!("1.sql")] };

/// How long a process that is about to end keeps the folder at most.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// A log whose appends wait on disk while the log behind is away. When the last clone is dropped, shipping stops and
/// the folder becomes free soon after; [`Spool::close`] waits for both.
#[derive(Clone)]
pub struct Spool<L> {
    inner: L,
    shared: Arc<Shared>,
}

struct Shared {
    requests: Mutex<Option<Requests>>,
    state: Arc<State>,
    filled: Arc<Notify>,
    closing: watch::Sender<Option<Instant>>,
    work: Mutex<Option<(JoinHandle<()>, thread::JoinHandle<()>)>>,
}

impl<L: RunLog> Spool<L> {
    /// Opens the spool in `folder`, which is created, for this user alone, if it does not exist, and ships what is left
    /// in it. Its entries have at most `limit_bytes`; the files of the folder may have about a quarter more, and 16 MiB.
    ///
    /// To be called in a tokio runtime. This call blocks its thread, for a second at most when the folder is in use.
    pub fn open(folder: &Path, limit_bytes: u64, inner: L) -> Result<Self, OpenError> {
        let lock = lock::acquire(folder, LOCK_WAIT)?;
        let path = folder.join(FILE);
        let connection = match schema::open(&path, &FORMAT) {
            Err(FileError::NoSpace(_)) if reserve::release(folder) => schema::open(&path, &FORMAT)?,
            opened => opened?,
        };
        let state = Arc::new(State::new(limit_bytes));
        let (requests, owner) = Owner::new(connection, folder.to_owned(), Arc::clone(&state), lock)
            .map_err(|error| FileError::of_file(&path, error))?;
        let thread = thread::Builder::new().name("spool".to_owned()).spawn(move || owner.run());
        let thread = thread.map_err(OpenError::Thread)?;
        let filled = Arc::new(Notify::new());
        let (closing, on_closing) = watch::channel(None);
        let shipper = Shipper {
            inner: inner.clone(),
            requests: requests.clone(),
            state: Arc::clone(&state),
            filled: Arc::clone(&filled),
            closing: on_closing,
        };
        let task = tokio::spawn(shipper.run());
        let (requests, work) = (Mutex::new(Some(requests)), Mutex::new(Some((task, thread))));
        Ok(Self { inner, shared: Arc::new(Shared { requests, state, filled, closing, work }) })
    }

    /// How it does.
    pub fn status(&self) -> SpoolStatus {
        self.shared.state.status()
    }

    /// Ships what can be shipped within `within`, then gives the folder free. What is left is shipped by whoever opens
    /// it next. Whatever is asked later, of any clone, is refused as closed.
    pub async fn close(&self, within: Duration) {
        let deadline = Instant::now() + within;
        // From now on nothing is added.
        drop(self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.shared.closing.send_if_modified(|closing| closing.replace(deadline).is_none());
        let work = self.shared.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((task, thread)) = work else { return };
        // It fails only if the log behind has panicked.
        let _ = task.await;
        // Fails only while the runtime ends, which waits for nobody.
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }

    fn requests(&self) -> Result<Requests, LogError> {
        let requests = self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.clone().ok_or(LogError::Closed)
    }

    /// What waits here of an attempt: the record that tells most.
    async fn waiting(&self, run: &RunId, attempt: u32) -> Result<Option<RunRecord>, LogError> {
        let run = run.clone();
        let found = self.requests()?.run(move |file| entry::of_run(file, &run, attempt)).await?;
        Ok(found.into_iter().min_by_key(is_lost))
    }
}

fn is_lost(record: &RunRecord) -> bool {
    record.outcome == Outcome::Lost
}

impl<L: RunLog> RunLog for Spool<L> {
    async fn append(&self, entries: Vec<LogEntry>) -> Result<(), LogError> {
        let entries: Vec<Prepared> = entries.into_iter().map(Prepared::from).collect();
        let insert =
            move |file: &rusqlite::Connection| entries.iter().try_for_each(|entry| entry.insert(file));
        self.requests()?.run(insert).await?;
        self.shared.filled.notify_one();
        Ok(())
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>, LogError> {
        self.inner.runs(query).await
    }

    async fn find(&self, run: &RunId, attempt: u32) -> Result<Option<RunRecord>, LogError> {
        let waiting = self.waiting(run, attempt).await?;
        let waiting = waiting.map(|record| RunRecord { output: Output::default(), ..record });
        match waiting {
            Some(record) if !is_lost(&record) => Ok(Some(record)),
            // The log may know more.
            Some(lost) => Ok(Some(self.inner.find(run, attempt).await.ok().flatten().unwrap_or(lost))),
            None => self.inner.find(run, attempt).await,
        }
    }

    async fn output(&self, run: &RunId, attempt: u32) -> Result<Option<Output>, LogError> {
        match self.waiting(run, attempt).await? {
            Some(record) if !is_lost(&record) => Ok(Some(record.output)),
            Some(lost) => {
                Ok(Some(self.inner.output(run, attempt).await.ok().flatten().unwrap_or(lost.output)))
            }
            None => self.inner.output(run, attempt).await,
        }
    }

    async fn skipped(&self, job: &JobName, limit: u32) -> Result<Vec<SkipRecord>, LogError> {
        self.inner.skipped(job, limit).await
    }
}
