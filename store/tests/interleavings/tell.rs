//! A step in words.

use crate::asks::Ask;
use crate::state::{Event, State, Step};
use crate::worker::{Stage, Way};
use crate::world::{Lab, number};

pub(crate) fn step(lab: &Lab, before: &State, step: &Step, after: &State) -> String {
    let flight = |worker: u8, at: u8| &before.workers[usize::from(worker)].flights[usize::from(at)];
    let asked = |worker: u8, at: u8| ask(lab, &flight(worker, at).ask);
    let text = match step.event {
        Event::Watch(worker) => format!("worker {worker} takes in all changes"),
        Event::Look(worker, _) => {
            format!(
                "worker {worker} asks for: {}",
                step.ask.as_ref().map(|of| ask(lab, of)).unwrap_or_default()
            )
        }
        Event::Commit(worker, at) => {
            let changed = after.tree.revision() > before.tree.revision();
            let became = if changed { "is committed" } else { "is refused" };
            let late = if matches!(flight(worker, at).way, Way::Forgotten) { " late" } else { "" };
            format!("worker {worker}'s {} {became}{late} at {}", asked(worker, at), after.tree.revision())
        }
        Event::Reply(worker, at) => format!("worker {worker} gets the reply to its {}", asked(worker, at)),
        Event::Unknown(worker, at) => {
            let why = if matches!(flight(worker, at).way, Way::Sent) { "the request" } else { "the reply" };
            format!("{why} is lost, and worker {worker} is told nothing of its {}", asked(worker, at))
        }
        Event::Postponed(worker, at) => {
            format!("worker {worker} is told nothing of its {}, which is still under way", asked(worker, at))
        }
        Event::End(worker, at) => {
            let held = &before.workers[usize::from(worker)].held[usize::from(at)];
            format!("worker {worker}'s process of slot {} ends", number(held.active.slot))
        }
        Event::Fence(worker) => format!("worker {worker} passes its fence"),
        Event::Renew(worker) => format!("worker {worker} renews its session after all"),
        Event::Expire(worker) => format!("the tree ends the session of worker {worker}"),
        Event::Open(worker) => format!("worker {worker} opens its next session"),
        Event::Death(worker) => format!("worker {worker} dies"),
        Event::Put(suspended) => format!("the job is put, suspended: {suspended}"),
        Event::Delete => "the job is deleted".to_owned(),
        Event::Kill => "somebody asks for the end of what runs".to_owned(),
    };
    text + &started(before, after)
}

/// The processes that a step started.
fn started(before: &State, after: &State) -> String {
    let running = |state: &State, worker: usize| {
        let held = state.workers[worker].held.iter().filter(|held| held.stage == Stage::Running);
        held.map(|held| (held.run.clone(), number(held.active.slot), held.token)).collect::<Vec<_>>()
    };
    let started = (0..before.workers.len()).flat_map(|worker| {
        let ran = running(before, worker);
        let runs = running(after, worker).into_iter();
        let new = runs.filter(move |(run, ..)| ran.iter().all(|(other, ..)| other != run));
        new.map(move |(_, slot, token)| {
            format!("; worker {worker} starts a process of slot {slot} under token {token}")
        })
    });
    started.collect()
}

fn ask(lab: &Lab, ask: &Ask) -> String {
    let slot = ask.run.as_ref().map(|run| lab.run(run).1).or(ask.to.as_ref().map(|to| number(to.slot)));
    let slot = slot.map(|slot| format!(" of slot {slot}")).unwrap_or_default();
    let token = if ask.token.0 == 0 { String::new() } else { format!(" (token {})", ask.token) };
    format!("{:?}{slot}{token}", ask.kind)
}
