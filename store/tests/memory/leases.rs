//! Leases on the caller's clock.

use std::time::Duration;

use model::keys::{Folder, Key};
use model::run::{Revision, SessionId};
use store::memory::Refused;
use store::{Change, Op, Renewed};

use crate::world::{commit_at, empty, info, job, lock, open, put, put_leased, second, stored};

const NEARLY_10_S: Duration = Duration::from_millis(9_999);

#[test]
fn a_lease_lasts_its_time_and_ends_with_its_keys_in_one_revision() {
    let mut tree = empty();
    assert_eq!(tree.next_expiry(), None);
    let session = open(&mut tree, second(0), "n/1");
    assert_eq!((session.registered, session.lasts), (Revision(2), Some(second(10))));
    commit_at(&mut tree, second(1), vec![put_leased(lock("b"), session.lease), put(job("a"), "1")]);
    commit_at(&mut tree, second(1), vec![put_leased(lock("a"), session.lease)]);
    assert_eq!(tree.next_expiry(), Some(second(10)));
    assert_eq!(tree.expire(NEARLY_10_S), []);
    assert_eq!(tree.revision(), Revision(4));
    assert_eq!(tree.expire(second(10)), [session.lease]);
    assert_eq!((tree.revision(), tree.next_expiry()), (Revision(5), None));
    let deleted = [lock("a"), lock("b"), Key::Worker(session.id.clone())]
        .map(|key| Change::Deleted { key: stored(&key), revision: Revision(5) });
    let (_, changes) = tree.changes_since(Revision(4), &store::protocol::FOLLOWED).unwrap();
    assert_eq!(changes, [deleted.to_vec()], "sorted by key");
    assert_eq!(tree.pairs().count(), 1, "the job stays");
}

#[test]
fn several_leases_end_one_after_the_other() {
    let mut tree = empty();
    let late = tree.open_session(second(0), SessionId("a".to_owned()), &info(), second(9)).unwrap();
    let [first, second_] = ["b", "c"].map(|id| open(&mut tree, second(0), id));
    tree.renew_session(second(1), &first);
    tree.renew_session(second(5), &late);
    let before = tree.revision();
    assert_eq!(tree.expire(second(30)), [second_.lease, first.lease, late.lease]);
    assert_eq!(tree.revision(), Revision(before.0 + 3));
}

#[test]
fn a_renewal_gives_the_whole_time_from_then_on() {
    let mut tree = empty();
    let session = open(&mut tree, second(0), "n/1");
    assert_eq!(tree.renew_session(second(7), &session), Renewed::Lives);
    assert_eq!(tree.revision(), Revision(2), "that is no change");
    assert_eq!(tree.expire(second(16)), []);
    assert_eq!(tree.expire(second(17)), [session.lease]);
    assert_eq!(tree.renew_session(second(17), &session), Renewed::Ended);
}

#[test]
fn a_renewal_that_comes_too_late_finds_the_session_ended_and_its_keys_gone() {
    let mut tree = empty();
    let session = open(&mut tree, second(0), "n/1");
    assert_eq!(tree.renew_session(second(10), &session), Renewed::Ended);
    assert_eq!((tree.pairs().count(), tree.next_expiry()), (0, None));
    assert_eq!(tree.revision(), Revision(3));
}

#[test]
fn keys_are_there_until_their_lease_is_ended_even_past_its_time() {
    let mut tree = empty();
    let session = open(&mut tree, second(0), "n/1");
    commit_at(&mut tree, second(20), vec![put_leased(lock("a"), session.lease)]);
    assert_eq!(tree.pairs().count(), 2);
    assert_eq!(tree.next_expiry(), Some(second(10)), "it has passed");
    tree.expire(second(20));
    assert_eq!(tree.pairs().count(), 0);
}

#[test]
fn a_new_leader_gives_all_leases_their_time_again_also_those_past_it() {
    let mut tree = empty();
    let session = open(&mut tree, second(0), "n/1");
    tree.leader_change(second(12));
    assert_eq!(tree.next_expiry(), Some(second(22)));
    assert_eq!(tree.renew_session(second(21), &session), Renewed::Lives);
    assert_eq!(tree.expire(second(30)), []);
    tree.expire(second(31));
    tree.leader_change(second(32));
    assert_eq!(tree.renew_session(second(32), &session), Renewed::Ended, "what was ended does not come back");
}

#[test]
fn a_key_belongs_to_the_lease_of_its_last_put() {
    let mut tree = empty();
    let [one, other] = ["n/1", "n/2"].map(|id| open(&mut tree, second(0), id));
    let ops = ["kept", "moved", "again"].map(|text| put_leased(lock(text), one.lease));
    commit_at(&mut tree, second(0), ops.to_vec());
    commit_at(&mut tree, second(0), vec![put(lock("kept"), "1"), put_leased(lock("moved"), other.lease)]);
    commit_at(&mut tree, second(0), vec![Op::Delete(lock("again"))]);
    commit_at(&mut tree, second(0), vec![put(lock("again"), "1")]);
    tree.close_session(second(0), &one);
    assert_eq!(tree.list_folders(&[Folder::Locks]).1.len(), 3);
    tree.close_session(second(0), &other);
    let left: Vec<_> = tree.list_folders(&[Folder::Locks]).1.into_iter().map(|pair| pair.key).collect();
    assert_eq!(left, [stored(&lock("again")), stored(&lock("kept"))]);
}

#[test]
fn a_session_without_keys_ends_without_a_revision() {
    let mut tree = empty();
    let session = open(&mut tree, second(0), "n/1");
    commit_at(&mut tree, second(0), vec![Op::Delete(Key::Worker(session.id.clone()))]);
    let before = tree.revision();
    assert_eq!(tree.renew_session(second(1), &session), Renewed::Ended, "although its lease goes on");
    tree.close_session(second(1), &session);
    assert_eq!(tree.revision(), before);
    assert_eq!(tree.renew_session(second(1), &session), Renewed::Ended);
}

#[test]
fn a_session_id_is_taken_once() {
    let mut tree = empty();
    let session = open(&mut tree, second(0), "n/1");
    let again = tree.open_session(second(1), session.id.clone(), &info(), second(10));
    assert_eq!(again, Err(Refused::Registered(session.id.clone())));
    assert_eq!(tree.next_expiry(), Some(second(10)), "no lease is left of it");
    tree.close_session(second(1), &session);
    let next = open(&mut tree, second(1), "n/1");
    tree.close_session(second(1), &session);
    assert_eq!(tree.renew_session(second(1), &next), Renewed::Lives, "the former life is over");
}
