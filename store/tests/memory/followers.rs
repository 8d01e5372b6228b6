//! Followers of the shared tree, and its leases by tokio's clock.

use std::time::{Duration, Instant};

use model::keys::{Folder, Key, KeyPrefix};
use model::run::Revision;
use store::memory::MemoryTree;
use store::{Change, Follow, Range, Renewed, Tree};

use crate::conformance::follow::{Mirror, next};
use crate::conformance::world::{name, put, register};

#[tokio::test]
async fn a_session_that_is_not_renewed_ends_by_itself() {
    let tree = MemoryTree::new(KeyPrefix::default(), Duration::from_millis(50));
    let mut from = tree.follow(&[Folder::Workers]);
    let mut mirror = Mirror::list(&mut from).await;
    let session = register(&tree, "n/1").await;
    assert_eq!(session.lasts, Some(Duration::from_millis(50)));
    mirror.reach(session.registered, &mut from).await;
    // Nobody calls the tree meanwhile.
    let gone = tree.prefix().encode(&Key::Worker(session.id.clone()));
    let deleted = Change::Deleted { key: gone, revision: Revision(session.registered.0 + 1) };
    assert_eq!(next(&mut from).await, Follow::Changed(vec![deleted]));
    assert_eq!(tree.renew_session(&session).await.unwrap(), Renewed::Ended);
}

#[tokio::test]
async fn a_session_that_is_renewed_lives_on() {
    let lasts = Duration::from_millis(100);
    let tree = MemoryTree::new(KeyPrefix::default(), lasts);
    let begun = Instant::now();
    let session = register(&tree, "n/1").await;
    let mut renewed = begun;
    while begun.elapsed() < 5 * lasts {
        let asked = Instant::now();
        match tree.renew_session(&session).await.unwrap() {
            Renewed::Lives => renewed = asked,
            // The machine stood still for so long.
            Renewed::Ended => return assert!(renewed.elapsed() >= lasts, "too early"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_session_ends_without_a_follower() {
    let tree = MemoryTree::new(KeyPrefix::default(), Duration::ZERO);
    register(&tree, "n/1").await;
    assert_eq!(tree.list(Range::Folder(Folder::Workers)).await.unwrap(), []);
}

#[tokio::test]
async fn each_transaction_is_a_message() {
    let tree = MemoryTree::default();
    let mut from = tree.follow(&[Folder::Jobs]);
    Mirror::list(&mut from).await;
    let mut revisions = Vec::new();
    for i in 0..10 {
        revisions.push(put(&tree, Key::Job(name(&i.to_string())), b"").await);
    }
    for revision in revisions {
        match next(&mut from).await {
            Follow::Changed(changes) => match &changes[..] {
                [Change::Put(pair)] => assert_eq!(pair.modified, revision),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_follower_that_a_compaction_has_overtaken_lists_again() {
    let tree = MemoryTree::default();
    let mut from = tree.follow(&[Folder::Jobs]);
    let mut mirror = Mirror::list(&mut from).await;
    // On this one thread the follower can't take anything in between.
    tree.with_state(|tree, now| {
        for value in ["1", "2", "3"] {
            crate::world::commit_at(tree, now, vec![crate::world::put(Key::Job(name("a")), value)]);
        }
        tree.compact(tree.revision());
    });
    let why = match next(&mut from).await {
        Follow::Again(why) => why,
        other => panic!("{other:?}"),
    };
    assert!(why.contains("compacted"), "{why}");
    mirror.listed = None;
    mirror.keys.clear();
    while mirror.listed.is_none() {
        mirror.receive(&mut from).await;
    }
    assert_eq!(mirror.keys.values().map(|pair| &pair.value[..]).collect::<Vec<_>>(), [b"3"]);
}

#[tokio::test]
async fn a_follower_that_takes_nothing_lists_again_in_the_end() {
    let tree = MemoryTree::default();
    let mut from = tree.follow(&[Folder::Jobs]);
    let mut mirror = Mirror::list(&mut from).await;
    let mut last = Revision::NONE;
    for i in 0..20_000_u32 {
        last = put(&tree, Key::Job(name("a")), &i.to_le_bytes()).await;
    }
    mirror.reach(last, &mut from).await;
    assert_eq!(mirror.again, 1, "its changes were not all kept");
    assert_eq!(mirror.keys.len(), 1);
}

#[tokio::test]
async fn a_follower_hears_that_it_is_current_while_nothing_happens() {
    let tree = MemoryTree::default();
    let revision = put(&tree, Key::Status(name("a").into()), b"").await;
    let mut from = tree.follow(&[Folder::Jobs]);
    Mirror::list(&mut from).await;
    assert_eq!(next(&mut from).await, Follow::Current(revision));
}

#[tokio::test]
async fn a_follower_that_is_dropped_leaves_the_tree() {
    let tree = MemoryTree::default();
    let mut from = tree.follow(&[Folder::Jobs]);
    Mirror::list(&mut from).await;
    drop(from);
    let before = tokio::runtime::Handle::current().metrics();
    let ended = async {
        while before.num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.expect("its task ends");
}
