//! A stand-in of the replaced system's worker; `e2e/legacy-worker` says what it is.

use std::process::Command;

use tempfile::TempDir;

use crate::process::{Process, until};
use crate::{Etcd, tool};

/// A running stand-in.
#[derive(Debug)]
pub struct LegacyWorker {
    // Before the folder, so that the end of the log can be shown when a test fails.
    process: Process,
    _folder: TempDir,
}

impl LegacyWorker {
    /// Starts one and waits until it has read the jobs.
    pub fn start(etcd: &Etcd, prefix: &str, address: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("legacy-").tempdir().expect("a temporary folder");
        let mut command = Command::new(tool("legacy-worker"));
        command.args(["-endpoints", &etcd.endpoint(), "-prefix", prefix, "-address", address]);
        command.env("TZ", "UTC");
        let mut process = Process::start("the legacy worker", &mut command, &folder.path().join("log"));
        until("the legacy worker to be ready", || {
            assert!(process.ended().is_none(), "the legacy worker ended: {}", process.log());
            process.log().contains("ready").then_some(())
        });
        Self { _folder: folder, process }
    }

    /// The running process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}
