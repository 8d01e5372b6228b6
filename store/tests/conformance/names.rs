//! Names that are prefixes of others, or that mean something to a query language, a path or an encoding.

use model::UnixMillis;
use model::keys::{Folder, Key};
use model::run::{Outcome, Revision};
use store::protocol;
use store::{Range, Tree};

use super::world::{claim_now, collect, commit, delete, exists, finish, job, name, put_job, register, slot};

const ALIKE: [&str; 18] = [
    "ops",
    "ops/rotate",
    "ops0",
    "ops/",
    "op",
    "ops-",
    "ops%",
    "ops_",
    "opsx",
    "op_",
    "o%",
    "%",
    "_",
    "ops%2Frotate",
    "夜间备份",
    "夜间备份2",
    "夜间/备份",
    "\u{10ffff}",
];

/// The names among [`ALIKE`] that are allowed.
fn alike() -> impl Iterator<Item = &'static str> {
    ALIKE.into_iter().filter(|text| model::JobName::new(text).is_ok())
}

pub(crate) async fn jobs_whose_names_begin_alike_have_nothing_in_common<S: Tree>(store: &S) {
    let session = register(store, "n/1").await;
    for text in alike() {
        let job = job(text);
        put_job(store, &job).await;
        let ended = claim_now(store, &job, &session, slot(1)).await;
        assert!(finish(store, &job.name, &ended, Outcome::Succeeded).await, "{text}");
        claim_now(store, &job, &session, slot(2)).await;
        commit(store, protocol::kill(&job.name, UnixMillis(1))).await;
    }
    // One goes after the other; those that are left keep all they have.
    for (gone, text) in alike().enumerate() {
        let ours = name(text);
        for pair in store.list(Range::RunsOf(ours.clone())).await.unwrap() {
            delete(store, store.prefix().decode(&pair.key).unwrap()).await;
        }
        delete(store, Key::Job(ours.clone())).await;
        assert!(collect(store, &ours, Revision::NONE).await.succeeded, "{text}");
        for (other, text) in alike().enumerate() {
            let left = name(text);
            let run = store.list(Range::RunsOf(left.clone())).await.unwrap().len();
            assert_eq!(run, usize::from(other > gone), "runs of {text} after {gone}");
            for key in [
                Key::Job(left.clone()),
                Key::Cursor(left.clone().into()),
                Key::Status(left.clone().into()),
                Key::Kill(left),
            ] {
                assert_eq!(exists(store, key.clone()).await, other > gone, "{key:?} after {gone}");
            }
        }
    }
}

pub(crate) async fn a_range_holds_one_jobs_runs_alone<S: Tree>(store: &S) {
    let session = register(store, "n/1").await;
    for text in alike() {
        let job = job(text);
        put_job(store, &job).await;
        let claimed = claim_now(store, &job, &session, slot(1)).await;
        let runs = store.list(Range::RunsOf(job.name.clone())).await.unwrap();
        let keys: Vec<_> = runs.iter().map(|pair| pair.key.clone()).collect();
        assert_eq!(keys, [store.prefix().encode(&Key::Run(job.name.into(), claimed.run))], "{text}");
    }
    assert_eq!(store.list(Range::Folder(Folder::Runs)).await.unwrap().len(), alike().count());
}
