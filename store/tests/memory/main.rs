//! The backend in memory: the suite that all backends pass, and what its values and its faults promise beside.

#[path = "../conformance/mod.rs"]
mod conformance;

mod changes;
mod faults;
mod followers;
mod leases;
mod log;
mod space;
mod transactions;
mod world;

mod suite {
    use std::future::{Ready, ready};

    use store::memory::{MemoryLog, MemoryTree};

    use crate::conformance::{Fixture, log_cases, tree_cases};

    fn tree() -> Ready<Fixture<MemoryTree>> {
        ready(Fixture { store: MemoryTree::default(), _kept: Box::new(()) })
    }

    fn log() -> Ready<Fixture<MemoryLog>> {
        ready(Fixture { store: MemoryLog::new(), _kept: Box::new(()) })
    }

    tree_cases!(crate::suite::tree);
    log_cases!(crate::suite::log);
}
