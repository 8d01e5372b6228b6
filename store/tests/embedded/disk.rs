//! A disk that is full, and one that can't be written.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use model::keys::{Folder, Key};
use model::run::Outcome;
use model::{Job, Lane};
use rusqlite::Connection;
use store::embedded::{Embedded, OpenError};
use store::protocol;
use store::{LogError, Range, RunLog, Tree, TreeError};

use crate::child;
use crate::conformance::log::{append_one, record};
use crate::conformance::world::{claim_now, exists, finish, job, look, put_job, register, slot};

const NEEDS: &str = "this test mounts a small file system, for which it needs root or unprivileged user namespaces \
    (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)";

#[test]
fn a_full_disk_refuses_writes_whole_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    child::run(child::on_small_disk("disk::on_a_full_disk", folder.path()), NEEDS);
}

#[test]
fn a_read_only_disk_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    child::run(child::on_small_disk("disk::on_a_read_only_disk", folder.path()), NEEDS);
}

/// Writes until nothing more fits.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [64 << 10, 4096, 1] {
        let error = std::iter::repeat_with(|| file.write_all(&vec![b'x'; size])).find_map(Result::err);
        assert_eq!(error.unwrap().kind(), ErrorKind::StorageFull);
    }
}

async fn try_claim(
    store: &Embedded,
    job: &Job,
    session: &store::Session,
    second: i64,
) -> Result<bool, TreeError> {
    let known = look(store, &job.name).await;
    let (_, _, txn) = protocol::claim(
        &Lane::from(&job.name),
        job,
        known,
        session,
        "n",
        slot(second),
        Vec::new(),
        slot(second).0,
    );
    store.commit(txn).await.map(|reply| reply.succeeded)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that another test starts"]
async fn on_a_full_disk() {
    let folder = child::folder();
    let store = child::open(&folder.join("data"), Duration::ZERO).unwrap();
    let session = register(&store, "n/1").await;
    let jobs: Vec<Job> = (0..1000).map(|i| job(&format!("job-{i}"))).collect();
    for job in &jobs {
        put_job(&store, job).await;
    }
    let running = claim_now(&store, &jobs[0], &session, slot(1)).await;

    let filler = folder.join("filler");
    fill(&filler);
    // What fits into the space that the file and its log have already still passes; not for long.
    let mut claimed = Vec::new();
    let refused = loop {
        let job = &jobs[1 + claimed.len()];
        match try_claim(&store, job, &session, 1).await {
            Ok(won) => assert!(won),
            Err(error) => {
                assert!(matches!(error, TreeError::NoSpace(_)), "{error:?}");
                break job;
            }
        }
        claimed.push(job);
    };
    // Nothing is half-written, in the tree or in the log, and reading goes on.
    let run = record("job-0", 1, Outcome::Succeeded);
    let mut large = run.clone();
    large.output.head = vec![b'x'; 20 << 20];
    assert!(matches!(append_one(&store, large).await, Err(LogError::NoSpace(_))));
    assert_eq!(store.find(&run.run, 0).await.unwrap(), None);
    assert!(!exists(&store, Key::Cursor(refused.name.clone().into())).await);
    assert_eq!(store.list(Range::RunsOf(refused.name.clone())).await.unwrap(), []);
    assert_eq!(store.list(Range::Folder(Folder::Runs)).await.unwrap().len(), 1 + claimed.len());

    fs::remove_file(&filler).unwrap();
    assert!(try_claim(&store, refused, &session, 1).await.unwrap());
    assert!(finish(&store, &jobs[0].name, &running, Outcome::Succeeded).await);
    append_one(&store, run.clone()).await.unwrap();
    store.close().await;

    let store = child::open(&folder.join("data"), Duration::ZERO).unwrap();
    assert_eq!(store.list(Range::Folder(Folder::Runs)).await.unwrap().len(), 1 + claimed.len());
    assert!(store.find(&run.run, 0).await.unwrap().is_some());
    store.close().await;
    let file = Connection::open(folder.join("data/crontab.db")).unwrap();
    let checked: String = file.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(checked, "ok");
    drop(file);

    // Nor can a new folder be made on a full disk.
    fill(&filler);
    match child::open(&folder.join("new"), Duration::ZERO) {
        Err(error @ OpenError::NoSpace(_)) => assert!(error.to_string().contains("make room"), "{error}"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[tokio::test]
#[ignore = "the process that another test starts"]
async fn on_a_read_only_disk() {
    let folder = child::folder();
    let data = folder.join("data");
    child::open(&data, Duration::ZERO).unwrap().close().await;
    let mounted = Command::new("mount").args(["-o", "remount,bind,ro"]).arg(&folder).status().unwrap();
    assert!(mounted.success());
    for folder in [data, folder.join("new")] {
        match child::open(&folder, Duration::ZERO) {
            Err(error @ OpenError::ReadOnly(_)) => assert!(error.to_string().contains("--data"), "{error}"),
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("it was opened"),
        }
    }
}
