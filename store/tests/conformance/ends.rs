//! Ends of runs, and slots that never became one.

use futures::future::join_all;
use model::Lane;
use model::keys::{Folder, Key};
use model::run::{Outcome, SkipReason, Skipped};
use model::values::{Cursor, JobStatus};
use store::protocol;
use store::{Range, Tree};

use super::world::{
    claim_now, commit, counted, exists, finish, job, look, lose, put_job, register, slot, status,
};

pub(crate) async fn a_finish_removes_the_run_and_counts_it<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    let claimed = claim_now(store, &job, &session, slot(1)).await;
    assert!(finish(store, &job.name, &claimed, Outcome::Failed).await);
    assert_eq!(store.list(Range::Folder(Folder::Runs)).await.unwrap(), []);
    assert_eq!(status(store, &job.name).await.runs, [(Outcome::Failed, 1)].into());
}

pub(crate) async fn two_finishes_count_once<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    let claimed = claim_now(store, &job, &session, slot(1)).await;
    let txn = {
        let seen = look(store, &job.name).await.status;
        let status = counted(store, &job.name, &claimed, Outcome::Succeeded).await;
        protocol::finish(&Lane::from(&job.name), &claimed.run, claimed.token, seen, &status)
    };
    let ends = (0..2).map(|_| {
        let (store, txn) = (store.clone(), txn.clone());
        tokio::spawn(async move { commit(&store, txn).await.succeeded })
    });
    let decided = join_all(ends).await.into_iter().filter(|end| *end.as_ref().unwrap()).count();
    assert_eq!(decided, 1);
    assert!(
        !finish(store, &job.name, &claimed, Outcome::Succeeded).await,
        "nor does it count on the new status"
    );
    assert_eq!(status(store, &job.name).await.runs, [(Outcome::Succeeded, 1)].into());
}

pub(crate) async fn a_late_finish_decides_nothing<S: Tree>(store: &S) {
    let (job, dead, alive) = (job("a"), register(store, "n1/1").await, register(store, "n2/1").await);
    put_job(store, &job).await;
    let claimed = claim_now(store, &job, &dead, slot(1)).await;
    store.close_session(&dead).await.unwrap();
    assert!(lose(store, &job.name, &claimed, &alive).await);
    let next = claim_now(store, &job, &alive, slot(2)).await;

    assert!(!finish(store, &job.name, &claimed, Outcome::Succeeded).await);
    assert_eq!(status(store, &job.name).await.runs, [(Outcome::Lost, 1)].into());
    assert!(exists(store, Key::Run(job.name.clone().into(), next.run)).await, "the next run is left alone");
}

pub(crate) async fn a_finish_on_a_moved_status_passes_with_the_new_one<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    let claimed = claim_now(store, &job, &session, slot(1)).await;
    let stale = look(store, &job.name).await.status;
    let mut skips = JobStatus::default();
    skips.add_skipped(&[Skipped { from: slot(2), to: slot(2), count: Some(1), reason: SkipReason::Overlap }]);
    let known = look(store, &job.name).await;
    assert!(
        commit(store, protocol::pass(&Lane::from(&job.name), &job, known, &session, slot(2), Some(&skips)))
            .await
            .succeeded
    );

    let mut first = JobStatus::default();
    first.add_run(model::values::RecentRun {
        run: claimed.run.clone(),
        slot: slot(1),
        outcome: Outcome::Succeeded,
        ended: slot(1).0,
        unknown: model::Unknown::default(),
    });
    let reply =
        commit(store, protocol::finish(&Lane::from(&job.name), &claimed.run, claimed.token, stale, &first))
            .await;
    assert!(!reply.succeeded);
    let [run, moved] = &reply.found[..] else {
        panic!("the run and the status are found: {:?}", reply.found)
    };
    assert_eq!(run.modified, claimed.token, "its end is not decided yet");
    assert_eq!(protocol::read::<JobStatus>(moved).unwrap(), skips);

    assert!(finish(store, &job.name, &claimed, Outcome::Succeeded).await);
    let both = status(store, &job.name).await;
    assert_eq!(
        (both.runs, both.skipped),
        ([(Outcome::Succeeded, 1)].into(), [(SkipReason::Overlap, 1)].into())
    );
}

pub(crate) async fn a_run_is_lost_only_once_its_session_has_ended<S: Tree>(store: &S) {
    let (job, owner, other) = (job("a"), register(store, "n1/1").await, register(store, "n2/1").await);
    put_job(store, &job).await;
    let claimed = claim_now(store, &job, &owner, slot(1)).await;
    assert!(!lose(store, &job.name, &claimed, &other).await, "its session lives");
    assert!(exists(store, Key::Run(job.name.clone().into(), claimed.run.clone())).await);
    store.close_session(&owner).await.unwrap();
    assert!(lose(store, &job.name, &claimed, &other).await);
    assert!(!exists(store, Key::Run(job.name.clone().into(), claimed.run.clone())).await);
    assert_eq!(status(store, &job.name).await.runs, [(Outcome::Lost, 1)].into());
}

pub(crate) async fn a_closed_session_declares_nothing_lost<S: Tree>(store: &S) {
    let (job, owner, other) = (job("a"), register(store, "n1/1").await, register(store, "n2/1").await);
    put_job(store, &job).await;
    let claimed = claim_now(store, &job, &owner, slot(1)).await;
    store.close_session(&owner).await.unwrap();
    store.close_session(&other).await.unwrap();
    assert!(!lose(store, &job.name, &claimed, &other).await);
    assert_eq!(status(store, &job.name).await, JobStatus::default());
}

pub(crate) async fn of_twenty_that_declare_a_run_lost_one_wins<S: Tree>(store: &S) {
    let (job, owner, other) = (job("a"), register(store, "n1/1").await, register(store, "n2/1").await);
    put_job(store, &job).await;
    let claimed = claim_now(store, &job, &owner, slot(1)).await;
    store.close_session(&owner).await.unwrap();
    let losses = (0..20).map(|_| {
        let (store, job, claimed, other) = (store.clone(), job.name.clone(), claimed.clone(), other.clone());
        tokio::spawn(async move { lose(&store, &job, &claimed, &other).await })
    });
    let decided = join_all(losses).await.into_iter().filter(|loss| *loss.as_ref().unwrap()).count();
    assert_eq!(decided, 1);
    assert_eq!(status(store, &job.name).await.runs, [(Outcome::Lost, 1)].into());
}

pub(crate) async fn a_pass_moves_the_cursor_and_counts<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    let known = put_job(store, &job).await;
    let mut counted = JobStatus::default();
    counted.add_skipped(&[Skipped {
        from: slot(1),
        to: slot(9),
        count: Some(9),
        reason: SkipReason::Missed,
    }]);
    assert!(
        commit(store, protocol::pass(&Lane::from(&job.name), &job, known, &session, slot(9), Some(&counted)))
            .await
            .succeeded
    );
    let cursor = store.get(Key::Cursor(job.name.clone().into())).await.unwrap().expect("the cursor");
    let cursor: Cursor = protocol::read(&cursor).unwrap();
    assert_eq!((cursor.slot, cursor.job), (slot(9), known.created));
    assert!(cursor.timetable.is_of(&job));
    assert_eq!(status(store, &job.name).await, counted);
    assert_eq!(store.list(Range::Folder(Folder::Runs)).await.unwrap(), []);
}

pub(crate) async fn a_pass_without_counts_leaves_the_status_alone<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    let known = put_job(store, &job).await;
    assert!(
        commit(store, protocol::pass(&Lane::from(&job.name), &job, known, &session, slot(1), None))
            .await
            .succeeded
    );
    assert!(exists(store, Key::Cursor(job.name.clone().into())).await);
    assert!(!exists(store, Key::Status(job.name.clone().into())).await);
}

pub(crate) async fn a_pass_on_a_stale_cursor_is_refused<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    let known = put_job(store, &job).await;
    assert!(
        commit(store, protocol::pass(&Lane::from(&job.name), &job, known, &session, slot(5), None))
            .await
            .succeeded
    );
    let mut counted = JobStatus::default();
    counted.add_skipped(&[Skipped {
        from: slot(1),
        to: slot(4),
        count: Some(4),
        reason: SkipReason::Missed,
    }]);
    let reply =
        commit(store, protocol::pass(&Lane::from(&job.name), &job, known, &session, slot(4), Some(&counted)))
            .await;
    assert!(!reply.succeeded);
    assert_eq!(reply.found.len(), 2, "the job and the cursor: {:?}", reply.found);
    assert_eq!(status(store, &job.name).await, JobStatus::default());
}

pub(crate) async fn a_pass_on_a_moved_status_is_refused<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    let claimed = claim_now(store, &job, &session, slot(1)).await;
    let before = look(store, &job.name).await;
    assert!(finish(store, &job.name, &claimed, Outcome::Succeeded).await);
    let mut counted = JobStatus::default();
    counted.add_skipped(&[Skipped {
        from: slot(2),
        to: slot(2),
        count: Some(1),
        reason: SkipReason::Overlap,
    }]);
    assert!(
        !commit(
            store,
            protocol::pass(&Lane::from(&job.name), &job, before, &session, slot(2), Some(&counted))
        )
        .await
        .succeeded
    );
    assert_eq!(look(store, &job.name).await.cursor, before.cursor);
    assert_eq!(status(store, &job.name).await.runs, [(Outcome::Succeeded, 1)].into());
}
