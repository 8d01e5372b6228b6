//! A tree as a value, and what is done to it.

use std::time::Duration;

use model::UnixMillis;
use model::keys::{Key, KeyPrefix};
use model::run::{Revision, SessionId};
use model::values::WorkerInfo;
use store::memory::TreeState;
use store::{LeaseId, Op, Session, Txn};

use crate::conformance::world::name;

pub(crate) fn empty() -> TreeState {
    TreeState::new(KeyPrefix::default())
}

pub(crate) fn second(number: u64) -> Duration {
    Duration::from_secs(number)
}

pub(crate) fn job(text: &str) -> Key {
    Key::Job(name(text))
}

pub(crate) fn lock(text: &str) -> Key {
    Key::Lock(name(text))
}

/// The key as it is stored.
pub(crate) fn stored(key: &Key) -> String {
    KeyPrefix::default().encode(key)
}

pub(crate) fn then(then: Vec<Op>) -> Txn {
    Txn { then, ..Txn::default() }
}

pub(crate) fn put(key: Key, value: &str) -> Op {
    Op::Put(key, value.as_bytes().to_vec())
}

pub(crate) fn put_leased(key: Key, lease: LeaseId) -> Op {
    Op::PutLeased(key, b"leased".to_vec(), lease)
}

/// Commits what is not refused, at the beginning of time.
pub(crate) fn commit(tree: &mut TreeState, ops: Vec<Op>) -> Revision {
    commit_at(tree, Duration::ZERO, ops)
}

pub(crate) fn commit_at(tree: &mut TreeState, now: Duration, ops: Vec<Op>) -> Revision {
    tree.commit(now, &then(ops)).expect("nothing is in the way").revision
}

pub(crate) fn info() -> WorkerInfo {
    WorkerInfo::new("10.0.0.1", "node-1", "1", UnixMillis(0))
}

/// Opens a session of 10 s.
pub(crate) fn open(tree: &mut TreeState, now: Duration, id: &str) -> Session {
    tree.open_session(now, SessionId(id.to_owned()), &info(), second(10)).expect("a new session")
}
