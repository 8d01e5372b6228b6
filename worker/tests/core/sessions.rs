//! Sessions that end, and runs of dead ones.

use std::time::Duration;

use model::keys::Key;
use serde_json::json;
use store::{Op, Range, protocol};
use worker::executor::{ExitResult, StopReason};

use crate::rig::{LASTS, Link, Rig, name, variable};

/// An `Allow` run of a session that is then removed.
fn outlives_its_session(rig: &mut Rig) {
    rig.job("j", json!({"concurrencyPolicy": "Allow", "schedule": "0 1 0 * * *"}));
    rig.pass_until(61);
    assert_eq!(rig.starts(), [(0, 60)]);
    let session = rig.nodes[0].core.session().clone();
    rig.tree.close_session(rig.boot, &session);
}

#[test]
fn a_run_that_outlives_its_session_is_taken_over_although_the_reply_was_lost() {
    let mut rig = Rig::new();
    outlives_its_session(&mut rig);
    rig.nodes[0].link = Link::RepliesLost;
    rig.pass(Duration::from_secs(1));
    rig.nodes[0].link = Link::Up;
    rig.pass_until(70);
    assert_eq!(rig.starts().len(), 1, "its own request, done, does not read as if it was declared lost");
    let key = rig.nodes[0].started[0].key;
    rig.ended(0, key, ExitResult::Exited(0), None);
    assert_eq!((rig.runs("j").len(), rig.outcomes("j")), (0, vec!["Succeeded".to_owned()]));
    assert_eq!(rig.status("j").runs.values().sum::<u64>(), 1);
}

#[test]
fn a_kill_hits_a_run_that_was_taken_over_after_it() {
    let mut rig = Rig::new();
    outlives_its_session(&mut rig);
    rig.nodes[0].link = Link::Held;
    rig.settle();
    assert_eq!(rig.nodes[0].waiting.len(), 1, "it is being taken over");
    rig.nodes[0].follows = false;
    rig.commit(&protocol::kill(&name("j"), rig.now().wall));
    rig.nodes[0].link = Link::Up;
    rig.do_waiting(0, true);
    rig.settle();
    let run = rig.tree.list(&Range::RunsOf(name("j"))).next().unwrap();
    let kill = rig.tree.get(&Key::Kill(name("j"))).unwrap().modified;
    assert!(run.created < kill && kill < run.modified, "it was taken over after the kill");
    rig.nodes[0].follows = true;
    rig.settle();
    let key = rig.nodes[0].started[0].key;
    assert_eq!(rig.nodes[0].stopped, [(key, StopReason::Killed)]);
}

#[test]
fn the_wait_for_a_dead_worker_does_not_begin_before_its_death() {
    let mut rig = Rig::new();
    let jobs: Vec<String> = (0..8).map(|i| format!("j{i}")).collect();
    for job in &jobs {
        rig.job(job, json!({"schedule": "10 0 0 * * *"}));
    }
    rig.pass_until(8);
    // Another worker registers and claims some slots first; the first one hears of its runs alone, from refusals.
    rig.nodes[0].follows = false;
    rig.add("b", None);
    rig.pass_until(9);
    rig.nodes[0].link = Link::Held;
    rig.pass_until(11);
    rig.nodes[0].link = Link::Up;
    rig.do_waiting(0, true);
    rig.pass_until(13);
    rig.nodes[0].follows = true;
    rig.pass_until(40);
    let of_b: Vec<&String> = jobs.iter().filter(|job| rig.runs(job)[0].node == "b").collect();
    assert!(!of_b.is_empty());
    let session = rig.nodes[1].core.session().clone();
    rig.nodes.truncate(1);
    rig.tree.close_session(rig.boot, &session);
    rig.pass(LASTS.saturating_sub(Duration::from_secs(1)));
    assert!(of_b.iter().all(|job| rig.outcomes(job).is_empty()), "its processes may live");
    rig.pass(Duration::from_secs(5));
    assert!(of_b.iter().all(|job| rig.outcomes(job) == ["Lost"]));
}

#[test]
fn a_run_of_a_dead_worker_is_lost_once_its_processes_must_be_gone() {
    let mut rig = Rig::with(&["a", "b"], None);
    rig.job("j", json!({"schedule": "0 1 0 * * *"}));
    rig.pass_until(61);
    let dead = rig.starts()[0].0;
    let session = rig.nodes[dead].core.session().clone();
    rig.nodes.remove(dead);
    rig.pass(LASTS);
    assert_eq!(rig.outcomes("j"), Vec::<String>::new());
    assert!(rig.tree.get(&Key::Worker(session.id)).is_none());
    rig.pass(LASTS + Duration::from_secs(2));
    assert_eq!((rig.outcomes("j"), rig.runs("j").len()), (vec!["Lost".to_owned()], 0));
}

#[test]
fn a_job_that_was_created_again_while_the_worker_was_cut_off_ends_the_former_one_s_run() {
    let mut rig = Rig::new();
    rig.job("j", json!({"schedule": "0 1 0 * * *"}));
    rig.pass_until(61);
    rig.nodes[0].follows = false;
    rig.delete("j");
    rig.job("j", json!({"schedule": "0 1 0 * * *"}));
    rig.list_again(0);
    let key = rig.nodes[0].started[0].key;
    assert_eq!(rig.nodes[0].stopped, [(key, StopReason::Killed)]);
}

#[test]
fn a_foreign_record_that_names_our_session_is_given_back_and_never_started_from_the_record() {
    let mut rig = Rig::new();
    rig.job("j", json!({"schedule": "0 1 0 * * *"}));
    rig.pass_until(61);
    let pair = rig.tree.list(&Range::RunsOf(name("j"))).next().unwrap().clone();
    let key = rig.nodes[0].started[0].key;
    rig.ended(0, key, ExitResult::Exited(0), None);
    let run = rig.tree.prefix().decode(&pair.key).unwrap();
    rig.write(Op::Put(run, pair.value));
    rig.settle();
    rig.pass_until(64);
    // It is taken again by a request of its own, as any run that waits.
    let tokens: Vec<&str> =
        rig.nodes[0].started.iter().map(|start| variable(start, "CRON_FENCING_TOKEN")).collect();
    assert_eq!(tokens.len(), 2);
    assert!(tokens[1].parse::<i64>().unwrap() > tokens[0].parse::<i64>().unwrap() + 2, "{tokens:?}");
}

#[test]
fn a_session_of_any_length_is_renewed_while_nothing_happens() {
    for seconds in [6, 15, 60, 600] {
        let mut rig = Rig::with(&[], None);
        rig.lasts = Duration::from_secs(seconds);
        rig.add("a", None);
        let session = rig.nodes[0].core.session().id.clone();
        rig.pass(rig.lasts * 3);
        assert_eq!(rig.nodes[0].core.session().id, session, "{seconds} s");
        assert!(rig.nodes[0].core.state(rig.now()).is_ready(), "{seconds} s");
    }
}
