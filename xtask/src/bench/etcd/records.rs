//! How fast records reach the server through the spool.
//!
//! The measuring itself is an example of `store/`, so that developer commands need no drivers of databases.

use anyhow::bail;
use e2e::cargo;

use super::Size;
use super::world::World;

pub(super) fn records(world: &World, size: Size) -> anyhow::Result<()> {
    println!(
        "\nrecords: one append for each run, 64 at once, through the spool into the server, in turn with a bare insert_many of the same documents with the same indexes and write concern"
    );
    let status = cargo()
        .args([
            "run",
            "--quiet",
            "--release",
            "--locked",
            "-p",
            "crontab-store",
            "--example",
            "log_rate",
            "--",
        ])
        .args([world.mongo.uri(), size.records.to_string()])
        .status()?;
    if !status.success() {
        bail!("the example log_rate of store/ ended with {status}");
    }
    Ok(())
}
