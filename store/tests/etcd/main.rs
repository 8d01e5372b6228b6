//! The tree on a real etcd: the suite that all backends pass, and what only a network can do to one.

#[path = "../conformance/mod.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "the cases of the log are for other backends")]
mod conformance;

mod breaks;
mod doors;
mod mirror;
mod open;
mod proxy;
mod quota;
mod secrets;
mod sessions;

mod suite {
    crate::conformance::tree_cases!(crate::open::fixture);
}
