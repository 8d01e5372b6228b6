//! Revisions, and transactions that etcd would refuse.

use std::time::Duration;

use model::keys::Folder;
use model::run::Revision;
use store::memory::Refused;
use store::{Compare, LeaseId, Op, Range, Txn};

use crate::world::{commit, empty, job, lock, open, put, put_leased, second, stored, then};

#[test]
fn revisions_are_those_of_etcd() {
    let mut tree = empty();
    assert_eq!(tree.revision(), Revision(1), "of an empty tree");
    assert_eq!(commit(&mut tree, vec![put(job("a"), "1")]), Revision(2));
    assert_eq!(commit(&mut tree, vec![put(job("a"), "1"), put(job("b"), "1")]), Revision(3));
    assert_eq!(commit(&mut tree, vec![Op::Get(job("a")), Op::Delete(job("nowhere"))]), Revision(3));
    assert_eq!(commit(&mut tree, vec![Op::DeleteIf(job("a"), Revision(2))]), Revision(3));
    assert_eq!(commit(&mut tree, vec![Op::DeleteIf(job("a"), Revision(3))]), Revision(4));
    let refused = Txn {
        when: vec![Compare::Empty(Range::Folder(Folder::Jobs))],
        then: vec![put(job("c"), "1")],
        otherwise: vec![Op::Get(job("b"))],
    };
    let reply = tree.commit(Duration::ZERO, &refused).unwrap();
    assert_eq!((reply.succeeded, reply.revision, reply.found.len()), (false, Revision(4), 1));
    let pairs: Vec<_> = tree.pairs().map(|pair| (&pair.key, pair.created, pair.modified)).collect();
    assert_eq!(pairs, [(&stored(&job("b")), Revision(3), Revision(3))]);
}

#[test]
fn the_same_calls_make_the_same_tree() {
    let made = || {
        let mut tree = empty();
        let sessions = ["n/2", "n/1"].map(|id| open(&mut tree, second(1), id));
        for (i, session) in (0..).zip(sessions.iter().cycle().take(20)) {
            let key = format!("{}", i * 7 % 5);
            commit_later(&mut tree, vec![put_leased(lock(&key), session.lease), put(job(&key), &key)]);
        }
        tree.expire(second(60));
        tree
    };
    let (one, other) = (made(), made());
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
    assert_eq!(
        one.changes_since(Revision(1), &[Folder::Locks]),
        other.changes_since(Revision(1), &[Folder::Locks])
    );
}

fn commit_later(tree: &mut store::memory::TreeState, ops: Vec<Op>) {
    tree.commit(second(2), &then(ops)).expect("nothing is in the way");
}

#[test]
fn a_put_under_a_lease_that_is_not_there_is_refused_whole() {
    let mut tree = empty();
    let session = open(&mut tree, Duration::ZERO, "n/1");
    tree.close_session(Duration::ZERO, &session);
    let before = tree.revision();
    let both = then(vec![put(job("a"), "1"), put_leased(lock("a"), session.lease)]);
    assert_eq!(tree.commit(Duration::ZERO, &both), Err(Refused::NoLease(session.lease)));
    assert_eq!((tree.revision(), tree.pairs().count()), (before, 0));
    // What is not done needs no lease.
    let other = Txn { otherwise: both.then, ..Txn::default() };
    assert!(tree.commit(Duration::ZERO, &other).unwrap().succeeded);
    // Lease 0 is none.
    commit(&mut tree, vec![put_leased(lock("a"), LeaseId(0))]);
    assert_eq!(tree.pairs().count(), 1);
}

#[test]
fn a_key_is_not_put_and_written_again_in_one_branch() {
    let mut tree = empty();
    let a = || put(job("a"), "1");
    for again in
        [a(), Op::Delete(job("a")), Op::DeleteIf(job("a"), Revision(9)), put_leased(job("a"), LeaseId(0))]
    {
        let refused = Err(Refused::KeyTwice(stored(&job("a"))));
        assert_eq!(tree.commit(Duration::ZERO, &then(vec![a(), again.clone()])), refused);
        assert_eq!(tree.commit(Duration::ZERO, &then(vec![again.clone(), a()])), refused);
        let otherwise = vec![a(), again.clone()];
        assert_eq!(tree.commit(Duration::ZERO, &Txn { otherwise, ..Txn::default() }), refused);
        let each = Txn { then: vec![a()], otherwise: vec![again], ..Txn::default() };
        assert!(tree.commit(Duration::ZERO, &each).unwrap().succeeded, "in each branch once");
    }
    let deletions = vec![Op::Delete(job("a")), Op::Delete(job("a"))];
    let before = tree.revision();
    assert_eq!(commit(&mut tree, deletions), Revision(before.0 + 1), "it is deleted once");
}

#[test]
fn a_transaction_has_128_operations_at_most() {
    let mut tree = empty();
    let puts = |count: usize| (0..count).map(|i| put(job(&i.to_string()), "1")).collect::<Vec<_>>();
    assert!(tree.commit(Duration::ZERO, &then(puts(128))).is_ok());
    assert_eq!(tree.commit(Duration::ZERO, &then(puts(129))), Err(Refused::TooLong));
    let with_condition = |count| [puts(count), vec![Op::DeleteIf(lock("a"), Revision(9))]].concat();
    assert!(tree.commit(Duration::ZERO, &then(with_condition(126))).is_ok());
    assert_eq!(tree.commit(Duration::ZERO, &then(with_condition(127))), Err(Refused::TooLong));
    let when = vec![Compare::Modified(lock("a"), Revision::NONE); 129];
    assert_eq!(tree.commit(Duration::ZERO, &Txn { when, ..Txn::default() }), Err(Refused::TooLong));
}

#[test]
#[should_panic(expected = "the time went back")]
fn the_time_never_goes_back() {
    let mut tree = empty();
    tree.expire(second(2));
    tree.expire(second(1));
}
