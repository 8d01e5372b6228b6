//! The job tree: a key-value store whose transactions compare revisions.
//!
//! The model is etcd's. Every committed transaction that writes gets the next **revision** of the whole tree. A key has
//! a **create revision** (when it came to be, 0 while it does not exist) and a **mod revision** (its last put). A
//! transaction compares some of these and then does one of two lists of operations, all of it or nothing.
//!
//! Keys are typed on the way in ([`Key`]) and text on the way out, because anybody may put anything into a tree.

use std::future::Future;
use std::time::Duration;

use model::keys::{Folder, Key, KeyPrefix};
use model::run::{Revision, SessionId};
use model::values::WorkerInfo;
use model::{JobName, Lane};
use thiserror::Error;
use tokio::sync::mpsc;

/// A key with its value and revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The whole key, prefix included; [`KeyPrefix::decode`] reads it.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
    /// When it came to be.
    pub created: Revision,
    /// When it was last put.
    pub modified: Revision,
}

/// A set of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Range {
    /// A whole folder.
    Folder(Folder),
    /// The runs of one job, in all its lanes.
    RunsOf(JobName),
    /// The runs in one lane.
    RunsIn(Lane),
}

impl Range {
    /// What all keys of the range begin with, and no other key does.
    pub fn prefix(&self, prefix: &KeyPrefix) -> String {
        match self {
            Self::Folder(folder) => prefix.folder(*folder),
            Self::RunsOf(job) => prefix.runs_of(job),
            Self::RunsIn(lane) => prefix.runs_in(lane),
        }
    }
}

/// One condition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The key's mod revision is this; [`Revision::NONE`]: it does not exist.
    Modified(Key, Revision),
    /// The key's create revision is this; [`Revision::NONE`]: it does not exist.
    Created(Key, Revision),
    /// No key of the range exists.
    Empty(Range),
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Puts a key that outlives its writer.
    Put(Key, Vec<u8>),
    /// Puts a key that ends with the session that has this lease.
    PutLeased(Key, Vec<u8>, LeaseId),
    /// Deletes a key, if it is there.
    Delete(Key),
    /// Deletes a key if its mod revision is this, and otherwise leaves it as it is.
    DeleteIf(Key, Revision),
    /// Reads a key into [`TxnReply::found`].
    Get(Key),
    /// Reads a range into [`TxnReply::found`].
    List(Range),
}

/// A transaction: when all comparisons hold, `then` is done, else `otherwise`. A key is written at most once in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// The conditions.
    pub when: Vec<Compare>,
    /// What is done if all of them hold.
    pub then: Vec<Op>,
    /// What is done if one does not.
    pub otherwise: Vec<Op>,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnReply {
    /// Whether all comparisons held.
    pub succeeded: bool,
    /// The tree's revision after it: for one that wrote, the mod revision of everything it put.
    pub revision: Revision,
    /// What `Get` and `List` of the branch taken found, in their order; missing keys are left out.
    pub found: Vec<KeyValue>,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was put.
    Put(KeyValue),
    /// It was deleted, or its lease ended.
    Deleted {
        /// The whole key.
        key: String,
        /// The revision of the deletion.
        revision: Revision,
    },
}

/// What a follower of the tree sees, in this order: pages of a listing, its end, then changes for ever, or until the
/// backend has to list again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Some of the keys that exist.
    Page(Vec<KeyValue>),
    /// The listing is complete: a followed key that was in no page does not exist at this revision.
    Listed(Revision),
    /// Changes after the listing, in the order of their revisions. Changes of one transaction come together.
    Changed(Vec<Change>),
    /// Everything up to this revision was sent: a backend on a network says so from time to time while nothing changes,
    /// so that silence can be told from a broken connection.
    Current(Revision),
    /// Changes may have been missed; pages of a new listing follow. The text says why.
    Again(String),
}

/// What a session's keys are tied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseId(pub i64);

/// A worker's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The create revision of its key. A transaction that compares it fails once the session has ended.
    pub registered: Revision,
    /// What its keys are tied to.
    pub lease: LeaseId,
    /// How long it lasts without [`Tree::renew_session`]; without a time, as long as the process does.
    pub lasts: Option<Duration>,
}

/// What a renewal found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// The session lives, for at least as long again from the moment the renewal was asked for.
    Lives,
    /// It has ended, and its keys are gone. It does not come back: a new one is needed.
    Ended,
}

/// Why the tree did not do what was asked.
#[derive(Debug, Error)]
pub enum TreeError {
    /// Nothing can be written until space is made. Nothing of the transaction was.
    #[error("no space is left for the job tree; make room and it goes on by itself")]
    NoSpace(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store could not be reached or did not answer; whether a transaction was committed is not known.
    #[error("the job tree is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store was closed by this process.
    #[error("the job tree is closed")]
    Closed,
}

impl TreeError {
    /// The stable name of its kind, for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoSpace(_) => "no_space",
            Self::Unavailable(_) => "unavailable",
            Self::Closed => "closed",
        }
    }
}

/// Storage of the tree. Cheap to clone; clones share one store.
pub trait Tree: Clone + Send + Sync + 'static {
    /// What all keys begin with.
    fn prefix(&self) -> &KeyPrefix;

    /// Runs a transaction. When this returns a reply, the writes are durable: they survive a crash of the process and
    /// of the machine. A dropped future does not take the transaction back.
    fn commit(&self, txn: Txn) -> impl Future<Output = Result<TxnReply, TreeError>> + Send;

    /// Everything in a range, sorted by key, as of one revision.
    fn list(&self, range: Range) -> impl Future<Output = Result<Vec<KeyValue>, TreeError>> + Send;

    /// One key.
    fn get(&self, key: Key) -> impl Future<Output = Result<Option<KeyValue>, TreeError>> + Send;

    /// Follows some folders for as long as the receiver lives. The channel is bounded; a slow follower is told
    /// [`Follow::Again`] instead of being waited for. It ends when the store is closed.
    ///
    /// To be called within a tokio runtime, on which the follower then runs.
    fn follow(&self, folders: &[Folder]) -> mpsc::Receiver<Follow>;

    /// Registers a worker under its session id, which must be new. The registration ends with the process, however
    /// that ends: on a networked tree when its lease does, on an embedded one when the file is next opened.
    fn open_session(
        &self,
        id: SessionId,
        info: &WorkerInfo,
    ) -> impl Future<Output = Result<Session, TreeError>> + Send;

    /// Makes a session last for its whole time again. One whose registration somebody has deleted has ended.
    fn renew_session(&self, session: &Session) -> impl Future<Output = Result<Renewed, TreeError>> + Send;

    /// Ends a registration at once, and all keys under its lease.
    fn close_session(&self, session: &Session) -> impl Future<Output = Result<(), TreeError>> + Send;
}
