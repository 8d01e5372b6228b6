//! MongoDB away, and kills of both sides, counted from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::time::Duration;

use e2e::{Mongo, MongoOptions};
use futures::future::join_all;
use model::job::History;
use model::run::{Outcome, Revision, RunId, SkipReason, Skipped};
use store::spool::Spool;
use store::{LogEntry, RunLog, RunQuery};

use crate::child;
use crate::conformance::log::record;
use crate::conformance::world::{name, slot};
use crate::world::{self, LARGE, documents, emptied, eventually};

const KEEP: History = History { succeeded: 1_000_000, failed: 1_000_000 };

fn run(job: &str, second: i64) -> LogEntry {
    let mut record = record(job, second, Outcome::Succeeded);
    // A part of them has chunks.
    record.output.head = vec![if second % 10 == 0 { 0xff } else { b'x' }; 300];
    LogEntry::Run { record, keep: KEEP }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_the_server_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = world::start_mongo().await;
    server.kill();
    let log = world::mongo(&server.uri());
    let spool = Spool::open(&folder.path().join("spool"), LARGE, log.clone()).unwrap();
    let appends = (0..500).map(|second| {
        let spool = spool.clone();
        tokio::spawn(async move { spool.append(vec![run("a", second)]).await })
    });
    for append in join_all(appends).await {
        append.unwrap().unwrap();
    }
    let skipped = Skipped { from: slot(1), to: slot(9), count: Some(9), reason: SkipReason::Missed };
    let first_run = RunId::of_slot(name("a"), Revision(1), slot(1));
    let skip = model::record::SkipRecord {
        first_run,
        job: name("a"),
        node: "n".to_owned(),
        decided: slot(9).0,
        skipped,
    };
    spool.append(vec![LogEntry::Skipped(skip.clone())]).await.unwrap();
    eventually("trouble", async || spool.status().trouble.is_some()).await;
    let trouble = spool.status().trouble.unwrap();
    assert!(trouble.contains("no MongoDB server answers"), "{trouble}");
    assert_eq!(spool.status().entries, 501);
    assert!(spool.runs(RunQuery { limit: 1, ..RunQuery::default() }).await.is_err(), "lists need the server");

    tokio::task::block_in_place(|| server.start_again(MongoOptions::default()));
    emptied(&spool).await;
    assert_eq!(documents(&server).await.len(), 500);
    let query = RunQuery { job: Some(name("a")), skip: 0, limit: 1000, with_output: true };
    let found = spool.runs(query).await.unwrap();
    let found: Vec<_> = found.into_iter().rev().map(|record| LogEntry::Run { record, keep: KEEP }).collect();
    assert!(found == (0..500).map(|second| run("a", second)).collect::<Vec<_>>());
    assert_eq!(spool.skipped(&name("a"), 9).await.unwrap(), [skip]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_of_the_process_and_of_the_server_lose_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = world::start_mongo().await;
    fs::write(folder.path().join("uri"), server.uri()).unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..6 {
        let path = folder.path();
        let round_dir = format!("{round}\n");
        fs::write(path.join("round"), round_dir).unwrap();
        let (mut writer, lines) =
            tokio::task::block_in_place(|| child::start("outages::write", path, "acknowledged"));
        tokio::task::block_in_place(|| {
            let mut lines = lines.map_while(Result::ok);
            let mut said: Vec<String> = lines.by_ref().take(200).collect();
            // In every second round the server dies in the middle, too, and comes back for the next writer.
            if round % 2 == 0 {
                server.kill();
                said.extend(lines.by_ref().take(200));
            }
            assert!(said.len() >= 200, "it was killed at work");
            writer.kill();
            said.extend(lines);
            // The last line may be cut.
            let whole = said.iter().filter_map(|line| line.strip_prefix("acknowledged ")?.strip_suffix('.'));
            acknowledged.extend(whole.map(str::to_owned));
            if round % 2 == 0 {
                server.start_again(MongoOptions::default());
            }
        });
    }
    let spool = Spool::open(&folder.path().join("spool"), LARGE, world::mongo(&server.uri())).unwrap();
    emptied(&spool).await;
    assert_eq!(spool.status().dropped_records, 0);
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for log in documents(&server).await {
        let key = format!("{}/{}", log.get_str("jobName").unwrap(), log.get_i64("planTime").unwrap());
        *times.entry(key).or_default() += 1;
    }
    assert!(times.values().all(|times| *times == 1), "doubled: {times:?}");
    let lost: Vec<_> = acknowledged.iter().filter(|key| !times.contains_key(*key)).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
    // Chunks came before their records.
    let query = RunQuery { limit: 1_000_000, with_output: true, ..RunQuery::default() };
    for record in world::mongo(&server.uri()).runs(query).await.unwrap() {
        let second = (record.slot.0.0 - slot(0).0.0) / 1000;
        let LogEntry::Run { record: expected, .. } = run(record.job.as_str(), second) else {
            panic!("a run")
        };
        assert!(record == expected, "{}", record.run);
    }
}

/// Appends records, many at a time, and says which were acknowledged, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that another test starts"]
async fn write() {
    let folder = child::folder();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap().trim().to_owned();
    let (uri, round) = (read("uri"), read("round"));
    let spool = Spool::open(&folder.join("spool"), LARGE, world::mongo(&uri)).unwrap();
    println!();
    let writers = (0..8).map(|writer| {
        let (spool, job) = (spool.clone(), format!("{round}-{writer}"));
        tokio::spawn(async move {
            for second in 0.. {
                spool.append(vec![run(&job, second)]).await.unwrap();
                let mut out = std::io::stdout().lock();
                // The reader may be gone, as this process will be soon.
                let _ = writeln!(out, "acknowledged {job}/{}.", slot(second).0.0).and_then(|()| out.flush());
            }
        })
    });
    join_all(writers).await;
}

/// The server is stopped and continued while entries come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_again_and_again_gets_everything() {
    let folder = tempfile::tempdir().unwrap();
    let mut server: Mongo = world::start_mongo().await;
    let spool = Spool::open(&folder.path().join("spool"), LARGE, world::mongo(&server.uri())).unwrap();
    for round in 0..4 {
        for second in 0..100 {
            spool.append(vec![run("a", round * 100 + second)]).await.unwrap();
            if second == 50 {
                server.kill();
            }
        }
        tokio::task::block_in_place(|| server.start_again(MongoOptions::default()));
    }
    spool.close(Duration::from_mins(1)).await;
    assert_eq!(documents(&server).await.len(), 400);
}
