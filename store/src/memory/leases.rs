//! Leases, and which keys end with them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::tree::LeaseId;

#[derive(Clone, Debug)]
struct Lease {
    lasts: Duration,
    expires: Duration,
    keys: BTreeSet<String>,
}

/// All leases that have not been ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases {
    /// By [`LeaseId`].
    leases: BTreeMap<i64, Lease>,
    /// The id that was given last.
    last: i64,
}

impl Leases {
    pub(super) fn grant(&mut self, now: Duration, lasts: Duration) -> LeaseId {
        self.last += 1;
        let lease = Lease { lasts, expires: now.saturating_add(lasts), keys: BTreeSet::new() };
        self.leases.insert(self.last, lease);
        LeaseId(self.last)
    }

    pub(super) fn exists(&self, id: LeaseId) -> bool {
        self.leases.contains_key(&id.0)
    }

    /// Whether its time has passed.
    pub(super) fn is_over(&self, id: LeaseId, now: Duration) -> bool {
        self.leases.get(&id.0).is_some_and(|lease| lease.expires <= now)
    }

    /// Gives a lease its whole time again.
    pub(super) fn renew(&mut self, id: LeaseId, now: Duration) {
        if let Some(lease) = self.leases.get_mut(&id.0) {
            lease.expires = now.saturating_add(lease.lasts);
        }
    }

    /// Gives all leases their whole time again.
    pub(super) fn renew_all(&mut self, now: Duration) {
        for lease in self.leases.values_mut() {
            lease.expires = now.saturating_add(lease.lasts);
        }
    }

    /// Removes a lease and returns its keys, sorted.
    pub(super) fn end(&mut self, id: LeaseId) -> BTreeSet<String> {
        self.leases.remove(&id.0).map(|lease| lease.keys).unwrap_or_default()
    }

    /// Those whose time has passed, the first to pass first.
    pub(super) fn over(&self, now: Duration) -> Vec<LeaseId> {
        let over = self.leases.iter().filter(|(_, lease)| lease.expires <= now);
        let mut over: Vec<_> = over.map(|(id, lease)| (lease.expires, *id)).collect();
        over.sort_unstable();
        over.into_iter().map(|(_, id)| LeaseId(id)).collect()
    }

    pub(super) fn next_expiry(&self) -> Option<Duration> {
        self.leases.values().map(|lease| lease.expires).min()
    }

    pub(super) fn attach(&mut self, key: &str, id: LeaseId) {
        if let Some(lease) = self.leases.get_mut(&id.0) {
            lease.keys.insert(key.to_owned());
        }
    }

    pub(super) fn detach(&mut self, key: &str, id: LeaseId) {
        if let Some(lease) = self.leases.get_mut(&id.0) {
            lease.keys.remove(key);
        }
    }
}
