//! A plan: everything about a simulation that is not a consequence of something else.
//!
//! It is made from a seed ([`Plan::make`]) and says which nodes and jobs there are, and which faults happen when. Each
//! of these has a number and can be left out alone, which changes no other: what is drawn at random later depends on the
//! seed and on what it is for. So a plan that breaks a promise can be made smaller while it still does.

mod faults;
mod jobs;
mod make;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use model::UnixMillis;

pub use faults::{Ambush, Edit, Fault, What};
pub use jobs::{Form, JobPlan, Missed, Profile};

use crate::time::At;

/// How large a plan is to be.
#[derive(Clone, Debug)]
pub struct Size {
    /// How long it lasts, the quiet time at the end included.
    pub lasts: Duration,
    /// How many nodes, instead of a number by the seed.
    pub nodes: Option<usize>,
    /// How many jobs, instead of a number by the seed.
    pub jobs: Option<usize>,
    /// When all jobs run, instead of a schedule by the seed for each. An edit does not change it.
    pub schedule: Option<String>,
    /// Whether there are faults.
    pub faults: bool,
}

impl Default for Size {
    fn default() -> Self {
        Self { lasts: Duration::from_mins(20), nodes: None, jobs: None, schedule: None, faults: true }
    }
}

/// A feature that some workers have and some jobs need.
pub const LATER: &str = "later";

/// A node, on which at most one worker runs at a time.
#[derive(Clone, Copy, Debug)]
pub struct NodePlan {
    /// Its number.
    pub id: usize,
    /// How many milliseconds its wall clock is ahead.
    pub ahead: i64,
    /// How many microseconds its wall clock gains in a second.
    pub wall_ppm: i64,
    /// The same for its boot clock.
    pub boot_ppm: i64,
    /// How many runs its worker takes at once.
    pub max_runs: Option<usize>,
    /// Whether its worker understands [`LATER`].
    pub later: bool,
    /// When its worker is started first.
    pub from: At,
}

/// Everything that is decided beforehand.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it was made from, and what everything else is drawn from.
    pub seed: u64,
    /// What a true wall clock reads at the beginning.
    pub epoch: UnixMillis,
    /// When the simulation ends.
    pub end: At,
    /// When the last fault is over.
    pub quiet: At,
    /// How long a session lasts without a renewal.
    pub session: Duration,
    /// The nodes.
    pub nodes: Vec<NodePlan>,
    /// The jobs.
    pub jobs: Vec<JobPlan>,
    /// What goes wrong, and what people do.
    pub faults: Vec<Fault>,
}

/// What is kept of a plan; `None` means everything.
#[derive(Clone, Debug, Default)]
pub struct Keep {
    /// Numbers of nodes.
    pub nodes: Option<BTreeSet<usize>>,
    /// Numbers of jobs.
    pub jobs: Option<BTreeSet<usize>>,
    /// Numbers of faults.
    pub faults: Option<BTreeSet<usize>>,
}

impl Plan {
    /// The plan of a seed.
    pub fn make(seed: u64, size: &Size) -> Self {
        make::plan(seed, size)
    }

    /// The plan without what is not to be kept. Faults of nodes and jobs that are gone go with them.
    #[must_use]
    pub fn keep(&self, keep: &Keep) -> Self {
        let kept = |set: &Option<BTreeSet<usize>>, id| set.as_ref().is_none_or(|set| set.contains(&id));
        let mut plan = self.clone();
        plan.nodes.retain(|node| kept(&keep.nodes, node.id));
        plan.jobs.retain(|job| kept(&keep.jobs, job.id));
        let there = |fault: &Fault| {
            let node = fault.what.node().is_none_or(|id| plan.nodes.iter().any(|node| node.id == id));
            let job = fault.what.job().is_none_or(|id| plan.jobs.iter().any(|job| job.id == id));
            node && job
        };
        let faults = self.faults.iter().filter(|fault| kept(&keep.faults, fault.id) && there(fault));
        plan.faults = faults.cloned().collect();
        plan
    }

    /// How long a due slot of a job may take to be decided in the quiet time.
    pub fn patience(&self, job: &JobPlan) -> Duration {
        let longest = |job: &JobPlan| {
            let longest = Duration::from_millis(job.profile.most) + Duration::from_secs(u64::from(job.grace));
            longest + job.profile.slow_to_end()
        };
        // A lost run is waited for, a stuck owner is passed over, and a backlog is worked off.
        let alone = Duration::from_secs(150) + 3 * self.session + 2 * longest(job) + 2 * job.interval();
        let able = self.nodes.iter().filter(|node| node.later || !job.later);
        let places: usize = able.filter_map(|node| node.max_runs).sum();
        if places == 0 {
            return alone;
        }
        let total: Duration = self.jobs.iter().map(longest).sum();
        alone + 2 * total / u32::try_from(places).unwrap_or(1)
    }
}

/// One line for each node, job and fault.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}, from {}, sessions of {} s, faults until {}, end at {}",
            self.seed,
            self.epoch,
            self.session.as_secs(),
            self.quiet,
            self.end
        )?;
        for NodePlan { id, ahead, wall_ppm, boot_ppm, max_runs, later, from } in &self.nodes {
            write!(
                f,
                "node {id}: clock {ahead:+} ms {wall_ppm:+} ppm, boot clock {boot_ppm:+} ppm, from {from}"
            )?;
            if *later {
                write!(f, ", with {LATER}")?;
            }
            match max_runs {
                Some(most) => writeln!(f, ", at most {most} runs")?,
                None => writeln!(f)?,
            }
        }
        for job in &self.jobs {
            writeln!(f, "{job}")?;
        }
        for fault in &self.faults {
            writeln!(f, "{fault}")?;
        }
        Ok(())
    }
}
