//! What slow and absent followers cost.

use std::fs;
use std::time::Duration;

use model::keys::{Folder, Key};
use store::{Follow, Op, Range, Tree, Txn};

use crate::child;
use crate::conformance::follow::{Mirror, next};
use crate::conformance::world::{commit, name, put};

const PAIRS: usize = 2000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_stops_in_mid_listing_does_not_make_the_log_grow() {
    let folder = tempfile::tempdir().unwrap();
    let store = child::open(folder.path(), Duration::ZERO).unwrap();
    for i in 0..PAIRS / 100 {
        let then = (0..100).map(|j| Op::Put(Key::Job(name(&format!("{i}-{j}"))), vec![b'x'; 4000])).collect();
        commit(&store, Txn { then, ..Txn::default() }).await;
    }
    let mut from = store.follow(&[Folder::Jobs]);
    assert!(matches!(next(&mut from).await, Follow::Page(_)));
    let log = folder.path().join("crontab.db-wal");
    let mut longest = 0;
    for i in 0..300_u32 {
        // A value of its own each time: what did not change is not written.
        put(&store, Key::Status(name("a").into()), &i.to_le_bytes().repeat(1 << 18)).await;
        longest = longest.max(fs::metadata(&log).unwrap().len());
        assert!(longest < 80 << 20, "{} MiB after {i} MiB written", longest >> 20);
    }
    assert!(longest > 32 << 20, "the listing had held it back: {} MiB", longest >> 20);

    let mut mirror = Mirror::default();
    while mirror.again == 0 || mirror.listed.is_none() {
        mirror.receive(&mut from).await;
    }
    let jobs = store.list(Range::Folder(Folder::Jobs)).await.unwrap();
    assert!(mirror.keys.into_values().eq(jobs), "it has the present state in the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_nobody_takes_are_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let store = child::open(folder.path(), Duration::ZERO).unwrap();
    let mut from = store.follow(&[Folder::Jobs]);
    let mut mirror = Mirror::list(&mut from).await;
    let mut last = mirror.listed.unwrap();
    for _ in 0..60 {
        last = put(&store, Key::Job(name("a")), &vec![b'0'; 1 << 20]).await;
    }
    mirror.reach(last, &mut from).await;
    assert!(mirror.again > 0, "60 MiB are more than is kept for a follower");
    assert_eq!(mirror.keys.len(), 1);
}
