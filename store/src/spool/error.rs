//! Why a spool can't be opened.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::embedded;

/// Why a folder can't be a spool. Nothing in it was deleted or overwritten.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "the spool {folder} is in use by another process{}; give each worker on a node a --spool-dir of its own",
        pid.map(|pid| format!(" ({pid})")).unwrap_or_default(),
        folder = folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The other process, if it could leave its id.
        pid: Option<u32>,
    },
    /// There is a file where the folder should be.
    #[error("{} is not a folder; give one with --spool-dir", .0.display())]
    NotAFolder(PathBuf),
    /// It can't be created or written.
    #[error("the spool {folder} can't be used; make it writable, or give another folder with --spool-dir", folder = folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is on a file system that is mounted read-only.
    #[error("the spool {} is on a read-only file system; give a writable folder with --spool-dir", .0.display())]
    ReadOnly(PathBuf),
    /// The disk is full.
    #[error("there is no space left for the spool {}; make room, or give another folder with --spool-dir", .0.display())]
    NoSpace(PathBuf),
    /// The file is no spool.
    #[error("{} was not written by this program; move it away, or give another folder with --spool-dir", .0.display())]
    Foreign(PathBuf),
    /// A later version of this program has written the file.
    #[error(
        "{file} has format {found}, and this version reads formats up to {known}; use the newer version until the spool is empty, or give another folder with --spool-dir",
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
    /// The file is damaged, or can't be opened for another reason.
    #[error("{file} can't be opened; move it away and keep it, for records that were not shipped yet are in it, or give another folder with --spool-dir", file = file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The system gives this process no more threads.
    #[error("a thread for the spool can't be started; raise the limit of processes and threads")]
    Thread(#[source] io::Error),
}

/// Both are files of SQLite in a locked folder; what to do about them differs.
impl From<embedded::OpenError> for OpenError {
    fn from(error: embedded::OpenError) -> Self {
        use embedded::OpenError as Of;
        match error {
            Of::InUse { folder, pid } => Self::InUse { folder, pid },
            Of::NotAFolder(folder) => Self::NotAFolder(folder),
            Of::Folder { folder, source } => Self::Folder { folder, source },
            Of::ReadOnly(folder) => Self::ReadOnly(folder),
            Of::NoSpace(folder) => Self::NoSpace(folder),
            Of::Foreign(file) => Self::Foreign(file),
            Of::Newer { file, found, known } => Self::Newer { file, found, known },
            Of::Damaged { file, source } | Of::File { file, source } => Self::File { file, source },
            Of::Thread(source) => Self::Thread(source),
        }
    }
}
