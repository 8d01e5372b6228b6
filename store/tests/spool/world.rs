//! Spools and the logs behind them.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use e2e::Mongo;
use model::JobName;
use model::record::{Output, RunRecord, SkipRecord};
use model::run::RunId;
use mongodb::Client;
use mongodb::bson::Document;
use store::embedded::Embedded;
use store::mongo::{MongoConfig, MongoLog};
use store::spool::Spool;
use store::{LogEntry, LogError, RunLog, RunQuery};

use crate::child;

pub(crate) const LARGE: u64 = 1 << 30;

/// Waits for a condition.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait)
        .await
        .unwrap_or_else(|_| panic!("waited a minute for: {what}"));
}

pub(crate) async fn emptied<L: RunLog>(spool: &Spool<L>) {
    eventually("an empty spool", async || spool.status().entries == 0).await;
}

pub(crate) fn before_embedded(folder: &Path) -> Spool<Embedded> {
    let log = child::open(&folder.join("log"), Duration::ZERO).expect("a free folder");
    Spool::open(&folder.join("spool"), LARGE, log).expect("a free folder")
}

/// A log that gives up soon.
pub(crate) fn mongo(uri: &str) -> MongoLog {
    let uri = format!("{uri}?serverSelectionTimeoutMS=300");
    MongoLog::new(MongoConfig { uri, database: None, retention: None }).expect("a valid URI")
}

/// Where nobody listens.
pub(crate) fn nowhere() -> MongoLog {
    mongo(&format!("mongodb://127.0.0.1:{}/", e2e::free_port()))
}

pub(crate) async fn start_mongo() -> Mongo {
    tokio::task::spawn_blocking(Mongo::start).await.expect("the server starts")
}

/// All records, as a program of somebody else finds them.
pub(crate) async fn documents(server: &Mongo) -> Vec<Document> {
    use futures::TryStreamExt;
    let client = Client::with_uri_str(server.uri()).await.expect("a valid URI");
    let log = client.database("cron").collection("log");
    log.find(Document::new()).await.expect("it answers").try_collect().await.expect("it answers")
}

/// A spool whose appends return only once the log has taken them: then it is like any log.
#[derive(Clone)]
pub(crate) struct Shipped(pub(crate) Spool<Embedded>);

impl RunLog for Shipped {
    async fn append(&self, entries: Vec<LogEntry>) -> Result<(), LogError> {
        self.0.append(entries).await?;
        while self.0.status().entries > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>, LogError> {
        self.0.runs(query).await
    }
    async fn find(&self, run: &RunId, attempt: u32) -> Result<Option<RunRecord>, LogError> {
        self.0.find(run, attempt).await
    }
    async fn output(&self, run: &RunId, attempt: u32) -> Result<Option<Output>, LogError> {
        self.0.output(run, attempt).await
    }
    async fn skipped(&self, job: &JobName, limit: u32) -> Result<Vec<SkipRecord>, LogError> {
        self.0.skipped(job, limit).await
    }
}

/// What a log does with an append, by the entries.
pub(crate) type Mood = Arc<Mutex<Box<dyn FnMut(&[LogEntry]) -> Result<(), LogError> + Send>>>;

/// The embedded log, which notes what it takes, and takes what its mood lets it.
#[derive(Clone)]
pub(crate) struct Noting {
    log: Embedded,
    pub(crate) taken: Arc<Mutex<Vec<LogEntry>>>,
    pub(crate) mood: Mood,
}

impl Noting {
    pub(crate) fn new(folder: &Path) -> Self {
        let log = child::open(&folder.join("log"), Duration::from_secs(10)).expect("a free folder");
        Self { log, taken: Arc::default(), mood: Arc::new(Mutex::new(Box::new(|_| Ok(())))) }
    }

    pub(crate) fn set(&self, mood: impl FnMut(&[LogEntry]) -> Result<(), LogError> + Send + 'static) {
        *self.mood.lock().unwrap() = Box::new(mood);
    }

    pub(crate) fn go_away(&self) {
        self.set(|_| Err(LogError::Unavailable("it is away for a test".into())));
    }

    pub(crate) fn come_back(&self) {
        self.set(|_| Ok(()));
    }
}

impl RunLog for Noting {
    async fn append(&self, entries: Vec<LogEntry>) -> Result<(), LogError> {
        (self.mood.lock().unwrap())(&entries)?;
        self.log.append(entries.clone()).await?;
        self.taken.lock().unwrap().extend(entries);
        Ok(())
    }
    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>, LogError> {
        self.log.runs(query).await
    }
    async fn find(&self, run: &RunId, attempt: u32) -> Result<Option<RunRecord>, LogError> {
        self.log.find(run, attempt).await
    }
    async fn output(&self, run: &RunId, attempt: u32) -> Result<Option<Output>, LogError> {
        self.log.output(run, attempt).await
    }
    async fn skipped(&self, job: &JobName, limit: u32) -> Result<Vec<SkipRecord>, LogError> {
        self.log.skipped(job, limit).await
    }
}
