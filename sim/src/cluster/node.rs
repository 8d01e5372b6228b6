//! A node: its clocks, and its disk with the spool.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use model::JobName;
use model::record::{Output, RunRecord};
use model::run::RunId;
use store::{LogEntry, LogError};
use worker::core::{AskId, Input, Now};
use worker::executor::Boottime;

use super::{Ev, World};
use crate::check::WorkerId;
use crate::plan::{NodePlan, Plan, What};
use crate::rng::Rng;
use crate::time::{At, Clocks};

/// How many entries are shipped at once.
const BATCH: usize = 100;

/// How long the log is asked for a record.
const SEARCH: Duration = Duration::from_secs(5);

/// How often a log that is away is tried.
const SHIP_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Node {
    pub(super) clocks: Clocks,
    /// What is drawn for its disk and its followers.
    pub(super) rng: Rng,
    /// What is drawn for its requests, by the job that they are about: those of other jobs change nothing.
    pub(super) ways: BTreeMap<Option<JobName>, Rng>,
    /// What waits for the log. It is on the disk.
    pub(super) spool: VecDeque<LogEntry>,
    /// A batch is under way.
    shipping: bool,
    /// Its worker, while there is one.
    pub(super) worker: Option<WorkerId>,
    /// A worker is started here when there is none.
    pub(super) wanted: bool,
    pub(super) max_runs: Option<usize>,
    /// Whether its worker has [`crate::plan::LATER`].
    pub(super) later: bool,
    /// Until when the fence may pass because of a fault.
    pub(super) disturbed: At,
}

impl Node {
    pub(super) fn new(plan: &Plan, node: &NodePlan) -> Self {
        Self {
            clocks: Clocks::new(plan.epoch, node.ahead, node.wall_ppm, node.boot_ppm),
            rng: Rng::new(plan.seed, &["network", &node.id.to_string()]),
            ways: BTreeMap::new(),
            spool: VecDeque::new(),
            shipping: false,
            worker: None,
            wanted: true,
            max_runs: node.max_runs,
            later: node.later,
            disturbed: At(0),
        }
    }
}

impl World<'_> {
    /// What the clocks of a node read.
    pub(super) fn clocks(&self, node: usize) -> Now {
        let clocks = &self.nodes[&node].clocks;
        Now { wall: clocks.wall(self.now), boot: Boottime(clocks.boot(self.now)) }
    }

    /// Entries come to the disk.
    pub(super) fn spool_write(&mut self, worker: WorkerId, ask: AskId, entries: Vec<LogEntry>) {
        if self.workers[worker.0].paused {
            // The thread that writes is stopped too.
            return self.workers[worker.0].held.push(Ev::SpoolWrite(worker, ask, entries));
        }
        if !self.workers[worker.0].is_alive() {
            return;
        }
        let node = self.workers[worker.0].node;
        if self.lasts(|what| *what == What::DiskFull { node }) {
            let full = LogError::NoSpace("the disk is full".into());
            return self
                .after(Duration::from_millis(1), Ev::Answer(worker, ask, Input::Appended(ask, Err(full))));
        }
        for entry in &entries {
            self.say_entry(node, entry);
            self.checker.spooled(self.now, entry);
        }
        let Some(at) = self.nodes.get_mut(&node) else { return };
        at.spool.extend(entries);
        let wait = at.rng.millis(0..=1);
        self.after(wait, Ev::Answer(worker, ask, Input::Appended(ask, Ok(()))));
        self.after(Duration::from_millis(20), Ev::Ship(node));
    }

    fn say_entry(&mut self, node: usize, entry: &LogEntry) {
        match entry {
            LogEntry::Run { record, .. } => {
                let RunRecord { job, run, attempt, outcome, started, .. } = record;
                self.say(Some(job), || {
                    format!("node {node}: record of {run} attempt {attempt}: {outcome}, started {started:?}")
                });
            }
            LogEntry::Skipped(record) => {
                self.say(Some(&record.job), || format!("node {node}: record of skips {:?}", record.skipped));
            }
        }
    }

    fn is_log_reachable(&self, node: usize) -> bool {
        self.log_away == 0 && !self.lasts(|what| *what == What::LogAway { node: Some(node) })
    }

    /// The node's worker ships what waits.
    pub(super) fn ship(&mut self, node: usize) {
        let Some(at) = self.nodes.get(&node) else { return };
        let Some(worker) = at.worker.filter(|worker| self.workers[worker.0].works()) else { return };
        if at.shipping || at.spool.is_empty() {
            return;
        }
        if !self.is_log_reachable(node) {
            return self.after(SHIP_AGAIN, Ev::Ship(node));
        }
        let batch: Vec<LogEntry> = at.spool.iter().take(BATCH).cloned().collect();
        self.log.append(batch.clone());
        self.checker.logged(&self.log, &batch);
        let Some(at) = self.nodes.get_mut(&node) else { return };
        at.shipping = true;
        let wait = at.rng.millis(1..=40);
        self.after(wait, Ev::Shipped(node, worker, batch.len()));
    }

    /// The log has acknowledged a batch.
    pub(super) fn shipped(&mut self, node: usize, worker: WorkerId, count: usize) {
        let alive = self.workers[worker.0].is_alive();
        let Some(at) = self.nodes.get_mut(&node) else { return };
        if at.worker != Some(worker) || !alive {
            // It died before it knew: the next one ships the batch again.
            return;
        }
        at.shipping = false;
        at.spool.drain(..count.min(at.spool.len()));
        self.after(Duration::from_millis(1), Ev::Ship(node));
    }

    /// A worker that starts ships what its predecessors left.
    pub(super) fn begin_shipping(&mut self, node: usize) {
        if let Some(at) = self.nodes.get_mut(&node) {
            at.shipping = false;
        }
        self.after(Duration::from_millis(100), Ev::Ship(node));
    }

    /// A worker looks for a record, first on its disk.
    pub(super) fn find(&mut self, worker: WorkerId, ask: AskId, run: &RunId, attempt: u32) {
        let node = self.workers[worker.0].node;
        let Some(at) = self.nodes.get(&node) else { return };
        let in_spool = at.spool.iter().find_map(|entry| match entry {
            LogEntry::Run { record, .. } if record.run == *run && record.attempt == attempt => {
                Some(RunRecord { output: Output::default(), ..record.clone() })
            }
            _ => None,
        });
        let (wait, found) = if in_spool.is_some() {
            (Duration::from_millis(1), Ok(in_spool))
        } else if self.is_log_reachable(node) {
            (Duration::from_millis(3), Ok(self.log.find(run, attempt)))
        } else {
            (SEARCH, Err(LogError::Unavailable("no answer came".into())))
        };
        self.after(wait, Ev::Answer(worker, ask, Input::Found(ask, found)));
    }
}
