//! Where jobs, claims and records are kept.
//!
//! Two traits separate the system from its storage: [`Tree`] is the small, contended part (jobs, cursors, claimed runs,
//! workers), a key-value store with transactions that compare revisions; [`RunLog`] is the large, append-only part
//! (records of ended runs, their output, skipped slots). The rules by which workers exclude each other are written once,
//! in [`protocol`], as transactions on any tree.
//!
//! Backends: [`embedded`] keeps both in one SQLite file for one machine; [`etcd`] is the tree and [`mongo`] the log
//! for any number of them, and [`spool`] keeps on disk what such a log can't take now. [`memory`] has both for tests.
//!
//! Not here: what to do when (`model::decide`), and doing it (`worker`).

pub mod embedded;
pub mod etcd;
pub mod log;
pub mod memory;
pub mod mongo;
pub mod protocol;
pub mod spool;
pub mod tree;

pub use log::{LogEntry, LogError, RunLog, RunQuery};
pub use tree::{
    Change, Compare, Follow, KeyValue, LeaseId, Op, Range, Renewed, Session, Tree, TreeError, Txn, TxnReply,
};
