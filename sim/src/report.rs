//! What is told of simulations: the totals of many seeds, and the story of one that breaks a promise.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use crate::check::{Tally, Violation};
use crate::cluster::{self, Line, Outcome};
use crate::plan::{Keep, Plan};
use crate::sabotage::Sabotage;

/// How many lines of the trace a story has.
const SHOWN: usize = 60;

/// All seeds together.
#[derive(Debug, Default)]
pub struct Totals {
    /// How long they lasted, in true time.
    pub lasted: Duration,
    /// How many events there were.
    pub events: u64,
    /// What happened, in numbers.
    pub tally: Tally,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<String, u64>,
    /// The first broken promise of each seed that breaks one.
    pub broken: BTreeMap<u64, Violation>,
}

impl Totals {
    /// Adds how a seed went.
    pub fn add(&mut self, seed: u64, outcome: Outcome) {
        self.lasted += outcome.lasted;
        self.events += outcome.events;
        self.tally += outcome.tally;
        for (kind, count) in outcome.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        if let Some(violation) = outcome.violation {
            self.broken.insert(seed, violation);
        }
    }
}

/// Two lines: what happened, and the faults.
impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.lasted.as_secs_f64() / 3600.0;
        let Tally { claims, ends, lost, skipped, given_back, retried, processes } = self.tally;
        writeln!(
            f,
            "{hours:.1} simulated hours, {} events: {claims} slots claimed, {processes} processes, {ends} runs ended \
             ({lost} of them lost), {skipped} slots skipped, {given_back} claims given back, {retried} taken again",
            self.events
        )?;
        let faults: Vec<String> = self.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        write!(f, "faults: {}", faults.join(", "))
    }
}

/// The options of a command that does the same again; `options` are those that the plan was made with.
pub fn replay(seed: u64, options: &str, keep: &Keep, sabotage: Option<Sabotage>) -> String {
    let mut command = format!("cargo xtask sim --seeds 1 --from {seed}{options}");
    for (name, set) in [("nodes", &keep.nodes), ("jobs", &keep.jobs), ("faults", &keep.faults)] {
        let Some(set) = set else { continue };
        let list: Vec<String> = set.iter().map(ToString::to_string).collect();
        let list = if list.is_empty() { "none".to_owned() } else { list.join(",") };
        let _ = write!(command, " --keep-{name} {list}");
    }
    if let Some(sabotage) = sabotage {
        let _ = write!(command, " --sabotage {}", sabotage.name());
    }
    command + " --no-shrink"
}

/// What a plan that breaks a promise is, and what happened before. With `all`, everything that happened; otherwise the
/// last lines that concern the job. `None` where the plan breaks nothing.
pub fn story(plan: &Plan, sabotage: Option<Sabotage>, all: bool) -> Option<String> {
    let outcome = cluster::run(plan, sabotage, true);
    let violation = outcome.violation?;
    let lines: Vec<&Line> = outcome.trace.iter().filter(|line| all || concerns(line, &violation)).collect();
    let shown = if all { lines.len() } else { SHOWN };
    let mut story = format!("{plan}\n");
    for line in &lines[lines.len().saturating_sub(shown)..] {
        let _ = writeln!(story, "{line}");
    }
    let _ = write!(story, "\n{violation}\n{}", violation.invariant.promise());
    Some(story)
}

fn concerns(line: &Line, violation: &Violation) -> bool {
    let job = line.job.is_none() || violation.job.is_none() || line.job == violation.job;
    job && !line.routine
}
