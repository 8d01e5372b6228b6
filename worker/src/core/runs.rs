//! The runs that this process holds, from the claim until the end is recorded, and what their ends mean.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::record::{Output, RunRecord};
use model::run::{Outcome, Revision, RunId, SessionId};
use model::values::ActiveRun;
use model::{Job, JobName, Lane, UnixMillis};

use crate::executor::{self, ExitResult, RunKey, StopReason, signal_name};

/// A run that this process holds.
#[derive(Clone, Debug)]
pub(super) struct HeldRun {
    pub(super) lane: Lane,
    /// The job as it was when the slot was claimed.
    pub(super) job: Arc<Job>,
    pub(super) run: RunId,
    /// What its record says.
    pub(super) active: ActiveRun,
    /// The mod revision of its record: its present fencing token.
    pub(super) token: Revision,
    /// The create revision of its record. Kill requests that are newer hit it.
    pub(super) created: Revision,
    pub(super) stage: Stage,
    pub(super) started: Option<UnixMillis>,
    /// What it wrote so far, up to half of the limit; the other half comes with the end.
    pub(super) head: Vec<u8>,
    /// Why it is being stopped, in words, if the worker asked for that.
    pub(super) stopped: Option<&'static str>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its claim is not answered yet, so it is not known whether the run is ours.
    Claiming,
    /// The executor was told to start it; until the executor says that it ended, a process may live.
    Ordered,
    /// It has ended, and that is being recorded.
    Ending,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Runs {
    by_key: BTreeMap<RunKey, HeldRun>,
    keys: HashMap<JobName, Vec<RunKey>>,
    last_key: u64,
}

impl Runs {
    /// Adds a run and gives it the name by which the executor knows it.
    pub(super) fn insert(&mut self, run: HeldRun) -> RunKey {
        self.last_key += 1;
        let key = RunKey(self.last_key);
        self.keys.entry(run.lane.job.clone()).or_default().push(key);
        self.by_key.insert(key, run);
        key
    }

    pub(super) fn get(&self, key: RunKey) -> Option<&HeldRun> {
        self.by_key.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: RunKey) -> Option<&mut HeldRun> {
        self.by_key.get_mut(&key)
    }

    pub(super) fn remove(&mut self, key: RunKey) -> Option<HeldRun> {
        let run = self.by_key.remove(&key)?;
        if let Some(keys) = self.keys.get_mut(&run.lane.job) {
            keys.retain(|held| *held != key);
            if keys.is_empty() {
                self.keys.remove(&run.lane.job);
            }
        }
        Some(run)
    }

    /// The runs of one job, in all its lanes.
    pub(super) fn of(&self, name: &JobName) -> impl Iterator<Item = (RunKey, &HeldRun)> {
        let keys = self.keys.get(name).into_iter().flatten();
        keys.filter_map(|key| Some((*key, self.by_key.get(key)?)))
    }

    /// Whether a run is held, or a transaction that may make it ours is under way.
    pub(super) fn holds(&self, lane: &Lane, run: &RunId) -> bool {
        self.of(&lane.job).any(|(_, held)| held.run == *run)
    }

    /// Those of which a process may live, or may yet start.
    pub(super) fn alive(&self) -> impl Iterator<Item = (RunKey, &HeldRun)> {
        self.by_key.iter().filter(|(_, run)| run.stage == Stage::Ordered).map(|(key, run)| (*key, run))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// How many places they take.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }
}

impl HeldRun {
    /// The record of an end that the executor reported.
    pub(super) fn record(&self, ended: executor::Ended) -> RunRecord {
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
        RunRecord { exit_status, signal, output, ..self.outline(started, at, outcome, message) }
    }

    /// The record of an end that nobody saw.
    pub(super) fn lost(&self, now: UnixMillis, message: String) -> RunRecord {
        let output = Output { head: self.head.clone(), cut: 0, tail: Vec::new() };
        RunRecord { output, ..self.outline(self.started, now, Outcome::Lost, message) }
    }

    /// The record of a run that was killed before its command started.
    pub(super) fn never_started(&self, now: UnixMillis, why: &str) -> RunRecord {
        self.outline(None, now, Outcome::Killed, format!("{why} before the command started"))
    }

    fn outline(
        &self,
        started: Option<UnixMillis>,
        ended: UnixMillis,
        outcome: Outcome,
        message: String,
    ) -> RunRecord {
        let command = self.job.command.display();
        let record = outline(&self.job.name, command, &self.run, &self.active, ended, outcome, message);
        RunRecord { started, ended: ended.max(started.unwrap_or(ended)), ..record }
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

/// The record of a run of which nothing is known but what the tree says.
pub(super) fn outline(
    job: &JobName,
    command: String,
    run: &RunId,
    active: &ActiveRun,
    ended: UnixMillis,
    outcome: Outcome,
    message: String,
) -> RunRecord {
    RunRecord {
        run: run.clone(),
        attempt: active.attempt,
        job: job.clone(),
        command,
        node: active.node.clone(),
        session: active.session.clone(),
        slot: active.slot,
        claimed: active.claimed,
        started: None,
        ended: ended.max(active.claimed),
        outcome,
        exit_status: None,
        signal: None,
        message,
        output: Output::default(),
    }
}

/// The sentence for the record of a run of a dead session, of which nobody knows how it ended.
pub(super) fn lost_message(session: &SessionId) -> String {
    format!("the worker ({session}) ended while the command ran; how far it came is not known")
}
