//! The protocol in small, exhaustively: every order in which two workers can do their steps with one job and a few slots,
//! with every fault at every moment.
//!
//! The transactions are those of [`store::protocol`], committed on a [`store::memory::TreeState`]. The workers are a model
//! of the real ones that waits for nothing: whatever the real one does at some time, this one may do at any time. A
//! request, its commit and its reply are steps of their own. All [`rules`] are checked in every state, and each of them is
//! seen to be broken by a protocol that lacks a comparison or an order.
//!
//! Not here: the run log, which takes every record at once, so that skipped stretches stay in the cursor; clocks that are
//! ahead; the replaced system's workers; the end of a worker that is asked for; a tree without space; a third worker.

mod asks;
mod canon;
mod look;
mod rules;
mod sabotage;
mod search;
mod state;
mod table;
mod tell;
mod view;
mod worker;
mod world;

use std::collections::BTreeSet;
use std::time::Instant;

use asks::Kind;
use rules::Rule;
use sabotage::{Part, Sabotage};
use search::{Found, search};
use world::Fault::{Death, Delete, Edit, Fence, Kill, Session, Unknown};
use world::{Config, Fault, Lab};

const ALL: &[Fault] = &[Unknown, Fence, Session, Death, Edit, Delete, Kill];

/// A job that forbids overlaps, `budget` of these faults, and this many slots.
const fn forbid(slots: u8, budget: u8, faults: &'static [Fault]) -> Config {
    Config { slots, exclusive: true, reserved: false, faults, budget }
}

/// The same with a reserved lock.
const fn reserved(slots: u8, budget: u8, faults: &'static [Fault]) -> Config {
    Config { reserved: true, ..forbid(slots, budget, faults) }
}

/// The same with a job that allows overlaps.
const fn allow(slots: u8, budget: u8, faults: &'static [Fault]) -> Config {
    Config { exclusive: false, ..forbid(slots, budget, faults) }
}

/// Searches, and tells how much there was.
fn explore(config: Config, sabotage: Option<Sabotage>, judged: &[Rule]) -> (Found, BTreeSet<(Kind, Part)>) {
    let begun = Instant::now();
    let lab = Lab::new(config, sabotage);
    let found = search(&lab, judged);
    let Config { slots, exclusive, reserved, faults, budget } = config;
    let policy = if exclusive { "Forbid" } else { "Allow" };
    let lock = if reserved { ", reserved" } else { "" };
    let name = sabotage.map(|sabotage| format!("{sabotage:?}: ")).unwrap_or_default();
    let Found { states, steps, depth, .. } = found;
    let seconds = begun.elapsed().as_secs_f32();
    println!(
        "{name}{policy}{lock}, slots: {slots}, faults: {budget} of {faults:?}: \
         {states} states, {steps} steps, depth {depth}, {seconds:.1} s"
    );
    (found, lab.compared.into_inner())
}

fn keeps_all_rules(configs: &[Config]) {
    for config in configs {
        let (found, _) = explore(*config, None, &Rule::ALL);
        if let Some((rule, trace)) = found.broken {
            panic!("{rule:?} is broken:\n  {}", trace.join("\n  "));
        }
    }
}

#[test]
fn no_order_of_steps_breaks_the_protocol() {
    keeps_all_rules(&[
        forbid(1, 1, ALL),
        reserved(1, 1, ALL),
        forbid(1, 2, &[Unknown, Death, Delete, Kill]),
        forbid(2, 1, &[Unknown, Fence, Death, Edit, Delete, Kill]),
        forbid(3, 0, &[]),
        allow(1, 1, ALL),
        allow(2, 0, &[]),
    ]);
}

#[test]
#[ignore = "takes minutes and gigabytes; to be run after a change of the protocol"]
fn no_order_of_more_steps_breaks_the_protocol() {
    keeps_all_rules(&[
        forbid(1, 2, ALL),
        forbid(2, 1, ALL),
        forbid(2, 2, &[Unknown, Kill]),
        forbid(3, 1, &[Death, Kill]),
        allow(1, 2, &[Unknown, Fence, Session, Death]),
        allow(2, 1, &[Unknown, Fence, Death, Edit, Delete, Kill]),
    ]);
}

#[test]
#[ignore = "takes a minute; to be run after a change of the table"]
fn what_the_table_calls_needless_is_so() {
    for (kind, part, why) in table::NEEDLESS_HERE {
        let without = Some(Sabotage::Without(*kind, *part));
        for config in
            [forbid(1, 1, ALL), reserved(2, 0, &[]), allow(1, 1, ALL), forbid(1, 2, &[Unknown, Delete])]
        {
            let (found, _) = explore(config, without, &Rule::ALL);
            if let Some((rule, trace)) = found.broken {
                panic!("{rule:?} is broken, although {why}:\n  {}", trace.join("\n  "));
            }
        }
    }
}

#[test]
fn a_protocol_without_one_of_its_parts_is_found_out() {
    let mut compared = BTreeSet::new();
    for (sabotage, config, rule) in table::SABOTAGES {
        let (found, parts) = explore(*config, Some(*sabotage), &[*rule]);
        let Some((_, trace)) = found.broken else { panic!("{sabotage:?} does not break {rule:?}") };
        println!("  breaks {rule:?}:\n    {}", trace.join("\n    "));
        compared.extend(parts);
    }
    for rule in Rule::ALL {
        assert!(table::SABOTAGES.iter().any(|(_, _, broken)| *broken == rule), "nothing breaks {rule:?}");
    }
    for (kind, part) in compared {
        let without = Sabotage::Without(kind, part);
        let found = table::SABOTAGES.iter().any(|(sabotage, ..)| *sabotage == without);
        let needless = table::NEEDLESS_HERE.iter().any(|(of, other, _)| (*of, *other) == (kind, part));
        assert!(found || needless, "nobody knows what {part:?} in {kind:?} is for");
    }
}
