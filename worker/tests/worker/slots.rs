//! Which slots run.

use model::keys::Key;
use model::run::{Outcome, Revision, SkipReason, Slot};
use model::values::{Cursor, Timetable};
use model::{Dialect, UnixMillis};
use serde_json::json;

use crate::world::{World, eventually, name, stop};

#[tokio::test]
async fn a_job_runs_at_each_of_its_slots_once() {
    let world = World::new();
    let worker = world.worker().await;
    world.job("a", "echo $CRON_SCHEDULED_TIME", json!({})).await;
    let records = world.records_until("a", |records| records.len() >= 4).await;
    stop(worker).await;
    for pair in records.windows(2) {
        assert_eq!(pair[1].slot.0.0 - pair[0].slot.0.0, 1000);
    }
    for record in &records {
        assert_eq!(record.outcome, Outcome::Succeeded, "{record:?}");
        assert_eq!(record.output.to_text(), format!("{}\n", record.slot));
        assert!(record.started >= Some(record.slot.0), "started before its slot: {record:?}");
    }
    let status = world.status("a").await;
    assert_eq!(status.runs[&Outcome::Succeeded], world.records("a").await.len() as u64);
}

#[tokio::test]
async fn a_legacy_value_put_by_hand_runs() {
    let world = World::new();
    let worker = world.worker().await;
    let value = br#"{"name":"whatever","command":"echo by hand","cronExpr":"* * * * * * *"}"#;
    world.put(Key::Job(name("by/hand")), value.to_vec()).await;
    let record = world.first_record("by/hand").await;
    assert_eq!((record.output.to_text().as_str(), record.command.as_str()), ("by hand\n", "echo by hand"));
    stop(worker).await;
}

#[tokio::test]
async fn forbid_skips_while_a_run_lasts_and_says_so() {
    let world = World::new();
    let worker = world.worker().await;
    world.job("a", "sleep 2.2", json!({})).await;
    let skipped =
        eventually("a skip", || async { world.skipped("a").await.pop().ok_or("none".to_owned()) }).await;
    assert_eq!((skipped.skipped.reason, skipped.skipped.count), (SkipReason::Overlap, Some(1)));
    assert_eq!(world.active("a").await, 1);
    let first = world.first_record("a").await;
    assert!(skipped.skipped.from > first.slot);
    stop(worker).await;
}

#[tokio::test]
async fn allow_runs_beside_an_earlier_run() {
    let world = World::new();
    let worker = world.worker().await;
    world
        .job(
            "a",
            "sleep 30",
            json!({"concurrencyPolicy": "Allow", "template": {"terminationGracePeriodSeconds": 1}}),
        )
        .await;
    eventually("three runs at once", || async {
        let active = world.active("a").await;
        if active >= 3 { Ok(()) } else { Err(active.to_string()) }
    })
    .await;
    stop(worker).await;
    assert_eq!(world.active("a").await, 0);
}

/// A job of each minute whose cursor stands where a worker that ended a good while ago left it.
async fn was_away(world: &World, fields: serde_json::Value) -> Slot {
    let mut spec = json!({"schedule": "0 * * * * *"});
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    world.job("a", "true", spec).await;
    let created = world.get(Key::Job(name("a"))).await.unwrap().created;
    let minute = worker::now().0 / 60_000 * 60_000;
    let timetable = Timetable {
        schedule: "0 * * * * *".to_owned(),
        dialect: Dialect::Standard,
        zone: "UTC".to_owned(),
        suspended: false,
    };
    let cursor = Cursor {
        slot: Slot(UnixMillis(minute - 600_000)),
        job: created,
        timetable,
        epoch: Revision::NONE,
        skips: Vec::new(),
        unknown: model::Unknown::default(),
    };
    world.put(Key::Cursor(name("a").into()), serde_json::to_vec(&cursor).unwrap()).await;
    cursor.slot
}

#[tokio::test]
async fn after_a_time_away_the_latest_missed_slot_runs_once() {
    let world = World::new();
    let cursor = was_away(&world, json!({})).await;
    let worker = world.worker().await;
    let record = world.first_record("a").await;
    let skipped =
        eventually("the skip", || async { world.skipped("a").await.pop().ok_or("none".to_owned()) }).await;
    assert_eq!(skipped.skipped.reason, SkipReason::Missed);
    assert_eq!(skipped.skipped.from.0.0, cursor.0.0 + 60_000);
    assert_eq!(skipped.skipped.to.0.0 + 60_000, record.slot.0.0);
    assert_eq!(world.records("a").await.len(), 1);
    stop(worker).await;
}

#[tokio::test]
async fn after_a_time_away_all_runs_each_missed_slot_in_order_up_to_the_limit() {
    let world = World::new();
    let cursor = was_away(&world, json!({"missedRunPolicy": "All", "missedRunLimit": 4})).await;
    let worker = world.worker().await;
    let records = world.records_until("a", |records| records.len() >= 4).await;
    let skipped = world.skipped("a").await;
    stop(worker).await;
    // Ten minutes passed, or eleven by now: what is beyond the limit is one stretch, and the rest follows it.
    let [skipped] = &skipped[..] else { panic!("{skipped:?}") };
    let passed = u32::try_from((skipped.skipped.to.0.0 - cursor.0.0) / 60_000).unwrap();
    assert_eq!((skipped.skipped.reason, skipped.skipped.count), (SkipReason::Missed, Some(passed)));
    assert_eq!(skipped.skipped.from.0.0, cursor.0.0 + 60_000);
    assert!(passed >= 6, "{skipped:?}");
    for (after, record) in (1..).zip(&records) {
        assert_eq!(record.slot.0.0, skipped.skipped.to.0.0 + after * 60_000);
        assert_eq!(record.outcome, Outcome::Succeeded, "{record:?}");
    }
    for pair in records.windows(2) {
        assert!(pair[1].started >= Some(pair[0].ended), "Forbid holds while it catches up: {pair:?}");
    }
}

#[tokio::test]
async fn with_all_a_slot_that_comes_while_a_run_lasts_waits_for_its_end() {
    let world = World::new();
    let worker = world.worker().await;
    world.job("a", "sleep 1.6", json!({"missedRunPolicy": "All", "missedRunLimit": 2})).await;
    let records = world.records_until("a", |records| records.len() >= 5).await;
    let skipped = world.skipped("a").await;
    stop(worker).await;
    // The next one waits, so it is not skipped; later there are more than two, of which the oldest are left out.
    assert_eq!(records[1].slot.0.0, records[0].slot.0.0 + 1000);
    assert!(records[1].started >= Some(records[0].ended), "{records:?}");
    assert!(!skipped.is_empty());
    assert!(skipped.iter().all(|skip| skip.skipped.reason == SkipReason::Missed), "{skipped:?}");
}

#[tokio::test]
async fn a_deadline_that_passed_while_away_skips() {
    let world = World::new();
    let cursor = was_away(&world, json!({"schedule": "0 */5 * * * *", "startingDeadlineSeconds": 1})).await;
    // The cursor was armed for another timetable: what that owed is recorded, and the past does not run.
    let worker = world.worker().await;
    let skipped =
        eventually("the skip", || async { world.skipped("a").await.pop().ok_or("none".to_owned()) }).await;
    assert_eq!(skipped.skipped.reason, SkipReason::Missed);
    assert_eq!(skipped.skipped.from.0.0, cursor.0.0 + 60_000);
    assert_eq!(world.records("a").await, []);
    stop(worker).await;
}

#[tokio::test]
async fn an_edit_takes_effect_and_leaves_a_running_run_alone() {
    let world = World::new();
    let worker = world.worker().await;
    world.job("a", "echo old; sleep 1.5; echo still old", json!({})).await;
    eventually("a run", || async {
        if world.active("a").await == 1 { Ok(()) } else { Err("none".to_owned()) }
    })
    .await;
    world.job("a", "echo new", json!({})).await;
    let new = |record: &model::record::RunRecord| record.output.to_text() == "new\n";
    let records = world.records_until("a", |records| records.iter().any(new)).await;
    assert_eq!(records[0].output.to_text(), "old\nstill old\n");
    stop(worker).await;
}

#[tokio::test]
async fn suspend_stops_new_slots_kills_nothing_and_resume_fires_no_past() {
    let world = World::new();
    let worker = world.worker().await;
    world.job("a", "sleep 0.5", json!({})).await;
    eventually("a run", || async {
        if world.active("a").await == 1 { Ok(()) } else { Err("none".to_owned()) }
    })
    .await;
    world.job("a", "sleep 0.5", json!({"suspend": true})).await;
    let cursor = |suspended| {
        let world = &world;
        eventually("the cursor to be armed", move || async move {
            let cursor: Cursor =
                store::protocol::read(&world.get(Key::Cursor(name("a").into())).await.unwrap()).unwrap();
            if cursor.timetable.suspended == suspended { Ok(cursor.slot) } else { Err(format!("{cursor:?}")) }
        })
    };
    let suspended = cursor(true).await;
    // Two slots pass.
    eventually("time to pass", || async {
        if worker::now().since(suspended.0).as_millis() > 2100 { Ok(()) } else { Err(String::new()) }
    })
    .await;
    let records = world.records("a").await;
    assert!(records.iter().all(|record| record.outcome == Outcome::Succeeded), "{records:?}");
    assert!(records.iter().all(|record| record.claimed <= suspended.0), "{records:?}");
    world.job("a", "sleep 0.5", json!({})).await;
    let resumed = cursor(false).await;
    let later = world.records_until("a", |later| later.len() > records.len()).await;
    assert!(later[records.len()].slot > resumed);
    let skipped =
        eventually("the skip", || async { world.skipped("a").await.pop().ok_or("none".to_owned()) }).await;
    assert_eq!(skipped.skipped.reason, SkipReason::Suspended);
    stop(worker).await;
}

#[tokio::test]
async fn a_recreated_job_owes_nothing() {
    let world = World::new();
    was_away(&world, json!({})).await;
    world.delete("a").await;
    world.job("a", "true", json!({"schedule": "0 * * * * *"})).await;
    let created = world.get(Key::Job(name("a"))).await.unwrap().created;
    let worker = world.worker().await;
    let cursor: Cursor =
        store::protocol::read(&world.get(Key::Cursor(name("a").into())).await.unwrap()).unwrap();
    assert_eq!(cursor.job, created);
    assert_eq!((world.records("a").await.len(), world.skipped("a").await.len()), (0, 0));
    assert_ne!(created, Revision::NONE);
    stop(worker).await;
}
