//! The executor, as the core sees it: what it is told, and what its events mean.

use std::collections::BTreeSet;
use std::time::Duration;

use model::run::SessionId;

use super::runs::Stage;
use super::{Act, Core, Count, Level, Order, RETRY_AFTER, Timer, environment};
use crate::executor::{Boottime, Ended, Event, ExitResult, RunKey, Start, StopReason};
use crate::times::EXECUTOR_ANSWERS;

#[derive(Debug)]
pub(super) enum ExecutorState {
    /// It runs, as far as is known.
    Alive,
    /// It has ended. The commands that it may have left behind are being looked for, by these sessions.
    Sweeping { left: BTreeSet<SessionId>, why: String },
    /// Another one is being started.
    Spawning,
}

impl ExecutorState {
    pub(super) fn is_alive(&self) -> bool {
        matches!(self, Self::Alive)
    }
}

impl Core {
    pub(super) fn is_executor_silent(&self, now: Boottime) -> bool {
        self.sessions.is_leased() && now.0.saturating_sub(self.answered.0) > EXECUTOR_ANSWERS
    }

    pub(super) fn order(&mut self, order: Order) {
        if self.executor.is_alive() {
            self.act(Act::Order(order));
        }
    }

    /// Tells the executor until when the session is sure to live.
    pub(super) fn send_fence(&mut self) {
        if let Some(fence) = self.sessions.fence() {
            self.order(Order::Fence(fence));
        }
    }

    /// Hands a run to the executor, which waits for its instant.
    pub(super) fn order_start(&mut self, key: RunKey) {
        let Some(run) = self.runs.get_mut(key) else { return };
        run.stage = Stage::Ordered;
        let status = self.view.get(&run.lane).and_then(|entry| entry.lane.status.value.as_deref());
        let start = Start {
            key,
            at: run.active.slot.0,
            argv: run.job.command.argv(),
            env: environment::of_run(&self.config.inherited, run, status),
            working_dir: run.job.working_dir.as_deref().map(ToOwned::to_owned),
            output_limit: run.job.output_limit,
            active_deadline: run.job.active_deadline,
            grace: run.job.grace,
            exclusive: run.job.is_exclusive(),
        };
        self.order(Order::Start(Box::new(start)));
    }

    /// Ends a run that the executor has. The first reason counts.
    pub(super) fn stop_run(&mut self, key: RunKey, why: &'static str) {
        let Some(run) = self.runs.get_mut(key) else { return };
        if run.stage == Stage::Ordered && run.stopped.is_none() {
            run.stopped = Some(why);
            self.order(Order::Stop(key, StopReason::Killed));
        }
    }

    pub(super) fn take_event(&mut self, event: Event) {
        self.answered = self.now.boot;
        match event {
            Event::Started { key, at, pid: _ } => {
                let Some(run) = self.runs.get_mut(key) else { return };
                run.started = Some(at);
                let late = at.since(run.active.slot.0);
                self.count(Count::Started(late));
            }
            Event::Output { key, bytes } => {
                if let Some(run) = self.runs.get_mut(key) {
                    run.head.extend_from_slice(&bytes);
                }
            }
            Event::Ended { key, ended } => self.process_ended(key, ended),
            Event::Alive => {}
            Event::Gone { why } => self.executor_gone(why),
        }
    }

    fn process_ended(&mut self, key: RunKey, ended: Ended) {
        let Some(run) = self.runs.get_mut(key) else { return };
        if run.stage != Stage::Ordered {
            return;
        }
        match (&ended.result, ended.stopped) {
            (ExitResult::NotStarted(why), Some(StopReason::Shutdown | StopReason::Fence)) => {
                // Nothing happened: another worker can still run the slot.
                let why = why.clone();
                self.give_back_held(key, why);
            }
            (ExitResult::NotStarted(_), Some(StopReason::Killed)) => {
                let why = run.stopped.unwrap_or("killed on request");
                let record = run.never_started(self.now.wall, why);
                self.end_held(key, record);
            }
            _ => {
                let record = run.record(ended);
                run.head = Vec::new();
                self.end_held(key, record);
            }
        }
    }

    /// The executor is dead. Its commands are, or will be once they are found.
    fn executor_gone(&mut self, why: String) {
        if !self.executor.is_alive() {
            return;
        }
        let text = format!("the executor ended; its commands are lost, a new one is started: {why}");
        self.note(Level::Error, None, text);
        let left: BTreeSet<SessionId> = self.sessions.all().cloned().collect();
        for session in &left {
            self.act(Act::Sweep(session.clone()));
        }
        self.executor = ExecutorState::Sweeping { left, why };
    }

    /// No process of a session is left on this node.
    pub(super) fn swept(&mut self, session: &SessionId) {
        for lane in self.orphans.swept(session) {
            self.look_again(&lane);
        }
        let ExecutorState::Sweeping { left, why } = &mut self.executor else { return };
        left.remove(session);
        if !left.is_empty() {
            return;
        }
        let message =
            format!("the executor ended while the command ran ({why}); how far it came is not known");
        let lost: Vec<RunKey> = self.runs.alive().map(|(key, _)| key).collect();
        for key in lost {
            if let Some(run) = self.runs.get(key) {
                let record = run.lost(self.now.wall, message.clone());
                self.end_held(key, record);
            }
        }
        self.executor = ExecutorState::Spawning;
        self.spawn_executor();
    }

    pub(super) fn spawn_executor(&mut self) {
        if self.ending.is_none() {
            self.act(Act::Spawn);
        }
    }

    pub(super) fn spawned(&mut self, spawned: Result<(), String>) {
        match spawned {
            Ok(()) => {
                self.executor = ExecutorState::Alive;
                self.answered = self.now.boot;
                self.send_fence();
                if self.ending.is_some() {
                    self.order(Order::StopAll(Duration::ZERO));
                }
            }
            Err(why) => {
                self.trouble(why);
                self.after(RETRY_AFTER, Timer::Spawn);
            }
        }
    }
}
