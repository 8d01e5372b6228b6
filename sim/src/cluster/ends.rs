//! The end of a worker: SIGTERM, upon which it ends by itself within a bound, SIGKILL, and SIGSTOP, which is none.

use std::time::Duration;

use store::Session;
use worker::core::Input;

use super::link::REQUEST;
use super::shell::Stage;
use super::tree::Request;
use super::{Ev, World};
use crate::check::{Invariant, WorkerId};
use crate::sabotage::Sabotage;

/// How long after its longest grace a worker that was asked to end may be there: it waits ten seconds for the stores and
/// five for the end of its session, and a request may be under way before that.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// As [`ENDS_WITHIN`], for a worker that was stopped by SIGSTOP meanwhile: with the longest grace of a plan.
const LONGEST_END: Duration = Duration::from_mins(1);

/// How long after its worker a process may live.
const GONE_WITHIN: Duration = Duration::from_millis(100);

impl World<'_> {
    /// SIGTERM.
    pub(super) fn stop_worker(&mut self, worker: WorkerId, grace: Duration) {
        let at = &mut self.workers[worker.0];
        if at.stage == Stage::Starting {
            // It has nothing to end.
            return self.worker_gone(worker, "was stopped before it had a session");
        }
        if at.stage != Stage::Working {
            return;
        }
        if at.must_end.is_none() {
            let jobs = self.plan.jobs.iter().map(|job| Duration::from_secs(u64::from(job.grace)));
            let longest = jobs.max().unwrap_or_default().min(grace);
            at.must_end = Some(self.now + longest + ENDS_WITHIN);
            self.after(longest + ENDS_WITHIN, Ev::MustHaveEnded(worker));
        }
        self.checker.stopped(worker, grace);
        if self.sabotage == Some(Sabotage::StopUnheard) {
            return;
        }
        self.say(None, || format!("worker {} is asked to end, grace {grace:?}", worker.0));
        self.input(worker, Input::Stop { grace });
    }

    pub(super) fn stop_again(&mut self, worker: WorkerId) {
        self.stop_worker(worker, Duration::ZERO);
    }

    pub(super) fn must_have_ended(&mut self, worker: WorkerId) {
        let at = &self.workers[worker.0];
        if at.paused || at.must_end.is_some_and(|until| self.now < until) {
            return self.after(Duration::from_secs(1), Ev::MustHaveEnded(worker));
        }
        if at.is_alive() {
            let text = format!("worker {} was asked to end and is still there", worker.0);
            self.fail(Invariant::WorkersEnd, None, text);
        }
    }

    /// The core is over: its session is closed, and then the process ends.
    pub(super) fn close(&mut self, worker: WorkerId, session: Session) {
        self.workers[worker.0].stage = Stage::Leaving;
        self.say(None, || format!("worker {} is over", worker.0));
        self.send(worker, Request::Close(session), REQUEST);
    }

    pub(super) fn leave(&mut self, worker: WorkerId) {
        let at = &mut self.workers[worker.0];
        if at.stage != Stage::Leaving {
            return;
        }
        if at.paused {
            return at.held.push(Ev::Leave(worker));
        }
        let alive = self.processes_of(worker).next();
        if let Some((pid, job)) = alive {
            let text = format!("worker {} leaves while process {pid} lives", worker.0);
            self.fail(Invariant::Grace, Some(&job), text);
        }
        self.worker_gone(worker, "leaves");
    }

    /// The process of a worker is gone, for whatever reason.
    pub(super) fn worker_gone(&mut self, worker: WorkerId, why: &str) {
        let at = &mut self.workers[worker.0];
        if at.stage == Stage::Dead {
            return;
        }
        (at.stage, at.core, at.paused) = (Stage::Dead, None, false);
        at.held.clear();
        let (node, executor) = (at.node, at.executor.take());
        self.say(None, || format!("worker {} (node {node}) {why}", worker.0));
        self.checker.worker_died(worker, self.now);
        if let Some(at) = self.nodes.get_mut(&node)
            && at.worker == Some(worker)
        {
            at.worker = None;
        }
        if let Some(executor) = executor {
            let wait = self.draw(node, 0..=15);
            self.after(wait, Ev::PipeClosed(executor));
            self.after(wait + GONE_WITHIN, Ev::MustBeGone(executor));
        }
        // The supervisor starts another one, unless a fault says when.
        self.after(Duration::from_millis(500), Ev::StartWorker(node));
    }

    /// SIGSTOP and SIGCONT.
    pub(super) fn pause_worker(&mut self, worker: WorkerId, paused: bool) {
        let at = &mut self.workers[worker.0];
        if !at.is_alive() || at.paused == paused {
            return;
        }
        at.paused = paused;
        // What it was to do by then begins anew.
        at.must_end = at.must_end.map(|until| until.max(self.now + LONGEST_END));
        let held = std::mem::take(&mut at.held);
        self.say(None, || format!("worker {} is {}", worker.0, if paused { "paused" } else { "continued" }));
        self.requeue(held);
        if !paused {
            let node = self.workers[worker.0].node;
            self.after(Duration::from_millis(1), Ev::Ship(node));
        }
    }
}
