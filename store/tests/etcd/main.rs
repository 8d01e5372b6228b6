//! The tree on a real etcd.

#[path = "../conformance/mod.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "the cases of the log are for other backends")]
mod conformance;

mod open;

mod suite {
    crate::conformance::tree_cases!(crate::open::fixture);
}
