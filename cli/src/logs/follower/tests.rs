use model::job::History;
use model::run::Outcome;

use super::*;
use crate::target::world::{KEEP_ALL, World, id};

impl World {
    /// Ends runs of these slots with success.
    async fn succeed(&self, slots: impl IntoIterator<Item = i64>) {
        self.end(slots, Outcome::Succeeded, KEEP_ALL).await;
    }

    async fn follower(&self) -> Follower {
        let session = self.session().await;
        let active = session.job("a").await.unwrap().unwrap().active;
        let first = session.records("a", 0, PAGE).await.unwrap().runs;
        Follower::new("a".to_owned(), &active, &first)
    }

    /// What one look prints: the ids of runs.
    async fn look(&self, follower: &mut Follower) -> Vec<String> {
        let new = follower.ended(&self.session().await).await.unwrap();
        for run in &new {
            follower.shown(run);
        }
        let mut ids: Vec<_> = new.into_iter().map(|run| run.run).collect();
        ids.sort_unstable();
        ids
    }
}

fn ids(slots: impl IntoIterator<Item = i64>) -> Vec<String> {
    slots.into_iter().map(id).collect()
}

#[tokio::test]
async fn a_long_run_is_shown_behind_however_many_short_ones() {
    let world = World::new().await;
    world.succeed(0..150).await;
    world.start(10_000).await;
    let mut follower = world.follower().await;
    world.start(10_001).await;
    for second in [20_000, 30_000] {
        let short = second..second + 250;
        world.succeed(short.clone()).await;
        assert_eq!(world.look(&mut follower).await, ids(short));
    }
    // One was seen by the first look of all, one by a later one.
    world.succeed([10_000, 10_001]).await;
    world.stop(10_000).await;
    world.stop(10_001).await;
    assert_eq!(world.look(&mut follower).await, ids([10_000, 10_001]));
    assert_eq!(world.look(&mut follower).await, ids([]));
}

#[tokio::test]
async fn however_many_runs_go_on_each_end_is_shown() {
    let world = World::new().await;
    for slot in 10_000..10_030 {
        world.start(slot).await;
    }
    world.succeed(20_000..20_250).await;
    let mut follower = world.follower().await;
    for slot in [10_025, 10_005] {
        world.succeed([slot]).await;
        world.stop(slot).await;
        assert_eq!(world.look(&mut follower).await, ids([slot]));
    }
}

#[tokio::test]
async fn a_record_that_comes_late_is_shown_too() {
    let world = World::new().await;
    world.start(10_000).await;
    world.succeed(20_000..20_250).await;
    let mut follower = world.follower().await;
    world.stop(10_000).await;
    for second in 20_250..20_255 {
        world.succeed([second]).await;
        assert_eq!(world.look(&mut follower).await, ids([second]));
    }
    world.succeed([10_000]).await;
    let mut shown = Vec::new();
    for _ in 0..5 {
        shown.extend(world.look(&mut follower).await);
    }
    assert_eq!(shown, ids([10_000]));
}

#[tokio::test]
async fn old_runs_are_not_shown_when_newer_ones_are_removed() {
    let world = World::new().await;
    world.end(0..100, Outcome::Failed, KEEP_ALL).await;
    world.succeed(100..200).await;
    let mut follower = world.follower().await;
    world.end([200], Outcome::Succeeded, History { succeeded: 10, ..KEEP_ALL }).await;
    assert_eq!(world.look(&mut follower).await, ids([200]));
}
