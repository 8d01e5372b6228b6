//! The writing thread.
//!
//! It owns the only connection that writes. Whatever has queued up while the disk was busy goes into one SQLite
//! transaction and is synced once (**group commit**), so throughput grows with the number of requests in flight while a
//! lone request waits for nobody. Should that fail, each request is tried again alone: none suffers from another, and
//! on a nearly full disk the small ones pass.

use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::error::{Failure, lacks_space};
use super::follow::Hub;
use super::schema;
use super::txn::{self, Batch};

/// How many requests share one commit at most.
const BATCH: usize = 256;

/// The write-ahead log starts over once it was copied into the file, which a long listing for a follower prevents.
/// Each time it has grown by this, all listings have to begin anew.
const LOG_LIMIT_BYTES: u64 = 64 << 20;

/// How long that waits for them to end.
const LISTINGS_END: Duration = Duration::from_secs(1);

/// How many unused pages (of 4 KiB) the file keeps for what comes next; more are given back to the file system.
const KEPT_FREE_PAGES: u32 = 1024;

/// How many pages are given back at once, which bounds how long requests wait for it.
const FREED_PAGES: u32 = 512;

/// How many batches pass between two looks at the unused pages.
const LOOK_EVERY: u32 = 64;

/// Something to write.
trait Task: Send {
    /// Does it, within a transaction that can still fail: then this is called again.
    fn run(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()>;

    /// Says that what the last [`Task::run`] did is durable, or why nothing is.
    fn answer(self: Box<Self>, outcome: Result<(), Failure>);
}

struct Work<F, T> {
    run: F,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, Failure>>,
}

impl<F, T> Task for Work<F, T>
where
    F: Fn(&mut Batch<'_>) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn run(&mut self, batch: &mut Batch<'_>) -> rusqlite::Result<()> {
        self.done = Some((self.run)(batch)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), Failure>) {
        let Self { done, reply, run: _ } = *self;
        let outcome = outcome.map(|()| done.expect("what was committed has run"));
        // Nobody listens any more when the caller's future was dropped.
        let _ = reply.send(outcome);
    }
}

enum Message {
    Task(Box<dyn Task>),
    Close,
}

/// The way to the writing thread. The thread ends when the last one is dropped, or after [`Requests::close`].
pub(super) struct Requests(mpsc::Sender<Message>);

impl Requests {
    /// Has `work` done in a transaction of the writing thread; returns once that is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Batch<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(Work { run: work, done: None, reply });
        self.0.send(Message::Task(task)).await.map_err(|_| Failure::Closed)?;
        answer.await.map_err(|_| Failure::Closed)?
    }

    /// Lets the thread end once it has done what was asked so far.
    pub(super) async fn close(&self) {
        // An error means that it has ended.
        let _ = self.0.send(Message::Close).await;
    }
}

/// The writing thread's state.
pub(super) struct Writer {
    connection: Connection,
    queue: mpsc::Receiver<Message>,
    hub: Arc<Hub>,
    folder: PathBuf,
    log: PathBuf,
    /// The length of the log at which listings end next.
    log_limit: u64,
    batches: u32,
}

impl Writer {
    pub(super) fn new(connection: Connection, folder: &Path, hub: Arc<Hub>) -> (Requests, Self) {
        let (requests, queue) = mpsc::channel(4 * BATCH);
        let writer = Self {
            connection,
            queue,
            hub,
            folder: folder.to_owned(),
            log: folder.join(format!("{}-wal", schema::FILE)),
            log_limit: LOG_LIMIT_BYTES,
            batches: 0,
        };
        (Requests(requests), writer)
    }

    /// Deletes what former processes had leased. To be called before anything else is done.
    pub(super) fn end_leases(&mut self) -> rusqlite::Result<()> {
        in_one_transaction(&mut self.connection, &self.hub, txn::end_leases)
    }

    /// Serves requests until nobody can make any. The last connection to close copies the write-ahead log into the
    /// file and removes it.
    pub(super) fn run(mut self) {
        let mut messages = Vec::with_capacity(BATCH);
        while self.queue.blocking_recv_many(&mut messages, BATCH) > 0 {
            let mut tasks = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    Message::Task(task) => tasks.push(task),
                    Message::Close => self.queue.close(),
                }
            }
            self.write(tasks);
            self.tidy();
        }
        self.hub.close();
    }

    fn write(&mut self, mut tasks: Vec<Box<dyn Task>>) {
        match self.commit(&mut tasks) {
            Ok(()) => tasks.into_iter().for_each(|task| task.answer(Ok(()))),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    requests = tasks.len(),
                    "a commit failed"
                );
                if lacks_space(&error, &self.folder) {
                    // Copied into the file, the log starts over in the space that it has.
                    let _ = self.checkpoint("PASSIVE");
                }
                for mut task in tasks {
                    let outcome = self.commit(slice::from_mut(&mut task));
                    task.answer(outcome.map_err(|error| Failure::of(error, &self.folder)));
                }
            }
        }
    }

    /// Does all of the tasks, or none.
    fn commit(&mut self, tasks: &mut [Box<dyn Task>]) -> rusqlite::Result<()> {
        in_one_transaction(&mut self.connection, &self.hub, |batch| {
            tasks.iter_mut().try_for_each(|task| task.run(batch))
        })
    }

    /// Keeps the file and its log from growing for ever. What fails here is tried again after a later batch.
    fn tidy(&mut self) {
        let log = std::fs::metadata(&self.log).map_or(0, |log| log.len());
        if log > self.log_limit {
            let _shut = self.hub.end_listings();
            let done = self.checkpoint("TRUNCATE");
            self.log_limit = if matches!(done, Ok(true)) { LOG_LIMIT_BYTES } else { log + LOG_LIMIT_BYTES };
        }
        self.batches = (self.batches + 1) % LOOK_EVERY;
        if self.batches == 0
            && let Err(error) = self.give_back()
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "unused space could not be given back");
        }
    }

    /// Copies the write-ahead log into the file, and says whether nobody was in the way.
    fn checkpoint(&self, mode: &str) -> rusqlite::Result<bool> {
        self.connection.busy_timeout(LISTINGS_END)?;
        self.connection
            .query_row(&format!("PRAGMA wal_checkpoint({mode})"), (), |row| Ok(!row.get::<_, bool>(0)?))
    }

    fn give_back(&self) -> rusqlite::Result<()> {
        let free: u32 = self.connection.query_row("PRAGMA freelist_count", (), |row| row.get(0))?;
        if free > KEPT_FREE_PAGES {
            let pages = (free - KEPT_FREE_PAGES).min(FREED_PAGES);
            let mut vacuum = self.connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
            let mut rows = vacuum.query(())?;
            while rows.next()?.is_some() {}
        }
        Ok(())
    }
}

/// Runs `work` and commits it, then tells the followers.
fn in_one_transaction(
    connection: &mut Connection,
    hub: &Hub,
    work: impl FnOnce(&mut Batch<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read anew each time: after a failed commit nothing in memory can be wrong.
    let before = txn::revision(&transaction)?;
    let mut batch = Batch { connection: &transaction, revision: before, events: Vec::new() };
    work(&mut batch)?;
    let Batch { revision, events, connection: _ } = batch;
    if revision != before {
        txn::set_revision(&transaction, revision)?;
    }
    transaction.commit()?;
    hub.publish(&events);
    Ok(())
}
