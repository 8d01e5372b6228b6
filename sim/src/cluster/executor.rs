//! The executor of a worker, as `worker::executor` does it: it waits for the instants of starts, keeps the fence by
//! itself, and ends everything when its pipe closes.

use std::collections::BTreeMap;
use std::time::Duration;

use worker::core::Order;
use worker::executor::{Ended, Event, ExitResult, Fence, RunKey, Start, StopReason};

use super::about::About;
use super::process::{Draw, Process};
use super::{Ev, World};
use crate::check::{self, ExecutorId, Exit, Invariant, WorkerId};
use crate::plan::What;
use crate::rng::Rng;
use crate::sabotage::Sabotage;
use crate::time::At;

/// How long spawning takes at most.
const SPAWNS_WITHIN: Duration = Duration::from_millis(10);

/// Something that an executor notices about one of its processes.
#[derive(Debug)]
pub(super) enum Notice {
    Wrote(u64, Vec<u8>),
    Exited(u64),
    GroupGone(u64),
    KillTimer(u64),
    Deadline(u64),
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Its instant has not come.
    Waiting,
    /// It is being spawned, and was asked to end meanwhile.
    Starting(Vec<(StopReason, Duration)>),
    Running(u64),
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) start: Start,
    pub(super) stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fenced {
    No,
    Stopped,
    Killed,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each of them can be so without the others")]
pub(super) struct Executor {
    worker: WorkerId,
    pub(super) node: usize,
    pub(super) runs: BTreeMap<RunKey, Run>,
    pub(super) fence: Option<Fence>,
    pub(super) fenced: Fenced,
    /// Nothing starts any more.
    stopping: bool,
    /// Its pipe is closed.
    pub(super) closed: bool,
    pub(super) dead: bool,
    /// It is stopped by SIGSTOP, and what comes to it waits here.
    pub(super) paused: bool,
    /// When that ended last.
    continued: Option<At>,
    pub(super) held: Vec<Ev>,
    rng: Rng,
}

impl World<'_> {
    pub(super) fn new_executor(&mut self, worker: WorkerId) {
        let id = ExecutorId(self.executors.len());
        let node = self.workers[worker.0].node;
        self.executors.push(Executor {
            worker,
            node,
            runs: BTreeMap::new(),
            fence: None,
            fenced: Fenced::No,
            stopping: false,
            closed: false,
            dead: false,
            paused: false,
            continued: None,
            held: Vec::new(),
            rng: Rng::new(self.plan.seed, &["executor", &node.to_string(), &id.0.to_string()]),
        });
        self.workers[worker.0].executor = Some(id);
    }

    /// Puts a message into the pipe to the worker.
    fn tell(&mut self, executor: ExecutorId, event: Event) {
        let at = &mut self.executors[executor.0];
        let (worker, wait) = (at.worker, at.rng.millis(0..=2));
        let at = &mut self.workers[worker.0];
        at.last_event = (self.now + wait).max(at.last_event);
        self.queue.put(at.last_event, Ev::FromExecutor(worker, executor, event));
    }

    pub(super) fn order(&mut self, executor: ExecutorId, order: Order) {
        let at = &mut self.executors[executor.0];
        if at.dead || at.closed {
            return;
        }
        if at.paused {
            return at.held.push(Ev::Order(executor, order));
        }
        match order {
            Order::Ping => self.tell(executor, Event::Alive),
            Order::Start(start) => self.expect(executor, *start),
            Order::Stop(key, reason) => self.stop(executor, key, reason, Duration::MAX),
            Order::StopAll(grace) => {
                at.stopping = true;
                for key in at.runs.keys().copied().collect::<Vec<_>>() {
                    self.stop(executor, key, StopReason::Shutdown, grace);
                }
            }
            Order::Fence(fence) => {
                (at.fence, at.fenced) = (Some(fence), Fenced::No);
                let when = self.nodes[&at.node].clocks.when_boot(fence.deadline.0);
                self.queue.put(when.max(self.now), Ev::Fence(executor));
            }
        }
    }

    fn expect(&mut self, executor: ExecutorId, start: Start) {
        let at = &mut self.executors[executor.0];
        let key = start.key;
        if at.stopping {
            return self.refuse(executor, key, "the worker was stopped", Some(StopReason::Shutdown));
        }
        let when = self.nodes[&at.node].clocks.when_wall(start.at).max(self.now);
        at.runs.insert(key, Run { start, stage: Stage::Waiting });
        self.queue.put(when, Ev::Begin(executor, key));
    }

    /// The wall clock of a node was set: what waits for an instant is looked at again.
    pub(super) fn clock_was_set(&mut self, node: usize) {
        let clocks = self.nodes[&node].clocks;
        for (id, at) in
            (0..).map(ExecutorId).zip(&self.executors).filter(|(_, at)| at.node == node && !at.dead)
        {
            for (key, run) in at.runs.iter().filter(|(_, run)| matches!(run.stage, Stage::Waiting)) {
                // It looks at the clock every 50 ms.
                let when = clocks.when_wall(run.start.at).max(self.now + Duration::from_millis(50));
                self.queue.put(when, Ev::Begin(id, *key));
            }
        }
    }

    /// The instant of a run may have come.
    pub(super) fn begin(&mut self, executor: ExecutorId, key: RunKey) {
        let at = &mut self.executors[executor.0];
        if at.paused {
            return at.held.push(Ev::Begin(executor, key));
        }
        let wall = self.nodes[&at.node].clocks.wall(self.now);
        let Some(run) = at.runs.get_mut(&key) else { return };
        if !matches!(run.stage, Stage::Waiting) || at.dead || at.closed || wall < run.start.at {
            return;
        }
        run.stage = Stage::Starting(Vec::new());
        let (wait, node) = (at.rng.millis(0..=4), at.node);
        if self.is_past_fence(executor) {
            self.executors[executor.0].runs.remove(&key);
            return self.refuse(executor, key, "the session may have ended", Some(StopReason::Fence));
        }
        if self.lasts(|what| *what == What::SpawnFails { node }) {
            self.executors[executor.0].runs.remove(&key);
            return self.refuse(executor, key, "there are too many processes", None);
        }
        self.after(wait, Ev::Spawned(executor, key));
    }

    /// Its process exists.
    pub(super) fn spawned(&mut self, executor: ExecutorId, key: RunKey) {
        let at = &mut self.executors[executor.0];
        if at.dead {
            return;
        }
        if at.paused {
            return at.held.push(Ev::Spawned(executor, key));
        }
        let (worker, node, closed) = (at.worker, at.node, at.closed);
        let guarded = at.continued.is_none_or(|at| self.now.since(at) > SPAWNS_WITHIN);
        let Some(run) = at.runs.get_mut(&key) else { return };
        let Some(about) = About::of(&run.start) else { return };
        let (exclusive, grace, deadline) = (run.start.exclusive, run.start.grace, run.start.active_deadline);
        let words = ["process", about.run.as_str(), &about.attempt.to_string()];
        let mut rng = Rng::new(self.plan.seed, &words);
        let draw = self.environment.profile(&about.job).map(|profile| Draw::new(&profile, &mut rng));
        let Some(draw) = draw else { return };
        let named = (about.job.clone(), about.session.clone(), node);
        let pid = self.add_process(Process::new((worker, executor, key), named, grace, draw));
        let wall = self.clocks(node).wall;
        let stops = match self.executors[executor.0].runs.get_mut(&key) {
            Some(run) => std::mem::replace(&mut run.stage, Stage::Running(pid)),
            None => Stage::Waiting,
        };
        self.say(Some(&about.job), || {
            let About { run, attempt, session, token, .. } = &about;
            format!("process {pid} starts on node {node}: {run} attempt {attempt}, session {session}, token {token}")
        });
        self.checker.started(
            self.now,
            check::Start {
                pid,
                job: about.job,
                run: about.run,
                attempt: about.attempt,
                session: about.session,
                token: about.token,
                exclusive,
                grace,
                guarded,
                worker,
                executor,
                wall,
            },
        );
        self.mix(pid);
        self.tell(executor, Event::Started { key, at: wall, pid: u32::try_from(pid).unwrap_or(0) });
        if let Some(deadline) = deadline {
            self.after(deadline, Ev::Deadline(pid));
        }
        if closed {
            return self.kill(pid);
        }
        if let Stage::Starting(stops) = stops {
            for (reason, grace) in stops {
                self.stop_process(pid, reason, grace);
            }
        }
        if exclusive && self.is_past_fence(executor) {
            self.stop_process(pid, StopReason::Fence, Duration::ZERO);
        }
    }

    pub(super) fn stop(&mut self, executor: ExecutorId, key: RunKey, reason: StopReason, grace: Duration) {
        let at = &mut self.executors[executor.0];
        let Some(run) = at.runs.get_mut(&key) else { return };
        match &mut run.stage {
            Stage::Waiting => {
                at.runs.remove(&key);
                self.refuse(executor, key, "it was stopped", Some(reason));
            }
            Stage::Starting(stops) => stops.push((reason, grace)),
            Stage::Running(pid) => {
                let pid = *pid;
                self.stop_process(pid, reason, grace);
            }
        }
    }

    /// Reports a run that never was.
    fn refuse(&mut self, executor: ExecutorId, key: RunKey, why: &str, stopped: Option<StopReason>) {
        let wall = self.clocks(self.executors[executor.0].node).wall;
        let result = ExitResult::NotStarted(format!("{why} before the command started"));
        let ended = Ended { started: None, at: wall, result, stopped, cut: 0, tail: Vec::new() };
        self.tell(executor, Event::Ended { key, ended });
    }

    /// The worker is gone: everything ends at once.
    pub(super) fn pipe_closed(&mut self, executor: ExecutorId) {
        if self.sabotage == Some(Sabotage::OrphansLive) {
            return;
        }
        let at = &mut self.executors[executor.0];
        if at.dead {
            return;
        }
        // In a container the worker's end is the end of everything in it, stopped or not.
        at.closed = true;
        at.runs.retain(|_, run| !matches!(run.stage, Stage::Waiting));
        for pid in self.groups_of(executor).collect::<Vec<_>>() {
            self.kill(pid);
        }
    }

    /// Nothing outlives a worker, unless its executor died too.
    pub(super) fn must_be_gone(&mut self, executor: ExecutorId) {
        if self.executors[executor.0].dead {
            return;
        }
        let alive = self.groups_of(executor).next();
        if let Some(pid) = alive {
            let job = self.process(pid).job.clone();
            let text = format!("process {pid} lives, and its worker has been gone for a while");
            self.fail(Invariant::GoneWithWorker, Some(&job), text);
        }
    }

    /// The executor and all its processes are gone at once.
    pub(super) fn power_off(&mut self, executor: ExecutorId) {
        let at = &mut self.executors[executor.0];
        (at.dead, at.closed) = (true, true);
        at.held.clear();
        self.checker.executor_died(executor);
        for pid in self.groups_of(executor).collect::<Vec<_>>() {
            self.main_exit(pid, Exit::Signal(9));
            self.children_gone(pid);
        }
    }

    /// SIGKILL to the executor: its processes go on.
    pub(super) fn kill_executor(&mut self, executor: ExecutorId) {
        let at = &mut self.executors[executor.0];
        at.dead = true;
        at.held.clear();
        self.say(None, || format!("executor {} is killed", executor.0));
        self.checker.executor_died(executor);
        for pid in self.groups_of(executor).collect::<Vec<_>>() {
            self.checker.unguarded(pid);
        }
        self.tell(executor, Event::Gone { why: "it was killed by signal 9".to_owned() });
    }

    /// SIGSTOP and SIGCONT.
    pub(super) fn pause_executor(&mut self, executor: ExecutorId, paused: bool) {
        let at = &mut self.executors[executor.0];
        at.paused = paused;
        if !paused {
            at.continued = Some(self.now);
        }
        let held = std::mem::take(&mut at.held);
        self.say(None, || {
            format!("executor {} is {}", executor.0, if paused { "paused" } else { "continued" })
        });
        for pid in self.groups_of(executor).collect::<Vec<_>>() {
            self.checker.unguarded(pid);
        }
        self.requeue(held);
    }

    /// Something about one of its processes.
    pub(super) fn notice(&mut self, executor: ExecutorId, notice: Notice) {
        let at = &mut self.executors[executor.0];
        if at.dead || at.closed {
            return;
        }
        if at.paused {
            return at.held.push(Ev::Notice(executor, notice));
        }
        match notice {
            Notice::Wrote(pid, bytes) => {
                let key = self.process(pid).key;
                self.tell(executor, Event::Output { key, bytes });
            }
            Notice::Exited(pid) => {
                if self.own_process_ended(pid) {
                    self.ended(executor, pid);
                }
            }
            Notice::GroupGone(pid) => self.ended(executor, pid),
            Notice::KillTimer(pid) => self.grace_over(pid),
            Notice::Deadline(pid) => {
                let process = self.process(pid);
                if !process.noticed {
                    self.stop_process(pid, StopReason::Deadline, Duration::MAX);
                }
            }
        }
    }

    /// A group is gone, and its worker is told.
    fn ended(&mut self, executor: ExecutorId, pid: u64) {
        let process = self.process(pid);
        let (key, node, stopped, exit) = (process.key, process.node, process.reason, process.exit);
        let tail = std::mem::take(&mut process.tail);
        if self.executors[executor.0].runs.remove(&key).is_none() {
            return;
        }
        let wall = self.clocks(node).wall;
        self.checker.told(pid, wall);
        let result = match exit {
            Some(Exit::Status(status)) => ExitResult::Exited(status),
            Some(Exit::Signal(signal)) => ExitResult::Signaled(signal),
            None => ExitResult::NotStarted("it never ran".to_owned()),
        };
        let started = self.checker.started_at(pid);
        let ended = Ended { started, at: wall, result, stopped, cut: 0, tail };
        self.tell(executor, Event::Ended { key, ended });
    }
}
