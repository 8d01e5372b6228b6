//! `cargo xtask bench`: speed and memory of the release program, beside a baseline measured in the same run.
//!
//! The baseline of starts is a bare loop: sleep until the instant, spawn the same commands one after the other. Rounds
//! of the loop and of the program alternate, so that what else the machine does meets both. Nothing is asserted: the
//! machines differ, and the ratios are for people to read.

mod controller;
mod etcd;
mod figures;
mod idle;
mod master;
mod process;
mod starts;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;
use e2e::cargo;

pub(crate) use starts::stamp_if_asked;

use crate::root;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to measure; everything unless given
    #[arg(value_enum)]
    benches: Vec<Bench>,
    /// start-delay: how many jobs are due each second
    #[arg(long, default_value_t = 100)]
    jobs: usize,
    /// start-delay: seconds of each of the four rounds
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// etcd, master, controller: fewer jobs, workers and seconds, in about two minutes each
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// How late commands start that are due each second
    StartDelay,
    /// How many commands a second start that are due at one instant
    Spawns,
    /// Load time, memory and CPU of 10,000 and 100,000 jobs of which none is due
    Idle,
    /// Parsing, next slots, missed slots and memory of schedules, beside the crates cron and croner
    Schedules,
    /// crontab-worker with etcd and MongoDB: start delay, requests to etcd, records, 100,000 jobs
    Etcd,
    /// The calls of crontab-master with 10,000 jobs, beside bare ones, and its memory
    Master,
    /// crontab-controller with 1,000 and 10,000 resources, beside a bare loop; a restart; memory
    Controller,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let all = arguments.benches.is_empty();
    let wanted = |bench| all || arguments.benches.contains(&bench);
    if wanted(Bench::StartDelay) {
        starts::delay(&build("cronctl")?, arguments.jobs, arguments.seconds)?;
    }
    if wanted(Bench::Spawns) {
        starts::spawns(&build("cronctl")?, 2000)?;
    }
    if wanted(Bench::Idle) {
        idle::idle(&build("cronctl")?)?;
    }
    if wanted(Bench::Schedules) {
        schedules()?;
    }
    if wanted(Bench::Etcd) {
        etcd::run(&build("crontab-worker")?, arguments.quick)?;
    }
    if wanted(Bench::Master) {
        master::run(arguments.quick)?;
    }
    if wanted(Bench::Controller) {
        controller::run(&build("crontab-controller")?, arguments.quick)?;
    }
    Ok(())
}

/// It is a benchmark of the room `model`, so that nothing but schedules is compiled for it.
fn schedules() -> anyhow::Result<()> {
    let status =
        cargo().args(["bench", "-p", "crontab-model", "--bench", "schedule", "--locked"]).status()?;
    if status.success() { Ok(()) } else { bail!("the benchmark of schedules: {status}") }
}

/// A release program; its package has the same name.
fn build(program: &str) -> anyhow::Result<PathBuf> {
    let status = cargo().args(["build", "--release", "-p", program, "--locked"]).status()?;
    if !status.success() {
        bail!("{program} could not be built");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release").join(program))
}

/// A folder of its own, removed with everything in it when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("crontab-bench-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("{} can't be made", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(why) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} was not removed: {why}", self.0.display());
        }
    }
}

/// One job of a manifest.
fn manifest(name: &str, schedule: &str, exec: &[&str]) -> String {
    let words = exec.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    format!(
        "apiVersion: crontab.dev/v1alpha1\nkind: NodeCronJob\nmetadata:\n  name: {name}\nspec:\n  schedule: {schedule:?}\n  \
         template:\n    exec: [{words}]\n---\n"
    )
}
