//! Claims whose answers are lost, late or stale.

use std::time::Duration;

use model::keys::Key;
use model::run::Revision;
use serde_json::json;
use store::{Op, protocol};
use worker::core::Input;
use worker::executor::{ExitResult, StopReason};

use crate::rig::{LASTS, Link, Rig, name, variable};

const EXITED: ExitResult = ExitResult::Exited(0);

#[test]
fn a_slot_runs_once() {
    let mut rig = Rig::new();
    rig.job("j", json!({}));
    rig.pass_until(61);
    assert_eq!(rig.starts(), [(0, 60)]);
    let key = rig.nodes[0].started[0].key;
    rig.ended(0, key, EXITED, None);
    assert_eq!((rig.runs("j").len(), rig.outcomes("j")), (0, vec!["Succeeded".to_owned()]));
}

#[test]
fn a_claim_whose_reply_was_lost_is_given_back_and_runs_once() {
    let mut rig = Rig::new();
    rig.job("j", json!({}));
    rig.pass_until(59);
    rig.nodes[0].link = Link::RepliesLost;
    rig.pass(Duration::from_millis(900));
    rig.nodes[0].link = Link::Up;
    rig.pass_until(63);
    assert_eq!(rig.starts(), [(0, 60)]);
    let start = &rig.nodes[0].started[0];
    let run =
        rig.tree.get(&Key::Run(name("j").into(), variable(start, "CRON_RUN_ID").parse().unwrap())).unwrap();
    assert_eq!(run.modified.to_string(), variable(start, "CRON_FENCING_TOKEN"));
}

#[test]
fn a_claim_that_is_done_after_its_caller_gave_up_is_given_back() {
    let mut rig = Rig::new();
    rig.job("j", json!({}));
    rig.pass_until(59);
    rig.nodes[0].link = Link::Late;
    rig.pass_until(62);
    assert_eq!(rig.starts(), []);
    rig.nodes[0].link = Link::Up;
    rig.do_waiting(0, false);
    rig.pass_until(66);
    assert_eq!(rig.starts(), [(0, 60)], "the record that nobody held went back and was taken again");
}

#[test]
fn an_older_answer_that_still_shows_a_run_does_not_start_it_again() {
    let mut rig = Rig::new();
    rig.job("j", json!({"concurrencyPolicy": "Allow", "schedule": "*/10 * * * * *"}));
    rig.pass_until(11);
    let key = rig.nodes[0].started[0].key;
    // The claim of the next slot is refused and its answer is late: it shows the first run, which ends meanwhile.
    rig.write(Op::Put(
        Key::Cursor(name("j").into()),
        rig.tree.get(&Key::Cursor(name("j").into())).unwrap().value.clone(),
    ));
    rig.nodes[0].follows = false;
    rig.pass_until(19);
    rig.nodes[0].link = Link::Held;
    rig.pass_until(20);
    assert_eq!(rig.nodes[0].waiting.len(), 1);
    rig.nodes[0].hold_replies = true;
    rig.do_waiting(0, true);
    let late = rig.nodes[0].replies.pop_front().unwrap();
    (rig.nodes[0].hold_replies, rig.nodes[0].link) = (false, Link::Up);
    rig.ended(0, key, EXITED, None);
    assert_eq!(rig.runs("j").len(), 0);
    rig.take(0, late);
    rig.nodes[0].follows = true;
    rig.pass_until(22);
    assert_eq!(rig.starts(), [(0, 10), (0, 20)]);
}

#[test]
fn a_claim_that_is_answered_under_a_later_session_is_given_back() {
    let mut rig = Rig::new();
    rig.job("j", json!({}));
    rig.pass_until(59);
    rig.nodes[0].link = Link::Held;
    rig.pass(Duration::from_millis(900));
    let (id, txn) = rig.nodes[0].waiting.pop_front().unwrap();
    let reply = rig.commit(&txn);
    rig.nodes[0].link = Link::Up;
    let session = rig.nodes[0].core.session().clone();
    rig.tree.close_session(rig.boot, &session);
    rig.pass(Duration::from_secs(1));
    assert_ne!(rig.nodes[0].core.session().id, session.id, "a new session has begun");
    rig.take(0, Input::Committed(id, Ok(reply)));
    rig.pass_until(62);
    assert_eq!(rig.starts(), [(0, 60)], "once, under the session that its record names");
    assert_eq!(rig.runs("j")[0].session, rig.nodes[0].core.session().id);
}

#[test]
fn a_worker_that_is_stopped_before_the_slot_leaves_it_to_another_one() {
    let mut rig = Rig::with(&["a", "b"], None);
    rig.job("j", json!({}));
    rig.pass_until(59);
    rig.pass(Duration::from_millis(850));
    let owner = rig.starts()[0].0;
    rig.take(owner, Input::Stop { grace: Duration::MAX });
    let key = rig.nodes[owner].started[0].key;
    let not = ExitResult::NotStarted("the worker was stopped before the command started".to_owned());
    rig.ended(owner, key, not, Some(StopReason::Shutdown));
    rig.pass_until(63);
    assert_eq!(
        rig.starts().iter().filter(|(node, _)| *node != owner).collect::<Vec<_>>(),
        [&(1 - owner, 60)]
    );
    assert_eq!(rig.outcomes("j"), Vec::<String>::new(), "nothing is recorded of what never started");
}

#[test]
fn a_run_that_nobody_took_in_time_is_skipped_by_the_rules_of_that_moment() {
    let mut rig = Rig::new();
    rig.job("j", json!({"startingDeadlineSeconds": 10}));
    rig.pass_until(59);
    rig.pass(Duration::from_millis(900));
    rig.take(0, Input::Stop { grace: Duration::MAX });
    let key = rig.nodes[0].started[0].key;
    rig.ended(0, key, ExitResult::NotStarted("stopped".to_owned()), Some(StopReason::Shutdown));
    assert!(rig.runs("j")[0].waiting.is_some());
    let now = rig.now();
    assert!(rig.nodes[0].core.is_over(now));
    let session = rig.nodes[0].core.session().clone();
    rig.tree.close_session(rig.boot, &session);
    rig.pass_until(80);
    rig.add("b", None);
    rig.pass_until(82);
    assert_eq!((rig.runs("j").len(), rig.status("j").skipped.values().sum::<u64>()), (0, 1));
    assert_eq!(rig.log.skipped(&name("j"), 10)[0].skipped.reason.to_string(), "Deadline");
    rig.pass_until(121);
    assert_eq!(rig.starts().last(), Some(&(1, 120)));
}

#[test]
fn a_waiting_run_that_is_killed_ends_without_being_started() {
    let mut rig = Rig::new();
    rig.job("j", json!({}));
    rig.pass_until(59);
    rig.pass(Duration::from_millis(900));
    rig.take(0, Input::Stop { grace: Duration::MAX });
    let key = rig.nodes[0].started[0].key;
    rig.ended(0, key, ExitResult::NotStarted("stopped".to_owned()), Some(StopReason::Shutdown));
    rig.commit(&protocol::kill(&name("j"), rig.now().wall));
    rig.add("b", None);
    rig.pass_until(80);
    assert_eq!((rig.outcomes("j"), rig.runs("j").len()), (vec!["Killed".to_owned()], 0));
}

#[test]
fn a_restored_tree_ends_the_session_and_is_read_anew() {
    let mut rig = Rig::new();
    rig.job("j", json!({"schedule": "*/10 * * * * *"}));
    rig.pass_until(9);
    rig.nodes[0].link = Link::Held;
    rig.pass_until(10);
    let (id, _) = rig.nodes[0].waiting.pop_front().unwrap();
    rig.nodes[0].link = Link::Up;
    let before = rig.nodes[0].core.session().id.clone();
    let reply = store::TxnReply { succeeded: false, revision: Revision(1), found: Vec::new() };
    rig.take(0, Input::Committed(id, Ok(reply)));
    rig.list_again(0);
    rig.pass(LASTS);
    assert_ne!(rig.nodes[0].core.session().id, before);
    assert!(!rig.starts().is_empty(), "it goes on");
}
