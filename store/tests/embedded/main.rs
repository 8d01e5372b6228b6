//! The embedded backend: the suite that all backends pass, and what only a file on this machine can show.

#[path = "../conformance/mod.rs"]
mod conformance;

mod child;
mod disk;
mod files;
mod followers;
mod processes;

mod suite {
    use std::future::{Ready, ready};
    use std::time::Duration;

    use store::embedded::Embedded;

    use crate::child;
    use crate::conformance::{Fixture, log_cases, tree_cases};

    fn open() -> Ready<Fixture<Embedded>> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = child::open(folder.path(), Duration::ZERO).expect("an empty folder");
        ready(Fixture { store, _kept: Box::new(folder) })
    }

    tree_cases!(crate::suite::open);
    log_cases!(crate::suite::open);
}
