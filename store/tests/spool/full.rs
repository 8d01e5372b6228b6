//! A spool that is full.

use model::job::History;
use model::record::Output;
use model::run::Outcome;
use store::spool::Spool;
use store::{LogEntry, RunLog};

use crate::conformance::log::record;
use crate::world::{Noting, emptied};

const KEEP: History = History { succeeded: 100_000, failed: 100_000 };
const KIB: usize = 1 << 10;

#[tokio::test]
async fn the_oldest_outputs_go_first_then_the_oldest_records() {
    let folder = tempfile::tempdir().unwrap();
    let log = Noting::new(folder.path());
    log.go_away();
    // Room for 64 KiB, while each output has 16.
    let spool = Spool::open(&folder.path().join("spool"), 64 << 10, log.clone()).unwrap();
    let run = |second| {
        let mut run = record("a", second, if second % 2 == 0 { Outcome::Succeeded } else { Outcome::Failed });
        run.output = Output { head: vec![b'h'; 8 * KIB], cut: 5, tail: vec![b't'; 8 * KIB] };
        run
    };
    let append = async |second| {
        spool.append(vec![LogEntry::Run { record: run(second), keep: KEEP }]).await.unwrap();
        assert!(spool.status().bytes <= 64 << 10);
    };
    for second in 0..20 {
        append(second).await;
    }
    let status = spool.status();
    assert_eq!(
        (status.entries, status.dropped_records),
        (20, 0),
        "no record before the last output: {status:?}"
    );
    assert!((16..20).contains(&status.dropped_outputs), "{status:?}");
    for second in 20..1000 {
        append(second).await;
    }
    let status = spool.status();
    assert!(status.dropped_outputs > 990 && status.dropped_records > 500, "{status:?}");
    assert_eq!(status.entries + status.dropped_records, 1000, "each is there or counted");

    log.come_back();
    emptied(&spool).await;
    let taken = log.taken.lock().unwrap();
    let dropped = usize::try_from(status.dropped_records).unwrap();
    assert_eq!(taken.len(), 1000 - dropped);
    let mut without = 0;
    for (second, entry) in (status.dropped_records..).zip(&*taken) {
        let LogEntry::Run { record, .. } = entry else { panic!("{entry:?}") };
        let mut whole = run(i64::try_from(second).unwrap());
        if record.output.cut > 5 {
            assert_eq!(record.output.cut, 5 + 16 * 1024, "all that is missing is counted");
            let text = record.output.to_text();
            assert!(text.contains("the spool was full") && text.contains("16389 bytes cut"), "{text}");
            whole.output = record.output.clone();
            without += 1;
        } else {
            assert!(without + 10 > taken.len() - 10, "outputs of newer records are kept");
        }
        assert_eq!(*record, whole, "the newest are there, whole but for their output");
    }
    // Those whose record was dropped, too.
    assert_eq!(usize::try_from(status.dropped_outputs).unwrap(), without + dropped);
}

#[tokio::test]
async fn a_cut_that_is_as_long_as_can_be_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let log = Noting::new(folder.path());
    log.go_away();
    let spool = Spool::open(&folder.path().join("spool"), 4 << 10, log.clone()).unwrap();
    let mut run = record("a", 1, Outcome::Succeeded);
    let longest = u64::try_from(i64::MAX).unwrap();
    run.output = Output { head: vec![b'x'; 1 << 20], cut: longest, tail: Vec::new() };
    spool.append(vec![LogEntry::Run { record: run.clone(), keep: KEEP }]).await.unwrap();
    assert_eq!(spool.output(&run.run, 0).await.unwrap().unwrap().cut, longest);
}

#[tokio::test]
async fn a_lower_limit_holds_from_the_next_opening_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = Noting::new(folder.path());
    log.go_away();
    let path = folder.path().join("spool");
    let spool = Spool::open(&path, 1 << 30, log.clone()).unwrap();
    let mut run = record("a", 1, Outcome::Succeeded);
    run.output.head = vec![b'x'; 1 << 20];
    spool.append(vec![LogEntry::Run { record: run, keep: KEEP }]).await.unwrap();
    spool.close(std::time::Duration::ZERO).await;
    let spool = Spool::open(&path, 64 << 10, log).unwrap();
    let status = spool.status();
    assert_eq!((status.entries, status.dropped_outputs), (1, 1));
    assert!(status.bytes < 64 << 10);
}

#[tokio::test]
async fn a_spool_that_was_emptied_gives_its_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let log = Noting::new(folder.path());
    log.go_away();
    let path = folder.path().join("spool");
    let spool = Spool::open(&path, 1 << 30, log.clone()).unwrap();
    for second in 0..64 {
        let mut run = record("a", second, Outcome::Succeeded);
        run.output.head = vec![b'x'; 1 << 20];
        spool.append(vec![LogEntry::Run { record: run, keep: KEEP }]).await.unwrap();
    }
    let size = || std::fs::metadata(path.join("spool.db")).unwrap().len() >> 20;
    log.come_back();
    emptied(&spool).await;
    for second in 100..1000 {
        if size() < 16 {
            break;
        }
        let run = record("a", second, Outcome::Succeeded);
        spool.append(vec![LogEntry::Run { record: run, keep: KEEP }]).await.unwrap();
    }
    assert!(size() < 16, "{} MiB", size());
}
