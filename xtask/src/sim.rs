//! `cargo xtask sim`: builds the simulator and runs it.

use std::ffi::OsString;

use anyhow::{Context, bail};
use e2e::cargo;

/// Runs it with these arguments.
pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<()> {
    let mut simulator = cargo();
    simulator.args(["run", "--quiet", "--locked", "--package", "crontab-sim", "--"]).args(arguments);
    let status = simulator.status().context("the simulator could not be run")?;
    if !status.success() {
        bail!("the simulator ended with {status}");
    }
    Ok(())
}
