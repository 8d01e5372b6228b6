//! The tree's transactions and reads, as SQL.

use model::keys::{Key, KeyPrefix};
use rusqlite::{Connection, OptionalExtension, Row};

use model::run::Revision;

use crate::tree::{Change, Compare, KeyValue, LeaseId, Op, Range, Session, Txn, TxnReply};

/// The keys from `from` up to, but without, `to`, in the order of their bytes: those with one prefix.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) from: String,
    pub(super) to: String,
}

impl Span {
    /// All keys that begin with `prefix`. (A `LIKE` would read `_` and `%` in it, and use no index.)
    pub(super) fn of(prefix: String) -> Self {
        let inner = prefix.strip_suffix('/').expect("every range of the tree ends with a slash");
        Self { to: format!("{inner}0"), from: prefix }
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        key.starts_with(&self.from)
    }
}

/// What one committed transaction did, for followers.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) revision: Revision,
    pub(super) changes: Vec<Change>,
}

/// A writing SQLite transaction that does any number of the tree's transactions, one after the other.
pub(super) struct Batch<'c> {
    pub(super) connection: &'c Connection,
    /// The tree's revision so far.
    pub(super) revision: Revision,
    /// What was done so far.
    pub(super) events: Vec<Event>,
}

impl Batch<'_> {
    /// Runs a transaction.
    pub(super) fn run(&mut self, prefix: &KeyPrefix, txn: &Txn) -> rusqlite::Result<TxnReply> {
        let mut succeeded = true;
        for compare in &txn.when {
            succeeded = succeeded && self.holds(prefix, compare)?;
        }
        let next = Revision(self.revision.0 + 1);
        let mut found = Vec::new();
        let mut changes = Vec::new();
        for op in if succeeded { &txn.then } else { &txn.otherwise } {
            match op {
                Op::Put(key, value) => {
                    let put = put(self.connection, prefix.encode(key), value, next, NO_LEASE)?;
                    changes.push(Change::Put(put));
                }
                Op::PutLeased(key, value, lease) => {
                    let put = put(self.connection, prefix.encode(key), value, next, *lease)?;
                    changes.push(Change::Put(put));
                }
                Op::Delete(key) => {
                    let key = prefix.encode(key);
                    let mut delete = self.connection.prepare_cached("DELETE FROM kv WHERE key = ?1")?;
                    if delete.execute([&key])? > 0 {
                        changes.push(Change::Deleted { key, revision: next });
                    }
                }
                Op::DeleteIf(key, revision) => {
                    let key = prefix.encode(key);
                    let mut delete =
                        self.connection.prepare_cached("DELETE FROM kv WHERE key = ?1 AND modified = ?2")?;
                    if delete.execute((&key, revision.0))? > 0 {
                        changes.push(Change::Deleted { key, revision: next });
                    }
                }
                Op::Get(key) => found.extend(get(self.connection, &prefix.encode(key))?),
                Op::List(range) => found.extend(list(self.connection, &Span::of(range.prefix(prefix)))?),
            }
        }
        if !changes.is_empty() {
            self.revision = next;
            self.events.push(Event { revision: next, changes });
        }
        Ok(TxnReply { succeeded, revision: self.revision, found })
    }

    /// Ends a session: its registration, if that is still the one of this revision, and all else under its lease.
    pub(super) fn end_session(&mut self, prefix: &KeyPrefix, session: &Session) -> rusqlite::Result<()> {
        let registered = Compare::Created(Key::Worker(session.id.clone()), session.registered);
        if !self.holds(prefix, &registered)? {
            return Ok(());
        }
        let revision = Revision(self.revision.0 + 1);
        let mut delete = self.connection.prepare_cached("DELETE FROM kv WHERE leased = ?1 RETURNING key")?;
        let keys = delete.query_map([session.lease.0], |row| row.get(0))?;
        let deleted = keys.map(|key| Ok(Change::Deleted { key: key?, revision }));
        let changes: Vec<Change> = deleted.collect::<rusqlite::Result<_>>()?;
        self.revision = revision;
        self.events.push(Event { revision, changes });
        Ok(())
    }

    fn holds(&self, prefix: &KeyPrefix, compare: &Compare) -> rusqlite::Result<bool> {
        match compare {
            Compare::Created(key, revision) => Ok(self.revisions(&prefix.encode(key))?.0 == revision.0),
            Compare::Modified(key, revision) => Ok(self.revisions(&prefix.encode(key))?.1 == revision.0),
            Compare::Empty(range) => self.is_empty(range, prefix),
        }
    }

    /// The create and mod revision of a key, zeros if it does not exist.
    fn revisions(&self, key: &str) -> rusqlite::Result<(i64, i64)> {
        let mut query = self.connection.prepare_cached("SELECT created, modified FROM kv WHERE key = ?1")?;
        let found = query.query_row([key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(found.unwrap_or_default())
    }

    fn is_empty(&self, range: &Range, prefix: &KeyPrefix) -> rusqlite::Result<bool> {
        let span = Span::of(range.prefix(prefix));
        let mut query =
            self.connection.prepare_cached("SELECT 1 FROM kv WHERE key >= ?1 AND key < ?2 LIMIT 1")?;
        Ok(!query.exists([&span.from, &span.to])?)
    }
}

fn put(
    connection: &Connection,
    key: String,
    value: &[u8],
    revision: Revision,
    lease: LeaseId,
) -> rusqlite::Result<KeyValue> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO kv (key, created, modified, leased, value) VALUES (?1, ?2, ?2, ?3, ?4)
         ON CONFLICT (key) DO UPDATE SET modified = excluded.modified, leased = excluded.leased, value = excluded.value
         RETURNING created",
    )?;
    let created = upsert.query_row((&key, revision.0, lease.0, value), |row| row.get(0))?;
    Ok(KeyValue { key, value: value.to_vec(), created: Revision(created), modified: revision })
}

/// The tree's revision.
pub(super) fn revision(connection: &Connection) -> rusqlite::Result<Revision> {
    let mut query = connection.prepare_cached("SELECT revision FROM tree")?;
    query.query_row((), |row| row.get(0)).map(Revision)
}

pub(super) fn set_revision(connection: &Connection, revision: Revision) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached("UPDATE tree SET revision = ?1")?;
    update.execute([revision.0]).map(drop)
}

/// What the column `leased` says of keys that outlive their writer.
const NO_LEASE: LeaseId = LeaseId(0);

/// Deletes what former processes had leased.
pub(super) fn end_leases(batch: &mut Batch<'_>) -> rusqlite::Result<()> {
    let deleted = batch.connection.execute("DELETE FROM kv WHERE leased > 0", ())?;
    if deleted > 0 {
        batch.revision.0 += 1;
    }
    Ok(())
}

pub(super) fn get(connection: &Connection, key: &str) -> rusqlite::Result<Option<KeyValue>> {
    let mut query =
        connection.prepare_cached("SELECT key, created, modified, value FROM kv WHERE key = ?1")?;
    query.query_row([key], key_value).optional()
}

/// The keys of a [`Span`], for [`key_value`].
pub(super) const LIST: &str =
    "SELECT key, created, modified, value FROM kv WHERE key >= ?1 AND key < ?2 ORDER BY key";

pub(super) fn list(connection: &Connection, span: &Span) -> rusqlite::Result<Vec<KeyValue>> {
    let mut query = connection.prepare_cached(LIST)?;
    query.query_map([&span.from, &span.to], key_value)?.collect()
}

/// Reads `key, created, modified, value`.
pub(super) fn key_value(row: &Row<'_>) -> rusqlite::Result<KeyValue> {
    Ok(KeyValue {
        key: row.get(0)?,
        created: Revision(row.get(1)?),
        modified: Revision(row.get(2)?),
        value: row.get(3)?,
    })
}
