//! How many records a second reach MongoDB through the spool, against a bare `insert_many` of the same documents.
//!
//! `cargo run --release -p crontab-store --example log_rate -- URI RECORDS` adds two databases to the server and drops
//! them again. `cargo xtask bench etcd` runs it against a server of its own.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use model::job::History;
use model::record::{Output, RunRecord};
use model::run::{Outcome, Revision, RunId, SessionId, Slot};
use model::{JobName, UnixMillis};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{Acknowledgment, WriteConcern};
use store::mongo::{MongoConfig, MongoLog};
use store::spool::Spool;
use store::{LogEntry, RunLog};

type Failure = Box<dyn Error>;

/// How many runs end at once: each appends its record by itself, as a worker does.
const AT_ONCE: usize = 64;

/// How many documents are in a bare insert.
const BATCH: usize = 1000;

const ROUNDS: usize = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [uri, records] = &arguments[..] else {
        eprintln!("give the URI of a server and a number of records");
        return ExitCode::from(2);
    };
    match measure(uri, records.parse().unwrap_or(10_000)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("log_rate: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Rounds of both alternate, so that what else the machine does meets both.
async fn measure(uri: &str, records: usize) -> Result<(), Failure> {
    let client = Client::with_uri_str(uri).await?;
    for round in 1..=ROUNDS {
        let name = |what: &str| format!("log_rate_{what}_{}", std::process::id());
        let folder = std::env::temp_dir().join(name("spool"));
        let entries = (0..records).map(entry).collect::<Result<Vec<_>, _>>()?;
        let (durable, shipped) = through_the_spool(uri, &name("ours"), &folder, entries).await?;
        std::fs::remove_dir_all(&folder)?;

        let ours = client.database(&name("ours"));
        let documents: Vec<Document> = ours.collection("log").find(doc! {}).await?.try_collect().await?;
        if documents.len() != records {
            return Err(format!("{} of {records} records are in the log", documents.len()).into());
        }
        // It makes the same collections and indexes.
        log(uri, &name("bare"))?.append(Vec::new()).await?;
        let bare = client.database(&name("bare")).collection::<Document>("log");
        let concern = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
        let begun = Instant::now();
        for some in documents.chunks(BATCH) {
            bare.insert_many(some).ordered(false).write_concern(concern.clone()).await?;
        }
        let inserted = begun.elapsed();
        ours.drop().await?;
        client.database(&name("bare")).drop().await?;
        println!(
            "round {round}: {records} records: insert_many {:.0}/s; through the spool {:.0}/s, ratio {:.2}; safe on this disk {:.0}/s",
            rate(records, inserted),
            rate(records, shipped),
            inserted.as_secs_f64() / shipped.as_secs_f64(),
            rate(records, durable),
        );
    }
    Ok(())
}

fn log(uri: &str, database: &str) -> Result<MongoLog, Failure> {
    let config = MongoConfig { uri: uri.to_owned(), database: Some(database.to_owned()), retention: None };
    Ok(MongoLog::new(config)?)
}

/// How long until all were safe in the spool, and until the server had all.
async fn through_the_spool(
    uri: &str,
    database: &str,
    folder: &Path,
    entries: Vec<LogEntry>,
) -> Result<(Duration, Duration), Failure> {
    let log = log(uri, database)?;
    log.append(Vec::new()).await?;
    let spool = Spool::open(folder, 1 << 30, log)?;
    let begun = Instant::now();
    stream::iter(entries)
        .map(|entry| spool.append(vec![entry]))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    let durable = begun.elapsed();
    // It ships all that it has first.
    spool.close(Duration::from_mins(10)).await;
    Ok((durable, begun.elapsed()))
}

/// The record of a short run that wrote three lines.
fn entry(number: usize) -> Result<LogEntry, Failure> {
    let job = JobName::new(&format!("job{}", number % 1000))?;
    let slot = UnixMillis(1_700_000_000_000 + i64::try_from(number)? * 1000);
    let record = RunRecord {
        run: RunId::of_slot(&job, Revision(1), Slot(slot)),
        attempt: 0,
        job,
        command: "/usr/local/bin/report --daily".to_owned(),
        node: "node-1".to_owned(),
        session: SessionId("node-1-0123456789abcdef".to_owned()),
        slot: Slot(slot),
        claimed: slot,
        started: Some(slot),
        ended: slot,
        outcome: Outcome::Succeeded,
        exit_status: Some(0),
        signal: None,
        message: String::new(),
        output: Output { head: "one line of what a job says\n".repeat(3).into_bytes(), ..Output::default() },
    };
    Ok(LogEntry::Run { record, keep: History::default() })
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn rate(records: usize, time: Duration) -> f64 {
    records as f64 / time.as_secs_f64()
}
