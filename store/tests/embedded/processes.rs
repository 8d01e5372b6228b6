//! Two processes and one folder; processes that die.

use std::collections::BTreeSet;
use std::io::Write;
use std::thread;
use std::time::Duration;

use futures::future::join_all;
use model::Lane;
use model::keys::{Folder, Key};
use store::embedded::OpenError;
use store::{Op, Range, Tree, Txn};

use crate::child;
use crate::conformance::world::{commit, name, put_job, register};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_folder_in_use_by_another_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut other, _out) = child::start("processes::hold_the_folder", folder.path(), "open");
    let Err(error) = child::open(folder.path(), Duration::ZERO) else { panic!("two processes have it") };
    let OpenError::InUse { pid, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*pid, Some(other.id()));
    let text = error.to_string();
    for part in [folder.path().to_str().unwrap(), "cronctl up", "--data", &other.id().to_string()] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    other.kill();
    child::open(folder.path(), LONG).expect("it is free again");
}

#[tokio::test]
async fn a_folder_whose_process_is_about_to_end_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (mut other, _out) = child::start("processes::hold_the_folder", folder.path(), "open");
    let path = folder.path().to_owned();
    let waiting = thread::spawn(move || child::open(&path, LONG).map(drop));
    other.kill();
    waiting.join().unwrap().expect("it became free");
}

/// Has the folder, with a worker registered, until it is killed.
#[tokio::test]
#[ignore = "the process that another test starts"]
async fn hold_the_folder() {
    let store = child::open(&child::folder(), Duration::ZERO).unwrap();
    register(&store, "n/1").await;
    say("\nopen");
    std::future::pending::<()>().await;
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The reader may be gone, as this process will be soon.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

#[tokio::test]
async fn workers_of_a_killed_process_are_gone_and_all_else_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = child::open(folder.path(), Duration::ZERO).unwrap();
    let job = crate::conformance::world::job("a");
    let known = put_job(&store, &job).await;
    store.close().await;
    let (mut other, _out) = child::start("processes::hold_the_folder", folder.path(), "open");
    other.kill();

    let store = child::open(folder.path(), LONG).unwrap();
    assert_eq!(store.list(Range::Folder(Folder::Workers)).await.unwrap(), []);
    assert_eq!(crate::conformance::world::look(&store, &job.name).await, known);
    // Its registration and its end were changes: revisions never come twice.
    let next = register(&store, "n/1").await;
    assert!(next.registered.0 > known.definition.0 + 2, "{next:?} after {known:?}");
}

#[tokio::test]
async fn a_kill_in_the_middle_of_commits_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for _ in 0..5 {
        let (mut writer, lines) = child::start("processes::write_numbers", folder.path(), "acknowledged");
        let mut lines = lines.map_while(Result::ok);
        let mut numbers = Vec::new();
        numbers.extend(lines.by_ref().take(1000));
        writer.kill();
        numbers.extend(lines);
        assert!(numbers.len() >= 1000, "it was killed at work");
        // The last line may be cut.
        acknowledged.extend(
            numbers
                .iter()
                .filter_map(|line| line.strip_prefix("acknowledged ")?.strip_suffix('.'))
                .map(str::to_owned),
        );

        let store = child::open(folder.path(), LONG).unwrap();
        let mut kept = BTreeSet::new();
        for pair in store.list(Range::Folder(Folder::Statuses)).await.unwrap() {
            let Ok(Key::Status(Lane { job: number, node: None })) = store.prefix().decode(&pair.key) else {
                panic!("{}", pair.key)
            };
            assert_eq!(pair.value, number.as_str().as_bytes());
            // Its transaction has another half.
            let half = store.get(Key::Kill(number.clone())).await.unwrap().expect("all of a transaction");
            assert_eq!((half.created, half.modified), (pair.created, pair.modified));
            kept.insert(number.as_str().to_owned());
        }
        let lost: Vec<_> = acknowledged.difference(&kept).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        store.close().await;
    }
}

/// Commits numbers, many at a time, and says which were acknowledged, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that another test starts"]
async fn write_numbers() {
    let store = child::open(&child::folder(), Duration::ZERO).unwrap();
    let first = store.list(Range::Folder(Folder::Statuses)).await.unwrap().len();
    let writers = (0..32).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in (first..).step_by(32) {
                let number = format!("{number}-{writer}");
                let value = number.clone().into_bytes();
                let then = vec![
                    Op::Put(Key::Status(name(&number).into()), value),
                    Op::Put(Key::Kill(name(&number)), Vec::new()),
                ];
                assert!(commit(&store, Txn { then, ..Txn::default() }).await.succeeded);
                say(&format!("acknowledged {number}."));
            }
        })
    });
    say("");
    join_all(writers).await;
}
