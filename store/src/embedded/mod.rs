//! Both traits on one SQLite file, for one process on one machine.
//!
//! The **data folder** holds `crontab.db`, SQLite's two files beside it, and `lock`, by which one process at a time has
//! the folder. Because of that lock a **leased** key (a worker's registration) needs no lease: whoever opens the folder
//! knows that all former processes are gone, and deletes their keys.
//!
//! One thread writes, in shared commits; one reads; each follower is a task.
//!
//! On a full disk a transaction fails with `NoSpace` and leaves nothing behind, be it a claim or the end of a run:
//! even a deletion has to be logged before it is done. Small ones may pass for a while in the space that the file and
//! its write-ahead log have already. Once there is room, the same request succeeds; nothing has to be restarted.
//!
//! Not here: several processes on one tree. That is what etcd and MongoDB are for.

pub(crate) mod error;
mod follow;
mod history;
pub(crate) mod lock;
mod reader;
pub(crate) mod schema;
mod txn;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use model::JobName;
use model::keys::{Folder, Key, KeyPrefix};
use model::record::{Output, RunRecord, SkipRecord};
use model::run::{Revision, RunId, SessionId};
use model::values::WorkerInfo;
use tokio::sync::mpsc;

pub use error::OpenError;
use follow::{Follower, Hub};
use reader::{Queries, Reader};
use schema::Use;
use txn::Span;
use writer::{Requests, Writer};

use crate::log::{LogEntry, LogError, RunLog, RunQuery};
use crate::tree::{
    Compare, Follow, KeyValue, LeaseId, Op, Range, Renewed, Session, Tree, TreeError, Txn, TxnReply,
};

/// The embedded store. When the last clone is dropped, what was asked is still done and the folder becomes free soon
/// after; [`Embedded::close`] waits for that.
#[derive(Clone)]
pub struct Embedded {
    shared: Arc<Shared>,
}

struct Shared {
    prefix: KeyPrefix,
    file: PathBuf,
    requests: Requests,
    queries: Queries,
    hub: Arc<Hub>,
    /// Of the reader and the writer.
    threads: Mutex<Option<[JoinHandle<()>; 2]>>,
    /// The next session's lease.
    leases: AtomicI64,
}

impl Embedded {
    /// Opens the store in `folder`, which is created, for this user alone, if it does not exist.
    ///
    /// Where another process has the folder, that is waited for, but no longer than `wait`: after a kill, children of
    /// the former process may take a moment to end. This call blocks its thread.
    pub fn open(folder: &Path, prefix: KeyPrefix, wait: Duration) -> Result<Self, OpenError> {
        let lock = Arc::new(lock::acquire(folder, wait)?);
        let file = folder.join(schema::FILE);
        let failed = |error| OpenError::of_file(&file, error);
        let hub = Arc::new(Hub::new());
        let (requests, mut writer) =
            Writer::new(schema::open(&file, &schema::FORMAT)?, folder, Arc::clone(&hub));
        writer.end_leases().map_err(failed)?;
        let (queries, reader) = Reader::new(schema::connect(&file, Use::Read).map_err(failed)?, folder);
        let threads = [
            start("store-read", Arc::clone(&lock), move || reader.run())?,
            start("store-write", lock, move || writer.run())?,
        ];
        let threads = Mutex::new(Some(threads));
        let leases = AtomicI64::new(1);
        Ok(Self { shared: Arc::new(Shared { prefix, file, requests, queries, hub, threads, leases }) })
    }

    /// Does what was asked so far, ends all followers, and gives the folder free. Whatever is asked later, of any clone,
    /// is refused as closed.
    pub async fn close(&self) {
        self.shared.queries.close().await;
        let threads = self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (reader, writer) = threads.map(|[reader, writer]| (reader, writer)).unzip();
        // The writer's connection is the last to close, and so the one that can clear the write-ahead log away.
        join(reader).await;
        self.shared.requests.close().await;
        join(writer).await;
    }
}

async fn join(thread: Option<JoinHandle<()>>) {
    let Some(thread) = thread else { return };
    // Fails only while the runtime ends, which waits for nobody.
    let _ = tokio::task::spawn_blocking(move || drop(thread.join())).await;
}

/// Starts a thread that keeps the folder until it ends.
fn start(
    name: &str,
    lock: Arc<File>,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let work = move || {
        work();
        drop(lock);
    };
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(OpenError::Thread)
}

impl Tree for Embedded {
    fn prefix(&self) -> &KeyPrefix {
        &self.shared.prefix
    }

    async fn commit(&self, txn: Txn) -> Result<TxnReply, TreeError> {
        let prefix = self.shared.prefix.clone();
        Ok(self.shared.requests.write(move |batch| batch.run(&prefix, &txn)).await?)
    }

    async fn list(&self, range: Range) -> Result<Vec<KeyValue>, TreeError> {
        let span = Span::of(range.prefix(&self.shared.prefix));
        Ok(self.shared.queries.read(move |connection| txn::list(connection, &span)).await?)
    }

    async fn get(&self, key: Key) -> Result<Option<KeyValue>, TreeError> {
        let key = self.shared.prefix.encode(&key);
        Ok(self.shared.queries.read(move |connection| txn::get(connection, &key)).await?)
    }

    fn follow(&self, folders: &[Folder]) -> mpsc::Receiver<Follow> {
        let spans = folders.iter().map(|folder| Span::of(self.shared.prefix.folder(*folder))).collect();
        let (to, follow) = mpsc::channel(follow::CHANNEL);
        let follower =
            Follower { hub: Arc::clone(&self.shared.hub), file: self.shared.file.clone(), spans, to };
        tokio::spawn(follower.run());
        follow
    }

    async fn open_session(&self, id: SessionId, info: &WorkerInfo) -> Result<Session, TreeError> {
        let lease = LeaseId(self.shared.leases.fetch_add(1, Ordering::Relaxed));
        let key = Key::Worker(id.clone());
        let value = serde_json::to_vec(info).expect("our values always make JSON");
        let register = Txn {
            when: vec![Compare::Created(key.clone(), Revision::NONE)],
            then: vec![Op::PutLeased(key, value, lease)],
            otherwise: Vec::new(),
        };
        let reply = self.commit(register).await?;
        if reply.succeeded {
            Ok(Session { id, registered: reply.revision, lease, lasts: None })
        } else {
            Err(TreeError::Unavailable(format!("the session id {id} is already registered").into()))
        }
    }

    async fn renew_session(&self, session: &Session) -> Result<Renewed, TreeError> {
        let found = self.get(Key::Worker(session.id.clone())).await?;
        Ok(match found {
            Some(pair) if pair.created == session.registered => Renewed::Lives,
            _ => Renewed::Ended,
        })
    }

    async fn close_session(&self, session: &Session) -> Result<(), TreeError> {
        let (prefix, session) = (self.shared.prefix.clone(), session.clone());
        Ok(self.shared.requests.write(move |batch| batch.end_session(&prefix, &session)).await?)
    }
}

impl RunLog for Embedded {
    async fn append(&self, entries: Vec<LogEntry>) -> Result<(), LogError> {
        Ok(self.shared.requests.write(move |batch| history::append(batch.connection, &entries)).await?)
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>, LogError> {
        Ok(self.shared.queries.read(move |connection| history::runs(connection, &query)).await?)
    }

    async fn find(&self, run: &RunId, attempt: u32) -> Result<Option<RunRecord>, LogError> {
        let run = run.clone();
        Ok(self.shared.queries.read(move |connection| history::find(connection, &run, attempt)).await?)
    }

    async fn output(&self, run: &RunId, attempt: u32) -> Result<Option<Output>, LogError> {
        let run = run.clone();
        Ok(self.shared.queries.read(move |connection| history::output(connection, &run, attempt)).await?)
    }

    async fn skipped(&self, job: &JobName, limit: u32) -> Result<Vec<SkipRecord>, LogError> {
        let job = job.clone();
        Ok(self.shared.queries.read(move |connection| history::skipped(connection, &job, limit)).await?)
    }
}
