//! Runs seeds, and shows what breaks a promise.

use std::collections::BTreeSet;
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
struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 50)]
    seeds: u64,
    /// The first one
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many minutes each of them simulates
    #[arg(long, default_value_t = 20)]
    minutes: u64,
    /// How many seeds are simulated at once
    #[arg(long, default_value_t = 2)]
    jobs_threads: usize,
    /// How many nodes, instead of a number by the seed
    #[arg(long)]
    nodes: Option<usize>,
    /// How many jobs, instead of a number by the seed
    #[arg(long)]
    jobs: Option<usize>,
    /// When all jobs run, as in a manifest, instead of a schedule by the seed for each
    #[arg(long)]
    schedule: Option<String>,
    /// No faults
    #[arg(long)]
    calm: bool,
    /// Only these nodes of the plan, by their numbers
    #[arg(long, value_delimiter = ',')]
    keep_nodes: Option<Vec<usize>>,
    /// Only these jobs of the plan
    #[arg(long, value_delimiter = ',')]
    keep_jobs: Option<Vec<usize>>,
    /// Only these faults of the plan; `none` for none
    #[arg(long, value_delimiter = ',')]
    keep_faults: Option<Vec<String>>,
    /// Leave a rule out on purpose, to see that it is noticed
    #[arg(long, value_parser = Sabotage::by_name)]
    sabotage: Option<Sabotage>,
    /// Show the plan and everything that happens
    #[arg(long)]
    trace: bool,
    /// Show what broke a promise as it is, without making its plan smaller
    #[arg(long)]
    no_shrink: bool,
    /// Go on after a broken promise, and say which seeds break which
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
                options.push_str(&format!(" --{name} {number}"));
            }
        }
        if let Some(schedule) = &self.schedule {
            options.push_str(&format!(" --schedule '{schedule}'"));
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
        for _ in 0..arguments.jobs_threads.max(1) {
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
        None => println!("the same seed does not break it again: the simulation is not a function of its plan"),
    }
    println!("again: {}", report::replay(seed, &arguments.options(), &keep, arguments.sabotage));
    println!("with --trace it shows everything that happens");
}
