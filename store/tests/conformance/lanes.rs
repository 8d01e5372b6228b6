//! The lanes of a job that runs on each node. Its lock is reserved: were it held by one run, it would keep the others out.

use model::keys::{Folder, Key};
use model::run::{Outcome, Revision};
use model::values::{JobStatus, RecentRun};
use model::{Job, JobName, Lane, NodeName, UnixMillis, Unknown};
use store::protocol;
use store::{Range, Session, Tree};

use super::world::{Claimed, claim_in, commit, delete, exists, job, look_in, put, put_job, register, slot};

fn on(job: &JobName, node: &str) -> Lane {
    Lane { job: job.clone(), node: Some(NodeName::new(node).expect("a valid name")) }
}

async fn reserved_job<S: Tree>(store: &S) -> (Job, Revision) {
    let job = job("ops/a");
    let lock = put(store, Key::Lock(job.name.clone()), b"reserved").await;
    put_job(store, &job).await;
    (job, lock)
}

async fn claim_now<S: Tree>(
    store: &S,
    lane: &Lane,
    job: &Job,
    session: &Session,
    second: i64,
) -> Option<Claimed> {
    let known = look_in(store, lane).await;
    claim_in(store, lane, job, known, session, slot(second)).await
}

async fn finish<S: Tree>(store: &S, lane: &Lane, claimed: &Claimed) -> bool {
    let Claimed { run, token, active } = claimed;
    let mut status = JobStatus::default();
    let (slot, outcome) = (active.slot, Outcome::Succeeded);
    status.add_run(RecentRun { run: run.clone(), slot, outcome, ended: slot.0, unknown: Unknown::default() });
    let seen = look_in(store, lane).await.status;
    commit(store, protocol::finish(lane, run, *token, seen, &status)).await.succeeded
}

pub(crate) async fn each_node_claims_the_same_slot<S: Tree>(store: &S) {
    let (job, session) = (reserved_job(store).await.0, register(store, "n/1").await);
    let lanes = ["node-1", "node-10", "node-2"].map(|node| on(&job.name, node));
    let mut claims = Vec::new();
    for lane in &lanes {
        claims.push(claim_now(store, lane, &job, &session, 1).await.expect("nothing in this lane"));
        assert!(claim_now(store, lane, &job, &session, 2).await.is_none(), "beside a run in the lane");
    }
    assert_eq!(store.list(Range::RunsOf(job.name.clone())).await.unwrap().len(), 3);
    for (lane, claimed) in lanes.iter().zip(&claims) {
        let runs = store.list(Range::RunsIn(lane.clone())).await.unwrap();
        let keys: Vec<_> = runs.into_iter().map(|pair| pair.key).collect();
        assert_eq!(keys, [store.prefix().encode(&Key::Run(lane.clone(), claimed.run.clone()))]);
    }
    // The end of one counts in its own lane, and frees that alone.
    assert!(finish(store, &lanes[0], &claims[0]).await);
    assert!(!exists(store, Key::Status(lanes[1].clone())).await);
    assert!(claim_now(store, &lanes[0], &job, &session, 2).await.is_some());
    assert!(claim_now(store, &lanes[1], &job, &session, 2).await.is_none());
}

pub(crate) async fn a_run_for_any_node_and_one_on_a_node_exclude_each_other<S: Tree>(store: &S) {
    let (job, session) = (reserved_job(store).await.0, register(store, "n/1").await);
    let (any, node) = (Lane::from(&job.name), on(&job.name, "node-1"));
    for (second, (first, then)) in (1..).zip([(&any, &node), (&node, &any)]) {
        let claimed = claim_now(store, first, &job, &session, second).await.expect("nothing runs");
        assert!(claim_now(store, then, &job, &session, second).await.is_none(), "{then} beside {first}");
        assert!(finish(store, first, &claimed).await);
        let claimed = claim_now(store, then, &job, &session, second).await.expect("nothing runs any more");
        assert!(finish(store, then, &claimed).await);
    }
}

pub(crate) async fn collect_goes_lane_by_lane<S: Tree>(store: &S) {
    let ((job, lock), session) = (reserved_job(store).await, register(store, "n/1").await);
    let lanes = [on(&job.name, "node-1"), on(&job.name, "node-2"), Lane::from(&job.name)];
    let [first, second, any] = &lanes;
    let claimed = claim_now(store, any, &job, &session, 1).await.expect("nothing runs");
    assert!(finish(store, any, &claimed).await);
    let claims = [
        claim_now(store, first, &job, &session, 1).await.expect("nothing runs"),
        claim_now(store, second, &job, &session, 1).await.expect("nothing in this lane"),
    ];
    commit(store, protocol::kill(&job.name, UnixMillis(1))).await;
    delete(store, Key::Job(job.name.clone())).await;
    let collect = async |lane: &Lane| {
        let cursor = look_in(store, lane).await.cursor;
        commit(store, protocol::collect(lane, cursor, lock)).await.succeeded
    };
    let left = async || {
        let mut left = Vec::new();
        for key in lanes.iter().flat_map(|lane| [Key::Cursor(lane.clone()), Key::Status(lane.clone())]) {
            left.push(exists(store, key).await);
        }
        let of_job = [Key::Kill(job.name.clone()), Key::Lock(job.name.clone())];
        (left, exists(store, of_job[0].clone()).await, exists(store, of_job[1].clone()).await)
    };

    assert!(finish(store, first, &claims[0]).await);
    assert!(!collect(second).await, "a run is in it");
    assert!(!collect(any).await, "a lane on a node has a run");
    assert!(collect(first).await, "a run in another lane is in no way");
    assert_eq!(left().await, (vec![false, false, true, false, true, true], true, true));
    assert!(finish(store, second, &claims[1]).await);
    assert!(collect(second).await);
    assert_eq!(left().await, (vec![false, false, false, false, true, true], true, true));
    assert!(collect(any).await);
    assert_eq!(left().await, (vec![false; 6], false, false));
    assert_eq!(store.list(Range::Folder(Folder::Runs)).await.unwrap(), []);
}
