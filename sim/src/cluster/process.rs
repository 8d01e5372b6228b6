//! Processes: each draws what it does from the seed and its run, so that it does the same wherever and whenever it runs.

use std::time::Duration;

use model::JobName;
use model::run::SessionId;
use worker::executor::{RunKey, StopReason};

use super::executor::Notice;
use super::{Ev, World};
use crate::check::{Asked, ExecutorId, Exit, WorkerId};
use crate::plan::Profile;
use crate::rng::Rng;
use crate::sabotage::Sabotage;
use crate::time::At;

/// How long a process takes at most to be gone after SIGKILL, in milliseconds.
const KILL_LATENCY: u64 = 25;

/// After this a killed process is gone.
pub(super) const KILLED_WITHIN: Duration = Duration::from_millis(KILL_LATENCY + 1);

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// What a process does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw {
    pub(super) lasts: Duration,
    exit: Exit,
    /// How long it takes to end upon SIGTERM; never, if it is stubborn.
    term: Option<Duration>,
    /// It ends by itself upon SIGTERM, with a status.
    handles: bool,
    /// It leaves children, which take so long to end upon SIGTERM, or never do.
    #[expect(clippy::option_option, reason = "the outer one says whether there are children")]
    children: Option<Option<Duration>>,
    pub(super) writes: bool,
}

impl Draw {
    pub(super) fn new(profile: &Profile, rng: &mut Rng) -> Self {
        let exit = if rng.percent(profile.crash) {
            Exit::Signal(11)
        } else if rng.percent(profile.fail) {
            Exit::Status(1 + i32::try_from(rng.range(0..=3)).unwrap_or(0))
        } else {
            Exit::Status(0)
        };
        let slow = rng.millis(1..=profile.slow.max(1));
        let stubborn = rng.percent(profile.stubborn);
        Self {
            lasts: rng.millis(profile.least..=profile.most),
            exit,
            term: (!stubborn).then_some(slow),
            handles: rng.percent(30),
            children: rng.percent(profile.leave).then(|| rng.percent(50).then(|| rng.millis(1..=500))),
            writes: rng.percent(50),
        }
    }
}

/// How far the stopping of a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopping {
    No,
    /// It got SIGTERM, and gets SIGKILL at this instant.
    Asked(At),
    Killed,
}

/// A process group, and what its executor does with it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) worker: WorkerId,
    pub(super) executor: ExecutorId,
    pub(super) key: RunKey,
    pub(super) job: JobName,
    pub(super) session: SessionId,
    pub(super) node: usize,
    pub(super) grace: Duration,
    pub(super) draw: Draw,
    /// How the own process ended.
    pub(super) exit: Option<Exit>,
    /// Children live.
    children: bool,
    stopping: Stopping,
    /// Its executor has seen the own process end.
    pub(super) noticed: bool,
    pub(super) reason: Option<StopReason>,
    /// What it wrote last, which comes with its end.
    pub(super) tail: Vec<u8>,
}

impl Process {
    pub(super) fn new(
        (worker, executor, key): (WorkerId, ExecutorId, RunKey),
        (job, session, node): (JobName, SessionId, usize),
        grace: Duration,
        draw: Draw,
    ) -> Self {
        Self {
            worker,
            executor,
            key,
            job,
            session,
            node,
            grace,
            draw,
            exit: None,
            children: draw.children.is_some(),
            stopping: Stopping::No,
            noticed: false,
            reason: None,
            tail: Vec::new(),
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.exit.is_none() || self.children
    }
}

fn index(pid: u64) -> usize {
    usize::try_from(pid).unwrap_or(usize::MAX) - 1
}

impl World<'_> {
    pub(super) fn process(&mut self, pid: u64) -> &mut Process {
        &mut self.processes[index(pid)]
    }

    /// A new group; returns its number.
    pub(super) fn add_process(&mut self, process: Process) -> u64 {
        let Draw { lasts, exit, writes, .. } = process.draw;
        self.processes.push(process);
        let pid = u64::try_from(self.processes.len()).unwrap_or(u64::MAX);
        self.living.insert(pid);
        self.after(lasts, Ev::MainExit(pid, exit));
        if writes {
            self.after(lasts / 3, Ev::Write(pid));
        }
        pid
    }

    /// The processes of a worker's executors that live.
    pub(super) fn processes_of(&self, worker: WorkerId) -> impl Iterator<Item = (u64, JobName)> {
        let alive = self.living().filter(move |(_, process)| process.worker == worker);
        alive.map(|(pid, process)| (pid, process.job.clone()))
    }

    /// Its groups that live, of one executor.
    pub(super) fn groups_of(&self, executor: ExecutorId) -> impl Iterator<Item = u64> {
        let of = self.living().filter(move |(_, process)| process.executor == executor);
        of.map(|(pid, _)| pid)
    }

    fn living(&self) -> impl Iterator<Item = (u64, &Process)> {
        let living = self.living.iter().map(|pid| (*pid, &self.processes[index(*pid)]));
        living.filter(|(_, process)| process.is_alive())
    }

    pub(super) fn write(&mut self, pid: u64) {
        let process = self.process(pid);
        if process.exit.is_some() {
            return;
        }
        let (executor, bytes) = (process.executor, b"working\n".to_vec());
        self.checker.wrote(pid, &bytes);
        self.notice(executor, Notice::Wrote(pid, bytes));
    }

    /// SIGTERM to a group.
    fn terminate(&mut self, pid: u64) {
        let process = self.process(pid);
        let (exit, children, draw) = (process.exit, process.children, process.draw);
        if exit.is_none()
            && let Some(after) = draw.term
        {
            let exit = if draw.handles { Exit::Status(143) } else { Exit::Signal(SIGTERM) };
            self.after(after, Ev::MainExit(pid, exit));
        }
        if children
            && exit.is_some()
            && let Some(Some(after)) = draw.children
        {
            self.after(after, Ev::ChildrenGone(pid));
        }
    }

    /// SIGKILL to a group.
    pub(super) fn kill(&mut self, pid: u64) {
        let node = self.process(pid).node;
        let wait = self.draw(node, 0..=KILL_LATENCY);
        let process = self.process(pid);
        process.stopping = Stopping::Killed;
        self.after(wait, Ev::MainExit(pid, Exit::Signal(SIGKILL)));
        self.after(wait, Ev::ChildrenGone(pid));
    }

    /// The command's own process ends, if it has not.
    pub(super) fn main_exit(&mut self, pid: u64, exit: Exit) {
        let process = self.process(pid);
        if process.exit.is_some() {
            return;
        }
        process.exit = Some(exit);
        let (executor, alive, job) = (process.executor, process.is_alive(), process.job.clone());
        let last = process.draw.writes && exit == process.draw.exit;
        if last {
            process.tail = b"done\n".to_vec();
            self.checker.wrote(pid, b"done\n");
        }
        self.checker.exited(self.now, pid, exit);
        self.say(Some(&job), || format!("process {pid} ends as {exit:?}"));
        if !alive {
            self.group_gone(pid);
        }
        self.mix(pid);
        self.notice(executor, Notice::Exited(pid));
    }

    /// The children end, if there are any and the own process has ended.
    pub(super) fn children_gone(&mut self, pid: u64) {
        let process = self.process(pid);
        if !process.children {
            return;
        }
        process.children = false;
        let (executor, alive) = (process.executor, process.is_alive());
        if !alive {
            self.group_gone(pid);
            self.notice(executor, Notice::GroupGone(pid));
        }
    }

    fn group_gone(&mut self, pid: u64) {
        self.living.remove(&pid);
        self.checker.gone(self.now, pid);
    }

    /// An executor asks a run to end. The first request gives the reason, the shortest one the grace.
    pub(super) fn stop_process(&mut self, pid: u64, reason: StopReason, grace: Duration) {
        let process = self.process(pid);
        let why = match reason {
            StopReason::Killed => Asked::Kill,
            StopReason::Deadline => Asked::Deadline,
            StopReason::Fence => Asked::Fence,
            StopReason::Shutdown => Asked::Shutdown,
        };
        if process.noticed {
            self.checker.asked_late(pid, why);
        } else {
            process.reason.get_or_insert(reason);
            let (job, process_grace) = (process.job.clone(), process.grace);
            self.checker.asked(pid, why);
            self.say(Some(&job), || {
                let least = process_grace.min(grace);
                format!("process {pid} is asked to end: {reason:?}, grace {least:?}")
            });
        }
        self.ask_to_end(pid, grace);
    }

    fn ask_to_end(&mut self, pid: u64, grace: Duration) {
        let now = self.now;
        let process = self.process(pid);
        let mut wait = process.grace.min(grace);
        if self.sabotage == Some(Sabotage::GraceCut) {
            wait /= 2;
        }
        let process = self.process(pid);
        let kill_at = now + wait;
        let first = process.stopping == Stopping::No;
        process.stopping = match process.stopping {
            Stopping::No => Stopping::Asked(kill_at),
            Stopping::Asked(before) => Stopping::Asked(before.min(kill_at)),
            Stopping::Killed => return,
        };
        self.queue.put(kill_at, Ev::KillTimer(pid));
        if first {
            self.checker.terminated(now, pid);
            self.terminate(pid);
        }
    }

    pub(super) fn kill_timer(&mut self, pid: u64) {
        let executor = self.process(pid).executor;
        self.notice(executor, Notice::KillTimer(pid));
    }

    /// The grace is over.
    pub(super) fn grace_over(&mut self, pid: u64) {
        let now = self.now;
        let process = self.process(pid);
        if let Stopping::Asked(at) = process.stopping
            && at <= now
            && process.is_alive()
        {
            self.checker.grace_over(now, pid);
            self.kill(pid);
        }
    }

    pub(super) fn deadline(&mut self, pid: u64) {
        let executor = self.process(pid).executor;
        self.notice(executor, Notice::Deadline(pid));
    }

    /// The executor has seen the own process end: what it left in its group is ended too. Returns whether the group is
    /// gone.
    pub(super) fn own_process_ended(&mut self, pid: u64) -> bool {
        let process = self.process(pid);
        process.noticed = true;
        if !process.is_alive() {
            return true;
        }
        match process.stopping {
            Stopping::No => self.ask_to_end(pid, Duration::MAX),
            Stopping::Asked(_) => self.terminate(pid),
            Stopping::Killed => {}
        }
        false
    }

    /// Kills every process on a node that carries a session in its environment.
    pub(super) fn sweep(&mut self, node: usize, session: &SessionId) {
        let of = self.living().filter(|(_, process)| process.node == node && process.session == *session);
        for pid in of.map(|(pid, _)| pid).collect::<Vec<_>>() {
            self.kill(pid);
        }
    }
}
