//! What other programs find in the collections, and what they leave there.

use e2e::MongoOptions;
use futures::TryStreamExt;
use model::UnixMillis;
use model::job::History;
use model::record::{Output, RunRecord, SkipRecord};
use model::run::{Outcome, Revision, RunId, SessionId, SkipReason, Skipped};
use mongodb::bson::spec::ElementType;
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};
use store::mongo::{MongoConfig, MongoLog};
use store::{LogEntry, LogError, RunLog, RunQuery};

use crate::conformance::log::{append_one, record};
use crate::conformance::world::{name, slot};
use crate::keeper::Keeper;
use crate::server::{self, Place};

async fn documents(place: &Place, collection: &str) -> Vec<Document> {
    let all = place.collection(collection).await.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap();
    all.try_collect().await.unwrap()
}

#[tokio::test]
async fn the_fields_of_the_replaced_system_have_their_types_and_meanings() {
    let place = server::any().await;
    let mut run = record("ops/a", 1, Outcome::Failed);
    run.claimed = UnixMillis(slot(1).0.0 - 400);
    run.started = Some(UnixMillis(slot(1).0.0 + 7));
    run.message = "it exited with status 3".to_owned();
    run.output.head = b"a\0b\xff\n".to_vec();
    append_one(&place.log(), run.clone()).await.unwrap();
    let found = documents(&place, "log").await;
    let [found] = &found[..] else { panic!("{found:?}") };
    let expected: [(&str, Bson); 9] = [
        ("_id", format!("{}/0", run.run).into()),
        ("jobName", "ops/a".into()),
        ("command", "true".into()),
        ("err", "it exited with status 3".into()),
        ("output", "a\0b\u{fffd}\n".into()),
        ("planTime", Bson::Int64(slot(1).0.0)),
        ("scheduleTime", Bson::Int64(slot(1).0.0)),
        ("startTime", Bson::Int64(slot(1).0.0 + 7)),
        ("endTime", Bson::Int64(slot(2).0.0)),
    ];
    for (field, value) in expected {
        assert_eq!(found.get(field), Some(&value), "{field}");
    }
    // Two more that a start which is not known leaves in order.
    let mut lost = record("ops/a", 2, Outcome::Lost);
    lost.started = None;
    append_one(&place.log(), lost).await.unwrap();
    append_one(&place.log(), record("ops/b", 3, Outcome::Succeeded)).await.unwrap();
    let collection = place.collection("log").await;
    let old_query = collection.find(doc! { "jobName": "ops/a" });
    let page: Vec<Document> = old_query
        .sort(doc! { "startTime": -1 })
        .skip(0)
        .limit(20)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let slots: Vec<_> = page.iter().map(|log| log.get_i64("planTime").unwrap()).collect();
    assert_eq!(slots, [slot(2).0.0, slot(1).0.0]);
    assert_eq!(page[0].get_i64("startTime").unwrap(), slot(2).0.0);
}

fn legacy(job: &str, second: i64, err: &str) -> Document {
    doc! {
        "_id": ObjectId::new(),
        "jobName": job,
        "command": "echo old",
        "output": "old\n",
        "err": err,
        "planTime": slot(second).0.0,
        "scheduleTime": slot(second).0.0 + 3,
        "startTime": slot(second).0.0 + 516,
        "endTime": slot(second).0.0 + 600,
    }
}

#[tokio::test]
async fn records_of_the_replaced_system_are_read_and_never_removed() {
    let place = server::any().await;
    let log = place.log();
    let collection = place.collection("log").await;
    let mut odd = legacy("a", 5, "");
    odd.insert("planTime", 1_764_000_005_000.0);
    odd.remove("output");
    odd.remove("endTime");
    let old = [legacy("a", 1, ""), legacy("a", 3, "exit status 1"), legacy("b", 2, ""), odd];
    collection.insert_many(&old).await.unwrap();
    let keep = History { succeeded: 1, failed: 0 };
    for second in [0, 2, 4] {
        let record = record("a", second, Outcome::Succeeded);
        log.append(vec![LogEntry::Run { record, keep }]).await.unwrap();
    }
    let query = RunQuery { job: Some(name("a")), skip: 0, limit: 10, with_output: true };
    let found = log.runs(query).await.unwrap();
    let seconds: Vec<_> = found.iter().map(|run| (run.slot.0.0 - slot(0).0.0) / 1000).collect();
    assert_eq!(seconds, [5, 4, 3, 1]);
    let job = name("a");
    let expected = RunRecord {
        run: RunId::of_slot(&job, Revision::NONE, slot(3)),
        attempt: 0,
        job,
        command: "echo old".to_owned(),
        node: String::new(),
        session: SessionId(String::new()),
        slot: slot(3),
        claimed: UnixMillis(slot(3).0.0 + 3),
        started: Some(UnixMillis(slot(3).0.0 + 516)),
        ended: UnixMillis(slot(3).0.0 + 600),
        outcome: Outcome::Failed,
        exit_status: None,
        signal: None,
        message: "exit status 1".to_owned(),
        output: Output { head: b"old\n".to_vec(), cut: 0, tail: Vec::new() },
    };
    assert_eq!(found[2], expected);
    assert_eq!(found[3].outcome, Outcome::Succeeded);
    // What the list names can be asked for.
    assert_eq!(log.output(&expected.run, 0).await.unwrap().as_ref(), Some(&expected.output));
    assert_eq!(log.find(&expected.run, 1).await.unwrap(), None);
    assert_eq!(log.find(&found[0].run, 0).await.unwrap().unwrap().slot, slot(5));
    assert_eq!(
        log.find(&expected.run, 0).await.unwrap(),
        Some(RunRecord { output: Output::default(), ..expected })
    );
    assert_eq!(collection.count_documents(doc! { "runId": { "$exists": false } }).await.unwrap(), 4);
}

#[tokio::test]
async fn documents_that_are_no_records_hide_no_others() {
    let place = server::any().await;
    let log = place.log();
    append_one(&log, record("a", 1, Outcome::Succeeded)).await.unwrap();
    let foreign = [
        doc! { "_id": 1, "jobName": "a", "startTime": i64::MAX },
        doc! { "_id": 2, "jobName": 7, "planTime": 1_i64, "startTime": "later" },
        doc! { "_id": 3, "jobName": "a", "planTime": 1_i64, "startTime": 1_i64, "runId": "x", "outcome": "Failed" },
        doc! {},
    ];
    place.collection("log").await.insert_many(&foreign).await.unwrap();
    let query = RunQuery { limit: 10, with_output: true, ..RunQuery::default() };
    assert_eq!(log.runs(query).await.unwrap(), [record("a", 1, Outcome::Succeeded)]);
}

#[tokio::test]
async fn output_is_kept_in_chunks_only_where_text_does_not_hold_it() {
    let place = server::any().await;
    let log = place.log();
    let full = "0123456789abcdef".repeat(4096);
    let cases: [(&str, Output, usize); 5] = [
        ("text", Output { head: b"caf\xc3\xa9\0".to_vec(), ..Output::default() }, 0),
        ("as much text as fits", Output { head: full.clone().into_bytes(), ..Output::default() }, 0),
        ("more", Output { head: (full + ".").into_bytes(), ..Output::default() }, 1),
        ("no text", Output { head: vec![0xff], ..Output::default() }, 1),
        ("a cut", Output { head: vec![b'h'; 1 << 20], cut: 77, tail: vec![b't'; (1 << 20) + 1] }, 3),
    ];
    for (second, (what, output, chunks)) in (0..).zip(&cases) {
        let mut run = record("a", second, Outcome::Succeeded);
        run.output = output.clone();
        append_one(&log, run.clone()).await.unwrap();
        assert!(log.output(&run.run, 0).await.unwrap().as_ref() == Some(output), "{what}");
        let ids: Vec<_> = (0..*chunks).map(|n| Bson::String(format!("{}/0/{n}", run.run))).collect();
        let stored = documents(&place, "output").await;
        let stored: Vec<_> = stored
            .iter()
            .filter(|chunk| chunk.get_str("_id").unwrap().starts_with(run.run.as_str()))
            .collect();
        assert_eq!(
            stored.iter().map(|chunk| chunk.get("_id").unwrap().clone()).collect::<Vec<_>>(),
            ids,
            "{what}"
        );
        for chunk in stored {
            assert!(chunk.get_binary_generic("bytes").unwrap().len() <= 1 << 20, "{what}");
        }
        let text = place.collection("log").await.find_one(doc! { "runId": run.run.as_str() }).await.unwrap();
        let text = text.unwrap().get_str("output").unwrap().to_owned();
        assert!(text.len() <= 70_000, "{what}: {}", text.len());
        if output.cut > 0 {
            let cut = (2 << 20) + 1 + 77 - 65536;
            assert!(text.contains(&format!("[... {cut} bytes cut ...]")), "{what}");
            assert!(text.starts_with('h') && text.ends_with('t'), "{what}");
        }
    }
    // Records that are removed take their chunks along.
    let keep = History { succeeded: 1, failed: 1 };
    let last = record("a", 100, Outcome::Succeeded);
    log.append(vec![LogEntry::Run { record: last, keep }]).await.unwrap();
    assert_eq!(documents(&place, "log").await.len(), 1);
    assert_eq!(documents(&place, "output").await, []);
}

#[tokio::test]
async fn a_record_whose_chunks_are_gone_shows_its_text() {
    let place = server::any().await;
    let log = place.log();
    let mut run = record("a", 1, Outcome::Succeeded);
    run.output.head = vec![0xff, b'!'];
    append_one(&log, run.clone()).await.unwrap();
    place.collection("output").await.delete_many(doc! {}).await.unwrap();
    assert_eq!(log.output(&run.run, 0).await.unwrap().unwrap().head, "\u{fffd}!".as_bytes());
}

#[tokio::test]
async fn large_limits_are_kept_to_within_some_records() {
    let place = server::any().await;
    let log = place.log();
    let keep = History { succeeded: 100, failed: 100 };
    let mut most = 0;
    for hundred in 0..10 {
        for ten in 0..10 {
            let seconds = (hundred * 100 + ten * 10)..(hundred * 100 + ten * 10 + 10);
            let entries =
                seconds.map(|second| LogEntry::Run { record: record("a", second, Outcome::Succeeded), keep });
            log.append(entries.collect()).await.unwrap();
            let left = place.collection("log").await.count_documents(doc! {}).await.unwrap();
            assert!(left >= 100.min(hundred.unsigned_abs() * 100 + ten.unsigned_abs() * 10 + 10), "{left}");
            most = most.max(left);
        }
    }
    assert!((101..200).contains(&most), "{most}");
}

#[tokio::test]
async fn a_server_that_removes_nothing_is_not_asked_again_and_again() {
    for claims in [0, 1] {
        let place = server::own(MongoOptions::default()).await;
        let port = place.server.as_ref().expect("its own").port();
        let keeper = Keeper::start(port, claims).await;
        let log = MongoLog::new(MongoConfig { uri: keeper.uri.clone(), ..place.config() }).unwrap();
        let keep = History { succeeded: 1, failed: 1 };
        let entries = |seconds: std::ops::Range<i64>| {
            let run = |second| LogEntry::Run { record: record("a", second, Outcome::Succeeded), keep };
            let skip = |second| {
                let (job, slot) = (name("a"), slot(second));
                let first_run = RunId::of_slot(&job, Revision(1), slot);
                let skipped = Skipped { from: slot, to: slot, count: Some(1), reason: SkipReason::Missed };
                LogEntry::Skipped(SkipRecord {
                    first_run,
                    job,
                    node: "n".to_owned(),
                    decided: slot.0,
                    skipped,
                })
            };
            seconds.flat_map(|second| [run(second), skip(second)]).collect::<Vec<_>>()
        };
        log.append(entries(0..200)).await.unwrap();
        assert!((1..10).contains(&keeper.asked()), "{}", keeper.asked());
        assert_eq!(documents(&place, "log").await.len(), 200);

        // The next append tries again.
        keeper.remove();
        log.append(entries(200..300)).await.unwrap();
        assert_eq!(documents(&place, "log").await.len(), 1);
        assert_eq!(documents(&place, "slots").await.len(), 100);
    }
}

#[tokio::test]
async fn retention_by_age_is_the_servers() {
    let place = server::any().await;
    let retention = Some(std::time::Duration::from_hours(24));
    let log = MongoLog::new(MongoConfig { retention, ..place.config() }).unwrap();
    let mut run = record("a", 1, Outcome::Succeeded);
    run.output.head = vec![0xff];
    append_one(&log, run).await.unwrap();
    let skipped = Skipped { from: slot(1), to: slot(1), count: Some(1), reason: SkipReason::Missed };
    let first_run = RunId::of_slot(name("a"), Revision(1), slot(1));
    let skip = SkipRecord { first_run, job: name("a"), node: "n".to_owned(), decided: slot(2).0, skipped };
    log.append(vec![LogEntry::Skipped(skip)]).await.unwrap();
    for (collection, after) in [("log", 24), ("output", 25), ("slots", 24)] {
        let found = documents(&place, collection).await;
        let at = found[0].get_datetime("expireAt").expect("it expires").timestamp_millis();
        assert_eq!(at, slot(2).0.0 + after * 3_600_000, "{collection}");
        let indexes: Vec<_> =
            place.collection(collection).await.list_indexes().await.unwrap().try_collect().await.unwrap();
        let expiry = indexes.iter().find(|index| index.keys == doc! { "expireAt": 1 }).expect("an index");
        assert_eq!(
            expiry.options.as_ref().unwrap().expire_after,
            Some(std::time::Duration::ZERO),
            "{collection}"
        );
    }
}

#[tokio::test]
async fn without_retention_nothing_expires() {
    let place = server::any().await;
    append_one(&place.log(), record("a", 1, Outcome::Succeeded)).await.unwrap();
    assert_eq!(documents(&place, "log").await[0].get("expireAt"), None);
}

#[tokio::test]
async fn a_document_that_is_too_large_is_refused_and_changes_nothing() {
    let place = server::any().await;
    let log = place.log();
    let mut large = record("a", 1, Outcome::Failed);
    large.message = "x".repeat(17 << 20);
    let refused = append_one(&log, large).await.unwrap_err();
    assert!(matches!(refused, LogError::Refused(_)), "{refused:?}");
    assert_eq!(documents(&place, "log").await, []);
}

#[tokio::test]
async fn numbers_have_the_same_types_in_every_record() {
    let place = server::any().await;
    let log = place.log();
    let mut lost = record("a", 1, Outcome::Lost);
    (lost.started, lost.exit_status) = (None, None);
    append_one(&log, lost).await.unwrap();
    append_one(&log, record("a", 2, Outcome::Failed)).await.unwrap();
    for found in documents(&place, "log").await {
        for field in ["claimTime", "attempt", "outputCut", "outputHead", "outputChunks", "endTime"] {
            assert_eq!(found.get(field).unwrap().element_type(), ElementType::Int64, "{field}");
        }
    }
}
