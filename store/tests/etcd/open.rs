//! Servers and trees on them.

use std::future::{Ready, ready};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use e2e::Etcd as Server;
use model::keys::KeyPrefix;
use store::etcd::{Etcd, EtcdConfig};

use crate::conformance::Fixture;

/// A tree on an endpoint, without users and certificates.
pub(crate) fn config(endpoint: &str) -> EtcdConfig {
    EtcdConfig {
        endpoints: vec![endpoint.to_owned()],
        prefix: KeyPrefix::default(),
        tls: None,
        user: None,
        lease: Duration::from_secs(10),
    }
}

pub(crate) fn tree(endpoint: &str) -> Etcd {
    Etcd::new(config(endpoint)).expect("a configuration that works")
}

/// An empty tree: on the servers that `ETCD_ENDPOINTS` names, under a prefix of its own, or else on a new one.
pub(crate) fn fixture() -> Ready<Fixture<Etcd>> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    if let Ok(endpoints) = std::env::var("ETCD_ENDPOINTS") {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("/crontab-test-{}-{count}", std::process::id());
        let endpoints = endpoints.split(',').map(str::to_owned).collect();
        let prefix = KeyPrefix::new(&prefix).expect("a prefix");
        let config = EtcdConfig { endpoints, prefix, ..config("") };
        return ready(Fixture { store: Etcd::new(config).expect("usable endpoints"), _kept: Box::new(()) });
    }
    let server = Server::start();
    ready(Fixture { store: tree(&server.endpoint()), _kept: Box::new(server) })
}

/// An error and what caused it.
pub(crate) fn in_words(why: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(why.source(), |why| why.source());
    causes.fold(why.to_string(), |text, why| format!("{text}: {why}"))
}
