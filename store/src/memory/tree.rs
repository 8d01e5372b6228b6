//! The tree as a value.

use std::collections::BTreeMap;
use std::time::Duration;

use model::keys::{Folder, Key, KeyPrefix};
use model::run::{Revision, SessionId};
use model::values::WorkerInfo;

use super::history::{self, Compacted, History};
use super::leases::Leases;
use super::txn::{self, Refused};
use crate::tree::{Change, Compare, KeyValue, LeaseId, Op, Range, Renewed, Session, Txn, TxnReply};

/// The revision of an empty tree, as in etcd. The first transaction that writes gets the next one.
const EMPTY: Revision = Revision(1);

/// In etcd this lease stands for none.
const NO_LEASE: LeaseId = LeaseId(0);

/// A tree: its keys, its leases and the history of its changes.
///
/// `now` is always the time since some instant that the caller chooses.
///
/// # Panics
///
/// A call panics when its `now` is before that of an earlier call.
#[derive(Clone, Debug)]
pub struct TreeState {
    prefix: KeyPrefix,
    now: Duration,
    revision: Revision,
    keys: BTreeMap<String, Stored>,
    leases: Leases,
    history: History,
    no_space: bool,
}

#[derive(Clone, Debug)]
struct Stored {
    pair: KeyValue,
    lease: LeaseId,
}

impl TreeState {
    /// An empty tree at revision 1.
    pub fn new(prefix: KeyPrefix) -> Self {
        Self {
            prefix,
            now: Duration::ZERO,
            revision: EMPTY,
            keys: BTreeMap::new(),
            leases: Leases::default(),
            history: History::new(EMPTY),
            no_space: false,
        }
    }

    /// What all keys begin with.
    pub fn prefix(&self) -> &KeyPrefix {
        &self.prefix
    }

    /// The revision of the last transaction that wrote, or of the last lease that ended with keys.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Runs a transaction, or refuses it and does nothing.
    ///
    /// A transaction ends no lease: keys whose lease's time has passed are there until [`TreeState::expire`] is called,
    /// and until then keys can be put under that lease.
    pub fn commit(&mut self, now: Duration, txn: &Txn) -> Result<TxnReply, Refused> {
        self.set_now(now);
        txn::check(&self.prefix, txn)?;
        if self.no_space && txn::puts(txn) {
            return Err(Refused::NoSpace);
        }
        let succeeded = txn.when.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { &txn.then } else { &txn.otherwise };
        for op in ops {
            if let Op::PutLeased(_, _, lease) = op
                && *lease != NO_LEASE
                && !self.leases.exists(*lease)
            {
                return Err(Refused::NoLease(*lease));
            }
        }
        let mut found = Vec::new();
        let mut changes = Vec::new();
        for op in ops {
            match op {
                Op::Put(key, value) => changes.push(self.put(key, value, NO_LEASE)),
                Op::PutLeased(key, value, lease) => changes.push(self.put(key, value, *lease)),
                Op::Delete(key) => changes.extend(self.delete(self.prefix.encode(key))),
                Op::DeleteIf(key, revision) => {
                    let key = self.prefix.encode(key);
                    if self.keys.get(&key).is_some_and(|stored| stored.pair.modified == *revision) {
                        changes.extend(self.delete(key));
                    }
                }
                Op::Get(key) => found.extend(self.get(key).cloned()),
                Op::List(range) => found.extend(self.list(range).cloned()),
            }
        }
        self.record(changes);
        Ok(TxnReply { succeeded, revision: self.revision, found })
    }

    /// One key.
    pub fn get(&self, key: &Key) -> Option<&KeyValue> {
        self.keys.get(&self.prefix.encode(key)).map(|stored| &stored.pair)
    }

    /// Everything in a range, sorted by key.
    pub fn list(&self, range: &Range) -> impl Iterator<Item = &KeyValue> + use<'_> {
        self.beginning_with(range.prefix(&self.prefix))
    }

    /// Everything in some folders, one folder after the other, each sorted by key; and the tree's revision.
    pub fn list_folders(&self, folders: &[Folder]) -> (Revision, Vec<KeyValue>) {
        let folders = folders.iter().map(|folder| self.prefix.folder(*folder));
        (self.revision, folders.flat_map(|folder| self.beginning_with(folder)).cloned().collect())
    }

    /// All keys there are, sorted, for whoever checks the tree as a whole.
    pub fn pairs(&self) -> impl Iterator<Item = &KeyValue> {
        self.keys.values().map(|stored| &stored.pair)
    }

    /// The changes after a revision in some folders, and the tree's present revision. The changes of each revision come
    /// together, in the order of the transaction's operations; a revision without changes in the folders is left out.
    /// Costs as much as there are changes after the revision, in whatever folder.
    pub fn changes_since(
        &self,
        after: Revision,
        folders: &[Folder],
    ) -> Result<(Revision, Vec<Vec<Change>>), Compacted> {
        let folders: Vec<String> = if after < self.revision {
            folders.iter().map(|folder| self.prefix.folder(*folder)).collect()
        } else {
            Vec::new()
        };
        let followed =
            |change: &&Change| folders.iter().any(|folder| history::key(change).starts_with(folder));
        let groups = self.history.since(after)?;
        let groups = groups.map(|group| group.iter().filter(followed).cloned().collect::<Vec<_>>());
        Ok((self.revision, groups.filter(|group| !group.is_empty()).collect()))
    }

    /// Forgets the changes before a revision, or before the present one if that is smaller. The changes of the revision
    /// itself stay, and so does every key.
    pub fn compact(&mut self, revision: Revision) {
        self.history.compact(revision.min(self.revision));
    }

    /// While this is set, a transaction with a put in any of its branches is refused, and so is a new session.
    /// Deletions, renewals and the ends of sessions go on, as in etcd after its alarm.
    pub fn set_no_space(&mut self, no_space: bool) {
        self.no_space = no_space;
    }

    /// Registers a worker under a new lease, which lasts until `now + lasts` if it is not renewed.
    pub fn open_session(
        &mut self,
        now: Duration,
        id: SessionId,
        info: &WorkerInfo,
        lasts: Duration,
    ) -> Result<Session, Refused> {
        self.set_now(now);
        if self.no_space {
            return Err(Refused::NoSpace);
        }
        let key = Key::Worker(id.clone());
        if self.get(&key).is_some() {
            return Err(Refused::Registered(id));
        }
        let lease = self.leases.grant(now, lasts);
        let value = serde_json::to_vec(info).expect("our values always make JSON");
        let put = self.put(&key, &value, lease);
        self.record(vec![put]);
        Ok(Session { id, registered: self.revision, lease, lasts: Some(lasts) })
    }

    /// Makes a session last until its whole time after `now`. One whose time has passed is ended by this, with its keys,
    /// if [`TreeState::expire`] has not done so.
    ///
    /// A session whose registration somebody has deleted has ended, although its lease goes on.
    pub fn renew_session(&mut self, now: Duration, session: &Session) -> Renewed {
        self.set_now(now);
        if self.leases.is_over(session.lease, now) {
            self.end(session.lease);
        }
        if !self.leases.exists(session.lease) {
            return Renewed::Ended;
        }
        self.leases.renew(session.lease, now);
        let registered = self.get(&Key::Worker(session.id.clone()));
        let registered = registered.is_some_and(|pair| pair.created == session.registered);
        if registered { Renewed::Lives } else { Renewed::Ended }
    }

    /// Ends a session and all keys under its lease, in one revision. One that has ended is left alone.
    pub fn close_session(&mut self, now: Duration, session: &Session) {
        self.set_now(now);
        self.end(session.lease);
    }

    /// Ends the leases whose time has passed, and returns them in the order in which it did. All keys of a lease are
    /// deleted in one revision; a lease without keys takes none.
    pub fn expire(&mut self, now: Duration) -> Vec<LeaseId> {
        self.set_now(now);
        let over = self.leases.over(now);
        for lease in &over {
            self.end(*lease);
        }
        over
    }

    /// When the next lease's time passes, if there is a lease. It may have passed already.
    pub fn next_expiry(&self) -> Option<Duration> {
        self.leases.next_expiry()
    }

    /// Does what a new leader of etcd's does: every lease that has not been ended gets its whole time again, also one
    /// whose time has passed.
    pub fn leader_change(&mut self, now: Duration) {
        self.set_now(now);
        self.leases.renew_all(now);
    }

    fn set_now(&mut self, now: Duration) {
        assert!(now >= self.now, "the time went back from {:?} to {now:?}", self.now);
        self.now = now;
    }

    fn beginning_with(&self, prefix: String) -> impl Iterator<Item = &KeyValue> + use<'_> {
        let from = self.keys.range(prefix.clone()..);
        from.map(|(_, stored)| &stored.pair).take_while(move |pair| pair.key.starts_with(&prefix))
    }

    fn holds(&self, compare: &Compare) -> bool {
        match compare {
            Compare::Modified(key, revision) => {
                self.get(key).map_or(Revision::NONE, |pair| pair.modified) == *revision
            }
            Compare::Created(key, revision) => {
                self.get(key).map_or(Revision::NONE, |pair| pair.created) == *revision
            }
            Compare::Empty(range) => self.list(range).next().is_none(),
        }
    }

    /// The revision of whatever is written next.
    fn next(&self) -> Revision {
        Revision(self.revision.0 + 1)
    }

    fn put(&mut self, key: &Key, value: &[u8], lease: LeaseId) -> Change {
        let (key, modified) = (self.prefix.encode(key), self.next());
        let former = self.keys.get(&key);
        let created = former.map_or(modified, |stored| stored.pair.created);
        if let Some(former) = former {
            self.leases.detach(&key, former.lease);
        }
        self.leases.attach(&key, lease);
        let pair = KeyValue { key: key.clone(), value: value.to_vec(), created, modified };
        self.keys.insert(key, Stored { pair: pair.clone(), lease });
        Change::Put(pair)
    }

    fn delete(&mut self, key: String) -> Option<Change> {
        let stored = self.keys.remove(&key)?;
        self.leases.detach(&key, stored.lease);
        Some(Change::Deleted { key, revision: self.next() })
    }

    fn end(&mut self, lease: LeaseId) {
        let keys = self.leases.end(lease);
        let changes = keys.into_iter().filter_map(|key| self.delete(key)).collect();
        self.record(changes);
    }

    /// Makes the changes, if there are any, those of the next revision.
    fn record(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.revision = self.next();
            self.history.push(changes);
        }
    }
}
