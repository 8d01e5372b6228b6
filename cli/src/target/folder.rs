//! A data folder, which `cronctl up` may have open at this moment.
//!
//! One process at a time has the folder, by the lock of `store::embedded`: a second reader beside it would be possible,
//! but not a second writer, and `kill` and `suspend` write. So a running `up` is asked instead, through its own page: it
//! leaves the address in the folder. Where none runs, the store is opened here, for as short as a command takes.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::keys::KeyPrefix;
use store::embedded::{Embedded, OpenError};

/// The file with the process id of a running `cronctl up` and the address of its page.
const FILE: &str = "address";

/// How long a folder may be in use by somebody who serves no page: an `up` that starts, or another command.
const PATIENCE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(50);

/// Says in a folder where this process serves its page, until it is dropped. After a kill the file stays; who reads it
/// compares the process with the one that holds the folder's lock.
#[derive(Debug)]
pub(crate) struct Announced(PathBuf);

impl Announced {
    pub(crate) fn at(folder: &Path, address: SocketAddr) -> io::Result<Self> {
        let (file, new) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
        fs::write(&new, format!("{} {address}\n", std::process::id()))?;
        fs::rename(new, &file)?;
        Ok(Self(file))
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        // One that stays is told apart by its process id.
        let _ = fs::remove_file(&self.0);
    }
}

/// Who has the folder.
pub(super) enum Holder {
    /// This process, until the store is closed.
    Here(Embedded),
    /// A `cronctl up`, which answers there.
    Up(SocketAddr),
}

/// Why neither is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FolderError {
    #[error("{} has no jobs in it; give the folder of a `cronctl up` with --data", .0.display())]
    Nothing(PathBuf),
    #[error(
        "the data folder {} is in use by process {pid}, which has no page to ask; wait until that has ended, or run `cronctl up` on the folder instead",
        .folder.display()
    )]
    Silent { folder: PathBuf, pid: u32 },
    #[error(transparent)]
    Open(OpenError),
}

/// Whether there are jobs in a folder at all: asking about one must not make it.
pub(super) fn check(folder: &Path) -> Result<(), FolderError> {
    if folder.join("crontab.db").is_file() { Ok(()) } else { Err(FolderError::Nothing(folder.to_owned())) }
}

/// Opens a folder, or finds out who has it. Blocks its thread.
pub(super) fn open(folder: &Path) -> Result<Holder, FolderError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        check(folder)?;
        let pid = match Embedded::open(folder, KeyPrefix::default(), Duration::ZERO) {
            Ok(store) => return Ok(Holder::Here(store)),
            Err(OpenError::InUse { pid: Some(pid), .. }) => pid,
            Err(why @ OpenError::InUse { .. }) if Instant::now() >= deadline => {
                return Err(FolderError::Open(why));
            }
            Err(OpenError::InUse { .. }) => {
                std::thread::sleep(RETRY);
                continue;
            }
            Err(why) => return Err(FolderError::Open(why)),
        };
        match announced(folder) {
            Some((of, address)) if of == pid => return Ok(Holder::Up(address)),
            _ if Instant::now() >= deadline => {
                return Err(FolderError::Silent { folder: folder.to_owned(), pid });
            }
            _ => std::thread::sleep(RETRY),
        }
    }
}

fn announced(folder: &Path) -> Option<(u32, SocketAddr)> {
    let text = fs::read_to_string(folder.join(FILE)).ok()?;
    let (pid, address) = text.trim().split_once(' ')?;
    Some((pid.parse().ok()?, address.parse().ok()?))
}
