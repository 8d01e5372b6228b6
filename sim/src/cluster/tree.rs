//! The tree: requests that reach it, its leases, and everybody who looks at its changes.

use std::fmt::Write;
use std::time::Duration;

use model::keys::{Folder, Key};
use model::run::SessionId;
use model::values::WorkerInfo;
use model::{JobName, Lane};
use store::{Op, Renewed, Session, TreeError, Txn, TxnReply};
use worker::core::{AskId, Input};

use super::link::Way;
use super::{Ev, World};
use crate::check::{By, WorkerId};
use crate::sabotage::Sabotage;

/// How often the leader looks for leases that are over.
const LEASES_EVERY: Duration = Duration::from_millis(500);

/// How often the tree forgets old changes by itself.
const COMPACT_EVERY: u64 = 4096;

/// Everything a worker's business is in.
const FOLDERS: [Folder; 8] = store::protocol::FOLLOWED;

/// Something that was asked of the tree.
#[derive(Debug)]
pub(super) enum Request {
    Commit(AskId, Box<Txn>),
    Renew(AskId, Session),
    /// Without an ask: a worker's first session.
    Open(Option<AskId>, SessionId, Box<WorkerInfo>),
    Close(Session),
}

/// The job that a transaction is about.
pub(super) fn about(txn: &Txn) -> Option<JobName> {
    txn.then.iter().find_map(|op| match op {
        Op::Put(Key::Run(lane, _) | Key::Cursor(lane) | Key::Status(lane), _)
        | Op::Delete(Key::Run(lane, _) | Key::Cursor(lane)) => Some(lane.job.clone()),
        _ => None,
    })
}

impl World<'_> {
    /// Sends a request. It is given up after the time that [`Way::given_up`] says.
    pub(super) fn send(&mut self, worker: WorkerId, request: Request, timeout: Duration) {
        let node = self.workers[worker.0].node;
        let job = match &request {
            Request::Commit(_, txn) => about(txn),
            Request::Renew(..) | Request::Open(..) | Request::Close(_) => None,
        };
        let Way { arrives, reply, given_up } = self.way(node, job.as_ref(), timeout);
        let silent = || TreeError::Unavailable("no answer came".into());
        let told = match &request {
            Request::Commit(ask, _) => Ev::Answer(worker, *ask, Input::Committed(*ask, Err(silent()))),
            Request::Renew(ask, _) => Ev::Answer(worker, *ask, Input::Renewed(*ask, Err(silent()))),
            Request::Open(Some(ask), _, _) => Ev::Answer(worker, *ask, Input::Opened(*ask, Err(silent()))),
            Request::Open(None, _, _) => Ev::FirstSession(worker, Err(silent())),
            Request::Close(_) => Ev::Leave(worker),
        };
        if let Some(arrives) = arrives {
            self.queue.put(arrives, Ev::Request(worker, request, reply));
        }
        self.queue.put(given_up, told);
    }

    /// A request reaches the tree.
    pub(super) fn request(&mut self, worker: WorkerId, request: Request, reply: Option<Duration>) {
        if self.tree_down > 0 {
            // Nobody decides anything; the caller waits until it gives up.
            return;
        }
        let now = self.now.elapsed();
        let answer = match request {
            Request::Commit(ask, txn) => {
                let txn = match self.sabotage {
                    Some(sabotage) => sabotage.of_txn(*txn),
                    None => *txn,
                };
                let mut done = self.tree.commit(now, &txn).map_err(TreeError::from);
                if let (Some(Sabotage::Forged), Ok(reply), Some(job)) =
                    (self.sabotage, &mut done, about(&txn))
                {
                    self.forge(reply, job);
                }
                self.say_txn(worker, &txn, done.as_ref().map(|reply| reply.succeeded).ok());
                self.observe(By::Worker(worker));
                if done.as_ref().is_ok_and(|reply| reply.succeeded) {
                    self.ambush(&txn);
                }
                Ev::Answer(worker, ask, Input::Committed(ask, done))
            }
            Request::Renew(ask, session) => {
                let renewed = self.tree.renew_session(now, &session);
                self.observe(By::Lease);
                if renewed == Renewed::Lives {
                    self.say_routine(|| format!("the tree: {} is renewed", session.id));
                } else {
                    self.say(None, || format!("the tree: {} can't be renewed, it has ended", session.id));
                }
                Ev::Answer(worker, ask, Input::Renewed(ask, Ok(renewed)))
            }
            Request::Open(ask, id, info) => {
                let opened = self.tree.open_session(now, id, &info, self.plan.session);
                let opened = opened.map_err(TreeError::from);
                self.say(None, || format!("the tree: opened {opened:?}"));
                self.observe(By::Worker(worker));
                match ask {
                    Some(ask) => Ev::Answer(worker, ask, Input::Opened(ask, opened)),
                    None => Ev::FirstSession(worker, opened),
                }
            }
            Request::Close(session) => {
                self.tree.close_session(now, &session);
                self.say(None, || format!("the tree: closed {}", session.id));
                self.observe(By::Lease);
                Ev::Leave(worker)
            }
        };
        if let Some(reply) = reply {
            self.after(reply, answer);
        }
    }

    /// Puts what was found before into the answer, under the present revision.
    fn forge(&mut self, reply: &mut TxnReply, job: JobName) {
        if !reply.succeeded && !reply.found.is_empty() {
            let found = reply.found.clone();
            if let Some(former) = self.former_answers.insert(job, found) {
                reply.found = former;
            }
        }
    }

    fn say_txn(&mut self, worker: WorkerId, txn: &Txn, succeeded: Option<bool>) {
        if !self.traced {
            return;
        }
        let ops = if succeeded == Some(true) { &txn.then } else { &txn.otherwise };
        let mut job = None;
        let mut done = String::new();
        let all = txn.then.iter().filter(|_| succeeded != Some(true)).chain(ops);
        for op in all {
            let (word, key) = match op {
                Op::Put(key, value) => {
                    let value = if matches!(key, Key::Run(..) | Key::Cursor(_)) {
                        String::from_utf8_lossy(value).into_owned()
                    } else {
                        String::new()
                    };
                    (format!("put {value}"), key)
                }
                Op::PutLeased(key, ..) => ("put leased".to_owned(), key),
                Op::Delete(key) => ("delete".to_owned(), key),
                Op::DeleteIf(key, token) => (format!("delete if {token}"), key),
                Op::Get(_) | Op::List(_) => continue,
            };
            if let Key::Run(Lane { job: name, .. }, _)
            | Key::Cursor(Lane { job: name, .. })
            | Key::Status(Lane { job: name, .. })
            | Key::Lock(name) = key
            {
                job = Some(name.clone());
            }
            let key = self.tree.prefix().encode(key);
            let _ = write!(done, "; {word} {key}");
        }
        let how = match succeeded {
            Some(true) => "commits",
            Some(false) => "is refused",
            None => "is not taken",
        };
        let node = self.workers[worker.0].node;
        let revision = self.tree.revision();
        let text = || {
            format!("the tree: a transaction of worker {} (node {node}) {how} at {revision}{done}", worker.0)
        };
        if job.is_some() { self.say(job.as_ref(), text) } else { self.say_routine(text) }
    }

    /// Looks at what has changed, and wakes those who follow.
    pub(super) fn observe(&mut self, by: By) {
        if self.tree.revision() == self.seen {
            return;
        }
        let changed = self.tree.changes_since(self.seen, &FOLDERS);
        let (revision, groups) = changed.expect("nothing is compacted that was not seen");
        for changes in &groups {
            self.checker.transaction(self.now, by, changes);
        }
        self.mix(u64::try_from(revision.0).unwrap_or(0));
        let before = self.seen.0.unsigned_abs() / COMPACT_EVERY;
        self.seen = revision;
        if revision.0.unsigned_abs() / COMPACT_EVERY > before {
            let kept = i64::try_from(COMPACT_EVERY).unwrap_or(i64::MAX);
            self.tree.compact(model::run::Revision(revision.0 - kept));
        }
        self.wake_all();
    }

    /// The leader looks for leases that are over.
    pub(super) fn leases(&mut self) {
        self.after(LEASES_EVERY, Ev::Leases);
        let now = self.now.elapsed();
        if self.tree_down > 0 || self.tree.next_expiry().is_none_or(|at| at > now) {
            return;
        }
        let over = self.tree.expire(now);
        self.say(None, || format!("the tree: leases {over:?} are over"));
        self.observe(By::Lease);
    }
}
