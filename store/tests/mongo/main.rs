//! The log in MongoDB: the suite that all backends pass, and what only this one has.
//!
//! With `MONGODB_URI` the suite runs on that server, in databases of its own that it drops.

#[path = "../conformance/mod.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "the cases of the tree are for other backends")]
mod conformance;

mod documents;
mod keeper;
mod server;
mod servers;

mod suite {
    use crate::conformance::{Fixture, log_cases};
    use crate::server;
    use store::mongo::MongoLog;

    async fn open() -> Fixture<MongoLog> {
        server::any().await.fixture()
    }

    log_cases!(crate::suite::open);
}

mod standalone {
    use crate::conformance::{Fixture, log_cases};
    use crate::server;
    use store::mongo::MongoLog;

    async fn open() -> Fixture<MongoLog> {
        server::standalone().await.fixture()
    }

    log_cases!(crate::standalone::open);
}
