//! The end of a worker that was asked to end.

use std::time::Duration;

use model::keys::Key;
use serde_json::json;
use store::protocol;
use worker::core::Input;
use worker::executor::{ExitResult, StopReason};

use crate::rig::{LASTS, Link, Rig, name};

#[test]
fn a_worker_that_ends_renews_its_session_and_listens_until_its_last_run_has_ended() {
    let mut rig = Rig::new();
    rig.job(
        "j",
        json!({"schedule": "0 1 0 * * *", "template": {"command": "x", "terminationGracePeriodSeconds": 60}}),
    );
    rig.pass_until(61);
    rig.take(0, Input::Stop { grace: Duration::MAX });
    rig.pass(LASTS * 3);
    let (now, session) = (rig.now(), rig.nodes[0].core.session().id.clone());
    assert!(!rig.nodes[0].core.is_over(now));
    assert!(rig.tree.get(&Key::Worker(session)).is_some(), "the fence did not fall");
    rig.commit(&protocol::kill(&name("j"), now.wall));
    rig.settle();
    assert_eq!(rig.nodes[0].stopped.len(), 1, "a kill is heard");
    let key = rig.nodes[0].started[0].key;
    rig.ended(0, key, ExitResult::Signaled(15), Some(StopReason::Shutdown));
    assert!(rig.nodes[0].core.is_over(rig.now()));
    assert_eq!(rig.outcomes("j"), ["Killed"]);
}

#[test]
fn a_worker_ends_in_bounded_time_although_the_tree_does_not_answer() {
    let mut rig = Rig::new();
    rig.job("j", json!({}));
    rig.pass_until(59);
    rig.nodes[0].link = Link::Held;
    rig.pass_until(60);
    rig.take(0, Input::Stop { grace: Duration::MAX });
    assert!(!rig.nodes[0].core.is_over(rig.now()), "a claim is under way");
    rig.pass(Duration::from_secs(11));
    assert!(rig.nodes[0].core.is_over(rig.now()));
    assert_eq!(rig.starts(), []);
}

#[test]
fn the_others_take_the_jobs_of_a_worker_that_ends_while_its_last_run_goes_on() {
    let mut rig = Rig::with(&["a", "b"], None);
    let jobs: Vec<String> = (0..8).map(|i| format!("j{i}")).collect();
    for job in &jobs {
        rig.job(job, json!({"template": {"command": "x", "terminationGracePeriodSeconds": 300}}));
    }
    rig.pass_until(61);
    let before = rig.starts().iter().filter(|(node, _)| *node == 0).count();
    assert!(before > 0 && before < 8, "{before}");
    for node in 0..2 {
        let keys: Vec<_> =
            rig.nodes[node].started.iter().skip(usize::from(node == 0)).map(|s| s.key).collect();
        for key in keys {
            rig.ended(node, key, ExitResult::Exited(0), None);
        }
    }
    rig.take(0, Input::Stop { grace: Duration::MAX });
    rig.pass_until(122);
    let after = rig.starts().iter().filter(|(node, slot)| *node == 1 && *slot == 120).count();
    assert_eq!(after, 7, "all but the one whose run goes on");
}

#[test]
fn while_it_ends_the_worker_sleeps() {
    let mut rig = Rig::new();
    rig.job("j", json!({"schedule": "* * * * * *"}));
    rig.pass_until(3);
    rig.take(0, Input::Stop { grace: Duration::MAX });
    rig.pass_until(6);
    assert!(rig.nodes[0].core.sleep(rig.now()) > Duration::from_millis(50));
}
