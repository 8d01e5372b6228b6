//! What lives on when the worker or the executor does not.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use worker::executor::{Boottime, Fence, RunKey, Start, kill_escapees};

use crate::host::{Host, PATH, all_dead, exec, is_alive, pids, sh};

/// Tells the process that plays the worker where its commands are to write their pids.
const FOLDER: &str = "EXECUTOR_TEST_FOLDER";

pub(crate) fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// Writes its pid and that of a child to a file, and does not end by itself nor by SIGTERM.
fn lasting(key: u64, file: &std::path::Path) -> Start {
    let script = "trap '' TERM; sleep 1000 & echo $! >> $0; echo $$ >> $0; while :; do wait; sleep 1; done";
    exec(key, &["/bin/sh", "-c", script, file.to_str().unwrap()])
}

#[tokio::test]
async fn everything_is_killed_when_the_worker_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let mut host = Host::new();
    let executor = host.pid().await;
    for key in 1..=20 {
        host.executor.start(lasting(key, &file));
    }
    let commands = pids(&file, 40).await;
    let Host { executor: handle, .. } = host;
    drop(handle);
    all_dead(&commands).await;
    all_dead(&[executor]).await;
}

#[tokio::test]
async fn the_end_of_a_killed_executor_is_told() {
    let mut host = Host::new();
    let executor = host.pid().await;
    signal(executor, Signal::KILL);
    host.until("the end", |host| host.gone.is_some()).await;
    assert_eq!(host.gone.as_deref(), Some("it was killed by signal 9"));
}

#[tokio::test]
async fn signals_of_a_terminal_do_not_reach_it() {
    let mut host = Host::new();
    let executor = host.pid().await;
    for kind in [Signal::INT, Signal::TERM, Signal::HUP] {
        signal(executor, kind);
    }
    let (seen, _) = host.run(sh(1, "ps -o pgid= -p $PPID | tr -d ' '")).await;
    assert_eq!(seen.text().trim(), executor.to_string());
}

#[tokio::test]
async fn what_a_killed_executor_leaves_is_found_by_its_session() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, others) = (folder.path().join("ours"), folder.path().join("others"));
    let session = |session: &str, start: Start| {
        let env = vec![("PATH".to_owned(), PATH.to_owned()), ("CRON_SESSION".to_owned(), session.to_owned())];
        Start { env, ..start }
    };
    let name = format!("executor-test-{}", std::process::id());
    let longer = format!("{name}0");
    let mut host = Host::new();
    let executor = host.pid().await;
    host.executor.start(session(&name, lasting(1, &ours)));
    host.executor.start(session(&longer, lasting(2, &others)));
    let (ours, others) = (pids(&ours, 2).await, pids(&others, 2).await);
    signal(executor, Signal::KILL);
    host.until("the end", |host| host.gone.is_some()).await;
    assert!(ours.iter().chain(&others).all(|pid| is_alive(*pid)), "nobody else ends them");
    assert!(kill_escapees(&name) >= 2);
    assert!(!ours.iter().any(|pid| is_alive(*pid)), "they are gone when it returns");
    assert!(others.iter().all(|pid| is_alive(*pid)));
    assert!(kill_escapees(&longer) >= 2);
    assert!(!others.iter().any(|pid| is_alive(*pid)));
    assert_eq!(kill_escapees(&longer), 0);
}

#[tokio::test]
async fn a_paused_worker_is_fenced_and_a_killed_one_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "deaths::the_worker_of_another_test", "--ignored"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let exclusive = pids(&folder.path().join("exclusive"), 2).await;
    let shared = pids(&folder.path().join("shared"), 2).await;
    signal(worker.id(), Signal::STOP);
    assert!(exclusive.iter().all(|pid| is_alive(*pid)));
    all_dead(&exclusive).await;
    assert!(shared.iter().all(|pid| is_alive(*pid)));
    signal(worker.id(), Signal::KILL);
    worker.wait().unwrap();
    all_dead(&shared).await;
}

#[tokio::test]
#[ignore = "it is the process that another test pauses and kills"]
async fn the_worker_of_another_test() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("only another test starts it"));
    let mut host = Host::new();
    host.executor.start(Start { exclusive: true, ..lasting(1, &folder.join("exclusive")) });
    host.executor.start(lasting(2, &folder.join("shared")));
    let shared = RunKey(2);
    let deadline = Boottime(Boottime::now().0 + Duration::from_secs(3));
    host.executor.fence(Some(Fence { deadline, grace: Duration::from_millis(500) }));
    host.ended(shared).await;
}
