//! Both traits in memory, with etcd's semantics: for unit tests and for simulators. Nothing survives the process.
//!
//! There are two layers. [`TreeState`] and [`LogState`] are plain values: no task, lock, clock or random number is in
//! them. The same calls always give the same revisions, replies and orders. [`TreeState`] is given the time by its
//! caller, as a duration since any instant; it must never go back. [`MemoryTree`] and [`MemoryLog`] share such a value
//! between tasks, implement the traits, take the time from tokio, and can be made to fail.
//!
//! What differs from etcd:
//!
//! - Lease ids count up from 1, and a lease lasts exactly as long as asked. etcd takes whole seconds, and at least 2.
//! - A lease ends when [`TreeState::expire`] is called. etcd's leader looks for them twice a second.
//! - A request may have any size. etcd takes 1.5 MiB unless told otherwise.
//!
//! Not here: durability, and more than one process.

mod follow;
mod history;
mod leases;
mod log;
mod served;
mod tree;
mod txn;

pub use history::Compacted;
pub use log::LogState;
pub use served::{Fate, MemoryLog, MemoryTree};
pub use tree::TreeState;
pub use txn::Refused;
