//! The folder that holds the programs, and what keeps it whole: a lock, a place for what is being made, stamps.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::child::Children;

/// The folder, locked: no other run changes it. Programs in it may be running.
pub(super) struct Folder {
    path: PathBuf,
    /// Unlocked when it is closed, also by the end of the process.
    _lock: File,
}

impl Folder {
    /// Makes the folder and waits until no other run works in it. Its place is the one in which the room `e2e` looks:
    /// `$CRONTAB_TOOLS`, else `$XDG_CACHE_HOME/crontab/tools`, usually `~/.cache/crontab/tools`.
    pub(super) fn lock(children: &mut Children) -> anyhow::Result<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        let path = variable("CRONTAB_TOOLS")
            .or_else(|| Some(cache()?.join("crontab/tools")))
            .context("neither CRONTAB_TOOLS nor HOME is set, so there is no place for tools; set one")?;
        // Build tools are run in folders of their own, where a relative path would mean another place.
        let path = std::path::absolute(path)?;
        Self::lock_at(path, children)
    }

    fn lock_at(path: PathBuf, children: &mut Children) -> anyhow::Result<Self> {
        let folder = |name| path.join(name);
        for name in ["bin", "stamps"] {
            fs::create_dir_all(folder(name))
                .with_context(|| format!("{} can't be made", folder(name).display()))?;
        }
        let lock = File::create(folder("lock")).context("the lock of the tools folder can't be opened")?;
        let mut said = false;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut said, true) {
                        println!("another run is filling {}; waiting until it is done", path.display());
                    }
                    children.pause(Duration::from_millis(200))?;
                }
                Err(TryLockError::Error(why)) => {
                    return Err(why).context(format!("{} can't be locked", folder("lock").display()));
                }
            }
        }
        let folder = Self { path, _lock: lock };
        // Of a run that was cut short.
        remove(&folder.scratch())?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the programs are.
    pub(super) fn bin(&self) -> PathBuf {
        self.path.join("bin")
    }

    fn scratch(&self) -> PathBuf {
        self.path.join("making")
    }

    fn stamp(&self, name: &str) -> PathBuf {
        self.path.join("stamps").join(name)
    }

    /// An empty folder for what is being made. It is on the same file system as `bin`.
    pub(super) fn fresh_scratch(&self) -> anyhow::Result<PathBuf> {
        let scratch = self.scratch();
        remove(&scratch)?;
        fs::create_dir(&scratch).with_context(|| format!("{} can't be made", scratch.display()))?;
        Ok(scratch)
    }

    /// Whether the program is there and was made from what the stamp says.
    pub(super) fn has(&self, name: &str, stamp: &str) -> bool {
        self.bin().join(name).exists()
            && fs::read_to_string(self.stamp(name)).is_ok_and(|found| found == stamp)
    }

    /// Takes the stamp away: until [`Self::keep`] the program counts as not made.
    pub(super) fn forget(&self, name: &str) -> anyhow::Result<()> {
        remove(&self.stamp(name))
    }

    /// Says that the program is whole.
    pub(super) fn keep(&self, name: &str, stamp: &str) -> anyhow::Result<()> {
        let new = self.path.join("stamps").join(format!(".{name}"));
        fs::write(&new, stamp)
            .and_then(|()| fs::rename(&new, self.stamp(name)))
            .with_context(|| format!("the stamp of {name} can't be written"))?;
        remove(&self.scratch())
    }
}

/// Removes a file or a folder with all that is in it; one that is not there is no error.
pub(super) fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(what) if what.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(why) => Err(why),
    };
    match removed {
        Err(why) if why.kind() != io::ErrorKind::NotFound => {
            Err(why).with_context(|| format!("{} can't be removed", path.display()))
        }
        _ => Ok(()),
    }
}
