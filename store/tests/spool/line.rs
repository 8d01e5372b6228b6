//! The line from the file to the log: its order, what waits in it, and entries that the log refuses.

use model::job::History;
use model::record::{Output, RunRecord, SkipRecord};
use model::run::{Outcome, Revision, RunId, SkipReason, Skipped};
use store::spool::Spool;
use store::{LogEntry, LogError, RunLog};

use crate::conformance::log::{append_one, record};
use crate::conformance::world::{name, slot};
use crate::world::{self, LARGE, Noting, emptied, eventually};

fn entry(second: i64) -> LogEntry {
    if second % 5 == 4 {
        let skipped =
            Skipped { from: slot(second), to: slot(second), count: None, reason: SkipReason::Overlap };
        return LogEntry::Skipped(SkipRecord {
            first_run: RunId::of_slot(name("a"), Revision(1), slot(second)),
            job: name("a"),
            node: "n".to_owned(),
            decided: slot(second).0,
            skipped,
        });
    }
    let mut record = record("a", second, Outcome::Succeeded);
    record.output =
        Output { head: vec![0, 0xff, b'x'], cut: u64::try_from(second).unwrap(), tail: b"end".to_vec() };
    let keep = History { succeeded: 100_000 + u32::try_from(second).unwrap(), failed: 7 };
    LogEntry::Run { record, keep }
}

#[tokio::test]
async fn the_log_gets_everything_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let log = Noting::new(folder.path());
    // It fails now and then.
    let mut calls = 0;
    log.set(move |_| {
        calls += 1;
        if calls % 2 == 1 { Err(LogError::Unavailable("not now".into())) } else { Ok(()) }
    });
    let spool = Spool::open(&folder.path().join("spool"), LARGE, log.clone()).unwrap();
    let entries: Vec<_> = (0..450).map(entry).collect();
    for some in entries.chunks(7) {
        spool.append(some.to_vec()).await.unwrap();
    }
    eventually("all of them", async || spool.status().shipped == 450).await;
    assert!(*log.taken.lock().unwrap() == entries);
    eventually("no trouble", async || spool.status().trouble.is_none()).await;
    assert_eq!((spool.status().entries, spool.status().bytes), (0, 0));
}

#[tokio::test]
async fn what_waits_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let log = Noting::new(folder.path());
    let spool = Spool::open(&folder.path().join("spool"), LARGE, log.clone()).unwrap();
    let shipped = record("a", 1, Outcome::Failed);
    append_one(&spool, shipped.clone()).await.unwrap();
    emptied(&spool).await;
    log.go_away();
    let waiting = record("a", 2, Outcome::Succeeded);
    append_one(&spool, waiting.clone()).await.unwrap();
    for record in [shipped, waiting] {
        assert_eq!(spool.output(&record.run, 0).await.unwrap().as_ref(), Some(&record.output));
        assert_eq!(spool.output(&record.run, 1).await.unwrap(), None);
        let expected = RunRecord { output: Output::default(), ..record };
        assert_eq!(spool.find(&expected.run, 0).await.unwrap(), Some(expected));
    }
    assert_eq!(spool.find(&record("a", 3, Outcome::Failed).run, 0).await.unwrap(), None);
}

#[tokio::test]
async fn a_lost_run_that_waits_hides_no_true_record() {
    let folder = tempfile::tempdir().unwrap();
    let log = Noting::new(folder.path());
    let spool = Spool::open(&folder.path().join("spool"), LARGE, log.clone()).unwrap();
    append_one(&spool, record("a", 1, Outcome::Failed)).await.unwrap();
    emptied(&spool).await;
    log.go_away();
    let outcome = async |second| {
        let run = record("a", second, Outcome::Lost).run;
        spool.find(&run, 0).await.unwrap().unwrap().outcome
    };
    for second in [1, 2] {
        append_one(&spool, record("a", second, Outcome::Lost)).await.unwrap();
    }
    assert_eq!((outcome(1).await, outcome(2).await), (Outcome::Failed, Outcome::Lost));
    append_one(&spool, record("a", 2, Outcome::Killed)).await.unwrap();
    assert_eq!(outcome(2).await, Outcome::Killed);
    log.come_back();
    emptied(&spool).await;
    assert_eq!((outcome(1).await, outcome(2).await), (Outcome::Failed, Outcome::Killed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_refused_stands_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let server = world::start_mongo().await;
    let path = folder.path().join("spool");
    let spool = Spool::open(&path, LARGE, world::mongo(&server.uri())).unwrap();
    let mut entries: Vec<_> = (0..20).filter(|second| second % 5 != 4).map(entry).collect();
    let LogEntry::Run { record: large, .. } = &mut entries[7] else { panic!("a run") };
    large.message = "x".repeat(17 << 20);
    let large = large.run.clone();
    spool.append(entries).await.unwrap();
    eventually("all others", async || spool.status().shipped == 15).await;
    let status = spool.status();
    assert_eq!((status.entries, status.refused, status.trouble), (1, 1, None));
    assert!(spool.find(&large, 0).await.unwrap().is_some(), "it is kept");
    // What comes later passes, and so does what comes after a restart.
    append_one(&spool, record("b", 1, Outcome::Succeeded)).await.unwrap();
    eventually("a later one", async || spool.status().shipped == 16).await;
    spool.close(std::time::Duration::from_secs(10)).await;
    let spool = Spool::open(&path, LARGE, world::mongo(&server.uri())).unwrap();
    append_one(&spool, record("b", 2, Outcome::Succeeded)).await.unwrap();
    eventually("one after a restart", async || spool.status().shipped == 1).await;
    eventually("its refusal", async || spool.status().refused == 1).await;
    assert_eq!(world::documents(&server).await.len(), 17);
}

#[tokio::test]
async fn trouble_is_told_with_its_cause_until_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let log = Noting::new(folder.path());
    log.go_away();
    let spool = Spool::open(&folder.path().join("spool"), LARGE, log.clone()).unwrap();
    assert_eq!(spool.status().trouble, None);
    append_one(&spool, record("a", 1, Outcome::Failed)).await.unwrap();
    eventually("trouble", async || spool.status().trouble.is_some()).await;
    let status = spool.status();
    let trouble = status.trouble.unwrap();
    assert!(trouble.starts_with("since 20") && trouble.ends_with("it is away for a test"), "{trouble}");
    assert_eq!((status.entries, status.shipped, status.limit), (1, 0, LARGE));
    assert!((100..10_000).contains(&status.bytes), "{}", status.bytes);
    log.come_back();
    emptied(&spool).await;
    eventually("no trouble", async || spool.status().trouble.is_none()).await;
}
