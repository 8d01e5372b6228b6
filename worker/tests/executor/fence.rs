//! What the fence lets live.

use std::time::Duration;

use worker::executor::{Boottime, ExitResult, Fence, RunKey, Start, StopReason};

use crate::host::{Host, is_alive, sh};

fn fence(after: Duration, grace: Duration) -> Fence {
    Fence { deadline: Boottime(Boottime::now().0 + after), grace }
}

#[tokio::test]
async fn exclusive_runs_end_at_the_fence_and_nothing_starts_after_it() {
    let mut host = Host::new();
    let exclusive = |key, script| Start { exclusive: true, ..sh(key, script) };
    host.executor.start(exclusive(1, "echo ready; exec sleep 1000"));
    host.executor.start(exclusive(2, "trap '' TERM; echo ready; while :; do sleep 0.1; done"));
    host.executor.start(sh(3, "echo ready; exec sleep 1000"));
    for key in 1..=3 {
        host.wrote(RunKey(key), "ready\n").await;
    }
    let waiting = Start { at: worker::now() + Duration::from_secs(1000), ..exclusive(4, "echo no") };
    host.executor.start(waiting);
    host.executor.fence(Some(fence(Duration::from_millis(300), Duration::from_millis(200))));
    for (key, result) in [(1, Some(ExitResult::Signaled(15))), (2, Some(ExitResult::Signaled(9))), (4, None)]
    {
        let (_, ended) = host.ended(RunKey(key)).await;
        assert_eq!(ended.stopped, Some(StopReason::Fence), "{key}");
        match result {
            Some(result) => assert_eq!(ended.result, result),
            None => assert!(matches!(ended.result, ExitResult::NotStarted(_)), "{ended:?}"),
        }
    }
    for start in [sh(5, "echo no"), exclusive(6, "echo no")] {
        let (seen, ended) = host.run(start).await;
        assert!(matches!(ended.result, ExitResult::NotStarted(_)), "{ended:?}");
        assert_eq!((seen.started, ended.stopped), (None, Some(StopReason::Fence)));
    }
    let other = host.seen[&RunKey(3)].clone();
    assert_eq!(other.ended, None);
    assert!(is_alive(other.started.unwrap().1));
    // A renewed session may go on, and so may one that needs no fence.
    host.executor.fence(Some(fence(Duration::from_secs(1000), Duration::ZERO)));
    assert_eq!(host.run(exclusive(7, "true")).await.1.result, ExitResult::Exited(0));
    host.executor.fence(None);
    assert_eq!(host.run(exclusive(8, "true")).await.1.result, ExitResult::Exited(0));
}

#[tokio::test]
async fn a_fence_that_is_moved_on_in_time_ends_nothing() {
    let mut host = Host::new();
    host.executor.start(Start { exclusive: true, ..sh(1, "echo ready; sleep 1; echo done") });
    host.wrote(RunKey(1), "ready\n").await;
    host.executor.fence(Some(fence(Duration::from_millis(500), Duration::ZERO)));
    host.executor.fence(Some(fence(Duration::from_secs(1000), Duration::ZERO)));
    let (seen, ended) = host.ended(RunKey(1)).await;
    assert_eq!(
        (seen.text().as_str(), ended.result, ended.stopped),
        ("ready\ndone\n", ExitResult::Exited(0), None)
    );
}
