//! Following the tree, as a backend on a network does: a listing in pages, then changes from the history, until the
//! connection breaks or the history no longer goes back that far.

use std::time::Duration;

use model::run::Revision;
use store::{Change, Follow, protocol};
use worker::core::AT_ONCE;

use super::{Ev, World};
use crate::check::WorkerId;
use crate::sabotage::Sabotage;
use crate::time::At;

/// How often a follower is told that it is current.
const PROGRESS: Duration = Duration::from_secs(4);

/// How often a backend tries to reach the tree.
const PAUSE: Duration = Duration::from_millis(250);

/// How far one worker's follower is.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Counts followers, so that what belongs to a former one is known.
    number: u64,
    told: Revision,
    /// The listing is complete.
    follows: bool,
    /// It will look for news.
    waking: bool,
    /// When the last message arrives; none overtakes another.
    last: At,
}

impl World<'_> {
    /// Begins to follow, with a listing.
    pub(super) fn follow(&mut self, worker: WorkerId) {
        let watch = &mut self.workers[worker.0].watch;
        let number = watch.number + 1;
        *watch = Watch { number, last: watch.last, ..Watch::default() };
        self.after(Duration::from_millis(1), Ev::List(worker, number));
        self.after(PROGRESS, Ev::Progress(worker, number));
    }

    pub(super) fn watches(&self, worker: WorkerId, number: u64) -> bool {
        let worker = &self.workers[worker.0];
        worker.is_alive() && worker.watch.number == number
    }

    pub(super) fn list(&mut self, worker: WorkerId, number: u64) {
        if !self.watches(worker, number) {
            return;
        }
        let node = self.workers[worker.0].node;
        if !self.is_reachable(node) {
            return self.after(PAUSE, Ev::List(worker, number));
        }
        let (revision, pairs) = self.tree.list_folders(&protocol::FOLLOWED);
        for page in pairs.chunks(AT_ONCE) {
            self.deliver(worker, Follow::Page(page.to_vec()));
        }
        self.deliver(worker, Follow::Listed(revision));
        let watch = &mut self.workers[worker.0].watch;
        (watch.told, watch.follows) = (revision, true);
        self.wake_soon(worker);
    }

    /// Something changed.
    pub(super) fn wake_all(&mut self) {
        for node in self.plan.nodes.iter().map(|node| node.id) {
            if let Some(worker) = self.nodes.get(&node).and_then(|node| node.worker) {
                self.wake_soon(worker);
            }
        }
    }

    pub(super) fn wake_soon(&mut self, worker: WorkerId) {
        let at = &mut self.workers[worker.0];
        if at.watch.waking || !at.watch.follows || !at.is_alive() {
            return;
        }
        at.watch.waking = true;
        let (node, number) = (at.node, at.watch.number);
        let lag = self.lag(node);
        self.after(lag, Ev::Wake(worker, number));
    }

    pub(super) fn wake(&mut self, worker: WorkerId, number: u64) {
        if !self.watches(worker, number) {
            return;
        }
        let at = &mut self.workers[worker.0];
        at.watch.waking = false;
        let (node, told) = (at.node, at.watch.told);
        if !at.watch.follows || !self.is_reachable(node) {
            return;
        }
        match self.tree.changes_since(told, &protocol::FOLLOWED) {
            Err(why) => self.again(worker, why.to_string()),
            Ok((revision, groups)) => {
                let mut batch: Vec<Change> = Vec::new();
                for group in groups {
                    if batch.len() + group.len() > AT_ONCE {
                        self.deliver_changes(worker, std::mem::take(&mut batch));
                    }
                    batch.extend(group);
                }
                self.deliver_changes(worker, batch);
                self.workers[worker.0].watch.told = revision;
            }
        }
    }

    fn deliver_changes(&mut self, worker: WorkerId, mut changes: Vec<Change>) {
        while !changes.is_empty() {
            let rest = if changes.len() > AT_ONCE { changes.split_off(AT_ONCE) } else { Vec::new() };
            self.deliver(worker, Follow::Changed(changes));
            changes = rest;
        }
    }

    /// Changes may have been missed: lists again.
    pub(super) fn again(&mut self, worker: WorkerId, why: String) {
        self.say(None, || format!("worker {}: its watch begins again: {why}", worker.0));
        self.deliver(worker, Follow::Again(why));
        let watch = &mut self.workers[worker.0].watch;
        watch.follows = false;
        let number = watch.number;
        if self.sabotage != Some(Sabotage::NeverListedAgain) {
            self.after(Duration::from_millis(2), Ev::List(worker, number));
        }
    }

    pub(super) fn progress(&mut self, worker: WorkerId, number: u64) {
        if !self.watches(worker, number) {
            return;
        }
        self.after(PROGRESS, Ev::Progress(worker, number));
        let at = &self.workers[worker.0];
        let (node, follows, told) = (at.node, at.watch.follows, at.watch.told);
        if follows && self.is_reachable(node) {
            self.deliver(worker, Follow::Current(told));
        }
    }

    fn deliver(&mut self, worker: WorkerId, news: Follow) {
        let node = self.workers[worker.0].node;
        let wait = match self.nodes.get_mut(&node) {
            Some(node) => node.rng.millis(0..=1),
            None => Duration::ZERO,
        };
        let watch = &mut self.workers[worker.0].watch;
        let at = (self.now + wait).max(watch.last);
        watch.last = at;
        let number = watch.number;
        self.queue.put(at, Ev::News(worker, number, news));
    }
}
