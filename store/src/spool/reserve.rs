//! Space kept for a full disk.
//!
//! SQLite needs space even to delete, so on a full disk nothing could be shipped and nothing would ever get better. The
//! **reserve** is a file of zeros that is removed then: what it gives is for removing shipped entries alone. Until it
//! is back, nothing is appended.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Enough for a write-ahead log of the usual length, or for some thousand removals.
const BYTES: usize = 4 << 20;

const FILE: &str = "reserve";

pub(super) struct Reserve {
    path: PathBuf,
    kept: bool,
}

impl Reserve {
    /// The reserve in `folder`. On a disk that is full already it may be missing.
    pub(super) fn of(folder: &Path) -> Self {
        let mut reserve = Self { path: folder.join(FILE), kept: false };
        reserve.keep();
        reserve
    }

    /// Makes the file if it is missing; says whether it is there.
    pub(super) fn keep(&mut self) -> bool {
        if !self.kept {
            self.kept = self.make().is_ok();
            if !self.kept {
                // A part of it is of no use.
                let _ = fs::remove_file(&self.path);
            }
        }
        self.kept
    }

    fn make(&self) -> io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|file| file.len() == BYTES as u64) {
            return Ok(());
        }
        let mut file = File::create(&self.path)?;
        file.write_all(&vec![0; BYTES])?;
        file.sync_all()
    }

    /// Gives the space to whoever comes first.
    pub(super) fn release(&mut self) {
        self.kept = false;
        // If it is gone already, nothing more can be done.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the reserve of a folder that can't even be opened; says whether there was one.
pub(super) fn release(folder: &Path) -> bool {
    fs::remove_file(folder.join(FILE)).is_ok()
}
