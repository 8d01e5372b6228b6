//! The run log, as SQL.

use std::num::TryFromIntError;

use model::job::History;
use model::record::{Output, RunRecord, SkipRecord};
use model::run::{Outcome, RunId, SessionId, Skipped, Slot};
use model::{JobName, UnixMillis};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::de::value::{Error as NameError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::log::{KEPT_SKIPS, LogEntry, RunQuery};

/// Appends entries and removes what is too old to be kept.
pub(super) fn append(connection: &Connection, entries: &[LogEntry]) -> rusqlite::Result<()> {
    for entry in entries {
        match entry {
            LogEntry::Run { record, keep } => {
                if add_run(connection, record)? {
                    forget_runs(connection, &record.job, *keep)?;
                }
            }
            LogEntry::Skipped(record) => {
                if add_skip(connection, record)? {
                    forget_skips(connection, &record.job)?;
                }
            }
        }
    }
    Ok(())
}

/// Adds a record unless it is there; returns whether it was added. A lost run's gives way to one that tells more.
fn add_run(connection: &Connection, record: &RunRecord) -> rusqlite::Result<bool> {
    if insert_run(connection, record)? {
        return Ok(true);
    }
    let lost = Outcome::Lost.as_str();
    let mut delete = connection.prepare_cached(
        "DELETE FROM runs WHERE run = ?1 AND attempt = ?2 AND outcome = ?3 AND outcome <> ?4",
    )?;
    let gone = delete.execute((record.run.as_str(), record.attempt, lost, record.outcome.as_str()))?;
    Ok(gone > 0 && insert_run(connection, record)?)
}

fn insert_run(connection: &Connection, record: &RunRecord) -> rusqlite::Result<bool> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO runs (run, attempt, job, began, node, session, slot, claimed, started, ended, outcome,
                           exit_status, signal, message, command, cut, head, tail)
         VALUES (:run, :attempt, :job, :began, :node, :session, :slot, :claimed, :started, :ended, :outcome,
                 :exit_status, :signal, :message, :command, :cut, :head, :tail)
         ON CONFLICT (run, attempt) DO NOTHING",
    )?;
    let added = insert.execute(named_params! {
        ":run": record.run.as_str(),
        ":attempt": record.attempt,
        ":job": record.job.as_str(),
        ":began": record.started.unwrap_or(record.slot.0).0,
        ":node": record.node,
        ":session": record.session.0,
        ":slot": record.slot.0.0,
        ":claimed": record.claimed.0,
        ":started": record.started.map(|time| time.0),
        ":ended": record.ended.0,
        ":outcome": record.outcome.as_str(),
        ":exit_status": record.exit_status,
        ":signal": record.signal,
        ":message": record.message,
        ":command": record.command,
        ":cut": i64::try_from(record.output.cut).unwrap_or(i64::MAX),
        ":head": record.output.head,
        ":tail": record.output.tail,
    })?;
    Ok(added > 0)
}

/// Removes the oldest records of a job beyond what is kept.
fn forget_runs(connection: &Connection, job: &JobName, keep: History) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM runs WHERE id IN
         (SELECT id FROM runs WHERE job = ?1 AND (outcome = 'Succeeded') = ?2 ORDER BY began, run, attempt LIMIT
          ifnull((SELECT max(records - ?3, 0) FROM run_counts WHERE job = ?1 AND succeeded = ?2), 0))",
    )?;
    for (succeeded, kept) in [(true, keep.succeeded), (false, keep.failed)] {
        delete.execute((job.as_str(), succeeded, kept))?;
    }
    Ok(())
}

/// Adds a record unless it is there; returns whether it was added.
fn add_skip(connection: &Connection, record: &SkipRecord) -> rusqlite::Result<bool> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO skips (job, from_slot, reason, first_run, to_slot, count, node, decided)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (job, from_slot, reason, first_run) DO NOTHING",
    )?;
    let Skipped { from, to, count, reason } = record.skipped;
    let SkipRecord { first_run, job, node, decided, .. } = record;
    let (job, first_run) = (job.as_str(), first_run.as_str());
    let added =
        insert.execute((job, from.0.0, reason.as_str(), first_run, to.0.0, count, node, decided.0))?;
    Ok(added > 0)
}

fn forget_skips(connection: &Connection, job: &JobName) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM skips WHERE job = ?1 AND (from_slot, reason, first_run) <=
         (SELECT from_slot, reason, first_run FROM skips WHERE job = ?1
          ORDER BY from_slot DESC, reason DESC, first_run DESC LIMIT 1 OFFSET ?2)",
    )?;
    delete.execute((job.as_str(), KEPT_SKIPS)).map(drop)
}

const COLUMNS: &str = "run, attempt, job, node, session, slot, claimed, started, ended, outcome, exit_status, signal, message, command";

/// What stands for the output's columns where it is not wanted.
const NO_OUTPUT: &str = "0 AS cut, x'' AS head, x'' AS tail";

pub(super) fn runs(connection: &Connection, query: &RunQuery) -> rusqlite::Result<Vec<RunRecord>> {
    let output = if query.with_output { "cut, head, tail" } else { NO_OUTPUT };
    let of_job = if query.job.is_some() { "WHERE job = :job" } else { "WHERE :job IS NULL" };
    let mut select = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, {output} FROM runs {of_job}
         ORDER BY began DESC, run DESC, attempt DESC LIMIT :limit OFFSET :skip"
    ))?;
    let job = query.job.as_ref().map(JobName::as_str);
    let rows = select
        .query_map(named_params! { ":job": job, ":limit": query.limit, ":skip": query.skip }, record)?;
    rows.collect()
}

pub(super) fn find(
    connection: &Connection,
    run: &RunId,
    attempt: u32,
) -> rusqlite::Result<Option<RunRecord>> {
    let mut select = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, {NO_OUTPUT} FROM runs WHERE run = ?1 AND attempt = ?2"
    ))?;
    select.query_row((run.as_str(), attempt), record).optional()
}

pub(super) fn output(connection: &Connection, run: &RunId, attempt: u32) -> rusqlite::Result<Option<Output>> {
    let mut select =
        connection.prepare_cached("SELECT cut, head, tail FROM runs WHERE run = ?1 AND attempt = ?2")?;
    select.query_row((run.as_str(), attempt), written).optional()
}

pub(super) fn skipped(
    connection: &Connection,
    job: &JobName,
    limit: u32,
) -> rusqlite::Result<Vec<SkipRecord>> {
    let mut select = connection.prepare_cached(
        "SELECT first_run, job, node, decided, from_slot, to_slot, count, reason FROM skips WHERE job = ?1
         ORDER BY from_slot DESC, reason DESC, first_run DESC LIMIT ?2",
    )?;
    let rows = select.query_map((job.as_str(), limit), |row| {
        Ok(SkipRecord {
            first_run: named(row, "first_run")?,
            job: named(row, "job")?,
            node: row.get("node")?,
            decided: UnixMillis(row.get("decided")?),
            skipped: Skipped {
                from: Slot(UnixMillis(row.get("from_slot")?)),
                to: Slot(UnixMillis(row.get("to_slot")?)),
                count: row.get("count")?,
                reason: named(row, "reason")?,
            },
        })
    })?;
    rows.collect()
}

fn record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    Ok(RunRecord {
        run: named(row, "run")?,
        attempt: row.get("attempt")?,
        job: named(row, "job")?,
        command: row.get("command")?,
        node: row.get("node")?,
        session: SessionId(row.get("session")?),
        slot: Slot(UnixMillis(row.get("slot")?)),
        claimed: UnixMillis(row.get("claimed")?),
        started: row.get::<_, Option<i64>>("started")?.map(UnixMillis),
        ended: UnixMillis(row.get("ended")?),
        outcome: named(row, "outcome")?,
        exit_status: row.get("exit_status")?,
        signal: row.get("signal")?,
        message: row.get("message")?,
        output: written(row)?,
    })
}

fn written(row: &Row<'_>) -> rusqlite::Result<Output> {
    Ok(Output {
        head: row.get("head")?,
        cut: row
            .get::<_, i64>("cut")?
            .try_into()
            .map_err(|error: TryFromIntError| unreadable(row, "cut", error))?,
        tail: row.get("tail")?,
    })
}

/// Reads a name of the domain: a job's, a run's, an outcome's, a reason's.
fn named<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    let text: StrDeserializer<'_, NameError> = text.as_str().into_deserializer();
    T::deserialize(text).map_err(|error| unreadable(row, column, error))
}

fn unreadable(
    row: &Row<'_>,
    column: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    let index = row.as_ref().column_index(column).unwrap_or_default();
    rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error))
}
