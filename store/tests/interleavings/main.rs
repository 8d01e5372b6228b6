//! The protocol in small, exhaustively.

mod asks;
mod canon;
mod look;
mod rules;
mod sabotage;
mod search;
mod state;
mod tell;
mod view;
mod worker;
mod world;

use std::time::Instant;

use rules::Rule;
use search::search;
use world::{Config, Fault, Lab};

#[test]
fn sizes() {
    use Fault::{Death, Delete, Edit, Kill, Session, Unknown};
    const ALL: &[Fault] = &[Unknown, Session, Death, Edit, Delete, Kill];
    let base = Config { slots: 2, exclusive: true, reserved: false, faults: ALL, budget: 0 };
    for (slots, exclusive, budget) in [
        (1, true, 0),
        (2, true, 0),
        (3, true, 0),
        (1, true, 1),
        (2, true, 1),
        (2, false, 0),
        (1, false, 1),
        (1, true, 2),
    ] {
        let lab = Lab::new(Config { slots, exclusive, budget, ..base }, None);
        let begun = Instant::now();
        let found = search(&lab, &Rule::ALL);
        println!(
            "slots {slots} exclusive {exclusive} budget {budget}: {} states, {} steps, depth {}, {:?}",
            found.states,
            found.steps,
            found.depth,
            begun.elapsed()
        );
        if let Some((rule, trace)) = found.broken {
            println!("{rule:?}");
            for line in trace {
                println!("  {line}");
            }
        }
    }
}
