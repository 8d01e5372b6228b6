//! Leases, the locks of the replaced system, and runs that change hands.

use model::keys::Key;
use model::run::{Outcome, Revision};
use model::values::{ActiveRun, LockValue, WorkerInfo};
use model::{Job, Lane, UnixMillis};
use store::protocol;
use store::{Compare, Op, Renewed, Tree, Txn};

use super::world::{
    Claimed, claim, claim_now, collect, commit, delete, exists, finish, holds, job, look, lose, put, put_job,
    register, slot,
};

fn lock(job: &Job) -> Key {
    Key::Lock(job.name.clone())
}

async fn lock_value<S: Tree>(store: &S, job: &Job) -> Option<LockValue> {
    let pair = store.get(lock(job)).await.expect("the store works");
    pair.map(|pair| LockValue::from_bytes(&pair.value))
}

pub(crate) async fn leased_keys_end_with_their_session_and_others_stay<S: Tree>(store: &S) {
    let (first, second) = (register(store, "n/1").await, register(store, "n/2").await);
    let [a, b, c] = ["a", "b", "c"].map(|text| lock(&job(text)));
    let then = vec![
        Op::PutLeased(a.clone(), b"1".to_vec(), first.lease),
        Op::PutLeased(b.clone(), b"2".to_vec(), second.lease),
        Op::Put(c.clone(), b"3".to_vec()),
    ];
    commit(store, Txn { then, ..Txn::default() }).await;
    store.close_session(&first).await.expect("the store works");
    assert!(!exists(store, a).await && exists(store, b.clone()).await && exists(store, c.clone()).await);
    // A key that is put again without a lease outlives the session that it was put under.
    put(store, b.clone(), b"4").await;
    store.close_session(&second).await.expect("the store works");
    assert!(exists(store, b).await && exists(store, c).await);
}

pub(crate) async fn a_conditional_deletion_deletes_only_what_was_meant<S: Tree>(store: &S) {
    let key = lock(&job("a"));
    let delete_if = |revision| Txn { then: vec![Op::DeleteIf(key.clone(), revision)], ..Txn::default() };
    let first = put(store, key.clone(), b"1").await;
    let second = put(store, key.clone(), b"2").await;
    let missed = commit(store, delete_if(first)).await;
    assert!(missed.succeeded && exists(store, key.clone()).await);
    assert_eq!(missed.revision, second, "nothing was written");
    assert!(commit(store, delete_if(second)).await.revision > second);
    assert!(!exists(store, key.clone()).await);
    assert!(commit(store, delete_if(second)).await.succeeded, "of a missing key neither");
}

pub(crate) async fn a_live_session_is_renewed_and_a_closed_one_is_not<S: Tree>(store: &S) {
    let session = register(store, "n/1").await;
    assert_eq!(store.renew_session(&session).await.expect("the store works"), Renewed::Lives);
    store.close_session(&session).await.expect("the store works");
    assert_eq!(store.renew_session(&session).await.expect("the store works"), Renewed::Ended);
}

pub(crate) async fn a_session_whose_registration_was_deleted_has_ended<S: Tree>(store: &S) {
    let session = register(store, "n/1").await;
    delete(store, Key::Worker(session.id.clone())).await;
    assert_eq!(store.renew_session(&session).await.expect("the store works"), Renewed::Ended);
}

pub(crate) async fn an_exclusive_run_holds_the_lock_until_it_ends<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    let Claimed { run, .. } = &claim_now(store, &job, &session, slot(1)).await;
    let held = LockValue::Held { session: session.id.clone(), run: run.clone(), attempt: 0 };
    assert_eq!(lock_value(store, &job).await, Some(held));
    let claimed = claimed_again(store, &job, run).await;
    assert!(finish(store, &job.name, &claimed, Outcome::Succeeded).await);
    assert_eq!(lock_value(store, &job).await, None);
}

/// What the tree says of a claimed run.
async fn claimed_again<S: Tree>(store: &S, job: &Job, run: &model::run::RunId) -> Claimed {
    let pair = store.get(Key::Run(job.name.clone().into(), run.clone())).await.expect("the store works");
    let pair = pair.expect("it was claimed");
    let active: ActiveRun = protocol::read(&pair).expect("our own value");
    Claimed { run: run.clone(), token: pair.modified, active }
}

pub(crate) async fn a_finish_leaves_a_lock_that_is_not_its_own<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    for value in [b"reserved".as_slice(), b""] {
        let claimed = claim_now(store, &job, &session, slot(i64::from(value.is_empty()) + 1)).await;
        put(store, lock(&job), value).await;
        assert!(finish(store, &job.name, &claimed, Outcome::Succeeded).await);
        assert_eq!(lock_value(store, &job).await, Some(LockValue::from_bytes(value)));
        delete(store, lock(&job)).await;
    }
}

pub(crate) async fn a_held_lock_refuses_claims<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    let known = put_job(store, &job).await;
    put(store, lock(&job), b"").await;
    assert!(claim(store, &job, known, &session, slot(1)).await.is_none());
    delete(store, lock(&job)).await;
    assert!(claim(store, &job, known, &session, slot(1)).await.is_some());
}

pub(crate) async fn a_reserved_lock_refuses_none_and_stays<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    let before = put_job(store, &job).await;
    let reserved = put(store, lock(&job), b"reserved").await;
    assert!(claim(store, &job, before, &session, slot(1)).await.is_none(), "reserved behind its back");
    let known = look(store, &job.name).await;
    assert_eq!(known.lock, reserved);
    let claimed = claim(store, &job, known, &session, slot(1)).await.expect("nothing is in the way");
    assert!(finish(store, &job.name, &claimed, Outcome::Succeeded).await);
    assert!(holds(store, Compare::Modified(lock(&job), reserved)).await, "it is as it was");
}

pub(crate) async fn a_run_of_an_ended_session_is_taken_over_by_the_next<S: Tree>(store: &S) {
    let (job, first) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    let claimed = claim_now(store, &job, &first, slot(1)).await;
    store.close_session(&first).await.expect("the store works");
    let second = register(store, "n/2").await;
    let readopt =
        |token| protocol::readopt(&Lane::from(&job.name), (&claimed.run, &claimed.active), token, &second).1;
    let moved = commit(store, readopt(claimed.token)).await;
    assert!(moved.succeeded && moved.revision > claimed.token, "the token grows");
    let now = claimed_again(store, &job, &claimed.run).await;
    assert_eq!((now.token, now.active.session.clone()), (moved.revision, second.id.clone()));
    assert!(!commit(store, readopt(claimed.token)).await.succeeded, "once");

    store.close_session(&second).await.expect("the store works");
    let third = register(store, "n/3").await;
    assert!(lose(store, &job.name, &now, &third).await);
    let (_, late) = protocol::readopt(&Lane::from(&job.name), (&now.run, &now.active), now.token, &third);
    assert!(!commit(store, late).await.succeeded, "it was declared lost");
}

pub(crate) async fn a_run_given_back_without_a_count_is_gone<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    let claimed = claim_now(store, &job, &session, slot(1)).await;
    let release = |token| protocol::release(&Lane::from(&job.name), &claimed.run, token);
    assert!(!commit(store, release(Revision(claimed.token.0 + 1))).await.succeeded);
    assert!(commit(store, release(claimed.token)).await.succeeded);
    assert!(!exists(store, Key::Run(job.name.clone().into(), claimed.run.clone())).await);
    assert!(!exists(store, Key::Status(job.name.clone().into())).await);
    assert_eq!(lock_value(store, &job).await, None);
}

pub(crate) async fn only_a_registered_worker_announces<S: Tree>(store: &S) {
    let session = register(store, "n/1").await;
    let info = WorkerInfo { capacity: Some(7), ..WorkerInfo::new("10.0.0.1", "node-1", "1", UnixMillis(0)) };
    assert!(commit(store, protocol::announce(&session, &info)).await.succeeded);
    let key = Key::Worker(session.id.clone());
    let pair = store.get(key.clone()).await.expect("the store works").expect("it is registered");
    assert_eq!(protocol::read::<WorkerInfo>(&pair).expect("our own value"), info);
    assert_eq!(pair.created, session.registered, "the same registration");
    store.close_session(&session).await.expect("the store works");
    assert!(!commit(store, protocol::announce(&session, &info)).await.succeeded);
    assert!(!exists(store, key).await, "it ended with the session");
}

pub(crate) async fn a_reservation_waits_for_whoever_holds_the_lock<S: Tree>(store: &S) {
    let job = job("a");
    let held = put(store, lock(&job), b"").await;
    let refused = commit(store, protocol::reserve(&job.name, Revision::NONE)).await;
    assert!(!refused.succeeded);
    assert_eq!(refused.found[0].modified, held, "a refusal finds who holds it");
    delete(store, lock(&job)).await;
    assert!(commit(store, protocol::reserve(&job.name, Revision::NONE)).await.succeeded);
    assert_eq!(lock_value(store, &job).await, Some(LockValue::Reserved));
}

pub(crate) async fn collect_takes_the_reservation_along<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    put(store, lock(&job), b"reserved").await;
    let claimed = claim_now(store, &job, &session, slot(1)).await;
    assert!(finish(store, &job.name, &claimed, Outcome::Succeeded).await);
    delete(store, Key::Job(job.name.clone())).await;
    let reserved = look(store, &job.name).await.lock;
    assert!(collect(store, &job.name, reserved).await.succeeded);
    assert_eq!(lock_value(store, &job).await, None);
}
