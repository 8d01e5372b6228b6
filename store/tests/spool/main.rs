//! The spool in front of real logs: the suite that all logs pass, outages, kills, full disks.

#[path = "../conformance/mod.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "the cases of the tree are for other backends")]
mod conformance;

#[path = "../embedded/child.rs"]
#[allow(dead_code, reason = "what only the embedded store's tests use")]
mod child;

mod disk;
mod files;
mod full;
mod line;
mod outages;
mod world;

mod suite {
    use std::future::{Ready, ready};

    use crate::conformance::{Fixture, log_cases};
    use crate::world::{self, Shipped};

    fn open() -> Ready<Fixture<Shipped>> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let spool = world::before_embedded(folder.path());
        ready(Fixture { store: Shipped(spool), _kept: Box::new(folder) })
    }

    log_cases!(crate::suite::open);
}
