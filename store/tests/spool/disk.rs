//! A disk that is full.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use model::run::Outcome;
use rusqlite::Connection;
use store::spool::Spool;
use store::{LogEntry, LogError};

use crate::child;
use crate::conformance::log::{append_one, record};
use crate::world::{LARGE, Noting, emptied};

const NEEDS: &str = "this test mounts a small file system, for which it needs root or unprivileged user namespaces \
    (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)";

#[test]
fn a_full_disk_refuses_appends_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    child::run(child::on_small_disk("disk::on_a_full_disk", folder.path()), NEEDS);
}

/// Writes until nothing more fits.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [64 << 10, 4096, 1] {
        let error = std::iter::repeat_with(|| file.write_all(&vec![b'x'; size])).find_map(Result::err);
        assert_eq!(error.unwrap().kind(), ErrorKind::StorageFull);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that another test starts"]
async fn on_a_full_disk() {
    let folder = child::folder();
    // The log is on another disk.
    let elsewhere = tempfile::tempdir().unwrap();
    let log = Noting::new(elsewhere.path());
    log.go_away();
    let path = folder.join("spool");
    let mut spool = Spool::open(&path, LARGE, log.clone()).unwrap();
    let mut expected = Vec::new();
    let mut seconds = 0..;
    let run = |second| {
        let mut run = record("a", second, Outcome::Failed);
        run.output.head = vec![b'x'; 200 << 10];
        run
    };
    let filler = folder.join("filler");
    // Full by itself, then by others.
    for others in [false, true] {
        if others {
            fill(&filler);
        }
        let error = loop {
            let run = run(seconds.next().unwrap());
            match append_one(&spool, run.clone()).await {
                Ok(()) => expected.push(run.run),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, LogError::NoSpace(_)), "{error:?}");
        let shipped = log.taken.lock().unwrap().len();
        assert_eq!(spool.status().entries, u64::try_from(expected.len() - shipped).unwrap());
        // It can be opened, and shipping makes room by itself.
        spool.close(Duration::ZERO).await;
        spool = Spool::open(&path, LARGE, log.clone()).unwrap();
        log.come_back();
        emptied(&spool).await;
        log.go_away();
        if others {
            fs::remove_file(&filler).unwrap();
        }
        let run = run(seconds.next().unwrap());
        append_one(&spool, run.clone()).await.unwrap();
        expected.push(run.run);
    }
    log.come_back();
    spool.close(Duration::from_mins(1)).await;
    let run_of = |entry: &LogEntry| match entry {
        LogEntry::Run { record, .. } => record.run.clone(),
        LogEntry::Skipped(_) => panic!("{entry:?}"),
    };
    // On a full disk what was shipped may be shipped again; the log knows it.
    let taken: BTreeSet<_> = log.taken.lock().unwrap().iter().map(run_of).collect();
    assert!(taken == expected.into_iter().collect());
    let file = Connection::open(path.join("spool.db")).unwrap();
    let checked: String = file.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(checked, "ok");
}
