//! Developer commands: `cargo xtask test`, `tools`, `demo`, `crdgen`, `sim`, `bench`.

mod bench;
mod chain;
mod chartgen;
mod child;
mod crdgen;
mod demo;
mod lab;
mod layers;
mod results;
mod servers;
mod sim;
mod stages;
mod tools;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of this project
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Run all checks and tests, or some of them
    ///
    /// Fetches what the tests need. Each stage says what it does and how long it took; the last lines are the test
    /// runners' own results, and a list of what was not run.
    Test(stages::Arguments),
    /// Fetch and build the real components that tests need: etcd, Kubernetes' API server, kubectl, helm, a server that
    /// speaks MongoDB's protocol, and a stand-in of the worker of the replaced system
    ///
    /// They go into `$CRONTAB_TOOLS`, or else `$XDG_CACHE_HOME/crontab/tools`, usually `~/.cache/crontab/tools`. What
    /// is there in the pinned version stays. Needs Go and Python. The first time takes about ten minutes on two cores.
    Tools {
        /// Also what a cluster with nodes needs: the other programs of Kubernetes, and a DNS server
        #[arg(long)]
        lab: bool,
    },
    /// Write crds/nodecronjobs.yaml and docs/reference.md from the types in crds/, and the generated files of the Helm
    /// chart
    Crdgen {
        /// Write nothing; fail and show the difference if they are not up to date
        #[arg(long)]
        check: bool,
    },
    /// A Kubernetes of two nodes on this machine, as root: real kubelets and containers, Services and DNS names
    ///
    /// For tests and for trying things. It is in `$CRONTAB_LAB`, or else in `crontab-lab` in the folder for temporary
    /// files. No image can be pulled there; give it yours by `load`.
    Lab {
        #[command(subcommand)]
        action: lab::Action,
    },
    /// The whole chain on this machine, to try: etcd, an API server, a MongoDB server, the controller, two workers and
    /// the page, with the jobs of examples/
    ///
    /// Everything is on loopback, on free ports and in temporary folders. It runs until Ctrl-C, says what to try, and
    /// leaves nothing behind. What it needs is made first, as by `tools`.
    Demo,
    /// The whole chain on two real nodes, as root: images, Helm chart, jobs, take-over, upgrade, uninstall
    ///
    /// Brings a lab up, and takes it away at the end. When something is not as it should be, pods, events and logs are
    /// shown.
    E2e(chain::Arguments),
    /// Simulate clusters of workers with faults, in virtual time, and check that every promise is kept
    ///
    /// Each seed is a cluster of its own. A seed that breaks a promise is shown with the smallest plan that still does.
    /// `cargo xtask sim --help` lists the options.
    #[command(disable_help_flag = true)]
    Sim {
        /// What the simulator is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Measure speed and memory, as ratios against a baseline of the same run
    ///
    /// Builds the release program and runs real processes. Aims are printed beside the figures; nothing is asserted.
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    bench::stamp_if_asked();
    let done = match Arguments::parse().command {
        Subcommands::Test(arguments) => stages::run(&arguments),
        Subcommands::Tools { lab } => child::Children::new().and_then(|mut children| {
            if lab { tools::fill_for_the_lab(&mut children) } else { tools::fill(&mut children) }
        }),
        Subcommands::Crdgen { check } => crdgen::run(check),
        Subcommands::Demo => demo::run(),
        Subcommands::E2e(arguments) => {
            child::Children::new().and_then(|mut children| chain::run(&mut children, &arguments))
        }
        Subcommands::Lab { action } => lab::run(&action),
        Subcommands::Sim { arguments } => sim::run(&arguments),
        Subcommands::Bench(arguments) => bench::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("cargo xtask: {why:#}");
            ExitCode::FAILURE
        }
    }
}

/// The top folder of the checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the checkout")
}
