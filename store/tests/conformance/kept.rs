//! What outlives a job, and requests that outlive their asking.

use model::UnixMillis;
use model::keys::{Folder, Key};
use model::run::{Outcome, Revision};
use store::protocol;
use store::{Range, Tree};

use super::world::{claim_now, collect, commit, delete, exists, finish, job, put_job, register, slot};

pub(crate) async fn collect_removes_what_a_deleted_job_left<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    let claimed = claim_now(store, &job, &session, slot(1)).await;
    commit(store, protocol::kill(&job.name, UnixMillis(1))).await;
    finish(store, &job.name, &claimed, Outcome::Killed).await;
    delete(store, Key::Job(job.name.clone())).await;

    assert!(collect(store, &job.name, Revision::NONE).await.succeeded);
    for folder in [Folder::Jobs, Folder::Cursors, Folder::Runs, Folder::Statuses, Folder::Kills] {
        assert_eq!(store.list(Range::Folder(folder)).await.unwrap(), [], "{folder:?}");
    }
    let again = collect(store, &job.name, Revision::NONE).await;
    assert!(again.succeeded, "once more is no error");
}

pub(crate) async fn collect_waits_for_the_last_run<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    let claimed = claim_now(store, &job, &session, slot(1)).await;
    delete(store, Key::Job(job.name.clone())).await;
    assert!(!collect(store, &job.name, Revision::NONE).await.succeeded);
    assert!(exists(store, Key::Cursor(job.name.clone().into())).await);
    finish(store, &job.name, &claimed, Outcome::Killed).await;
    assert!(collect(store, &job.name, Revision::NONE).await.succeeded);
    assert!(!exists(store, Key::Cursor(job.name.clone().into())).await);
}

pub(crate) async fn collect_spares_a_recreated_job<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    let claimed = claim_now(store, &job, &session, slot(1)).await;
    finish(store, &job.name, &claimed, Outcome::Succeeded).await;
    delete(store, Key::Job(job.name.clone())).await;
    put_job(store, &job).await;
    assert!(!collect(store, &job.name, Revision::NONE).await.succeeded);
    assert!(exists(store, Key::Cursor(job.name.clone().into())).await);
    assert!(exists(store, Key::Status(job.name.clone().into())).await);
}

pub(crate) async fn a_kill_waits_for_workers_that_are_away<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    let claimed = claim_now(store, &job, &session, slot(1)).await;
    let reply = commit(store, protocol::kill(&job.name, UnixMillis(7))).await;
    assert!(!reply.succeeded, "something runs");
    let kill = store.get(Key::Kill(job.name.clone())).await.unwrap().expect("the request");
    assert_eq!(protocol::read::<UnixMillis>(&kill).unwrap(), UnixMillis(7));
    assert!(kill.modified > claimed.token, "it means this run");
}

pub(crate) async fn a_kill_does_not_mean_later_runs<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    let first = claim_now(store, &job, &session, slot(1)).await;
    commit(store, protocol::kill(&job.name, UnixMillis(7))).await;
    finish(store, &job.name, &first, Outcome::Killed).await;
    let second = claim_now(store, &job, &session, slot(2)).await;
    let kill = store.get(Key::Kill(job.name.clone())).await.unwrap().expect("the request");
    assert!(kill.modified < second.token);
}

pub(crate) async fn a_kill_where_nothing_runs_writes_nothing<S: Tree>(store: &S) {
    let job = job("a");
    put_job(store, &job).await;
    assert!(commit(store, protocol::kill(&job.name, UnixMillis(7))).await.succeeded);
    assert!(!exists(store, Key::Kill(job.name)).await);
}
