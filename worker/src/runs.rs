//! The runs of this session that are not given back yet, and what their ends mean.

use std::collections::HashMap;
use std::sync::Arc;

use model::record::{Output, RunRecord};
use model::run::{Outcome, Revision, RunId, SessionId, Skipped, Slot};
use model::{Job, JobName, UnixMillis};

use crate::executor::{self, ExitResult, RunKey, StopReason};

/// A claimed slot, from its claim until it is given back.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    /// The job as it was when the slot was claimed.
    pub(crate) job: Arc<Job>,
    pub(crate) run: RunId,
    /// The executor's name of it.
    pub(crate) key: RunKey,
    /// The mod revision of its record.
    pub(crate) token: Revision,
    pub(crate) slot: Slot,
    pub(crate) claimed: UnixMillis,
    /// The slots that its claim passed over.
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) started: Option<UnixMillis>,
    /// What it wrote so far, up to half of the limit; the other half comes with the end.
    pub(crate) head: Vec<u8>,
    /// Why it is being stopped, in words, if the worker asked for that.
    pub(crate) stopped: Option<&'static str>,
    /// Its end is being recorded.
    pub(crate) ending: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    by_key: HashMap<RunKey, Running>,
    /// The tokens of runs that a later session of this process took over.
    moved: HashMap<Revision, RunKey>,
}

/// The executor's name of a run: its first fencing token, which is the claim's own revision.
pub(crate) fn key_of(token: Revision) -> RunKey {
    RunKey(token.0.unsigned_abs())
}

impl Runs {
    pub(crate) fn insert(&mut self, running: Running) {
        self.by_key.insert(running.key, running);
    }

    pub(crate) fn get_mut(&mut self, key: RunKey) -> Option<&mut Running> {
        self.by_key.get_mut(&key)
    }

    /// Whether the run with this token is one of them.
    pub(crate) fn holds(&self, token: Revision) -> bool {
        let key = self.moved.get(&token).copied().unwrap_or(key_of(token));
        self.by_key.get(&key).is_some_and(|running| running.token == token)
    }

    /// A run has a new token.
    pub(crate) fn moved(&mut self, key: RunKey, token: Revision) {
        if let Some(running) = self.by_key.get_mut(&key) {
            self.moved.remove(&running.token);
            running.token = token;
            self.moved.insert(token, key);
        }
    }

    pub(crate) fn remove(&mut self, key: RunKey) -> Option<Running> {
        let running = self.by_key.remove(&key)?;
        self.moved.remove(&running.token);
        Some(running)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Those of which the process may still live.
    pub(crate) fn alive(&mut self) -> impl Iterator<Item = (RunKey, &mut Running)> {
        self.by_key.iter_mut().filter(|(_, running)| !running.ending).map(|(key, running)| (*key, running))
    }

    /// Those of one job of which the process may still live.
    pub(crate) fn alive_of(&mut self, name: &JobName) -> impl Iterator<Item = (RunKey, &mut Running)> {
        self.alive().filter(move |(_, running)| running.job.name == *name)
    }
}

impl Running {
    /// The record of an end that the executor reported.
    pub(crate) fn record(&self, node: &str, session: &SessionId, ended: executor::Ended) -> RunRecord {
        let executor::Ended { started, at, result, stopped, cut, tail } = ended;
        let (outcome, message) = self.meaning(&result, stopped);
        let (exit_status, signal) = match result {
            ExitResult::Exited(status) => (Some(status), None),
            ExitResult::Signaled(signal) => (None, Some(signal)),
            ExitResult::NotStarted(_) => (None, None),
        };
        let mut output = Output { head: self.head.clone(), cut, tail };
        if cut == 0 {
            output.head.append(&mut output.tail);
        }
        let started = started.or(self.started);
        RunRecord {
            exit_status,
            signal,
            output,
            ..self.outline(node, session, started, at, outcome, message)
        }
    }

    /// The record of an end that nobody saw.
    pub(crate) fn lost(
        &self,
        node: &str,
        session: &SessionId,
        now: UnixMillis,
        message: String,
    ) -> RunRecord {
        let output = Output { head: self.head.clone(), cut: 0, tail: Vec::new() };
        RunRecord { output, ..self.outline(node, session, self.started, now, Outcome::Lost, message) }
    }

    /// The record of a run whose command was not given to the executor.
    pub(crate) fn never_started(
        &self,
        node: &str,
        session: &SessionId,
        now: UnixMillis,
        message: String,
    ) -> RunRecord {
        self.outline(node, session, None, now, Outcome::Killed, message)
    }

    fn outline(
        &self,
        node: &str,
        session: &SessionId,
        started: Option<UnixMillis>,
        ended: UnixMillis,
        outcome: Outcome,
        message: String,
    ) -> RunRecord {
        RunRecord {
            run: self.run.clone(),
            attempt: 0,
            job: self.job.name.clone(),
            command: self.job.command.display(),
            node: node.to_owned(),
            session: session.clone(),
            slot: self.slot,
            claimed: self.claimed,
            started,
            ended: ended.max(started.unwrap_or(ended)),
            outcome,
            exit_status: None,
            signal: None,
            message,
            output: Output::default(),
        }
    }

    /// The outcome and the sentence for the record. A stop that was asked for decides, whatever the command made of it.
    fn meaning(&self, result: &ExitResult, stopped: Option<StopReason>) -> (Outcome, String) {
        match stopped {
            Some(StopReason::Killed) => {
                return (Outcome::Killed, self.stopped.unwrap_or("killed on request").to_owned());
            }
            Some(StopReason::Shutdown) => {
                return (Outcome::Killed, "killed because the worker was stopped".to_owned());
            }
            Some(StopReason::Fence) => {
                return (Outcome::Killed, "killed because the worker lost its session".to_owned());
            }
            Some(StopReason::Deadline) => {
                let seconds = self.job.active_deadline.unwrap_or_default().as_secs();
                return (Outcome::TimedOut, format!("killed after activeDeadlineSeconds ({seconds} s)"));
            }
            None => {}
        }
        match result {
            ExitResult::Exited(0) => (Outcome::Succeeded, String::new()),
            ExitResult::Exited(status) => (Outcome::Failed, format!("exit status {status}")),
            ExitResult::Signaled(signal) => {
                (Outcome::Failed, format!("ended by signal {signal}{}", signal_name(*signal)))
            }
            ExitResult::NotStarted(why) => (Outcome::Failed, why.clone()),
        }
    }
}

/// The name of a signal in parentheses, for those that commands commonly end by.
fn signal_name(signal: i32) -> &'static str {
    use rustix::process::Signal;
    match Signal::from_named_raw(signal) {
        Some(Signal::HUP) => " (SIGHUP)",
        Some(Signal::INT) => " (SIGINT)",
        Some(Signal::ABORT) => " (SIGABRT)",
        Some(Signal::BUS) => " (SIGBUS)",
        Some(Signal::FPE) => " (SIGFPE)",
        Some(Signal::ILL) => " (SIGILL)",
        Some(Signal::KILL) => " (SIGKILL)",
        Some(Signal::PIPE) => " (SIGPIPE)",
        Some(Signal::SEGV) => " (SIGSEGV)",
        Some(Signal::TERM) => " (SIGTERM)",
        Some(Signal::XCPU) => " (SIGXCPU)",
        _ => "",
    }
}
