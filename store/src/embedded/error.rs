//! What can go wrong with the file: while it is opened, and later.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC};
use thiserror::Error;

use crate::log::LogError;
use crate::tree::TreeError;

/// Why a data folder can't be used. Nothing in it was deleted or overwritten.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "the data folder {folder} is in use by another `cronctl up`{}; stop that one, or give this one another folder with --data",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
        folder = folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The other process, if it could leave its id.
        pid: Option<u32>,
    },
    /// There is a file where the folder should be.
    #[error("{} is not a folder; give a folder with --data", .0.display())]
    NotAFolder(PathBuf),
    /// The folder can't be created, or files in it can't be.
    #[error("the data folder {folder} can't be used; make it writable, or give another one with --data", folder = folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is on a file system that is mounted read-only.
    #[error("the data folder {} is on a read-only file system; give a writable one with --data", .0.display())]
    ReadOnly(PathBuf),
    /// The disk is full.
    #[error("there is no space left for the data folder {}; make room, or give another one with --data", .0.display())]
    NoSpace(PathBuf),
    /// The file is no database, or one of another program.
    #[error("{} was not written by this program; move it away, or give another folder with --data", .0.display())]
    Foreign(PathBuf),
    /// The file is damaged.
    #[error(
        "{file} is damaged; move it away and restore a copy, or give another folder with --data",
        file = file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A later version of this program has written the file.
    #[error(
        "{file} has format {found}, and this version reads formats up to {known}; use the newer version that wrote it, or give another folder with --data",
        file = file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: usize,
        /// The latest format that this version knows.
        known: usize,
    },
    /// Anything else that SQLite reports.
    #[error("{file} can't be opened; check its permissions and its disk", file = file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The system gives this process no more threads.
    #[error("a thread for the store can't be started; raise the limit of processes and threads")]
    Thread(#[source] io::Error),
}

impl OpenError {
    pub(crate) fn of_folder(folder: &Path, source: io::Error) -> Self {
        let folder = folder.to_owned();
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(folder),
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => Self::NotAFolder(folder),
            _ if is_full(&source) => Self::NoSpace(folder),
            _ => Self::Folder { folder, source },
        }
    }

    pub(crate) fn of_file(file: &Path, source: rusqlite::Error) -> Self {
        let file = file.to_owned();
        let folder = file.parent().unwrap_or(&file);
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::Foreign(file),
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { file, source },
            _ if lacks_space(&source, folder) => Self::NoSpace(folder.to_owned()),
            _ => Self::File { file, source },
        }
    }
}

/// Why a request was not done, for either trait.
#[derive(Debug)]
pub(crate) enum Failure {
    NoSpace(rusqlite::Error),
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    Closed,
}

impl Failure {
    /// Reads what SQLite reports for a request on the file in `folder`.
    pub(crate) fn of(error: rusqlite::Error, folder: &Path) -> Self {
        if lacks_space(&error, folder) { Self::NoSpace(error) } else { Self::Unavailable(error.into()) }
    }
}

/// Whether an error means that the disk or the quota is full, and nothing was written.
///
/// SQLite has a code for a full disk, but reports a quota, and a full disk in some places, as a plain failure to write.
/// Then a small file tells. A failed sync is never taken for this: what it wrote could still be found after a crash.
pub(crate) fn lacks_space(error: &rusqlite::Error, folder: &Path) -> bool {
    let Some(failure) = error.sqlite_error() else { return false };
    match failure.code {
        ErrorCode::DiskFull => true,
        ErrorCode::SystemIoFailure => {
            !matches!(failure.extended_code, SQLITE_IOERR_FSYNC | SQLITE_IOERR_DIR_FSYNC) && probe(folder)
        }
        ErrorCode::CannotOpen => probe(folder),
        _ => false,
    }
}

/// Whether a small file can't be written for want of space.
fn probe(folder: &Path) -> bool {
    let path = folder.join("space-probe");
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0; 64 << 10])?;
        file.sync_all()
    });
    // If it can't be removed, the next probe overwrites it.
    let _ = std::fs::remove_file(&path);
    written.is_err_and(|error| is_full(&error))
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl From<Failure> for TreeError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoSpace(source) => Self::NoSpace(source.into()),
            Failure::Unavailable(source) => Self::Unavailable(source),
            Failure::Closed => Self::Closed,
        }
    }
}

impl From<Failure> for LogError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoSpace(source) => Self::NoSpace(source.into()),
            Failure::Unavailable(source) => Self::Unavailable(source),
            Failure::Closed => Self::Closed,
        }
    }
}
