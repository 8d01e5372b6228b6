//! The file's format, and how connections to it are set up.
//!
//! `PRAGMA user_version` is the format's number. Each migration takes the file from one number to the next in one
//! transaction; there is none back.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::OpenError;

/// The database's name in the data folder.
pub(super) const FILE: &str = "crontab.db";

/// How many bytes of the write-ahead log stay allocated between checkpoints, so that it is seldom grown anew.
const KEPT_LOG_BYTES: u32 = 4 << 20;

/// What a file is.
pub(crate) struct Format {
    /// `PRAGMA application_id`.
    pub(crate) application: i32,
    /// What takes a file from each number to the next.
    pub(crate) migrations: &'static [&'static str],
}

/// That of the embedded store; the application is "cron".
pub(super) const FORMAT: Format = Format {
    application: 0x6372_6f6e,
    migrations: &[include_str!("migrations/1.sql"), include_str!("migrations/2.sql")],
};

/// What a connection is for, which decides how much of the file it caches.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    /// The one that writes.
    Write,
    /// The one that answers reads.
    Read,
    /// One listing for a follower.
    Listing,
}

/// Opens the writing connection, creating or migrating the file where needed. A file that this version can't use is
/// left as it is.
pub(crate) fn open(file: &Path, format: &Format) -> Result<Connection, OpenError> {
    // Created here, because SQLite would let everybody read it. Its other files get the same mode.
    let mode = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file);
    mode.map_err(|error| OpenError::of_folder(file.parent().unwrap_or(file), error))?;
    let failed = |error| OpenError::of_file(file, error);
    let mut connection = connect(file, Use::Write).map_err(failed)?;
    let found = check(file, &connection, format)?;
    migrate(&mut connection, found, format).map_err(failed)?;
    Ok(connection)
}

/// Opens another connection to a file that [`open`] has opened.
pub(super) fn connect(file: &Path, purpose: Use) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    let cache_kib = match purpose {
        Use::Write => 4096,
        Use::Read => 2048,
        Use::Listing => 256,
    };
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.set_prepared_statement_cache_capacity(32);
    match purpose {
        Use::Write => {
            // Every commit is synced: what was acknowledged survives the machine.
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "journal_size_limit", KEPT_LOG_BYTES)?;
        }
        Use::Read | Use::Listing => connection.pragma_update(None, "query_only", true)?,
    }
    Ok(connection)
}

/// The number of the file's format; 0 for an empty one.
fn check(file: &Path, connection: &Connection, format: &Format) -> Result<usize, OpenError> {
    let number = |sql| {
        connection.query_row(sql, (), |row| row.get::<_, i64>(0)).map_err(|e| OpenError::of_file(file, e))
    };
    let empty = number("SELECT count(*) FROM sqlite_schema")? == 0;
    let ours = number("PRAGMA application_id")? == i64::from(format.application);
    let version = number("PRAGMA user_version")?;
    match usize::try_from(version) {
        Ok(0) if empty => Ok(0),
        Ok(found) if ours && found > format.migrations.len() => {
            Err(OpenError::Newer { file: file.to_owned(), found, known: format.migrations.len() })
        }
        Ok(found) if ours && found > 0 => Ok(found),
        _ => Err(OpenError::Foreign(file.to_owned())),
    }
}

fn migrate(connection: &mut Connection, found: usize, format: &Format) -> rusqlite::Result<()> {
    if found == 0 {
        // Has to come before the first page is written. Deleted history then gives its space back in small steps.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    for (version, migration) in (1_i64..).zip(format.migrations).skip(found) {
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step.execute_batch(migration)?;
        step.pragma_update(None, "application_id", format.application)?;
        step.pragma_update(None, "user_version", version)?;
        step.commit()?;
    }
    Ok(())
}
