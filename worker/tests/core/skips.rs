//! Skipped slots reach the run log whatever is lost on the way.

use std::time::Duration;

use serde_json::json;

use crate::rig::{Link, Rig, name};

/// A job whose run lasts, so that each later slot is an overlap.
fn busy(rig: &mut Rig) {
    rig.job("j", json!({"schedule": "*/10 * * * * *"}));
    rig.pass_until(11);
    assert_eq!(rig.starts(), [(0, 10)]);
}

#[test]
fn a_skip_whose_reply_was_lost_is_in_the_log_once() {
    let mut rig = Rig::new();
    busy(&mut rig);
    rig.pass_until(19);
    rig.nodes[0].link = Link::RepliesLost;
    rig.pass(Duration::from_millis(1100));
    rig.nodes[0].link = Link::Up;
    rig.pass_until(25);
    assert_eq!(rig.status("j").skipped.values().sum::<u64>(), 1);
    assert_eq!(rig.log.skipped(&name("j"), 10).len(), 1);
}

#[test]
fn a_skip_whose_worker_died_before_the_log_took_it_is_put_there_by_the_next_one() {
    let mut rig = Rig::new();
    busy(&mut rig);
    rig.nodes[0].log_is_away = true;
    rig.pass_until(41);
    assert_eq!(
        (rig.status("j").skipped.values().sum::<u64>(), rig.log.skipped(&name("j"), 10).len()),
        (3, 0)
    );
    let session = rig.nodes[0].core.session().clone();
    rig.nodes.clear();
    rig.tree.close_session(rig.boot, &session);
    rig.add("b", None);
    rig.pass_until(45);
    assert_eq!(rig.log.skipped(&name("j"), 10).len(), 3);
}

#[test]
fn a_job_whose_cursor_holds_all_it_can_waits_for_the_log() {
    let mut rig = Rig::new();
    busy(&mut rig);
    rig.nodes[0].log_is_away = true;
    rig.pass_until(300);
    assert_eq!(rig.status("j").skipped.values().sum::<u64>(), 16);
    rig.nodes[0].log_is_away = false;
    rig.pass_until(305);
    let counted = rig.status("j").skipped.values().sum::<u64>();
    assert_eq!(counted, 29, "those of the wait are one stretch");
    let recorded = rig
        .log
        .skipped(&name("j"), 100)
        .iter()
        .map(|skip| u64::from(skip.skipped.count.unwrap()))
        .sum::<u64>();
    assert_eq!(recorded, counted);
}
