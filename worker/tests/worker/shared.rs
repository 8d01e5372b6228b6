//! What a worker does for the sake of others on the same tree: the replaced system's workers, and its own kind.

use std::num::NonZeroUsize;

use model::keys::Key;
use model::run::{Outcome, SkipReason};
use serde_json::json;
use store::Tree;

use crate::world::{World, eventually, name, stop};

#[tokio::test]
async fn a_job_whose_lock_somebody_holds_does_not_run_and_the_slots_are_recorded() {
    let world = World::new();
    // A worker of the replaced system holds the lock with an empty value.
    world.put(Key::Lock(name("held")), Vec::new()).await;
    let worker = world.worker().await;
    world.job("held", "true", json!({})).await;
    world.job("free", "true", json!({})).await;
    world.records_until("free", |records| records.len() > 2).await;
    let skipped = eventually("skipped slots", || async {
        let skipped = world.skipped("held").await;
        if skipped.is_empty() { Err("none".to_owned()) } else { Ok(skipped) }
    })
    .await;
    assert_eq!(skipped[0].skipped.reason, SkipReason::Overlap);
    assert!(world.records("held").await.is_empty());

    world.delete_key(Key::Lock(name("held"))).await;
    assert_eq!(world.first_record("held").await.outcome, Outcome::Succeeded);
    stop(worker).await;
}

#[tokio::test]
async fn the_lock_is_held_while_a_job_runs_and_only_then() {
    let world = World::new();
    let worker = world.worker().await;
    world.job("a", "sleep 1.5", json!({})).await;
    let held =
        eventually("the lock", || async { world.get(Key::Lock(name("a"))).await.ok_or("none".to_owned()) });
    let held = String::from_utf8(held.await.value).unwrap();
    let session = worker.session().to_string();
    assert!(held.starts_with(&session) && held.ends_with(" 0"), "{held}");
    world.job("a", "true", json!({"suspend": true})).await;
    eventually("the lock to be free", || async {
        match world.get(Key::Lock(name("a"))).await {
            None => Ok(()),
            Some(pair) => Err(format!("{pair:?}")),
        }
    })
    .await;
    assert_eq!(world.first_record("a").await.outcome, Outcome::Succeeded);
    stop(worker).await;
}

#[tokio::test]
async fn a_reserved_job_runs_and_stays_reserved_until_it_is_deleted() {
    let world = World::new();
    let worker = world.worker().await;
    let reserved = world.put(Key::Lock(name("a")), b"reserved".to_vec()).await;
    world.job("a", "true", json!({})).await;
    world.records_until("a", |records| records.len() > 1).await;
    assert_eq!(world.get(Key::Lock(name("a"))).await.unwrap().modified, reserved);
    world.delete("a").await;
    eventually("the lock to go with its job", || async {
        match world.get(Key::Lock(name("a"))).await {
            None => Ok(()),
            Some(pair) => Err(format!("{pair:?}")),
        }
    })
    .await;
    stop(worker).await;
}

#[tokio::test]
async fn the_replaced_systems_kill_signal_ends_what_runs_now_and_nothing_later() {
    let world = World::new();
    let worker = world.worker().await;
    world.job("a", "sleep 60", json!({})).await;
    eventually("a run", || async {
        if world.active("a").await > 0 { Ok(()) } else { Err("none".to_owned()) }
    })
    .await;
    world.put(Key::Killer(name("a")), Vec::new()).await;
    assert_eq!(world.first_record("a").await.outcome, Outcome::Killed);
    world.delete_key(Key::Killer(name("a"))).await;
    world.job("a", "true", json!({})).await;
    world
        .records_until("a", |records| records.iter().any(|record| record.outcome == Outcome::Succeeded))
        .await;
    stop(worker).await;
}

#[tokio::test]
async fn a_full_worker_starts_no_more_and_every_job_has_its_turn() {
    let world = World::new();
    let worker = world.worker_with(|config| config.max_runs = NonZeroUsize::new(2)).await;
    let together = world.file("together");
    let command = format!("ls {0} | wc -l; touch {0}/$$; sleep 0.3; rm {0}/$$", together.display());
    std::fs::create_dir(&together).unwrap();
    for job in ["a", "b", "c", "d", "e"] {
        world.job(job, &command, json!({})).await;
    }
    for job in ["a", "b", "c", "d", "e"] {
        for record in world.records_until(job, |records| records.len() > 1).await {
            let others: u32 = String::from_utf8(record.output.head).unwrap().trim().parse().unwrap();
            assert!(others < 2, "{job} ran beside {others} others");
        }
    }
    stop(worker).await;
}

#[tokio::test]
async fn two_workers_on_one_tree_run_each_slot_once_and_share_the_jobs() {
    let world = World::new();
    let first = world.worker_with(|config| config.node = "one".to_owned()).await;
    let second = world.worker_with(|config| config.node = "two".to_owned()).await;
    let jobs: Vec<String> = (0..20).map(|i| format!("job-{i}")).collect();
    for job in &jobs {
        world.job(job, "true", json!({})).await;
    }
    let mut nodes = std::collections::BTreeSet::new();
    for job in &jobs {
        let records = world.records_until(job, |records| records.len() > 2).await;
        let mut slots: Vec<_> = records.iter().map(|record| record.slot).collect();
        slots.dedup();
        assert_eq!(slots.len(), records.len(), "{job}: a slot ran twice");
        nodes.extend(records.into_iter().map(|record| record.node));
    }
    assert_eq!(nodes.len(), 2, "both have a share");
    stop(second).await;
    // All jobs go on at the one that is left.
    let since = worker::now();
    for job in &jobs {
        let later = |records: &[model::record::RunRecord]| records.iter().any(|record| record.slot.0 > since);
        world.records_until(job, later).await;
    }
    assert!(world.store.list(store::Range::Folder(model::keys::Folder::Workers)).await.unwrap().len() == 1);
    stop(first).await;
}
