//! The fence of an executor: an instant of the boot clock beyond which nothing starts, and at which exclusive commands
//! are asked to end. After the fence's grace they are killed.

use model::JobName;
use worker::executor::{Fence, RunKey, StopReason};

use super::executor::{Executor, Fenced, Run, Stage};
use super::{Ev, World};
use crate::check::{ExecutorId, Invariant};
use crate::sabotage::Sabotage;

impl World<'_> {
    pub(super) fn is_past_fence(&self, executor: ExecutorId) -> bool {
        let at = &self.executors[executor.0];
        let boot = self.clocks(at.node).boot;
        self.sabotage != Some(Sabotage::FenceIgnored) && at.fence.is_some_and(|fence| boot >= fence.deadline)
    }

    /// The fence may have passed.
    pub(super) fn fence(&mut self, executor: ExecutorId) {
        let at = &mut self.executors[executor.0];
        if at.dead || at.closed || self.sabotage == Some(Sabotage::FenceIgnored) {
            return;
        }
        if at.paused {
            return at.held.push(Ev::Fence(executor));
        }
        let (node, fenced) = (at.node, at.fenced);
        let Some(Fence { deadline, grace }) = at.fence else { return };
        let boot = self.clocks(node).boot;
        let exclusive = |at: &Executor| -> Vec<RunKey> {
            let runs = at.runs.iter().filter(|(_, run)| run.start.exclusive);
            runs.map(|(key, _)| *key).collect()
        };
        let at = &mut self.executors[executor.0];
        if fenced == Fenced::No && boot >= deadline {
            at.fenced = Fenced::Stopped;
            let keys = exclusive(at);
            self.check_disturbed(executor, &keys);
            for key in keys {
                self.stop(executor, key, StopReason::Fence, grace);
            }
            let kill_at = self.nodes[&node].clocks.when_boot(deadline.0 + grace).max(self.now);
            self.queue.put(kill_at, Ev::Fence(executor));
        } else if fenced == Fenced::Stopped && boot.0 >= deadline.0 + grace {
            at.fenced = Fenced::Killed;
            for key in exclusive(at) {
                if let Some(Run { stage: Stage::Running(pid), .. }) =
                    self.executors[executor.0].runs.get(&key)
                {
                    let pid = *pid;
                    self.kill(pid);
                }
            }
        }
    }

    /// The fence ends commands only where something is wrong.
    fn check_disturbed(&mut self, executor: ExecutorId, keys: &[RunKey]) {
        let at = &self.executors[executor.0];
        let node = at.node;
        let running = keys.iter().find_map(|key| match at.runs.get(key) {
            Some(Run { stage: Stage::Running(pid), .. }) => Some(*pid),
            _ => None,
        });
        if let Some(pid) = running
            && self.now > self.nodes[&node].disturbed
        {
            let job: JobName = self.process(pid).job.clone();
            let text =
                format!("the fence passes on node {node} and ends process {pid}, and nothing was wrong");
            self.fail(Invariant::Grace, Some(&job), text);
        }
    }
}
