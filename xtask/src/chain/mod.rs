//! `cargo xtask e2e`: the whole chain on two real nodes, installed by its Helm chart.
//!
//! Brings a lab up, makes our images and loads them, tells the [`story`], and takes the lab away. What a step needs, and
//! what it has proved, is in its name; each says how long it took.

mod cluster;
mod story;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};

use crate::child::Children;
use crate::lab::{Images, Lab};

pub(crate) use cluster::Cluster;

/// Our programs that run in a cluster.
pub(crate) const PROGRAMS: [&str; 3] = ["crontab-worker", "crontab-controller", "crontab-master"];

#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Use optimised programs
    #[arg(long)]
    release: bool,
    /// Leave the lab as it is at the end, to look at it; `cargo xtask lab down` ends it
    #[arg(long)]
    keep: bool,
    /// Only tell the story once more, in the lab and with the images that a run with --keep has left
    #[arg(long, conflicts_with_all = ["release", "keep"])]
    again: bool,
}

/// Tells the story, as root.
pub(crate) fn run(children: &mut Children, arguments: &Arguments) -> anyhow::Result<()> {
    let lab = Lab::lock()?;
    if arguments.again {
        return tell(children, &Cluster::new(&lab));
    }
    let programs = step("building the programs", || build(children, arguments.release))?;
    step("taking away a lab that may be there", || lab.down())?;
    let told = in_lab(children, &lab, &programs);
    if arguments.keep {
        println!("the lab stays; export KUBECONFIG={}", lab.kubeconfig().display());
        return told;
    }
    let down = step("taking the lab away", || lab.down());
    told.and(down)
}

fn in_lab(children: &mut Children, lab: &Lab, programs: &Path) -> anyhow::Result<()> {
    step("starting the lab", || lab.up(children))?;
    let images = step("making the images", || Images::new()?.all(children, programs))?;
    step("loading the images", || images.iter().try_for_each(|image| lab.load(image)))?;
    tell(children, &Cluster::new(lab))
}

fn tell(children: &mut Children, cluster: &Cluster<'_>) -> anyhow::Result<()> {
    let told = story::tell(children, cluster);
    if told.is_err() {
        cluster.show();
    }
    told
}

/// Does a step and says how long it took.
fn step<T>(what: &str, mut act: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    println!("--- {what}");
    let begun = Instant::now();
    let done = act().with_context(|| what.to_owned())?;
    println!("    {:.1} s", begun.elapsed().as_secs_f64());
    Ok(done)
}

/// Builds the programs; returns their folder.
fn build(children: &mut Children, release: bool) -> anyhow::Result<PathBuf> {
    let mut cargo = e2e::cargo();
    cargo.args(["build", "--locked"]);
    for program in PROGRAMS {
        cargo.args(["--package", program]);
    }
    if release {
        cargo.arg("--release");
    }
    let status = children.run(cargo, |_| true)?;
    if !status.success() {
        bail!("the programs do not build");
    }
    // This program is <target>/debug/xtask.
    let here = std::env::current_exe()?;
    let target = here.ancestors().nth(2).context("cargo puts programs two folders deep")?;
    Ok(target.join(if release { "release" } else { "debug" }))
}
