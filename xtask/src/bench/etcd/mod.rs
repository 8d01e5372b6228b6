//! `bench etcd`: the release worker with a real etcd and a server that speaks MongoDB's protocol, on this machine.
//!
//! Servers, workers and the baselines share the machine's cores, so figures of two machines do not compare; ratios of
//! one run do.

mod delay;
mod http;
mod load;
mod records;
mod requests;
mod world;

use std::fs;
use std::path::Path;
use std::thread;

use self::world::World;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// How many jobs are due each second, one after the other.
    rates: &'static [usize],
    /// Rounds of each rate, in turn with the bare loop.
    rounds: usize,
    /// Seconds of each measurement.
    seconds: u64,
    /// How many workers share one etcd, one after the other.
    workers: &'static [usize],
    /// How many records go to the log.
    records: usize,
    /// How many jobs are loaded.
    jobs: usize,
}

const WHOLE: Size = Size {
    rates: &[10, 100, 500, 1000],
    rounds: 2,
    seconds: 10,
    workers: &[1, 3, 10],
    records: 20_000,
    jobs: 100_000,
};

const QUICK: Size =
    Size { rates: &[10, 500], rounds: 1, seconds: 5, workers: &[1, 3], records: 2000, jobs: 10_000 };

pub(super) fn run(program: &Path, quick: bool) -> anyhow::Result<()> {
    let size = if quick { QUICK } else { WHOLE };
    let mut world = World::start(program)?;
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let busy = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "\netcd: one worker of the release build, etcd {} with its usual fsync, and a server that speaks MongoDB's protocol (not MongoDB: its speed says nothing about MongoDB's), all on this machine of {cores} cores; load before: {}",
        world.etcd_version()?,
        busy.split(' ').next().unwrap_or("unknown")
    );
    delay::delay(&mut world, size)?;
    requests::requests(&mut world, size)?;
    records::records(&world, size)?;
    load::load(&mut world, size)
}
