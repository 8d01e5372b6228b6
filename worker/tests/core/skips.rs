//! Skipped slots reach the run log whatever is lost on the way.

use std::time::Duration;

use serde_json::json;

use worker::executor::ExitResult;

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

#[test]
fn after_a_clock_was_ahead_a_job_goes_on_from_its_right_time_once_it_is_edited() {
    let mut rig = Rig::new();
    rig.job("j", json!({"schedule": "*/10 * * * * *"}));
    rig.wall_ahead = 7_200_000;
    rig.pass_until(11);
    assert_eq!(rig.starts(), [(0, 7210)]);
    let key = rig.nodes[0].started[0].key;
    rig.ended(0, key, ExitResult::Exited(0), None);
    rig.wall_ahead = 0;
    rig.pass_until(31);
    assert_eq!((rig.starts().len(), rig.nodes[0].core.jobs_ahead()), (1, 1), "it stands still, and says so");
    rig.job("j", json!({"schedule": "*/10 * * * * *", "timeZone": "Europe/Paris"}));
    rig.pass_until(41);
    assert_eq!((rig.starts(), rig.nodes[0].core.jobs_ahead()), (vec![(0, 7210), (0, 40)], 0));
    let skips = rig.log.skipped(&name("j"), 10);
    assert_eq!((skips[0].skipped.reason.to_string(), skips.len()), ("ClockSet".to_owned(), 1));
    // The slot that the wrong clock had come to runs once more, as a run of its own.
    let key = rig.nodes[0].started[1].key;
    rig.ended(0, key, ExitResult::Exited(0), None);
    rig.pass_until(42);
    assert_eq!(rig.outcomes("j").len(), 2);
}

#[test]
fn a_cursor_is_not_set_back_while_another_clock_is_as_far() {
    let mut rig = Rig::with(&["a", "b"], None);
    rig.job("j", json!({"schedule": "0 * * * * *"}));
    rig.wall_ahead = 7_200_000;
    rig.pass_until(40);
    let starts = rig.starts().len();
    // One worker's clock goes right. The other one's, as it told it, is where the cursor is.
    let right = 1 - rig.starts().first().map_or(0, |(node, _)| *node);
    rig.nodes[1 - right].follows = false;
    rig.nodes[1 - right].link = Link::Held;
    rig.wall_ahead = 0;
    rig.job("j", json!({"schedule": "30 * * * * *"}));
    rig.pass(Duration::from_secs(5));
    assert_eq!(rig.starts().len(), starts);
    assert!(rig.log.skipped(&name("j"), 10).is_empty());
}

#[test]
fn a_log_that_refuses_at_once_is_not_asked_more_and_more() {
    let mut rig = Rig::new();
    busy(&mut rig);
    rig.nodes[0].log_is_away = true;
    rig.pass_until(120);
    let before = rig.nodes[0].appends;
    rig.pass(Duration::from_mins(1));
    let asked = rig.nodes[0].appends - before;
    assert!(asked <= 61, "{asked} appends in a minute, one a second is allowed");
}
