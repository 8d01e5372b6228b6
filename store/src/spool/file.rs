//! The thread that owns the spool's file.
//!
//! What has queued up while the disk was busy is done in one transaction and synced once. Should that fail, each request
//! is tried alone, so that none suffers from another.

use std::fs::File;
use std::path::PathBuf;
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::entry::{self, Dropped, Totals};
use super::reserve::Reserve;
use super::status::State;
use crate::embedded::error::{Failure, lacks_space};

/// How many requests share one commit at most.
const BATCH: usize = 256;

/// How often dropped entries are told at most.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// How many unused pages (of 4 KiB) the file keeps for what comes next.
const KEPT_PAGES: u32 = 1024;

/// How many are given back to the file system at once at most.
const FREED_PAGES: u32 = 512;

/// Something to do in a transaction.
trait Task: Send {
    /// Does it. The transaction may still fail; then this is called again.
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;

    /// Whether it makes room, and so may use the reserve.
    fn frees(&self) -> bool;

    /// Says that what [`Task::run`] did last is durable, or why nothing is.
    fn answer(self: Box<Self>, outcome: Result<(), Failure>);
}

struct Work<F, T> {
    run: F,
    frees: bool,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, Failure>>,
}

impl<F, T> Task for Work<F, T>
where
    F: Fn(&Connection) -> rusqlite::Result<T> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.done = Some((self.run)(connection)?);
        Ok(())
    }

    fn frees(&self) -> bool {
        self.frees
    }

    fn answer(self: Box<Self>, outcome: Result<(), Failure>) {
        let Self { done, reply, .. } = *self;
        // Nobody listens any more when the caller's future was dropped.
        let _ = reply.send(outcome.map(|()| done.expect("what was committed has run")));
    }
}

/// The way to the thread, which ends when the last one is dropped.
#[derive(Clone)]
pub(super) struct Requests(mpsc::Sender<Box<dyn Task>>);

impl Requests {
    /// Has `work` done in a transaction; returns once that is durable.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        self.ask(work, false).await
    }

    /// The same for work that makes room: the last space of a full disk is kept for it.
    pub(super) async fn free(
        &self,
        work: impl Fn(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), Failure> {
        self.ask(work, true).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        run: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
        frees: bool,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(Work { run, frees, done: None, reply });
        self.0.send(task).await.map_err(|_| Failure::Closed)?;
        answer.await.map_err(|_| Failure::Closed)?
    }
}

/// The thread's state.
pub(super) struct Owner {
    connection: Connection,
    queue: mpsc::Receiver<Box<dyn Task>>,
    folder: PathBuf,
    reserve: Reserve,
    state: Arc<State>,
    untold: Dropped,
    told: Option<Instant>,
    /// Until the thread ends, nobody else has the folder.
    _lock: File,
}

impl Owner {
    /// Prepares what is there from before.
    pub(super) fn new(
        connection: Connection,
        folder: PathBuf,
        state: Arc<State>,
        lock: File,
    ) -> rusqlite::Result<(Requests, Self)> {
        let (requests, queue) = mpsc::channel(4 * BATCH);
        let reserve = Reserve::of(&folder);
        let untold = Dropped::default();
        let mut owner = Self { connection, queue, folder, reserve, state, untold, told: None, _lock: lock };
        let totals = entry::totals(&owner.connection)?;
        owner.state.has(totals);
        if totals.refused > 0 {
            owner.connection.execute_batch("BEGIN IMMEDIATE")?;
            entry::readmit(&owner.connection)?;
            owner.connection.execute_batch("COMMIT")?;
        }
        // The limit may have become lower.
        if let Err(error) = owner.commit(&mut []) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the spool could not be made smaller");
        }
        Ok((Requests(requests), owner))
    }

    /// Serves requests until nobody can make any.
    pub(super) fn run(mut self) {
        let mut tasks = Vec::with_capacity(BATCH);
        while self.queue.blocking_recv_many(&mut tasks, BATCH) > 0 {
            self.serve(std::mem::take(&mut tasks));
            self.give_back(KEPT_PAGES);
        }
    }

    fn serve(&mut self, mut tasks: Vec<Box<dyn Task>>) {
        if self.reserve.keep() {
            let Err(error) = self.commit(&mut tasks) else {
                for task in tasks {
                    task.answer(Ok(()));
                }
                return;
            };
            tracing::warn!(error = &error as &dyn std::error::Error, "a commit to the spool failed");
        }
        for mut task in tasks {
            let outcome = self.do_alone(&mut task);
            task.answer(outcome.map_err(|error| Failure::of(error, &self.folder)));
        }
    }

    /// Does one task. One that makes room may use the reserve; others wait until that is back.
    fn do_alone(&mut self, task: &mut Box<dyn Task>) -> rusqlite::Result<()> {
        if task.frees() {
            let outcome = self.commit(slice::from_mut(task));
            if !matches!(&outcome, Err(error) if lacks_space(error, &self.folder)) {
                return outcome;
            }
            self.reserve.release();
            self.checkpoint();
            self.commit(slice::from_mut(task))?;
            self.give_back(0);
            self.checkpoint();
            Ok(())
        } else if self.reserve.keep() {
            self.commit(slice::from_mut(task))
        } else {
            let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
            Err(rusqlite::Error::SqliteFailure(full, Some("the last space is kept for shipping".to_owned())))
        }
    }

    /// Copies the write-ahead log into the file, as far as there is space, and shortens it.
    fn checkpoint(&self) {
        // What fails here is done by a later one.
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
    }

    /// Does all of the tasks, or none, and keeps to the limit.
    fn commit(&mut self, tasks: &mut [Box<dyn Task>]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tasks.iter_mut().try_for_each(|task| task.run(&transaction))?;
        let dropped = entry::drop_oldest(&transaction, self.state.limit)?;
        let totals = entry::totals(&transaction)?;
        transaction.commit()?;
        self.count(totals, dropped);
        Ok(())
    }

    fn count(&mut self, totals: Totals, dropped: Dropped) {
        self.state.has(totals);
        self.state.dropped(dropped);
        self.untold.outputs += dropped.outputs;
        self.untold.records += dropped.records;
        if self.untold != Dropped::default() && self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            let Dropped { outputs, records } = std::mem::take(&mut self.untold);
            self.told = Some(Instant::now());
            tracing::warn!(
                outputs,
                records,
                limit = self.state.limit,
                "the spool is full: the oldest outputs, and records without, were dropped; bring the log back or raise the limit"
            );
        }
    }

    /// Gives unused pages back, but keeps some, in small steps. What fails here is tried again after the next commit.
    fn give_back(&self, kept: u32) {
        let vacuum = || {
            let mut vacuum =
                self.connection.prepare_cached(&format!("PRAGMA incremental_vacuum({FREED_PAGES})"))?;
            let mut rows = vacuum.query(())?;
            while rows.next()?.is_some() {}
            Ok::<_, rusqlite::Error>(())
        };
        let free = || self.connection.query_row("PRAGMA freelist_count", (), |row| row.get::<_, u32>(0));
        if matches!(free(), Ok(free) if free > kept)
            && let Err(error) = vacuum()
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "unused space could not be given back");
        }
    }
}
