//! Replies that are lost, transactions that come late, and stores that are away.

use std::sync::{Arc, Mutex};

use model::Lane;
use model::keys::{Folder, Key};
use model::run::Outcome;
use store::memory::{Fate, MemoryLog, MemoryTree, Refused};
use store::{Follow, Op, Range, Renewed, RunLog, RunQuery, Tree, TreeError, Txn, protocol};

use crate::conformance::follow::{Mirror, next};
use crate::conformance::log::{append_one, record};
use crate::conformance::world::{claim, commit, exists, job, look, put, put_job, register, slot};

/// Gives all claims one fate.
fn claims_are(tree: &MemoryTree, fate: Fate) {
    let is_claim = |txn: &Txn| txn.then.iter().any(|op| matches!(op, Op::Put(Key::Run(..), _)));
    tree.on_commit(move |txn| if is_claim(txn) { fate } else { Fate::Done });
}

#[tokio::test]
async fn a_claim_whose_reply_is_lost_was_made() {
    let tree = MemoryTree::default();
    let (job, session) = (job("a"), register(&tree, "n/1").await);
    let known = put_job(&tree, &job).await;
    let (run, _, txn) =
        protocol::claim(&Lane::from(&job.name), &job, known, &session, "n", slot(1), Vec::new(), slot(1).0);
    claims_are(&tree, Fate::ReplyLost);
    assert!(matches!(tree.commit(txn.clone()).await, Err(TreeError::Unavailable(_))));
    assert!(exists(&tree, Key::Run(job.name.clone().into(), run)).await);
    claims_are(&tree, Fate::Done);
    assert!(!commit(&tree, txn).await.succeeded, "so the same claim is refused");
}

#[tokio::test]
async fn a_late_claim_is_made_after_its_caller_gave_up() {
    let tree = MemoryTree::default();
    let (job, session) = (job("a"), register(&tree, "n/1").await);
    let known = put_job(&tree, &job).await;
    let (run, _, txn) =
        protocol::claim(&Lane::from(&job.name), &job, known, &session, "n", slot(1), Vec::new(), slot(1).0);
    claims_are(&tree, Fate::Late);
    for _ in 0..2 {
        assert!(matches!(tree.commit(txn.clone()).await, Err(TreeError::Unavailable(_))));
    }
    let key = Key::Run(job.name.clone().into(), run);
    assert!(!exists(&tree, key.clone()).await, "not yet");
    tree.set_away(true);
    let late = tree.commit_late();
    tree.set_away(false);
    let [Ok(first), Ok(second)] = &late[..] else { panic!("two were late: {late:?}") };
    assert!(first.succeeded && !second.succeeded);
    let pair = tree.get(key).await.unwrap().expect("the late claim");
    assert_eq!(pair.modified, first.revision);
    assert_eq!(tree.commit_late(), [], "each comes once");
}

#[tokio::test]
async fn a_late_claim_of_an_ended_session_is_refused() {
    let tree = MemoryTree::default();
    let (job, session) = (job("a"), register(&tree, "n/1").await);
    let known = put_job(&tree, &job).await;
    claims_are(&tree, Fate::Late);
    let (_, _, txn) =
        protocol::claim(&Lane::from(&job.name), &job, known, &session, "n", slot(1), Vec::new(), slot(1).0);
    assert!(tree.commit(txn).await.is_err());
    let lease = Op::PutLeased(Key::Lock(job.name.clone()), Vec::new(), session.lease);
    let unconditional = Txn {
        then: vec![Op::Put(Key::Run(job.name.clone().into(), run_id(&job)), vec![]), lease],
        ..Txn::default()
    };
    assert!(tree.commit(unconditional).await.is_err());
    tree.close_session(&session).await.unwrap();
    let late = tree.commit_late();
    assert!(late[0].as_ref().is_ok_and(|reply| !reply.succeeded), "{late:?}");
    assert_eq!(late[1], Err(Refused::NoLease(session.lease)));
    assert_eq!(tree.list(Range::Folder(Folder::Runs)).await.unwrap(), []);
}

fn run_id(job: &model::Job) -> model::run::RunId {
    model::run::RunId::of_slot(&job.name, model::run::Revision(1), slot(1))
}

#[tokio::test]
async fn a_lost_transaction_is_never_done_and_a_hook_may_count() {
    let tree = MemoryTree::default();
    let seen = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&seen);
    tree.on_commit(move |_| {
        let mut seen = counter.lock().unwrap();
        *seen += 1;
        if *seen == 1 { Fate::Lost } else { Fate::Done }
    });
    let once = Txn { then: vec![Op::Put(Key::Job(job("a").name), Vec::new())], ..Txn::default() };
    assert!(matches!(tree.commit(once).await, Err(TreeError::Unavailable(_))));
    assert_eq!(tree.commit_late(), []);
    assert!(!exists(&tree, Key::Job(job("a").name)).await);
    put(&tree, Key::Job(job("b").name), b"").await;
    assert_eq!(*seen.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_tree_that_is_away_answers_nobody_and_keeps_all() {
    let tree = MemoryTree::default();
    let (job, session) = (job("a"), register(&tree, "n/1").await);
    let known = put_job(&tree, &job).await;
    tree.clone().set_away(true);
    let unavailable = |outcome: Result<(), TreeError>| matches!(outcome, Err(TreeError::Unavailable(_)));
    assert!(unavailable(tree.commit(Txn::default()).await.map(drop)));
    assert!(unavailable(tree.get(Key::Job(job.name.clone())).await.map(drop)));
    assert!(unavailable(tree.list(Range::Folder(Folder::Jobs)).await.map(drop)));
    assert!(unavailable(tree.renew_session(&session).await.map(drop)));
    assert!(unavailable(tree.close_session(&session).await));
    let info = crate::world::info();
    assert!(unavailable(tree.open_session(model::run::SessionId("n/2".to_owned()), &info).await.map(drop)));
    tree.set_away(false);
    assert_eq!(tree.renew_session(&session).await.unwrap(), Renewed::Lives);
    assert_eq!(look(&tree, &job.name).await, known);
    assert!(claim(&tree, &job, known, &session, slot(1)).await.is_some());
}

#[tokio::test]
async fn followers_of_a_tree_that_was_away_list_again() {
    let tree = MemoryTree::default();
    put(&tree, Key::Job(job("a").name), b"1").await;
    let mut from = tree.follow(&[Folder::Jobs]);
    let mut mirror = Mirror::list(&mut from).await;
    tree.set_away(true);
    assert!(matches!(next(&mut from).await, Follow::Again(_)));
    tree.with_state(|tree, now| {
        let put = Txn { then: vec![Op::Put(Key::Job(job("a").name), b"2".to_vec())], ..Txn::default() };
        tree.commit(now, &put).expect("nothing is in the way")
    });
    tree.set_away(false);
    mirror.keys.clear();
    mirror.listed = None;
    while mirror.listed.is_none() {
        mirror.receive(&mut from).await;
    }
    assert_eq!(mirror.keys.values().map(|pair| &pair.value[..]).collect::<Vec<_>>(), [b"2"]);
    // A follower that begins while it is away hears of it later.
    tree.set_away(true);
    let mut late = tree.follow(&[Folder::Jobs]);
    tree.set_away(false);
    assert_eq!(Mirror::list(&mut late).await.keys, mirror.keys);
}

#[tokio::test]
async fn a_log_that_is_away_answers_nobody_and_keeps_all() {
    let log = MemoryLog::new();
    let [first, second] = [1, 2].map(|second| record("a", second, Outcome::Succeeded));
    append_one(&log, first.clone()).await.unwrap();
    log.clone().set_away(true);
    let away = |outcome: Result<(), store::LogError>| matches!(outcome, Err(store::LogError::Unavailable(_)));
    assert!(away(append_one(&log, second.clone()).await));
    assert!(away(log.runs(RunQuery::default()).await.map(drop)));
    assert!(away(log.find(&first.run, 0).await.map(drop)));
    assert!(away(log.output(&first.run, 0).await.map(drop)));
    assert!(away(log.skipped(&first.job, 1).await.map(drop)));
    assert_eq!(log.with_state(|log| log.records().count()), 1);
    log.set_away(false);
    append_one(&log, second).await.unwrap();
    assert!(log.find(&first.run, 0).await.unwrap().is_some());
    assert_eq!(log.with_state(|log| log.records().count()), 2);
}
