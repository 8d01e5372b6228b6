//! The run log in MongoDB, for any number of processes.
//!
//! Three collections: `log` has one **document** for each record, whose first eight fields are those of the replaced
//! system, so that its page and its queries go on; `output` has the exact bytes that a command wrote, in **chunks**,
//! where the text in the document does not hold them; `slots` has one document for each record of skipped slots. What
//! identifies an entry is its `_id`, so to insert it again is refused as a duplicate and nothing changes. Nothing here
//! needs transactions or change streams.
//!
//! Not here: keeping entries while the server is away. That is [`crate::spool`].

mod config;
mod document;
mod error;
mod retention;
mod schema;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use model::JobName;
use model::record::{Output, RunRecord, SkipRecord};
use model::run::{Outcome, RunId};
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::{ErrorKind, InsertManyError};
use mongodb::options::{Acknowledgment, ClientOptions, WriteConcern};
use mongodb::{Client, Collection};
use tokio::sync::OnceCell;

use crate::log::{KEPT_SKIPS, LogEntry, LogError, RunLog, RunQuery};
use config::Target;
pub use config::{ConfigError, MongoConfig};
use error::Trouble;

/// How long a server is looked for, unless the URI says so with `serverSelectionTimeoutMS`.
const SELECTION: Duration = Duration::from_secs(5);

/// How long the replica set has to confirm a write by a majority.
const MAJORITY: Duration = Duration::from_secs(10);

/// How long one call may take: a server that is connected but does not answer is as good as away.
const CALL: Duration = Duration::from_secs(30);

/// Runs that the replaced system recorded began within this of their slot.
const LEGACY_DELAY_MS: i64 = 60_000;

/// The run log in one database. Clones share their connections.
#[derive(Clone, Debug)]
pub struct MongoLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    collections: OnceCell<Collections>,
    /// Set once the indexes are there.
    prepared: OnceCell<()>,
}

#[derive(Clone, Debug)]
struct Collections {
    log: Collection<Document>,
    output: Collection<Document>,
    slots: Collection<Document>,
}

impl MongoLog {
    /// The log that `config` names. Only the URI is looked at; the connection is made by the first call, and collections
    /// and indexes before the first write.
    pub fn new(config: MongoConfig) -> Result<Self, ConfigError> {
        let target = config.read()?;
        let shared = Shared { target, collections: OnceCell::new(), prepared: OnceCell::new() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The collections, connected to or not.
    async fn collections(&self) -> Result<&Collections, Trouble> {
        let target = &self.shared.target;
        let connect = async || {
            let mut options = ClientOptions::parse(target.uri.clone()).await?;
            options.server_selection_timeout.get_or_insert(SELECTION);
            options.connect_timeout.get_or_insert(SELECTION);
            options.app_name.get_or_insert_with(|| "crontab".to_owned());
            let concern =
                WriteConcern::builder().w(Acknowledgment::Majority).journal(true).w_timeout(MAJORITY).build();
            options.write_concern = Some(concern);
            let database = Client::with_options(options)?.database(&target.database);
            Ok(Collections {
                log: database.collection("log"),
                output: database.collection("output"),
                slots: database.collection("slots"),
            })
        };
        self.shared.collections.get_or_try_init(connect).await
    }

    /// The collections, with their indexes.
    async fn prepared(&self) -> Result<&Collections, Trouble> {
        let collections = self.collections().await?;
        self.shared.prepared.get_or_try_init(|| schema::prepare(collections)).await?;
        Ok(collections)
    }

    /// Does one call of the trait within [`CALL`].
    async fn call<T>(&self, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, LogError> {
        let done = tokio::time::timeout(CALL, work).await;
        done.unwrap_or(Err(Trouble::Silent)).map_err(|trouble| trouble.of(&self.shared.target))
    }

    async fn append_all(&self, entries: Vec<LogEntry>) -> Result<(), Trouble> {
        let to = self.prepared().await?;
        let retention = self.shared.target.retention;
        let (mut logs, mut chunks, mut slots) = (Vec::new(), Vec::new(), Vec::new());
        let (mut runs, mut skips) = (HashMap::new(), HashSet::new());
        for entry in &entries {
            match entry {
                LogEntry::Run { record, keep } => {
                    let (log, of_output) = document::of_run(record, retention);
                    logs.push(log);
                    chunks.extend(of_output);
                    if retention::is_due(record.run.as_str(), keep.succeeded.min(keep.failed)) {
                        runs.insert(&record.job, *keep);
                    }
                }
                LogEntry::Skipped(record) => {
                    slots.push(document::of_skip(record, retention));
                    if retention::is_due(&record.skipped.from.0.0.to_string(), KEPT_SKIPS) {
                        skips.insert(&record.job);
                    }
                }
            }
        }
        // Before the records, so that whoever finds one finds its output.
        insert(&to.output, &chunks).await?;
        let known = insert(&to.log, &logs).await?;
        supersede(to, known.into_iter().map(|index| &logs[index])).await?;
        insert(&to.slots, &slots).await?;
        for (job, keep) in runs {
            retention::forget_runs(to, job, keep).await?;
        }
        for job in skips {
            retention::forget_skips(to, job).await?;
        }
        Ok(())
    }

    async fn read_runs(&self, query: RunQuery) -> Result<Vec<RunRecord>, Trouble> {
        // A limit of 0 would mean none to the server.
        if query.limit == 0 {
            return Ok(Vec::new());
        }
        let from = self.collections().await?;
        let filter = query.job.map_or_else(Document::new, |job| doc! { "jobName": job.as_str() });
        let mut find = from.log.find(filter).sort(schema::newest_first());
        find = find.skip(query.skip.into()).limit(query.limit.into());
        if !query.with_output {
            find = find.projection(doc! { "output": 0 });
        }
        let found: Vec<Document> = find.await?.try_collect().await?;
        let mut records = Vec::with_capacity(found.len());
        for document in &found {
            let Some(mut record) = document::read_run(document) else {
                tracing::debug!(id = ?document.get("_id"), "a document in the collection `log` is no record");
                continue;
            };
            if query.with_output {
                record.output = output(from, document).await?;
            }
            records.push(record);
        }
        Ok(records)
    }

    /// The document of one attempt, with what `projection` leaves.
    async fn read_one(
        &self,
        run: &RunId,
        attempt: u32,
        projection: Document,
    ) -> Result<Option<Document>, Trouble> {
        let from = self.collections().await?;
        let by_id = doc! { "_id": document::id(run, attempt) };
        let found = from.log.find_one(by_id).projection(projection.clone()).await?;
        if found.is_some() || attempt > 0 {
            return Ok(found);
        }
        // One of the replaced system has no run id; it was synthesised from the name and the slot.
        let Some(slot) = document::slot_of(run) else { return Ok(None) };
        let started = doc! { "$gte": slot, "$lt": slot.saturating_add(LEGACY_DELAY_MS) };
        let legacy = doc! { "startTime": started, "planTime": slot, "runId": { "$exists": false } };
        let mut found = from.log.find(legacy).projection(projection).await?;
        while let Some(document) = found.try_next().await? {
            if document::read_run(&document).is_some_and(|record| record.run == *run) {
                return Ok(Some(document));
            }
        }
        Ok(None)
    }

    async fn read_skips(&self, job: &JobName, limit: u32) -> Result<Vec<SkipRecord>, Trouble> {
        // Those that are to be forgotten soon are not shown any more.
        let limit = limit.min(KEPT_SKIPS);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let from = self.collections().await?;
        let found = from.slots.find(doc! { "jobName": job.as_str() });
        let found = found.sort(schema::latest_first()).limit(limit.into()).await?;
        let found: Vec<Document> = found.try_collect().await?;
        Ok(found.iter().filter_map(document::read_skip).collect())
    }
}

/// Inserts documents and returns the indexes of those that were there already.
async fn insert(
    into: &Collection<Document>,
    documents: &[Document],
) -> Result<Vec<usize>, mongodb::error::Error> {
    const DUPLICATE: i32 = 11000;
    if documents.is_empty() {
        return Ok(Vec::new());
    }
    let Err(error) = into.insert_many(documents).ordered(false).await else { return Ok(Vec::new()) };
    match error.kind.as_ref() {
        ErrorKind::InsertMany(InsertManyError {
            write_errors: Some(errors),
            write_concern_error: None,
            ..
        }) if errors.iter().all(|error| error.code == DUPLICATE) => {
            Ok(errors.iter().map(|error| error.index).collect())
        }
        _ => Err(error),
    }
}

/// Of documents that were there already, puts those with a true outcome in the place of those that said `Lost`.
async fn supersede<'a>(
    to: &Collections,
    known: impl Iterator<Item = &'a Document>,
) -> Result<(), mongodb::error::Error> {
    let lost = Outcome::Lost.as_str();
    let known: Vec<_> =
        known.filter(|log| log.get_str("outcome").is_ok_and(|outcome| outcome != lost)).collect();
    if known.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = known.iter().filter_map(|log| log.get("_id").cloned()).collect();
    let found = to.log.find(doc! { "_id": { "$in": ids }, "outcome": lost });
    let found = found.projection(doc! { "outcome": 1, "outputChunks": 1 }).await?;
    let found: Vec<Document> = found.try_collect().await?;
    for old in &found {
        let Some(id) = old.get("_id") else { continue };
        if let Some(new) = known.iter().find(|log| log.get("_id") == Some(id)) {
            // Should this end in between, the lost record shows its output as text until it is superseded.
            retention::remove_chunks(to, std::slice::from_ref(old)).await?;
            to.log.replace_one(doc! { "_id": id, "outcome": lost }, *new).await?;
        }
    }
    Ok(())
}

/// The output of a document that was read whole.
async fn output(from: &Collections, log: &Document) -> Result<Output, mongodb::error::Error> {
    let ids = document::chunk_ids(log);
    if ids.is_empty() {
        return Ok(document::read_text(log));
    }
    let expected = ids.len();
    let find = from.output.find(doc! { "_id": { "$in": ids.clone() } });
    let mut found: HashMap<String, Vec<u8>> = HashMap::with_capacity(expected);
    let mut chunks = find.await?;
    while let Some(chunk) = chunks.try_next().await? {
        if let (Some(Bson::String(id)), Some(Bson::Binary(bytes))) = (chunk.get("_id"), chunk.get("bytes")) {
            found.insert(id.clone(), bytes.bytes.clone());
        }
    }
    let bytes: Option<Vec<Vec<u8>>> = ids.iter().map(|id| found.remove(id)).collect();
    // Chunks are removed before their record is: then only the text is left.
    Ok(bytes
        .and_then(|bytes| document::read_output(log, bytes.concat()))
        .unwrap_or_else(|| document::read_text(log)))
}

impl RunLog for MongoLog {
    async fn append(&self, entries: Vec<LogEntry>) -> Result<(), LogError> {
        self.call(self.append_all(entries)).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>, LogError> {
        self.call(self.read_runs(query)).await
    }

    async fn find(&self, run: &RunId, attempt: u32) -> Result<Option<RunRecord>, LogError> {
        let found = self.call(self.read_one(run, attempt, doc! { "output": 0 })).await?;
        Ok(found.as_ref().and_then(document::read_run))
    }

    async fn output(&self, run: &RunId, attempt: u32) -> Result<Option<Output>, LogError> {
        let read = async {
            match self.read_one(run, attempt, Document::new()).await? {
                Some(log) => Ok(Some(output(self.collections().await?, &log).await?)),
                None => Ok(None),
            }
        };
        self.call(read).await
    }

    async fn skipped(&self, job: &JobName, limit: u32) -> Result<Vec<SkipRecord>, LogError> {
        self.call(self.read_skips(job, limit)).await
    }
}
