//! A tree without space.

use std::time::Duration;

use model::keys::Key;
use model::run::SessionId;
use model::{Lane, UnixMillis};
use store::memory::{MemoryTree, Refused};
use store::{Op, Renewed, Tree, TreeError, Txn, protocol};

use crate::conformance::world::{self, name};
use crate::world::{commit, empty, info, job, lock, open, put, put_leased, second, then};

#[test]
fn without_space_puts_are_refused_and_deletions_pass() {
    let mut tree = empty();
    let session = open(&mut tree, second(0), "n/1");
    let before = commit(&mut tree, vec![put(job("a"), "1"), put(job("b"), "1")]);
    tree.set_no_space(true);
    let now = Duration::ZERO;
    assert_eq!(tree.commit(now, &then(vec![put(job("a"), "2")])), Err(Refused::NoSpace));
    assert_eq!(tree.commit(now, &then(vec![put_leased(lock("a"), session.lease)])), Err(Refused::NoSpace));
    let mixed = then(vec![Op::Delete(job("a")), put(job("b"), "2")]);
    assert_eq!(tree.commit(now, &mixed), Err(Refused::NoSpace));
    // A put that would not be done counts as well.
    assert_eq!(tree.commit(now, &protocol::kill(&name("a"), UnixMillis(1))), Err(Refused::NoSpace));
    let other = tree.open_session(now, SessionId("n/2".to_owned()), &info(), second(10));
    assert_eq!(other, Err(Refused::NoSpace));
    assert_eq!(tree.revision(), before, "nothing was done");

    assert!(commit(&mut tree, vec![Op::Delete(job("a")), Op::Get(job("b"))]) > before);
    assert_eq!(tree.renew_session(second(1), &session), Renewed::Lives);
    tree.close_session(second(1), &session);
    assert_eq!(tree.pairs().count(), 1);
    tree.set_no_space(false);
    assert!(tree.commit(second(1), &mixed).is_ok());
}

#[tokio::test]
async fn a_caller_is_told_that_there_is_no_space() {
    let tree = MemoryTree::default();
    let (job, session) = (world::job("a"), world::register(&tree, "n/1").await);
    world::put_job(&tree, &job).await;
    let claimed = world::claim_now(&tree, &job, &session, world::slot(1)).await;
    tree.with_state(|tree, _| tree.set_no_space(true));
    let put = Txn { then: vec![put(Key::Job(job.name.clone()), "2")], ..Txn::default() };
    assert!(matches!(tree.commit(put.clone()).await, Err(TreeError::NoSpace(_))));
    let release = protocol::release(&Lane::from(&job.name), &claimed.run, claimed.token);
    assert!(world::commit(&tree, release).await.succeeded, "a run can be given back");
    tree.with_state(|tree, _| tree.set_no_space(false));
    assert!(world::commit(&tree, put).await.succeeded);
}
