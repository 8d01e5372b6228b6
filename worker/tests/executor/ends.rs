//! How runs end.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use worker::executor::{ExitResult, RunKey, StopReason};

use crate::host::{Host, all_dead, is_alive, pids, sh};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// Does not end by SIGTERM.
const STUBBORN: &str = "trap '' TERM; echo ready; while :; do sleep 0.1; done";

#[tokio::test]
async fn the_result_is_that_of_the_command() {
    let mut host = Host::new();
    for (key, (script, result)) in [
        ("exit 0", ExitResult::Exited(0)),
        ("exit 3", ExitResult::Exited(3)),
        ("kill -KILL $$", ExitResult::Signaled(SIGKILL)),
        ("no-such-program", ExitResult::Exited(127)),
    ]
    .into_iter()
    .enumerate()
    {
        let (seen, ended) = host.run(sh(key as u64, script)).await;
        assert_eq!((ended.result, ended.stopped), (result, None), "{script}");
        let (started, _) = seen.started.unwrap();
        assert_eq!(ended.started, Some(started));
        assert!(ended.at >= started);
    }
}

#[tokio::test]
async fn a_kill_reaches_the_whole_group() {
    let mut host = Host::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let script = format!(
        "sleep 1000 & echo $! >> {0}; sleep 1000 & echo $! >> {0}; echo $$ >> {0}; wait",
        file.display()
    );
    host.executor.start(sh(1, &script));
    let group = pids(&file, 3).await;
    host.executor.stop(RunKey(1), StopReason::Killed);
    let (_, ended) = host.ended(RunKey(1)).await;
    assert_eq!((ended.result, ended.stopped), (ExitResult::Signaled(SIGTERM), Some(StopReason::Killed)));
    assert_eq!(group.iter().filter(|pid| is_alive(**pid)).count(), 0);
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_ended_with_it() {
    let mut host = Host::new();
    let folder = tempfile::tempdir().unwrap();
    for (key, left) in
        ["sleep 1000", "sh -c \"trap '' TERM; while :; do sleep 0.1; done\""].into_iter().enumerate()
    {
        let file = folder.path().join(key.to_string());
        let mut start = sh(key as u64, &format!("{left} & echo $! > {}; sleep 0.2; exit 5", file.display()));
        start.grace = Duration::from_millis(300);
        let (_, ended) = host.run(start).await;
        assert_eq!((ended.result, ended.stopped), (ExitResult::Exited(5), None), "{left}");
        assert!(!is_alive(pids(&file, 1).await[0]), "{left}");
    }
}

#[tokio::test]
async fn a_dead_process_that_nobody_waits_for_does_not_hold_the_run_open() {
    let mut host = Host::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    // The inner shell leaves the group, and as `sleep 1000` never waits for what it left there.
    let script =
        format!("sh -c 'sleep 0.1 & echo $$ > {}; exec setsid sleep 1000' & sleep 0.5", file.display());
    let (_, ended) = host.run(sh(1, &script)).await;
    assert_eq!(ended.result, ExitResult::Exited(0));
    let left = pids(&file, 1).await[0];
    assert!(is_alive(left));
    kill_process(Pid::from_raw(left.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_command_may_end_in_its_own_way_when_it_is_asked_to() {
    let mut host = Host::new();
    host.executor.start(sh(1, "trap 'echo tidy; exit 7' TERM; echo ready; while :; do :; done"));
    host.wrote(RunKey(1), "ready\n").await;
    host.executor.stop(RunKey(1), StopReason::Killed);
    let (seen, ended) = host.ended(RunKey(1)).await;
    assert_eq!((ended.result, ended.stopped), (ExitResult::Exited(7), Some(StopReason::Killed)));
    assert_eq!(seen.output, b"ready\ntidy\n");
}

#[tokio::test]
async fn what_took_no_notice_is_asked_again_when_the_command_has_ended() {
    let mut host = Host::new();
    let folder = tempfile::tempdir().unwrap();
    // The inner shell takes the first SIGTERM for nothing, and the outer one ends only after that.
    let script = format!(
        "sh -c 'trap : TERM; echo -n a; sleep 1 & wait; trap - TERM; echo > {0}; exec sleep 1000' & \
         trap 'until [ -e {0} ]; do :; done; exit 7' TERM; while :; do :; done",
        folder.path().join("took").display()
    );
    host.executor.start(sh(1, &script));
    host.wrote(RunKey(1), "a").await;
    host.executor.stop(RunKey(1), StopReason::Killed);
    let (_, ended) = host.ended(RunKey(1)).await;
    assert_eq!((ended.result, ended.stopped), (ExitResult::Exited(7), Some(StopReason::Killed)));
}

#[tokio::test]
async fn a_command_that_ignores_sigterm_is_killed_after_its_grace() {
    let mut host = Host::new();
    let mut start = sh(1, STUBBORN);
    start.grace = Duration::from_millis(200);
    host.executor.start(start);
    host.wrote(RunKey(1), "ready\n").await;
    host.executor.stop(RunKey(1), StopReason::Killed);
    let (_, ended) = host.ended(RunKey(1)).await;
    assert_eq!((ended.result, ended.stopped), (ExitResult::Signaled(SIGKILL), Some(StopReason::Killed)));
}

#[tokio::test]
async fn a_stopped_command_can_be_ended() {
    let mut host = Host::new();
    host.executor.start(sh(1, "echo ready; kill -STOP $$; exit 1"));
    host.wrote(RunKey(1), "ready\n").await;
    host.executor.stop(RunKey(1), StopReason::Killed);
    let (_, ended) = host.ended(RunKey(1)).await;
    assert_eq!(ended.result, ExitResult::Signaled(SIGTERM));
}

#[tokio::test]
async fn a_command_ends_at_its_active_deadline() {
    let mut host = Host::new();
    let mut start = sh(1, "exec sleep 1000");
    start.active_deadline = Some(Duration::from_millis(300));
    let (_, ended) = host.run(start).await;
    assert_eq!((ended.result, ended.stopped), (ExitResult::Signaled(SIGTERM), Some(StopReason::Deadline)));
    assert!(ended.at.since(ended.started.unwrap()) >= Duration::from_millis(299));
}

#[tokio::test]
async fn one_that_was_stopped_before_its_instant_never_starts() {
    let mut host = Host::new();
    let mut start = sh(1, "echo no");
    start.at = worker::now() + Duration::from_secs(1000);
    host.executor.start(start);
    host.executor.stop(RunKey(1), StopReason::Killed);
    let (seen, ended) = host.ended(RunKey(1)).await;
    assert_eq!((seen.started, ended.started, ended.stopped), (None, None, Some(StopReason::Killed)));
    let why = "it was killed before the command started".to_owned();
    assert_eq!(ended.result, ExitResult::NotStarted(why));
}

#[tokio::test]
async fn a_stop_of_a_run_that_has_ended_does_nothing() {
    let mut host = Host::new();
    host.run(sh(1, "true")).await;
    host.executor.stop(RunKey(1), StopReason::Killed);
    host.executor.stop(RunKey(2), StopReason::Killed);
    let (_, ended) = host.run(sh(3, "true")).await;
    assert_eq!((ended.result, ended.stopped), (ExitResult::Exited(0), None));
}

#[tokio::test]
async fn a_shutdown_stops_everything_and_can_be_hurried() {
    let mut host = Host::new();
    host.executor.start(sh(1, STUBBORN));
    let stubborn = host.wrote(RunKey(1), "ready\n").await;
    host.executor.start(sh(2, "exec sleep 1000"));
    let mut later = sh(3, "echo no");
    later.at = worker::now() + Duration::from_secs(1000);
    host.executor.start(later);
    host.executor.stop_all(Duration::MAX);
    for key in [2, 3] {
        let (_, ended) = host.ended(RunKey(key)).await;
        assert_eq!(ended.stopped, Some(StopReason::Shutdown));
    }
    let (_, ended) = host.run(sh(4, "echo no")).await;
    assert!(matches!(ended.result, ExitResult::NotStarted(_)), "{ended:?}");
    assert!(is_alive(stubborn));
    host.executor.stop_all(Duration::ZERO);
    let (_, ended) = host.ended(RunKey(1)).await;
    assert_eq!((ended.result, ended.stopped), (ExitResult::Signaled(SIGKILL), Some(StopReason::Shutdown)));
    all_dead(&[stubborn]).await;
}
