//! The search: every state that can be reached, breadth first, so that the first trace found is a shortest one.

use std::collections::HashMap;

use crate::canon::fingerprint;
use crate::rules::{Book, Rule};
use crate::state::{Event, State, Step};
use crate::tell;
use crate::world::Lab;

/// What a search found.
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// The length of the longest of all shortest ways to a state.
    pub(crate) depth: usize,
    /// A rule that is broken, and a shortest way there, step by step.
    pub(crate) broken: Option<(Rule, Vec<String>)>,
}

/// Which state a state was reached from first, and how.
#[derive(Clone, Copy)]
struct From {
    state: u32,
    event: Event,
}

/// Looks for a state that breaks one of these rules.
pub(crate) fn search(lab: &Lab, judged: &[Rule]) -> Found {
    let mut search =
        Search { lab, judged, from: vec![None], seen: HashMap::new(), ways: Vec::new(), ends: Vec::new() };
    search.run()
}

struct Search<'a> {
    lab: &'a Lab,
    judged: &'a [Rule],
    from: Vec<Option<From>>,
    seen: HashMap<u128, u32>,
    /// All steps, from a state to a state.
    ways: Vec<(u32, u32)>,
    /// The states in which no step is possible.
    ends: Vec<u32>,
}

impl Search<'_> {
    fn run(&mut self) -> Found {
        let first = State::first(self.lab);
        self.seen.insert(fingerprint(self.lab, &first), 0);
        let mut level = vec![(0, first)];
        let mut depth = 0;
        while !level.is_empty() {
            let mut next = Vec::new();
            for (at, state) in level {
                if let Some(broken) = self.expand(at, &state, &mut next) {
                    return self.found(depth + 1, Some(broken));
                }
            }
            depth += usize::from(!next.is_empty());
            level = next;
        }
        let stuck = if self.judged.contains(&Rule::ComesToAnEnd) { self.stuck() } else { None };
        let broken = stuck.map(|at| (Rule::ComesToAnEnd, self.trace(at, None)));
        self.found(depth, broken)
    }

    fn found(&self, depth: usize, broken: Option<(Rule, Vec<String>)>) -> Found {
        Found { states: self.from.len(), steps: self.ways.len(), depth, broken }
    }

    /// Takes every step from a state.
    fn expand(
        &mut self,
        at: u32,
        state: &State,
        next: &mut Vec<(u32, State)>,
    ) -> Option<(Rule, Vec<String>)> {
        let steps = state.steps(self.lab);
        if steps.is_empty() {
            self.ends.push(at);
            let settled = Book::is_settled(self.lab, &state.fresh, &state.workers);
            if !settled && self.judged.contains(&Rule::Settled) {
                return Some((Rule::Settled, self.trace(at, None)));
            }
        }
        for step in steps {
            let (after, broken) = state.after(self.lab, &step);
            if let Some(rule) = broken.into_iter().find(|rule| self.judged.contains(rule)) {
                return Some((rule, self.trace(at, Some(step.event))));
            }
            let new = u32::try_from(self.from.len()).expect("fewer states than that");
            let to = *self.seen.entry(fingerprint(self.lab, &after)).or_insert(new);
            self.ways.push((at, to));
            if to == new {
                self.from.push(Some(From { state: at, event: step.event }));
                next.push((new, after));
            }
        }
        None
    }

    /// A state from which no end can be reached.
    fn stuck(&self) -> Option<u32> {
        let mut before: Vec<Vec<u32>> = vec![Vec::new(); self.from.len()];
        for (from, to) in &self.ways {
            before[*to as usize].push(*from);
        }
        let mut reaches = vec![false; self.from.len()];
        let mut open = self.ends.clone();
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut reaches[at as usize], true) {
                open.extend(&before[at as usize]);
            }
        }
        reaches.iter().position(|reaches| !reaches).and_then(|at| u32::try_from(at).ok())
    }

    /// The way to a state and a last step, in words.
    fn trace(&self, mut at: u32, last: Option<Event>) -> Vec<String> {
        let mut events: Vec<Event> = last.into_iter().collect();
        while let Some(from) = self.from[at as usize] {
            events.push(from.event);
            at = from.state;
        }
        let mut state = State::first(self.lab);
        let mut words = Vec::new();
        for event in events.into_iter().rev() {
            let steps = state.steps(self.lab);
            let step: &Step = steps.iter().find(|step| step.event == event).expect("it was possible");
            let (after, _) = state.after(self.lab, step);
            words.push(tell::step(self.lab, &state, step, &after));
            state = after;
        }
        words
    }
}
