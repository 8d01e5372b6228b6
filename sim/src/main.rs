//! Runs seeds, and shows what breaks a promise.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::panic;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use sim::check::Violation;
use sim::cluster;
use sim::plan::{Keep, Plan, Size};
use sim::report::{self, Totals};
use sim::sabotage::Sabotage;
use sim::shrink::shrink;

/// Simulate clusters of workers with faults, and check that every promise is kept
#[derive(Debug, Parser)]
#[command(name = "crontab-sim", max_term_width = 100)]
#[expect(clippy::struct_excessive_bools, reason = "each of them is an option of its own")]
struct Arguments {
    /// How many seeds are tried. Each is a cluster of its own
    #[arg(long, default_value_t = 50)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many minutes each seed simulates
    #[arg(long, default_value_t = 20)]
    minutes: u64,
    /// How many seeds are simulated at the same time
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// How many nodes each cluster has. Without it, the seed says how many
    #[arg(long)]
    nodes: Option<usize>,
    /// How many jobs each cluster has. Without it, the seed says how many
    #[arg(long)]
    jobs: Option<usize>,
    /// When all jobs run, as in a manifest. Without it, the seed says when each of them runs
    #[arg(long)]
    schedule: Option<String>,
    /// Make no faults
    #[arg(long)]
    calm: bool,
    /// Leave out all nodes but these, by their numbers
    #[arg(long, value_delimiter = ',')]
    keep_nodes: Option<Vec<usize>>,
    /// Leave out all jobs but these, by their numbers
    #[arg(long, value_delimiter = ',')]
    keep_jobs: Option<Vec<usize>>,
    /// Leave out all faults but these, by their numbers; `none` leaves out all
    #[arg(long, value_delimiter = ',')]
    keep_faults: Option<Vec<String>>,
    /// Leave out a rule on purpose, to see that the simulator notices
    #[arg(long, value_parser = Sabotage::by_name)]
    sabotage: Option<Sabotage>,
    /// Show everything that happens in a seed that breaks a promise, and look for no smaller plan
    #[arg(long)]
    trace: bool,
    /// Look for no smaller plan
    #[arg(long)]
    no_shrink: bool,
    /// Try all seeds, also after one that breaks a promise, and list those that do
    #[arg(long)]
    survey: bool,
}

impl Arguments {
    fn keep(&self) -> Keep {
        let set = |list: &Option<Vec<usize>>| list.as_ref().map(|list| list.iter().copied().collect());
        let faults = self.keep_faults.as_ref();
        let faults: Option<BTreeSet<usize>> =
            faults.map(|list| list.iter().filter_map(|number| number.parse().ok()).collect());
        Keep { nodes: set(&self.keep_nodes), jobs: set(&self.keep_jobs), faults }
    }

    fn plan(&self, seed: u64) -> Plan {
        let lasts = Duration::from_secs(self.minutes * 60);
        let (nodes, jobs, schedule) = (self.nodes, self.jobs, self.schedule.clone());
        let size = Size { lasts, nodes, jobs, schedule, faults: !self.calm };
        Plan::make(seed, &size).keep(&self.keep())
    }

    /// The options that plans are made with.
    fn options(&self) -> String {
        let mut options = format!(" --minutes {}", self.minutes);
        for (name, number) in [("nodes", self.nodes), ("jobs", self.jobs)] {
            if let Some(number) = number {
                let _ = write!(options, " --{name} {number}");
            }
        }
        if let Some(schedule) = &self.schedule {
            let _ = write!(options, " --schedule '{schedule}'");
        }
        if self.calm {
            options.push_str(" --calm");
        }
        options
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic of a core is a broken promise, which is told.
    panic::set_hook(Box::new(|why| eprintln!("{why}")));
    let began = Instant::now();
    let totals = simulate(&arguments);
    println!("{totals}\nthat took {:.1} s", began.elapsed().as_secs_f64());
    if arguments.survey {
        for (seed, violation) in &totals.broken {
            println!("seed {seed}: {violation}");
        }
        return if totals.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let Some((seed, violation)) = totals.broken.iter().next() else {
        println!("every promise was kept");
        return ExitCode::SUCCESS;
    };
    explain(&arguments, *seed, violation);
    ExitCode::FAILURE
}

/// Runs all seeds, or as many as it takes until a promise is broken.
fn simulate(arguments: &Arguments) -> Totals {
    let totals = Mutex::new(Totals::default());
    let (next, stop) = (AtomicU64::new(arguments.from), AtomicBool::new(false));
    let end = arguments.from + arguments.seeds;
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let outcome = cluster::run(&arguments.plan(seed), arguments.sabotage, false);
            if outcome.violation.is_some() && !arguments.survey {
                stop.store(true, Ordering::Relaxed);
            }
            totals.lock().expect("no thread panics").add(seed, outcome);
        }
    };
    thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(work);
        }
    });
    totals.into_inner().expect("no thread panics")
}

/// Shows the smallest plan that breaks the same promise, and what happened.
fn explain(arguments: &Arguments, seed: u64, violation: &Violation) {
    println!("seed {seed} breaks a promise: {violation}");
    let plan = arguments.plan(seed);
    let keep = if arguments.trace || arguments.no_shrink {
        arguments.keep()
    } else {
        println!("looking for a smaller plan …");
        shrink(&plan, violation, arguments.sabotage)
    };
    match report::story(&plan.keep(&keep), arguments.sabotage, arguments.trace) {
        Some(story) => println!("\n{story}"),
        None => {
            println!("the same seed does not break it again: the simulation is not a function of its plan");
        }
    }
    println!("again: {}", report::replay(seed, &arguments.options(), &keep, arguments.sabotage));
    println!("with --trace it shows everything that happens");
}
