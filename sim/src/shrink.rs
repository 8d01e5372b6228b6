//! Making a plan smaller while it still breaks the same promise.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::check::Violation;
use crate::cluster;
use crate::plan::{Keep, Plan};
use crate::sabotage::Sabotage;

/// How many smaller plans are tried at most.
const MOST_TRIES: u32 = 600;

/// How long smaller plans are tried.
const LONGEST: Duration = Duration::from_secs(40);

/// A smaller plan may break the promise this much later.
const AFTER: Duration = Duration::from_mins(2);

/// The smallest part of a plan that was found to break the same promise. One that is only looked at in the end has to be
/// about the same job: a job that is left without what it needs breaks it too.
pub fn shrink(plan: &Plan, violation: &Violation, sabotage: Option<Sabotage>) -> Keep {
    let mut keep = Keep {
        nodes: Some(plan.nodes.iter().map(|node| node.id).collect()),
        jobs: Some(plan.jobs.iter().map(|job| job.id).collect()),
        faults: Some(plan.faults.iter().map(|fault| fault.id).collect()),
    };
    // What is over long before the end needs no rest; what is found at the end needs all of it.
    let early = violation.at < plan.end;
    let mut shorter = plan.clone();
    if early {
        shorter.end = (violation.at + AFTER).min(plan.end);
    }
    let until = Instant::now() + LONGEST;
    let mut tries = MOST_TRIES;
    let mut breaks = |keep: &Keep| {
        // Without a node nothing goes on, which says nothing.
        if tries == 0 || Instant::now() > until || of(keep, Part::Nodes).is_empty() {
            return false;
        }
        tries -= 1;
        let found = cluster::run(&shorter.keep(keep), sabotage, false).violation;
        found.is_some_and(|found| {
            let same = if early { found.at < shorter.end } else { found.job == violation.job };
            found.invariant == violation.invariant && same
        })
    };
    loop {
        let before = size(&keep);
        for part in [Part::Jobs, Part::Faults, Part::Nodes] {
            less(&mut keep, part, &mut breaks);
        }
        if size(&keep) == before {
            return keep;
        }
    }
}

#[derive(Clone, Copy)]
enum Part {
    Nodes,
    Jobs,
    Faults,
}

fn of(keep: &Keep, part: Part) -> BTreeSet<usize> {
    let set = match part {
        Part::Nodes => &keep.nodes,
        Part::Jobs => &keep.jobs,
        Part::Faults => &keep.faults,
    };
    set.clone().unwrap_or_default()
}

fn with(keep: &Keep, part: Part, set: BTreeSet<usize>) -> Keep {
    let mut keep = keep.clone();
    match part {
        Part::Nodes => keep.nodes = Some(set),
        Part::Jobs => keep.jobs = Some(set),
        Part::Faults => keep.faults = Some(set),
    }
    keep
}

fn size(keep: &Keep) -> usize {
    [Part::Nodes, Part::Jobs, Part::Faults].into_iter().map(|part| of(keep, part).len()).sum()
}

/// Leaves out of one part what can be left out, in large pieces first.
fn less(keep: &mut Keep, part: Part, breaks: &mut impl FnMut(&Keep) -> bool) {
    let mut piece = of(keep, part).len();
    while piece > 0 {
        let all: Vec<usize> = of(keep, part).into_iter().collect();
        for out in all.chunks(piece) {
            let mut rest = of(keep, part);
            rest.retain(|id| !out.contains(id));
            let smaller = with(keep, part, rest);
            if breaks(&smaller) {
                *keep = smaller;
            }
        }
        piece /= 2;
    }
}
