//! A job, workers and what they do, for cases to tell in few words.

use model::keys::Key;
use model::run::{Outcome, Revision, RunId, SessionId, Slot};
use model::values::{ActiveRun, JobStatus, RecentRun, WorkerInfo};
use model::{Job, JobName, Lane, TimeZone, UnixMillis};
use store::protocol::{self, Known};
use store::{Compare, Op, Session, Tree, Txn, TxnReply};

/// A claimed slot.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub(crate) run: RunId,
    pub(crate) token: Revision,
    pub(crate) active: ActiveRun,
}

pub(crate) fn name(text: &str) -> JobName {
    JobName::new(text).expect("a valid name")
}

pub(crate) fn slot(second: i64) -> Slot {
    Slot(UnixMillis(1_764_000_000_000 + second * 1000))
}

/// A job with default rules that is not in the tree yet.
pub(crate) fn job(text: &str) -> Job {
    Job::legacy(name(text), "true".to_owned(), "* * * * * * *", TimeZone::UTC).expect("a valid job")
}

pub(crate) async fn commit<S: Tree>(store: &S, txn: Txn) -> TxnReply {
    store.commit(txn).await.expect("the store works")
}

pub(crate) async fn put<S: Tree>(store: &S, key: Key, value: &[u8]) -> Revision {
    commit(store, Txn { then: vec![Op::Put(key, value.to_vec())], ..Txn::default() }).await.revision
}

pub(crate) async fn delete<S: Tree>(store: &S, key: Key) -> Revision {
    commit(store, Txn { then: vec![Op::Delete(key)], ..Txn::default() }).await.revision
}

pub(crate) async fn exists<S: Tree>(store: &S, key: Key) -> bool {
    store.get(key).await.expect("the store works").is_some()
}

/// Puts the job's key and returns what a worker knows then.
pub(crate) async fn put_job<S: Tree>(store: &S, job: &Job) -> Known {
    put(store, Key::Job(job.name.clone()), b"{}").await;
    look(store, &job.name).await
}

/// What a worker that has read everything knows of a job.
pub(crate) async fn look<S: Tree>(store: &S, job: &JobName) -> Known {
    look_in(store, &Lane::from(job)).await
}

/// What a worker that has read everything knows of a lane.
pub(crate) async fn look_in<S: Tree>(store: &S, lane: &Lane) -> Known {
    let job = || lane.job.clone();
    let reply = commit(
        store,
        Txn {
            then: vec![
                Op::Get(Key::Job(job())),
                Op::Get(Key::Cursor(lane.clone())),
                Op::Get(Key::Status(lane.clone())),
                Op::Get(Key::Lock(job())),
                Op::Get(Key::Kill(job())),
            ],
            ..Txn::default()
        },
    )
    .await;
    let at = |key: Key| reply.found.iter().find(|pair| pair.key == store.prefix().encode(&key));
    let modified = |key| at(key).map_or(Revision::NONE, |pair| pair.modified);
    let reserved = at(Key::Lock(job())).filter(|pair| pair.value == b"reserved");
    let reserved = reserved.map_or(Revision::NONE, |pair| pair.modified);
    Known {
        created: at(Key::Job(job())).map_or(Revision::NONE, |pair| pair.created),
        definition: modified(Key::Job(job())),
        cursor: modified(Key::Cursor(lane.clone())),
        status: modified(Key::Status(lane.clone())),
        lock: reserved,
        kill: modified(Key::Kill(job())),
    }
}

/// Removes what a deleted job left, on the present state.
pub(crate) async fn collect<S: Tree>(store: &S, job: &JobName, reserved: Revision) -> TxnReply {
    let cursor = look(store, job).await.cursor;
    commit(store, protocol::collect(&Lane::from(job), cursor, reserved)).await
}

pub(crate) async fn register<S: Tree>(store: &S, id: &str) -> Session {
    let info = WorkerInfo::new("10.0.0.1", "node-1", "0.1.0", UnixMillis(0));
    store.open_session(SessionId(id.to_owned()), &info).await.expect("a new session")
}

/// Claims a slot, or finds it refused.
pub(crate) async fn claim<S: Tree>(
    store: &S,
    job: &Job,
    known: Known,
    session: &Session,
    slot: Slot,
) -> Option<Claimed> {
    claim_in(store, &Lane::from(&job.name), job, known, session, slot).await
}

/// Claims a slot of a lane, or finds it refused.
pub(crate) async fn claim_in<S: Tree>(
    store: &S,
    lane: &Lane,
    job: &Job,
    known: Known,
    session: &Session,
    slot: Slot,
) -> Option<Claimed> {
    let (run, _, txn) = protocol::claim(lane, job, known, session, "node-1", slot, Vec::new(), slot.0);
    let reply = commit(store, txn).await;
    if !reply.succeeded {
        return None;
    }
    let pair = store.get(Key::Run(lane.clone(), run.clone())).await.expect("the store works");
    let pair = pair.expect("a claim puts the run");
    assert_eq!(pair.modified, reply.revision, "the token is the claim's revision");
    Some(Claimed { run, token: reply.revision, active: protocol::read(&pair).expect("our own value") })
}

/// Claims a slot on the present state.
pub(crate) async fn claim_now<S: Tree>(store: &S, job: &Job, session: &Session, slot: Slot) -> Claimed {
    let known = look(store, &job.name).await;
    claim(store, job, known, session, slot).await.expect("nothing is in the way")
}

/// The job's status.
pub(crate) async fn status<S: Tree>(store: &S, job: &JobName) -> JobStatus {
    match store.get(Key::Status(job.clone().into())).await.expect("the store works") {
        Some(pair) => protocol::read(&pair).expect("our own value"),
        None => JobStatus::default(),
    }
}

/// The present status with one more ended run.
pub(crate) async fn counted<S: Tree>(
    store: &S,
    job: &JobName,
    claimed: &Claimed,
    outcome: Outcome,
) -> JobStatus {
    let mut status = status(store, job).await;
    let slot = claimed.active.slot;
    let unknown = model::Unknown::default();
    status.add_run(RecentRun { run: claimed.run.clone(), slot, outcome, ended: slot.0, unknown });
    status
}

/// Finishes a run on the present status; says whether that decided anything.
pub(crate) async fn finish<S: Tree>(store: &S, job: &JobName, claimed: &Claimed, outcome: Outcome) -> bool {
    let seen = look(store, job).await.status;
    let status = counted(store, job, claimed, outcome).await;
    commit(store, protocol::finish(&Lane::from(job), &claimed.run, claimed.token, seen, &status))
        .await
        .succeeded
}

/// Declares a run lost on the present status; says whether that decided anything.
pub(crate) async fn lose<S: Tree>(store: &S, job: &JobName, claimed: &Claimed, session: &Session) -> bool {
    let run = (&claimed.run, &claimed.active);
    let (active, txn) =
        protocol::lose(&Lane::from(job), run, claimed.token, session, "its worker died".to_owned());
    let reply = commit(store, txn).await;
    let declared = Claimed { run: claimed.run.clone(), token: reply.revision, active };
    reply.succeeded && finish(store, job, &declared, Outcome::Lost).await
}

/// A transaction that only asks.
pub(crate) async fn holds<S: Tree>(store: &S, compare: Compare) -> bool {
    commit(store, Txn { when: vec![compare], ..Txn::default() }).await.succeeded
}
