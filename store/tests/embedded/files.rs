//! The data folder and what is in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use model::UnixMillis;
use model::keys::{Folder, Key};
use model::record::SkipRecord;
use model::run::{Outcome, Revision, RunId, SkipReason, Skipped, Slot};
use rusqlite::Connection;
use store::embedded::{Embedded, OpenError};
use store::{LogEntry, LogError, Range, RunLog, RunQuery, Tree, TreeError, Txn};

use crate::child;
use crate::conformance::log::{append_one, record};
use crate::conformance::world::{
    claim_now, collect, delete, finish, job, name, put, put_job, register, slot,
};

const LONG: Duration = Duration::from_secs(30);

fn open(folder: &Path) -> Embedded {
    child::open(folder, LONG).expect("a free folder")
}

fn refused(folder: &Path) -> OpenError {
    match child::open(folder, Duration::ZERO) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn all_is_kept_from_one_opening_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("some/where");
    let store = open(&data);
    let (job, session) = (job("ops/a"), register(&store, "n/1").await);
    put_job(&store, &job).await;
    let ended = claim_now(&store, &job, &session, slot(1)).await;
    finish(&store, &job.name, &ended, Outcome::Succeeded).await;
    let running = claim_now(&store, &job, &session, slot(2)).await;
    append_one(&store, record("ops/a", 1, Outcome::Succeeded)).await.unwrap();
    let all = async |store: &Embedded| {
        let mut all = Vec::new();
        for folder in [Folder::Jobs, Folder::Cursors, Folder::Runs, Folder::Statuses, Folder::Kills] {
            all.extend(store.list(Range::Folder(folder)).await.unwrap());
        }
        let query = RunQuery { limit: 10, with_output: true, ..RunQuery::default() };
        (all, store.runs(query).await.unwrap())
    };
    let before = all(&store).await;
    assert_eq!((before.0.len(), before.1.len()), (4, 1));
    store.close().await;
    for end in ["dropped", "closed"] {
        let store = open(&data);
        assert_eq!(all(&store).await, before, "before being {end}");
        assert_eq!(store.list(Range::Folder(Folder::Workers)).await.unwrap(), []);
        if end == "closed" {
            store.close().await;
        }
    }
    let store = open(&data);
    let next = put(&store, Key::Kill(name("b")), b"").await;
    assert!(next > running.token && next > session.registered);
}

#[tokio::test]
async fn records_of_a_collected_job_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (job, session) = (job("a"), register(&store, "n/1").await);
    put_job(&store, &job).await;
    let claimed = claim_now(&store, &job, &session, slot(1)).await;
    append_one(&store, record("a", 1, Outcome::Succeeded)).await.unwrap();
    finish(&store, &job.name, &claimed, Outcome::Succeeded).await;
    delete(&store, Key::Job(job.name.clone())).await;
    assert!(collect(&store, &job.name, Revision::NONE).await.succeeded);
    let query = RunQuery { job: Some(job.name), limit: 10, ..RunQuery::default() };
    assert_eq!(store.runs(query).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut follow = store.follow(&[Folder::Jobs]);
    let pending = tokio::spawn({
        let store = store.clone();
        async move { put(&store, Key::Job(name("a")), b"before").await }
    });
    let written = pending.await.unwrap();
    store.close().await;
    store.close().await;
    assert!(matches!(store.commit(Txn::default()).await, Err(TreeError::Closed)));
    assert!(matches!(store.get(Key::Job(name("a"))).await, Err(TreeError::Closed)));
    assert!(matches!(store.append(Vec::new()).await, Err(LogError::Closed)));
    while follow.recv().await.is_some() {}
    let again = store.follow(&[Folder::Jobs]).recv().await;
    assert_eq!(again, None);
    let store = open(folder.path());
    assert_eq!(store.get(Key::Job(name("a"))).await.unwrap().unwrap().modified, written);
}

#[tokio::test]
async fn only_its_user_can_read_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = open(&data);
    put(&store, Key::Job(name("a")), b"secret").await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let files: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_file_of_the_first_format_keeps_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("crontab.db");
    let former = Connection::open(&file).unwrap();
    former.execute_batch(include_str!("../../src/embedded/migrations/1.sql")).unwrap();
    let run = record("ops/a", 1, Outcome::Succeeded).run;
    let rows = format!(
        "PRAGMA application_id = 0x63726f6e;
         PRAGMA user_version = 1;
         INSERT INTO kv VALUES (1, '/cron/jobs/ops/a', 3, 5, 0, x'7b7d');
         UPDATE tree SET revision = 7;
         INSERT INTO runs VALUES (1, '{run}', 0, 'ops/a', 10, 'n', 's', 10, 11, 12, 13, 'Succeeded', 0, NULL, '', 'true', 0,
             x'01', x'');
         INSERT INTO skips VALUES
             ('ops/a', 20, 'Missed', 40, 3, 'n', 50),
             ('ops/a', 20, 'Overlap', 20, 1, 'n', 50),
             ('ops/a', -60, 'Missed', 90, NULL, 'n', 95),
             ('b', 20, 'Missed', 40, 3, 'm', 50);"
    );
    former.execute_batch(&rows).unwrap();
    former.close().unwrap();

    let skip = |job, (from, to), count, reason, node: &str, decided| SkipRecord {
        first_run: RunId::unknown(),
        job: name(job),
        node: node.to_owned(),
        decided: UnixMillis(decided),
        skipped: Skipped { from: Slot(UnixMillis(from)), to: Slot(UnixMillis(to)), count, reason },
    };
    let of_a = [
        skip("ops/a", (20, 20), Some(1), SkipReason::Overlap, "n", 50),
        skip("ops/a", (20, 40), Some(3), SkipReason::Missed, "n", 50),
        skip("ops/a", (-60, 90), None, SkipReason::Missed, "n", 95),
    ];
    let of_b = skip("b", (20, 40), Some(3), SkipReason::Missed, "m", 50);
    for opening in ["the first", "the next"] {
        let store = open(folder.path());
        assert_eq!(store.skipped(&name("ops/a"), 10).await.unwrap(), of_a, "{opening}");
        assert_eq!(store.skipped(&name("b"), 10).await.unwrap(), std::slice::from_ref(&of_b), "{opening}");
        let query =
            RunQuery { job: Some(name("ops/a")), limit: 10, with_output: true, ..RunQuery::default() };
        let runs = store.runs(query).await.unwrap();
        assert_eq!((runs.len(), &runs[0].run, &runs[0].output.head[..]), (1, &run, &[1][..]), "{opening}");
        let job = store.get(Key::Job(name("ops/a"))).await.unwrap().expect("the job");
        assert_eq!((job.created, job.modified), (Revision(3), Revision(5)), "{opening}");
        // A former record that a worker still had on its way is the same one.
        store.append(of_a.iter().cloned().map(LogEntry::Skipped).collect()).await.unwrap();
        assert_eq!(store.skipped(&name("ops/a"), 10).await.unwrap().len(), 3, "{opening}");
        store.close().await;
    }
    let store = open(folder.path());
    let first_run = RunId::of_slot(name("b"), Revision(9), Slot(UnixMillis(20)));
    store.append(vec![LogEntry::Skipped(SkipRecord { first_run, ..of_b })]).await.unwrap();
    assert_eq!(store.skipped(&name("b"), 10).await.unwrap().len(), 2);
    assert!(put(&store, Key::Kill(name("b")), b"").await > Revision(7));
}

/// What puts a file in the place of the database.
type Make<'a> = &'a dyn Fn(&Path);

#[tokio::test]
async fn files_that_are_no_store_are_refused_and_left_alone() {
    let foreign = |file: &Path| {
        let other = Connection::open(file).unwrap();
        other
            .execute_batch("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1); PRAGMA user_version = 7")
            .unwrap();
    };
    let ours = |file: &Path, change: &str| {
        open_and_close(file.parent().unwrap());
        Connection::open(file).unwrap().execute_batch(change).unwrap();
    };
    let damaged = |file: &Path| {
        open_and_close(file.parent().unwrap());
        let mut bytes = fs::read(file).unwrap();
        bytes[100..4096].fill(0xff);
        fs::write(file, bytes).unwrap();
    };
    let cases: [(&str, Make<'_>, &str); 5] = [
        (
            "text",
            &|file| fs::write(file, "not a database, but something of somebody\n".repeat(100)).unwrap(),
            "was not written by this program",
        ),
        ("another program's database", &foreign, "was not written by this program"),
        (
            "a newer version's",
            &|file| ours(file, "PRAGMA user_version = 99"),
            "has format 99, and this version reads formats up to 2",
        ),
        ("a damaged one", &damaged, "is damaged"),
        (
            "a format below the first",
            &|file| ours(file, "PRAGMA user_version = -1"),
            "was not written by this program",
        ),
    ];
    for (what, make, message) in cases {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("crontab.db");
        make(&file);
        let before = fs::read(&file).unwrap();
        let text = refused(folder.path()).to_string();
        assert!(text.contains(message) && text.contains(file.to_str().unwrap()), "{what}: {text}");
        assert!(text.contains("--data"), "{what}: {text} says what to do");
        assert!(fs::read(&file).unwrap() == before, "{what} was changed");
    }
}

/// Makes a store; returns once its folder is free.
fn open_and_close(folder: &Path) {
    let store = open(folder);
    let closed = std::thread::scope(|scope| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        scope.spawn(move || runtime.block_on(store.close())).join()
    });
    closed.unwrap();
}

#[tokio::test]
async fn places_that_can_be_no_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    for place in [file.clone(), file.join("below")] {
        let error = refused(&place);
        assert!(matches!(error, OpenError::NotAFolder(_)), "{error:?}");
        assert!(error.to_string().contains("--data"), "{error}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"x");
}

#[tokio::test]
async fn a_value_too_large_for_the_file_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    // SQLite takes at most a billion bytes.
    let large =
        Txn { then: vec![store::Op::Put(Key::Job(name("large")), vec![0; 1_000_000_001])], ..Txn::default() };
    let writes = (0..50).map(|i| {
        let store = store.clone();
        tokio::spawn(async move { put(&store, Key::Status(name(&format!("{i}")).into()), b"").await })
    });
    let writes: Vec<_> = writes.collect();
    assert!(matches!(store.commit(large).await, Err(TreeError::Unavailable(_))));
    let mut revisions = Vec::new();
    for write in writes {
        revisions.push(write.await.unwrap());
    }
    revisions.sort();
    assert_eq!(revisions, (1..=50).map(Revision).collect::<Vec<_>>());
    assert_eq!(store.get(Key::Job(name("large"))).await.unwrap(), None);
}

#[tokio::test]
async fn deleted_history_gives_its_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for second in 0..50 {
        let mut run = record("a", second, Outcome::Succeeded);
        run.output.head = vec![b'x'; 1 << 20];
        append_one(&store, run).await.unwrap();
    }
    let keep = model::job::History { succeeded: 1, failed: 1 };
    let record = record("a", 60, Outcome::Succeeded);
    store.append(vec![store::LogEntry::Run { record, keep }]).await.unwrap();
    let size = || fs::metadata(folder.path().join("crontab.db")).unwrap().len();
    for _ in 0..5000 {
        if size() < 16 << 20 {
            break;
        }
        put(&store, Key::Status(name("a").into()), b"").await;
    }
    assert!(size() < 16 << 20, "{} MiB", size() >> 20);
}
