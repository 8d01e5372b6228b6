//! Entries as rows of the spool's file.

use model::job::History;
use model::record::{Output, RunRecord, SkipRecord};
use model::run::RunId;
use rusqlite::types::Type;
use rusqlite::{Connection, Row, named_params};
use serde::{Deserialize, Serialize};

use crate::log::LogEntry;

/// What takes the place of an output that was dropped.
const DROPPED: &[u8] = b"[the output was dropped: the spool was full while the log was away]\n";

/// What a row costs beside what it holds, roughly.
const ROW_BYTES: usize = 128;

/// How many entries are shipped at once, and about how many bytes.
const BATCH: usize = 100;
const BATCH_BYTES: i64 = 8 << 20;

/// The JSON of an entry. A run's output is not in it.
#[derive(Serialize, Deserialize)]
enum Stored {
    Run { record: RunRecord, succeeded: u32, failed: u32 },
    Skipped(SkipRecord),
}

/// An entry that is ready to be stored.
pub(super) struct Prepared {
    run: Option<(RunId, u32)>,
    entry: String,
    output: Output,
}

impl From<LogEntry> for Prepared {
    fn from(entry: LogEntry) -> Self {
        let (run, output, stored) = match entry {
            LogEntry::Run { mut record, keep: History { succeeded, failed } } => {
                let output = std::mem::take(&mut record.output);
                let run = Some((record.run.clone(), record.attempt));
                (run, output, Stored::Run { record, succeeded, failed })
            }
            LogEntry::Skipped(record) => (None, Output::default(), Stored::Skipped(record)),
        };
        let entry = serde_json::to_string(&stored).expect("strings and numbers always make JSON");
        Self { run, entry, output }
    }
}

impl Prepared {
    pub(super) fn insert(&self, into: &Connection) -> rusqlite::Result<()> {
        let Output { head, cut, tail } = &self.output;
        let output = head.len() + tail.len();
        let mut insert = into.prepare_cached(
            "INSERT INTO entries (run, attempt, bytes, output, entry, cut, head, tail)
             VALUES (:run, :attempt, :bytes, :output, :entry, :cut, :head, :tail)",
        )?;
        insert.execute(named_params! {
            ":run": self.run.as_ref().map(|(run, _)| run.as_str()),
            ":attempt": self.run.as_ref().map(|(_, attempt)| attempt),
            ":bytes": stored(self.entry.len() + output + ROW_BYTES),
            ":output": stored(output),
            ":entry": self.entry,
            ":cut": i64::try_from(*cut).unwrap_or(i64::MAX),
            ":head": head,
            ":tail": tail,
        })?;
        Ok(())
    }
}

/// SQLite's numbers have a sign.
fn stored(number: usize) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

fn unsigned(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|number| number.try_into().unwrap_or(0))
}

/// The oldest entries that the log has not refused, with their ids.
pub(super) fn oldest(from: &Connection, most: usize) -> rusqlite::Result<Vec<(i64, LogEntry)>> {
    let mut select = from.prepare_cached(
        "SELECT id, bytes, entry, cut, head, tail FROM entries WHERE refused = 0 ORDER BY id LIMIT ?1",
    )?;
    let mut rows = select.query([stored(most.min(BATCH))])?;
    let (mut found, mut bytes) = (Vec::new(), 0_i64);
    while let Some(row) = rows.next()? {
        bytes = bytes.saturating_add(row.get("bytes")?);
        if bytes > BATCH_BYTES && !found.is_empty() {
            break;
        }
        found.push((row.get("id")?, read(row)?));
    }
    Ok(found)
}

/// The records of an attempt, first appended first.
pub(super) fn of_run(from: &Connection, run: &RunId, attempt: u32) -> rusqlite::Result<Vec<RunRecord>> {
    let mut select = from.prepare_cached(
        "SELECT entry, cut, head, tail FROM entries WHERE run = ?1 AND attempt = ?2 ORDER BY id",
    )?;
    let mut rows = select.query((run.as_str(), attempt))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if let LogEntry::Run { record, .. } = read(row)? {
            found.push(record);
        }
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> rusqlite::Result<LogEntry> {
    let entry: String = row.get("entry")?;
    let unreadable = |error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error));
    Ok(match serde_json::from_str(&entry).map_err(unreadable)? {
        Stored::Run { mut record, succeeded, failed } => {
            let cut = unsigned(row, "cut")?;
            record.output = Output { head: row.get("head")?, cut, tail: row.get("tail")? };
            LogEntry::Run { record, keep: History { succeeded, failed } }
        }
        Stored::Skipped(record) => LogEntry::Skipped(record),
    })
}

pub(super) fn remove(from: &Connection, ids: &[i64]) -> rusqlite::Result<()> {
    let mut delete = from.prepare_cached("DELETE FROM entries WHERE id = ?1")?;
    ids.iter().try_for_each(|id| delete.execute([id]).map(drop))
}

/// Sets an entry aside, so that others are shipped before it.
pub(super) fn refuse(of: &Connection, id: i64) -> rusqlite::Result<()> {
    of.prepare_cached("UPDATE entries SET refused = 1 WHERE id = ?1")?.execute([id]).map(drop)
}

/// Has all that were set aside tried again.
pub(super) fn readmit(of: &Connection) -> rusqlite::Result<()> {
    of.execute("UPDATE entries SET refused = 0 WHERE refused <> 0", ()).map(drop)
}

/// The sums over all entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) refused: u64,
}

pub(super) fn totals(of: &Connection) -> rusqlite::Result<Totals> {
    of.prepare_cached("SELECT entries, bytes, refused FROM totals")?.query_row((), |row| {
        Ok(Totals {
            entries: unsigned(row, "entries")?,
            bytes: unsigned(row, "bytes")?,
            refused: unsigned(row, "refused")?,
        })
    })
}

/// What had to be dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) outputs: u64,
    pub(super) records: u64,
}

/// Drops the oldest outputs until the rest is within the limit, and only when there are none left the oldest entries.
/// Outputs that are hardly longer than what takes their place stay with their entries.
pub(super) fn drop_oldest(of: &Connection, limit: u64) -> rusqlite::Result<Dropped> {
    let mut dropped = Dropped::default();
    let mut shorten = of.prepare_cached(
        "UPDATE entries SET cut = min(cut, 9223372036854775807 - output) + output,
                bytes = bytes - output + length(?1), output = 0, head = ?1, tail = x''
         WHERE id = (SELECT id FROM entries WHERE output > 100 ORDER BY id LIMIT 1)",
    )?;
    while totals(of)?.bytes > limit && shorten.execute([DROPPED])? > 0 {
        dropped.outputs += 1;
    }
    let mut delete =
        of.prepare_cached("DELETE FROM entries WHERE id = (SELECT id FROM entries ORDER BY id LIMIT 1)")?;
    while totals(of)?.bytes > limit && delete.execute(())? > 0 {
        dropped.records += 1;
    }
    Ok(dropped)
}
