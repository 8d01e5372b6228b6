//! Which transactions are refused before anything is looked at, and why.

use model::keys::{Key, KeyPrefix};
use model::run::SessionId;
use thiserror::Error;

use crate::tree::{LeaseId, Op, TreeError, Txn};

/// How many comparisons a transaction may have, and how many operations each of its branches.
const MOST: usize = 128;

/// Why nothing of a request was done.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// It might put something while there is no space ([`super::TreeState::set_no_space`]).
    #[error("the tree in memory was told to have no space")]
    NoSpace,
    /// It puts a key under a lease that has ended or was never there.
    #[error("there is no lease {}", .0.0)]
    NoLease(LeaseId),
    /// One of its branches puts a key and writes it once more.
    #[error("the transaction writes the key {0} twice")]
    KeyTwice(String),
    /// It is longer than etcd takes.
    #[error("a transaction has at most {MOST} comparisons and as many operations in a branch")]
    TooLong,
    /// The session's id is in use.
    #[error("the session id {0} is already registered")]
    Registered(SessionId),
}

impl From<Refused> for TreeError {
    fn from(why: Refused) -> Self {
        match why {
            Refused::NoSpace => Self::NoSpace(why.into()),
            _ => Self::Unavailable(why.into()),
        }
    }
}

/// Checks what does not depend on the tree's keys. Both branches count, whichever would be taken.
pub(super) fn check(prefix: &KeyPrefix, txn: &Txn) -> Result<(), Refused> {
    let longest = txn.when.len().max(txn.then.len()).max(txn.otherwise.len());
    // A conditional deletion is a transaction within this one, and the limit is for both together.
    let nested = txn.then.iter().chain(&txn.otherwise).any(|op| matches!(op, Op::DeleteIf(..)));
    if longest + usize::from(nested) > MOST {
        return Err(Refused::TooLong);
    }
    for branch in [&txn.then, &txn.otherwise] {
        for (at, op) in branch.iter().enumerate() {
            let Some(key) = put(op) else { continue };
            let others = branch.iter().enumerate().filter(|(other, _)| *other != at);
            if others.filter_map(|(_, op)| written(op)).any(|other| other == key) {
                return Err(Refused::KeyTwice(prefix.encode(key)));
            }
        }
    }
    Ok(())
}

/// Whether one of the branches puts something.
pub(super) fn puts(txn: &Txn) -> bool {
    txn.then.iter().chain(&txn.otherwise).any(|op| put(op).is_some())
}

fn put(op: &Op) -> Option<&Key> {
    match op {
        Op::Put(key, _) | Op::PutLeased(key, _, _) => Some(key),
        _ => None,
    }
}

fn written(op: &Op) -> Option<&Key> {
    match op {
        Op::Put(key, _) | Op::PutLeased(key, _, _) | Op::Delete(key) | Op::DeleteIf(key, _) => Some(key),
        Op::Get(_) | Op::List(_) => None,
    }
}
