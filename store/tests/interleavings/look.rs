//! What a worker may do about the job when it looks at it. It looks whenever it likes, and its clock reads whatever it
//! likes: so any order of decisions is tried, and any difference between clocks.

use std::rc::Rc;

use model::decide::{self, Decision};
use model::run::{Outcome, RunId, SessionId, SkipReason, Skipped, Slot};
use model::values::ActiveRun;

use crate::asks::Ask;
use crate::sabotage::Sabotage;
use crate::view::SeenRun;
use crate::worker::Worker;
use crate::world::{Lab, number};

/// What is known of the sessions and the run log besides the view.
pub(crate) struct Around<'a> {
    /// Whether a worker may believe that a session has ended.
    pub(crate) gone: &'a dyn Fn(&SessionId) -> bool,
    /// Whether it may believe that no exclusive process of the session is left either.
    pub(crate) over: &'a dyn Fn(&SessionId) -> bool,
    /// Whether the run log has the record of a run's end.
    pub(crate) recorded: &'a dyn Fn(&RunId) -> bool,
}

/// Everything that a worker may ask for now.
pub(crate) fn options(lab: &Lab, worker: &Worker, around: &Around<'_>) -> Vec<Ask> {
    let mut options: Vec<Ask> = Vec::new();
    if worker.dead || worker.fenced || worker.is_deciding() {
        return options;
    }
    if recover(lab, worker, around, &mut options) {
        return options;
    }
    let mut known = Vec::new();
    for now in 0..=lab.config.slots {
        let Some(step) = step(lab, worker, now) else { continue };
        if !known.contains(&step) {
            options.push(step.ask(lab, worker));
            known.push(step);
        }
    }
    options
}

/// Looks after the runs that ended sessions left. Returns whether nothing else is done before that.
fn recover(lab: &Lab, worker: &Worker, around: &Around<'_>, options: &mut Vec<Ask>) -> bool {
    let mine = |session: &SessionId| session.0.as_bytes()[0] == worker.session.id.0.as_bytes()[0];
    for (run, seen, active) in worker.view.records() {
        if let Some(end) = &active.ended {
            options.push(worker.asker(lab).finish(run, active, seen.token, end.outcome, false));
            return true;
        }
        if active.is_held() && !mine(&active.session) && (around.gone)(&active.session) {
            if (around.recorded)(run) {
                options.push(worker.asker(lab).finish(run, active, seen.token, Outcome::Succeeded, false));
            }
            if (around.over)(&active.session) {
                options.push(if lab.breaks(Sabotage::LostBeforeDeclared) {
                    worker.asker(lab).finish(run, active, seen.token, Outcome::Lost, false)
                } else {
                    worker.asker(lab).lose(run, active, seen.token)
                });
            }
        }
    }
    false
}

/// Something to do about the job.
#[derive(Clone, Debug, PartialEq)]
enum Todo<'a> {
    Retry(&'a RunId),
    KillWaiting(&'a RunId),
    SkipWaiting(&'a RunId, SkipReason),
    Claim(Slot, Vec<Skipped>),
    Pass(Slot, Vec<Skipped>),
    Collect,
}

impl Todo<'_> {
    fn ask(&self, lab: &Lab, worker: &Worker) -> Ask {
        let (view, asker) = (&worker.view, worker.asker(lab));
        let job = lab.job(view.job.value.is_some_and(|job| job.suspended));
        let record = |run: &RunId| {
            let seen = view.run(run).expect("it was found there");
            (seen, Rc::clone(seen.active.as_ref().expect("it exists")))
        };
        match self {
            Self::Retry(run) => {
                let (seen, active) = record(run);
                asker.retry(job, run, seen, &active)
            }
            Self::KillWaiting(run) => {
                let (seen, active) = record(run);
                asker.kill_waiting(run, &active, seen.token)
            }
            Self::SkipWaiting(run, reason) => {
                let (seen, active) = record(run);
                let mut skipped = active.skipped.clone();
                skipped.push(Skipped { from: active.slot, to: active.slot, count: Some(1), reason: *reason });
                let at = view.cursor.value.as_ref().map_or(0, |cursor| number(cursor.slot));
                asker.skip_waiting(job, run, seen, &active, skipped, at)
            }
            Self::Claim(slot, skipped) => asker.claim(job, number(*slot), skipped.clone()),
            Self::Pass(slot, skipped) => asker.pass(job, number(*slot), skipped.clone()),
            Self::Collect => asker.collect(),
        }
    }
}

fn step<'a>(lab: &Lab, worker: &'a Worker, now: u8) -> Option<Todo<'a>> {
    let view = &worker.view;
    let waiting = || view.records().filter(|(_, _, active)| active.is_waiting());
    let Some(job) = view.job.value else {
        if let Some((run, ..)) = waiting().next() {
            return Some(Todo::KillWaiting(run));
        }
        let litter = view.cursor.value.is_some() || view.status.value.is_some();
        return (litter && view.present_runs().next().is_none()).then_some(Todo::Collect);
    };
    for (run, seen, active) in waiting() {
        match step_of_waiting(lab, worker, now, (run, seen, active)) {
            Waits::Does(todo) => return Some(todo),
            Waits::Keeps => return None,
            Waits::Lets => {}
        }
    }
    let busy = view.present_runs().next().is_some() || view.is_locked();
    let busy = busy && !lab.breaks(Sabotage::BusyJobClaimed);
    let cursor = view.cursor.value.as_deref();
    match lab.decide(now, job.suspended, job.created, cursor, busy) {
        Decision::Wait(_) | Decision::Ahead => None,
        Decision::Claim { slot, skipped } => Some(Todo::Claim(slot, skipped)),
        Decision::Skip { slot, skipped } | Decision::Arm { slot, skipped } => Some(Todo::Pass(slot, skipped)),
    }
}

/// What a run that waits means for the job.
enum Waits<'a> {
    /// This is done.
    Does(Todo<'a>),
    /// Nothing is done.
    Keeps,
    /// Something else may be done.
    Lets,
}

fn step_of_waiting<'a>(
    lab: &Lab,
    worker: &Worker,
    now: u8,
    (run, seen, active): (&'a RunId, &SeenRun, &ActiveRun),
) -> Waits<'a> {
    let view = &worker.view;
    let Some(job) = view.job.value.filter(|job| job.created == active.job && view.killed <= seen.created)
    else {
        return Waits::Does(Todo::KillWaiting(run));
    };
    let armed =
        view.cursor.value.as_ref().is_some_and(|cursor| {
            cursor.job == job.created && cursor.timetable.is_of(lab.job(job.suspended))
        });
    match lab.waiting(now, job.suspended, active.slot) {
        decide::Waiting::Wait(_) => Waits::Keeps,
        // A cursor of another timetable is armed first.
        decide::Waiting::Skip(_) if !armed => Waits::Lets,
        decide::Waiting::Skip(reason) => Waits::Does(Todo::SkipWaiting(run, reason)),
        decide::Waiting::Run if lab.config.exclusive && view.is_locked() => Waits::Lets,
        decide::Waiting::Run => Waits::Does(Todo::Retry(run)),
    }
}
