//! What goes wrong: the beginning and the end of each fault.

use std::time::Duration;

use model::keys::Key;
use store::{Op, Txn};

use super::{Ev, World};
use crate::check::{By, WorkerId};
use crate::plan::What;

/// How long after the tree has room again a release may still be under way.
const RELEASES: Duration = Duration::from_secs(30);

impl World<'_> {
    pub(super) fn begin_fault(&mut self, index: usize) {
        let fault = &self.plan.faults[index];
        let (what, lasts) = (fault.what.clone(), fault.lasts);
        self.say(None, || format!("begins: {fault}"));
        *self.faults.entry(what.kind()).or_default() += 1;
        self.active.insert(index);
        self.queue.put(self.now + lasts, Ev::FaultOver(index));
        self.disturb(&what, lasts);
        match what {
            What::TreeDown => self.tree_down += 1,
            What::LeaderChange => self.tree.leader_change(self.now.elapsed()),
            What::NoSpace => {
                self.no_space += 1;
                self.tree.set_no_space(true);
                self.checker.no_space(true);
            }
            What::Compact => self.tree.compact(self.tree.revision()),
            What::WatchBreak { node } => {
                if let Some(worker) = self.worker_on(node) {
                    self.again(worker, "the connection broke".to_owned());
                }
            }
            What::LogAway { node: None } => self.log_away += 1,
            What::KillWorker { node } => self.take_down(node, "is killed"),
            What::StopWorker { node, grace, again } => self.stop_on(node, grace, again),
            What::PauseWorker { node } => self.pause_on(node, true),
            What::KillExecutor { node } => {
                let executor = self.worker_on(node).and_then(|worker| self.workers[worker.0].executor);
                if let Some(executor) = executor {
                    self.kill_executor(executor);
                }
            }
            What::PauseExecutor { node } => self.pause_executor_on(node, true),
            What::CrashNode { node } => self.crash(node),
            What::ClockStep { node, by } => self.step(node, by),
            What::Deregister { node } => self.deregister(node),
            What::Upgrade { node } => self.upgrade(node),
            What::Slow { .. }
            | What::Lossy { .. }
            | What::Late { .. }
            | What::CutOff { .. }
            | What::WatchLag { .. }
            | What::LogAway { node: Some(_) }
            | What::DiskFull { .. }
            | What::SpawnFails { .. } => {}
            other => self.begin_of_job(index, &other),
        }
    }

    pub(super) fn end_fault(&mut self, index: usize) {
        self.active.remove(&index);
        let fault = &self.plan.faults[index];
        let what = fault.what.clone();
        if !fault.lasts.is_zero() {
            self.say(None, || format!("is over: {fault}"));
        }
        match what {
            What::TreeDown => {
                self.tree_down -= 1;
                if self.tree_down == 0 {
                    self.tree.leader_change(self.now.elapsed());
                    self.reached_again(None);
                }
            }
            What::CutOff { node } => self.reached_again(Some(node)),
            What::NoSpace => {
                self.no_space -= 1;
                if self.no_space == 0 {
                    self.tree.set_no_space(false);
                    self.after(RELEASES, Ev::Environment(super::environment::Later::SpaceForLong));
                }
            }
            What::LogAway { node: None } => self.log_away -= 1,
            What::KillWorker { node } | What::CrashNode { node } | What::StopWorker { node, .. } => {
                self.bring_up(node);
            }
            What::PauseWorker { node } => self.pause_on(node, false),
            What::Upgrade { node } => self.upgrade(node),
            What::PauseExecutor { node } => self.pause_executor_on(node, false),
            What::ClockStep { node, by } => self.step(node, -by),
            other => self.end_of_job(index, &other),
        }
    }

    /// Until when the fence may pass because of this.
    fn disturb(&mut self, what: &What, lasts: Duration) {
        let until = self.now + lasts + 2 * self.plan.session + Duration::from_secs(20);
        self.checker.disturbed_until(until);
        // A worker that ends keeps its session.
        let of = what.node().filter(|_| !matches!(what, What::StopWorker { .. }));
        for (id, node) in &mut self.nodes {
            let about_all = matches!(what, What::TreeDown | What::NoSpace);
            if about_all || of == Some(*id) {
                node.disturbed = node.disturbed.max(until);
            }
        }
    }

    fn worker_on(&self, node: usize) -> Option<WorkerId> {
        self.nodes.get(&node)?.worker
    }

    /// SIGKILL to the worker; no other one starts before the fault is over.
    fn take_down(&mut self, node: usize, why: &str) {
        if let Some(at) = self.nodes.get_mut(&node) {
            at.wanted = false;
            if self.sabotage == Some(crate::sabotage::Sabotage::SpoolDropped) {
                at.spool.clear();
            }
        }
        if let Some(worker) = self.worker_on(node) {
            self.worker_gone(worker, why);
        }
    }

    fn bring_up(&mut self, node: usize) {
        if let Some(at) = self.nodes.get_mut(&node) {
            at.wanted = true;
        }
        self.start_worker(node);
    }

    /// A worker of the other version takes the place of the present one, or starts whenever one starts.
    fn upgrade(&mut self, node: usize) {
        let Some(at) = self.nodes.get_mut(&node) else { return };
        at.later = !at.later;
        if at.wanted && at.worker.is_some() {
            self.take_down(node, "is replaced by another version");
            self.bring_up(node);
        }
    }

    fn stop_on(&mut self, node: usize, grace: u64, again: Option<u64>) {
        let Some(worker) = self.worker_on(node) else { return };
        if let Some(at) = self.nodes.get_mut(&node) {
            at.wanted = false;
        }
        self.stop_worker(worker, Duration::from_millis(grace));
        if let Some(again) = again {
            self.after(Duration::from_millis(again), Ev::StopAgain(worker));
        }
    }

    fn pause_on(&mut self, node: usize, paused: bool) {
        if let Some(worker) = self.worker_on(node) {
            self.pause_worker(worker, paused);
        }
    }

    fn pause_executor_on(&mut self, node: usize, paused: bool) {
        let executor = self.worker_on(node).and_then(|worker| self.workers[worker.0].executor);
        if let Some(executor) = executor {
            self.pause_executor(executor, paused);
        }
    }

    /// The power fails: everything but the disk is gone at once.
    fn crash(&mut self, node: usize) {
        let executor = self.worker_on(node).and_then(|worker| self.workers[worker.0].executor);
        if let Some(worker) = self.worker_on(node) {
            self.workers[worker.0].executor = None;
        }
        if let Some(executor) = executor {
            self.power_off(executor);
        }
        self.take_down(node, "loses its power");
        if let Some(at) = self.nodes.get_mut(&node) {
            at.clocks.reboot(self.now);
        }
    }

    /// The wall clock is set.
    fn step(&mut self, node: usize, by: i64) {
        if let Some(at) = self.nodes.get_mut(&node) {
            at.clocks.step(by);
        }
        self.say(None, || format!("the clock of node {node} is set by {by} ms"));
        self.clock_was_set(node);
    }

    /// Somebody deletes the registration of the worker.
    fn deregister(&mut self, node: usize) {
        let prefix = format!("node-{node}-");
        let registered = self.tree.list(&store::Range::Folder(model::keys::Folder::Workers));
        let keys: Vec<Key> =
            registered.filter_map(|pair| self.tree.prefix().decode(&pair.key).ok()).collect();
        for key in keys {
            if matches!(&key, Key::Worker(session) if session.0.starts_with(&prefix)) {
                self.put(vec![Op::Delete(key)]);
            }
        }
    }

    /// Whoever was cut off is reached again. A follower that was cut off for long begins again.
    fn reached_again(&mut self, node: Option<usize>) {
        let nodes: Vec<usize> = match node {
            Some(node) => vec![node],
            None => self.nodes.keys().copied().collect(),
        };
        for node in nodes {
            let Some(worker) = self.worker_on(node) else { continue };
            let breaks = self.nodes.get_mut(&node).is_some_and(|node| node.rng.percent(50));
            if breaks {
                self.again(worker, "the connection broke".to_owned());
            } else {
                self.wake_soon(worker);
            }
        }
    }

    /// The environment changes the tree.
    pub(super) fn put(&mut self, then: Vec<Op>) {
        let txn = Txn { when: Vec::new(), then, otherwise: Vec::new() };
        // Where there is no space, nobody can do anything.
        let _ = self.tree.commit(self.now.elapsed(), &txn);
        self.observe(By::Others);
    }
}
