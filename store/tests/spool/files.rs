//! The folder: one process at a time, and from one opening to the next.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use model::record::SkipRecord;
use model::run::{Outcome, Revision, RunId, SkipReason, Skipped};
use rusqlite::Connection;
use store::spool::{OpenError, Spool};
use store::{LogEntry, LogError, RunLog};

use crate::child;
use crate::conformance::log::{append_one, record};
use crate::conformance::world::{name, slot};
use crate::world::{self, LARGE, Noting, emptied};

fn refused(folder: &Path) -> OpenError {
    match Spool::open(folder, LARGE, world::nowhere()) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn what_is_left_is_shipped_by_whoever_opens_it_next() {
    let folder = tempfile::tempdir().unwrap();
    let log = Noting::new(folder.path());
    log.go_away();
    let path = folder.path().join("some/where/spool");
    for round in 0..3 {
        let spool = Spool::open(&path, LARGE, log.clone()).unwrap();
        assert_eq!(spool.status().entries, 10 * round);
        for second in 0..10 {
            let second = i64::try_from(10 * round + second).unwrap();
            append_one(&spool, record("a", second, Outcome::Failed)).await.unwrap();
        }
        spool.close(Duration::from_millis(50)).await;
    }
    log.come_back();
    let spool = Spool::open(&path, LARGE, log.clone()).unwrap();
    emptied(&spool).await;
    assert_eq!(log.taken.lock().unwrap().len(), 30);
}

#[tokio::test]
async fn a_skip_of_an_earlier_version_is_shipped_as_that_of_an_unknown_run() {
    let folder = tempfile::tempdir().unwrap();
    let (path, log) = (folder.path().join("spool"), Noting::new(folder.path()));
    log.go_away();
    let spool = Spool::open(&path, LARGE, log.clone()).unwrap();
    let skipped = Skipped { from: slot(1), to: slot(9), count: Some(9), reason: SkipReason::Missed };
    let first_run = RunId::of_slot(name("a"), Revision(1), slot(1));
    let skip = SkipRecord { first_run, job: name("a"), node: "n".to_owned(), decided: slot(10).0, skipped };
    spool.append(vec![LogEntry::Skipped(skip.clone())]).await.unwrap();
    spool.close(Duration::from_millis(50)).await;
    let file = Connection::open(path.join("spool.db")).unwrap();
    let known = "instr(entry, 'firstRun')";
    let former = format!("UPDATE entries SET entry = json_remove(entry, '$.Skipped.firstRun') WHERE {known}");
    assert_eq!(file.execute(&former, ()).unwrap(), 1);
    file.close().unwrap();

    log.come_back();
    let spool = Spool::open(&path, LARGE, log.clone()).unwrap();
    emptied(&spool).await;
    let unknown = SkipRecord { first_run: RunId::unknown(), ..skip };
    assert_eq!(*log.taken.lock().unwrap(), [LogEntry::Skipped(unknown)]);
}

#[tokio::test]
async fn closing_ships_what_can_be_shipped() {
    let folder = tempfile::tempdir().unwrap();
    let log = Noting::new(folder.path());
    let spool = Spool::open(&folder.path().join("spool"), LARGE, log.clone()).unwrap();
    for second in 0..500 {
        append_one(&spool, record("a", second, Outcome::Failed)).await.unwrap();
    }
    spool.close(Duration::from_mins(1)).await;
    assert_eq!(log.taken.lock().unwrap().len(), 500);
    // From now on it is closed, for all clones, and closing again is nothing.
    let clone = spool.clone();
    clone.close(Duration::from_mins(1)).await;
    let run = record("a", 1, Outcome::Failed);
    assert!(matches!(append_one(&clone, run.clone()).await, Err(LogError::Closed)));
    assert!(matches!(clone.find(&run.run, 0).await, Err(LogError::Closed)));
}

#[tokio::test]
async fn a_dropped_spool_frees_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let spool = Spool::open(&path, LARGE, world::nowhere()).unwrap();
    append_one(&spool, record("a", 1, Outcome::Failed)).await.unwrap();
    drop(spool);
    world::eventually("a free folder", async || Spool::open(&path, LARGE, world::nowhere()).is_ok()).await;
}

#[tokio::test]
async fn a_spool_of_another_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut other, _out) = child::start("files::hold_the_folder", folder.path(), "open");
    let error = refused(folder.path());
    let OpenError::InUse { pid, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*pid, Some(other.id()));
    let text = error.to_string();
    for part in [folder.path().to_str().unwrap(), "--spool-dir", &other.id().to_string()] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    other.kill();
    Spool::open(folder.path(), LARGE, world::nowhere()).expect("it is free again");
}

/// Has the folder until it is killed.
#[tokio::test]
#[ignore = "the process that another test starts"]
async fn hold_the_folder() {
    let _spool = Spool::open(&child::folder(), LARGE, world::nowhere()).unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "\nopen").and_then(|()| out.flush()).unwrap();
    std::future::pending::<()>().await;
}

/// What puts a file in the place of the spool's.
type Make<'a> = &'a dyn Fn(&Path);

#[tokio::test]
async fn files_that_are_no_spool_are_refused_and_left_alone() {
    let sql = |file: &Path, text: &str| Connection::open(file).unwrap().execute_batch(text).unwrap();
    let foreign = |file: &Path| sql(file, "CREATE TABLE theirs (a); PRAGMA user_version = 1");
    let newer = |file: &Path| {
        sql(file, "CREATE TABLE ours (a); PRAGMA application_id = 0x73706f6c; PRAGMA user_version = 99");
    };
    let cases: [(&str, Make<'_>, &str); 3] = [
        (
            "text",
            &|file| fs::write(file, "something of somebody\n".repeat(100)).unwrap(),
            "was not written by",
        ),
        ("another program's database", &foreign, "was not written by"),
        ("a newer version's", &newer, "has format 99, and this version reads formats up to 1"),
    ];
    for (what, make, message) in cases {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("spool.db");
        make(&file);
        let before = fs::read(&file).unwrap();
        let text = refused(folder.path()).to_string();
        assert!(text.contains(message) && text.contains(file.to_str().unwrap()), "{what}: {text}");
        assert!(text.contains("--spool-dir"), "{what}: {text} says what to do");
        assert!(fs::read(&file).unwrap() == before, "{what} was changed");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(refused(&file), OpenError::NotAFolder(_)));
}
