//! The processes that ran. Whatever a worker believes, this is what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::run::{Revision, RunId, SessionId};
use model::{JobName, UnixMillis};

use super::facts::{Attempt, ExecutorId, WorkerId};
use super::invariant::Invariant;
use crate::time::At;

/// A process group that came to be.
#[derive(Clone, Debug)]
pub struct Start {
    /// The group's number, never used again.
    pub pid: u64,
    /// Its job.
    pub job: JobName,
    /// Its run.
    pub run: RunId,
    /// Which try of the run.
    pub attempt: u32,
    /// The session it was started for, from its environment.
    pub session: SessionId,
    /// The fencing token in its environment.
    pub token: Revision,
    /// It must not run beside another one of its job.
    pub exclusive: bool,
    /// How long it may take between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Its executor kept the fence without a break.
    pub guarded: bool,
    /// Whose executor it belongs to.
    pub worker: WorkerId,
    /// Which executor.
    pub executor: ExecutorId,
    /// What its node's wall clock read.
    pub wall: UnixMillis,
}

/// How a command's own process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

/// Why a process was asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Somebody wanted its end.
    Kill,
    /// Its deadline passed.
    Deadline,
    /// Its session was no longer sure to live.
    Fence,
    /// Its worker was asked to end.
    Shutdown,
}

/// What is known of a process group.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) start: Start,
    /// Its session was no longer sure to live.
    pub(super) fenced: bool,
    /// When its group got SIGTERM.
    pub(super) terminated: Option<At>,
    /// How its own process ended.
    pub(super) exit: Option<Exit>,
    /// Why it was asked to end before that.
    pub(super) asked: Option<Asked>,
    /// When the last of the group was gone.
    pub(super) gone: Option<At>,
    /// What its executor said when it was gone.
    pub(super) told: Option<UnixMillis>,
    /// Nobody kept the fence for it: its executor was stopped or dead.
    pub(super) unguarded: bool,
    pub(super) output: Vec<u8>,
}

/// All processes.
#[derive(Debug, Default)]
pub(super) struct Witness {
    processes: BTreeMap<u64, Process>,
    /// The process of each attempt.
    attempts: BTreeMap<Attempt, u64>,
    alive_of_job: BTreeMap<JobName, BTreeSet<u64>>,
    alive_of_session: BTreeMap<SessionId, BTreeSet<u64>>,
    /// The largest token of an exclusive process of each job.
    tokens: BTreeMap<JobName, Revision>,
    last_starts: BTreeMap<JobName, At>,
}

impl Witness {
    /// A process came to be.
    pub(super) fn started(&mut self, start: Start, now: At) -> Result<(), (Invariant, String)> {
        let attempt = (start.run.clone(), start.attempt);
        let Start { pid, ref run, attempt: number, .. } = start;
        let twice = self.attempts.get(&attempt).copied();
        let beside = self.alive(&start.job).find(|other| start.exclusive && other.start.exclusive);
        let beside = beside.map(|other| (other.start.pid, other.start.run.clone()));
        let token = self.tokens.entry(start.job.clone()).or_default();
        let older = start.exclusive && start.token <= *token;
        let result = if let Some(first) = twice {
            let text = format!(
                "attempt {number} of run {run} starts as process {pid} and was process {first} before"
            );
            Err((Invariant::StartedOnce, text))
        } else if let Some((other, its)) = beside {
            let text = format!("process {pid} (run {run}) starts while process {other} (run {its}) lives");
            Err((Invariant::OneAtATime, text))
        } else if older {
            let text =
                format!("process {pid} (run {run}) gets token {}, an earlier one had {token}", start.token);
            Err((Invariant::TokensGrow, text))
        } else {
            Ok(())
        };
        if start.exclusive {
            *token = start.token.max(*token);
        }
        self.attempts.insert(attempt, pid);
        self.last_starts.insert(start.job.clone(), now);
        self.alive_of_job.entry(start.job.clone()).or_default().insert(pid);
        self.alive_of_session.entry(start.session.clone()).or_default().insert(pid);
        let process = Process {
            start,
            fenced: false,
            terminated: None,
            exit: None,
            asked: None,
            gone: None,
            told: None,
            unguarded: false,
            output: Vec::new(),
        };
        self.processes.insert(pid, process);
        result
    }

    pub(super) fn get(&self, pid: u64) -> Option<&Process> {
        self.processes.get(&pid)
    }

    pub(super) fn get_mut(&mut self, pid: u64) -> Option<&mut Process> {
        self.processes.get_mut(&pid)
    }

    /// The last process of a group is gone.
    pub(super) fn gone(&mut self, pid: u64, now: At) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.gone = Some(now);
        let of_job = self.alive_of_job.get_mut(&process.start.job);
        let of_session = self.alive_of_session.get_mut(&process.start.session);
        for alive in of_job.into_iter().chain(of_session) {
            alive.remove(&pid);
        }
    }

    /// The processes of a job that live.
    pub(super) fn alive(&self, job: &JobName) -> impl Iterator<Item = &Process> {
        let alive = self.alive_of_job.get(job).into_iter().flatten();
        alive.filter_map(|pid| self.processes.get(pid))
    }

    /// The processes of a session that live.
    pub(super) fn of_session(&self, session: &SessionId) -> impl Iterator<Item = &Process> {
        let alive = self.alive_of_session.get(session).into_iter().flatten();
        alive.filter_map(|pid| self.processes.get(pid))
    }

    /// The process of an attempt, if there was one.
    pub(super) fn of_attempt(&self, attempt: &Attempt) -> Option<&Process> {
        self.processes.get(self.attempts.get(attempt)?)
    }

    /// When a process of a job started last.
    pub(super) fn last_start(&self, job: &JobName) -> Option<At> {
        self.last_starts.get(job).copied()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(pid: u64, run: &str, token: i64) -> Start {
        Start {
            pid,
            job: JobName::new("a").unwrap(),
            run: format!("{run}-0000000000000001").parse().unwrap(),
            attempt: 0,
            session: SessionId("s".to_owned()),
            token: Revision(token),
            exclusive: true,
            grace: Duration::ZERO,
            guarded: true,
            worker: WorkerId(0),
            executor: ExecutorId(0),
            wall: UnixMillis(0),
        }
    }

    const FIRST: &str = "1764000000000";
    const SECOND: &str = "1764000001000";

    fn broken(result: Result<(), (Invariant, String)>) -> Invariant {
        result.unwrap_err().0
    }

    #[test]
    fn an_attempt_starts_once() {
        let mut witness = Witness::default();
        witness.started(start(1, FIRST, 5), At(0)).unwrap();
        witness.gone(1, At(1));
        witness.started(start(2, SECOND, 6), At(2)).unwrap();
        witness.gone(2, At(3));
        assert_eq!(broken(witness.started(start(3, FIRST, 7), At(4))), Invariant::StartedOnce);
    }

    #[test]
    fn exclusive_processes_of_a_job_do_not_overlap() {
        let mut witness = Witness::default();
        witness.started(start(1, FIRST, 5), At(0)).unwrap();
        let other = Start { job: JobName::new("b").unwrap(), ..start(2, "1764000009000", 6) };
        witness.started(other, At(0)).unwrap();
        assert_eq!(broken(witness.started(start(3, SECOND, 7), At(4))), Invariant::OneAtATime);
        let mut witness = Witness::default();
        witness.started(start(1, FIRST, 5), At(0)).unwrap();
        let beside = Start { exclusive: false, ..start(2, SECOND, 6) };
        witness.started(beside, At(0)).unwrap();
    }

    #[test]
    fn tokens_grow() {
        let mut witness = Witness::default();
        witness.started(start(1, FIRST, 5), At(0)).unwrap();
        witness.gone(1, At(1));
        assert_eq!(broken(witness.started(start(2, SECOND, 5), At(4))), Invariant::TokensGrow);
    }
}
