//! The frame of a daemon: from parsed arguments to an exit status.

use std::process::ExitCode;

use anyhow::Context;
use thiserror::Error;

use crate::EXIT_USAGE;
use crate::logging::{self, LogArgs};

/// Arguments that can't work, so that trying again doesn't help either.
#[derive(Debug, Error)]
#[error("{0:#}")]
pub struct Usage(pub anyhow::Error);

/// Starts the log, does the work on a runtime of many threads, and says what it ended with.
///
/// An error goes to standard error, after the program's name. The status is then [`EXIT_USAGE`] for [`Usage`], and
/// otherwise 1.
pub fn run(name: &str, log: &LogArgs, work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    logging::start(log);
    let ended = tokio::runtime::Runtime::new()
        .context("the runtime could not be started")
        .and_then(|runtime| runtime.block_on(work));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{name}: {why:#}");
            if why.is::<Usage>() { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
        }
    }
}
