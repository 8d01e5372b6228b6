//! Schedules against other programs: what those of Kubernetes and of the replaced system say, and the croner crate; and
//! the examples of `docs/schedules.md` against all of them.
//!
//! What the two Go libraries say is in `golden/oracle-*.txt`; `e2e/tests/oracle.rs` asks them again. Where an answer is
//! not ours, the difference must be one that is named here, and each that is named must occur.

mod answers;
mod crates;
mod docs;
mod libraries;
