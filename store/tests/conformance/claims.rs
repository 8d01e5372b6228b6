//! Taking slots.

use futures::future::join_all;
use model::Lane;
use model::job::ConcurrencyPolicy;
use model::keys::{Folder, Key};
use model::run::{Outcome, Revision};
use model::values::Cursor;
use store::protocol;
use store::{Range, Tree};

use super::world::{
    claim, claim_now, collect, commit, delete, finish, job, look, put, put_job, register, slot,
};

pub(crate) async fn of_twenty_claims_of_a_slot_one_wins<S: Tree>(store: &S) {
    let mut sessions = Vec::new();
    for worker in 0..20 {
        sessions.push(register(store, &format!("node-{worker}/1")).await);
    }
    for policy in [ConcurrencyPolicy::Forbid, ConcurrencyPolicy::Allow] {
        let mut job = job(&format!("{policy:?}"));
        job.concurrency = policy;
        put_job(store, &job).await;
        for second in 1..=30 {
            let known = look(store, &job.name).await;
            let claims = sessions.iter().map(|session| {
                let (store, job, session) = (store.clone(), job.clone(), session.clone());
                tokio::spawn(async move { claim(&store, &job, known, &session, slot(second)).await })
            });
            let mut won = Vec::new();
            for claimed in join_all(claims).await {
                won.extend(claimed.expect("no claim panics"));
            }
            assert_eq!(won.len(), 1, "{policy:?}, winners of slot {second}: {won:?}");
            let runs = store.list(Range::RunsOf(job.name.clone())).await.unwrap();
            assert_eq!(runs.len(), 1, "{policy:?}, slot {second}");
            assert_eq!(runs[0].modified, won[0].token);
            let cursor = store
                .get(Key::Cursor(job.name.clone().into()))
                .await
                .unwrap()
                .expect("a claim puts the cursor");
            assert_eq!(protocol::read::<Cursor>(&cursor).unwrap().slot, slot(second));
            assert!(finish(store, &job.name, &won[0], Outcome::Succeeded).await);
        }
    }
}

pub(crate) async fn a_slot_claimed_before_is_refused<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    let known = put_job(store, &job).await;
    let claimed = claim(store, &job, known, &session, slot(1)).await.expect("the first claim");
    assert!(claim(store, &job, known, &session, slot(1)).await.is_none(), "while it runs");
    finish(store, &job.name, &claimed, Outcome::Succeeded).await;
    assert!(claim(store, &job, known, &session, slot(1)).await.is_none(), "after it ended");
}

pub(crate) async fn a_slot_that_runs_is_refused_whatever_the_cursor_says<S: Tree>(store: &S) {
    let (mut job, session) = (job("a"), register(store, "n/1").await);
    job.concurrency = ConcurrencyPolicy::Allow;
    put_job(store, &job).await;
    let first = claim_now(store, &job, &session, slot(1)).await;
    let known = look(store, &job.name).await;
    assert!(claim(store, &job, known, &session, slot(1)).await.is_none());
    let runs = store.list(Range::RunsOf(job.name.clone())).await.unwrap();
    assert_eq!((runs.len(), runs[0].modified), (1, first.token));
}

pub(crate) async fn a_slot_older_than_the_cursor_is_refused<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    let before = put_job(store, &job).await;
    let claimed = claim(store, &job, before, &session, slot(2)).await.expect("the later slot");
    finish(store, &job.name, &claimed, Outcome::Succeeded).await;
    assert!(claim(store, &job, before, &session, slot(1)).await.is_none());
}

pub(crate) async fn a_refused_claim_finds_the_present_state<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    let stale = put_job(store, &job).await;
    let first = claim_now(store, &job, &session, slot(1)).await;
    finish(store, &job.name, &first, Outcome::Failed).await;
    let second = claim_now(store, &job, &session, slot(2)).await;

    let (_, _, txn) =
        protocol::claim(&Lane::from(&job.name), &job, stale, &session, "n", slot(3), Vec::new(), slot(3).0);
    let reply = commit(store, txn).await;
    assert!(!reply.succeeded);
    let name = || job.name.clone();
    let keys = [
        Key::Job(name()),
        Key::Cursor(name().into()),
        Key::Status(name().into()),
        Key::Lock(name()),
        Key::Run(name().into(), second.run),
    ];
    let found: Vec<_> = reply.found.iter().map(|pair| pair.key.clone()).collect();
    assert_eq!(found, keys.map(|key| store.prefix().encode(&key)));
    for pair in reply.found {
        let key = store.prefix().decode(&pair.key).unwrap();
        assert_eq!(store.get(key).await.unwrap(), Some(pair));
    }
}

pub(crate) async fn a_claim_on_an_edited_job_is_refused<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    let known = put_job(store, &job).await;
    put(store, Key::Job(job.name.clone()), b"{}").await;
    assert!(claim(store, &job, known, &session, slot(1)).await.is_none());
    claim_now(store, &job, &session, slot(1)).await;
}

pub(crate) async fn a_claim_on_a_deleted_job_is_refused<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    let known = put_job(store, &job).await;
    delete(store, Key::Job(job.name.clone())).await;
    assert!(claim(store, &job, known, &session, slot(1)).await.is_none());
    assert_eq!(store.list(Range::Folder(Folder::Cursors)).await.unwrap(), []);
    assert_eq!(store.list(Range::Folder(Folder::Runs)).await.unwrap(), []);
}

pub(crate) async fn a_claim_on_a_recreated_job_is_refused<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    let known = put_job(store, &job).await;
    delete(store, Key::Job(job.name.clone())).await;
    put(store, Key::Job(job.name.clone()), b"{}").await;
    assert!(claim(store, &job, known, &session, slot(1)).await.is_none());
}

pub(crate) async fn a_claim_by_a_closed_session_is_refused<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    let known = put_job(store, &job).await;
    store.close_session(&session).await.unwrap();
    assert!(claim(store, &job, known, &session, slot(1)).await.is_none());
    // Nor does a later life under the same id revive it.
    let revived = register(store, "n/1").await;
    assert!(claim(store, &job, known, &session, slot(1)).await.is_none());
    assert!(claim(store, &job, known, &revived, slot(1)).await.is_some());
}

pub(crate) async fn forbid_refuses_while_a_run_exists<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    let first = claim_now(store, &job, &session, slot(1)).await;
    let known = look(store, &job.name).await;
    assert!(claim(store, &job, known, &session, slot(2)).await.is_none());
    finish(store, &job.name, &first, Outcome::Succeeded).await;
    assert!(claim(store, &job, known, &session, slot(2)).await.is_some(), "the refusal has moved nothing");
}

pub(crate) async fn allow_starts_beside_a_run<S: Tree>(store: &S) {
    let (mut job, session) = (job("a"), register(store, "n/1").await);
    job.concurrency = ConcurrencyPolicy::Allow;
    put_job(store, &job).await;
    let first = claim_now(store, &job, &session, slot(1)).await;
    let second = claim_now(store, &job, &session, slot(2)).await;
    assert_ne!(first.run, second.run);
    assert_eq!(store.list(Range::RunsOf(job.name)).await.unwrap().len(), 2);
}

pub(crate) async fn the_fencing_token_grows_from_run_to_run<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    let mut last = put_job(store, &job).await.created;
    for second in 1..=5 {
        let claimed = claim_now(store, &job, &session, slot(second)).await;
        assert!(claimed.token > last, "{:?} after {last:?}", claimed.token);
        last = claimed.token;
        finish(store, &job.name, &claimed, Outcome::Succeeded).await;
        if second == 3 {
            delete(store, Key::Job(job.name.clone())).await;
            collect(store, &job.name, Revision::NONE).await;
            put_job(store, &job).await;
        }
    }
}
