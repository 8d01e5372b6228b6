//! The lock that keeps a data folder to one process.
//!
//! It is the kernel's lock on an open file, so it ends with the process however that ends; there is nothing to clean
//! up, and the file itself means nothing. Children do not inherit it across `exec`.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::error::OpenError;

const FILE: &str = "lock";
const RETRY: Duration = Duration::from_millis(20);

/// Creates the folder if need be, for this user alone, and locks it. Where another process has it, that is waited for.
pub(crate) fn acquire(folder: &Path, wait: Duration) -> Result<File, OpenError> {
    let failed = |error| OpenError::of_folder(folder, error);
    create(folder).map_err(failed)?;
    let path = folder.join(FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    let deadline = Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(RETRY),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(OpenError::InUse { folder: folder.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
    // Only for the message above, so a disk too full for it is no reason to stop.
    let _ = leave_pid(&mut file);
    Ok(file)
}

/// A folder that was created is found again after a crash of the machine: its parent is synced.
fn create(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn leave_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}
