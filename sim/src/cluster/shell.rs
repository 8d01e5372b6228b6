//! The process of a worker: the shell around a core, which does its acts and brings it inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use model::JobName;
use model::run::SessionId;
use model::schedule::TimeZone;
use store::{Renewed, Session, TreeError, TxnReply};
use worker::core::{Act, AskId, Core, CoreConfig, Input, Note, Now, Order};
use worker::executor::{Boottime, Event, RunKey};

use super::about::About;
use super::link::REQUEST;
use super::process::KILLED_WITHIN;
use super::tree::{Request, about};
use super::watch::Watch;
use super::{Ev, World};
use crate::check::{ExecutorId, Invariant, WorkerId};
use crate::plan::LATER;
use crate::time::At;

/// How long a worker waits before it asks again for its first session.
const FIRST_AGAIN: Duration = Duration::from_secs(1);

/// So many inputs at one instant are no coincidence.
const MOST_AT_ONCE: u32 = 20_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has no session yet.
    Starting,
    Working,
    /// Its core is over; its session is being closed.
    Leaving,
    Dead,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) node: usize,
    pub(super) stage: Stage,
    /// Boxed, because it is handed to and fro.
    pub(super) core: Option<Box<Core>>,
    /// It is stopped by SIGSTOP, and what comes to it waits here.
    pub(super) paused: bool,
    pub(super) held: Vec<Ev>,
    pub(super) executor: Option<ExecutorId>,
    pub(super) watch: Watch,
    /// What it asked and was not answered.
    asked: BTreeSet<AskId>,
    /// The last planned call, which counts alone.
    ticks: u64,
    /// The session it asked for first, and its boot clock then.
    first: Option<(SessionId, Boottime)>,
    /// When the last order and the last event go through the pipe; none overtakes another.
    pub(super) last_order: At,
    pub(super) last_event: At,
    /// For the trace: the jobs of what was asked, and of what the executor was told to start.
    abouts: BTreeMap<AskId, Option<JobName>>,
    keys: BTreeMap<RunKey, JobName>,
    /// It was asked to end, and has to have ended by then.
    pub(super) must_end: Option<At>,
    /// How often it was called at this instant.
    calls: (At, u32),
}

impl Worker {
    pub(super) fn is_alive(&self) -> bool {
        self.stage != Stage::Dead
    }

    /// Whether its threads do anything now.
    pub(super) fn works(&self) -> bool {
        matches!(self.stage, Stage::Working | Stage::Leaving) && !self.paused
    }
}

impl World<'_> {
    /// A node's worker is to run, if the node has none.
    pub(super) fn start_worker(&mut self, node: usize) {
        let id = WorkerId(self.workers.len());
        let Some(at) = self.nodes.get_mut(&node) else { return };
        if at.worker.is_some() || !at.wanted {
            return;
        }
        at.worker = Some(id);
        self.workers.push(Worker {
            node,
            stage: Stage::Starting,
            core: None,
            paused: false,
            held: Vec::new(),
            executor: None,
            watch: Watch::default(),
            asked: BTreeSet::new(),
            ticks: 0,
            first: None,
            last_order: At(0),
            last_event: At(0),
            abouts: BTreeMap::new(),
            keys: BTreeMap::new(),
            must_end: None,
            calls: (At(0), 0),
        });
        self.say(None, || format!("worker {} starts on node {node}", id.0));
        self.ask_first_session(id);
    }

    fn config(&self, node: usize) -> CoreConfig {
        CoreConfig {
            prefix: self.tree.prefix().clone(),
            node: format!("node-{node}"),
            address: format!("10.0.0.{node}"),
            version: "0.0.0".to_owned(),
            labels: BTreeMap::new(),
            features: self.nodes[&node].later.then_some(LATER).into_iter().collect(),
            zone: TimeZone::UTC,
            max_runs: self.nodes[&node].max_runs.and_then(NonZeroUsize::new),
            inherited: Vec::new(),
            broken: self.sabotage.and_then(crate::sabotage::Sabotage::of_core),
        }
    }

    fn new_session(&mut self, worker: WorkerId) -> SessionId {
        self.sessions += 1;
        let id = SessionId(format!("node-{}-{}", self.workers[worker.0].node, self.sessions));
        self.checker.session_asked(id.clone(), worker);
        id
    }

    fn ask_first_session(&mut self, worker: WorkerId) {
        let node = self.workers[worker.0].node;
        let Now { wall, boot } = self.clocks(node);
        let id = self.new_session(worker);
        self.workers[worker.0].first = Some((id.clone(), boot));
        let info = Box::new(self.config(node).info(wall, wall));
        self.send(worker, Request::Open(None, id, info), REQUEST);
    }

    pub(super) fn first_session(&mut self, worker: WorkerId, session: Result<Session, TreeError>) {
        let at = &mut self.workers[worker.0];
        if at.stage != Stage::Starting {
            return;
        }
        if at.paused {
            return at.held.push(Ev::FirstSession(worker, session));
        }
        match session {
            Ok(session) => {
                let Some((_, asked)) = at.first.take_if(|(id, _)| *id == session.id) else { return };
                at.stage = Stage::Working;
                let node = at.node;
                let (config, now) = (self.config(node), self.clocks(node));
                self.workers[worker.0].core = Some(Box::new(Core::new(config, session, asked, now)));
                self.new_executor(worker);
                self.follow(worker);
                self.begin_shipping(node);
                self.feed(worker, Input::Tick);
            }
            Err(_) if at.first.take().is_some() => {
                // The program says so once and tries again.
                self.after(FIRST_AGAIN, Ev::FirstSession(worker, Err(TreeError::Closed)));
            }
            Err(TreeError::Closed) => self.ask_first_session(worker),
            Err(_) => {}
        }
    }

    pub(super) fn input(&mut self, worker: WorkerId, input: Input) {
        let at = &mut self.workers[worker.0];
        if at.paused {
            return at.held.push(Ev::Input(worker, input));
        }
        self.feed(worker, input);
    }

    pub(super) fn answer(&mut self, worker: WorkerId, ask: AskId, input: Input) {
        let at = &mut self.workers[worker.0];
        if at.paused && at.asked.contains(&ask) {
            return at.held.push(Ev::Answer(worker, ask, input));
        }
        if at.asked.remove(&ask) {
            self.feed(worker, input);
        }
    }

    pub(super) fn news(&mut self, worker: WorkerId, number: u64, news: store::Follow) {
        if !self.watches(worker, number) {
            return;
        }
        let at = &mut self.workers[worker.0];
        if at.paused {
            return at.held.push(Ev::News(worker, number, news));
        }
        self.feed(worker, Input::Tree(news));
    }

    pub(super) fn tick(&mut self, worker: WorkerId, number: u64) {
        let at = &mut self.workers[worker.0];
        if at.ticks != number {
            return;
        }
        if at.paused {
            return at.held.push(Ev::Tick(worker, number));
        }
        self.feed(worker, Input::Tick);
    }

    pub(super) fn executor_speaks(&mut self, worker: WorkerId, executor: ExecutorId, event: Event) {
        let at = &mut self.workers[worker.0];
        if at.executor != Some(executor) {
            return;
        }
        if at.paused {
            return at.held.push(Ev::FromExecutor(worker, executor, event));
        }
        if let Event::Gone { .. } = event {
            at.executor = None;
        }
        self.feed(worker, Input::Executor(event));
    }

    pub(super) fn swept(&mut self, worker: WorkerId, session: SessionId) {
        if !self.workers[worker.0].is_alive() {
            return;
        }
        if self.workers[worker.0].paused {
            return self.workers[worker.0].held.push(Ev::Swept(worker, session));
        }
        self.sweep(self.workers[worker.0].node, &session);
        self.after(KILLED_WITHIN, Ev::Input(worker, Input::Swept(session)));
    }

    pub(super) fn spawn_executor(&mut self, worker: WorkerId) {
        if !self.workers[worker.0].is_alive() {
            return;
        }
        if self.workers[worker.0].paused {
            return self.workers[worker.0].held.push(Ev::SpawnExecutor(worker));
        }
        self.new_executor(worker);
        self.feed(worker, Input::Spawned(Ok(())));
    }

    /// Gives an input to a core and does what it says.
    fn feed(&mut self, worker: WorkerId, input: Input) {
        let at = &mut self.workers[worker.0];
        if at.stage != Stage::Working {
            return;
        }
        let Some(mut core) = at.core.take() else { return };
        at.calls = if at.calls.0 == self.now { (self.now, at.calls.1 + 1) } else { (self.now, 0) };
        if at.calls.1 > MOST_AT_ONCE {
            let text = format!("worker {} was called {MOST_AT_ONCE} times at one instant", worker.0);
            return self.fail(Invariant::Livelock, None, text);
        }
        at.ticks += 1;
        let (node, ticks) = (at.node, at.ticks);
        let now = self.clocks(node);
        if self.traced {
            self.say_input(worker, &input);
        }
        let took = catch_unwind(AssertUnwindSafe(|| {
            let acts = core.take(now, input);
            (acts, core.sleep(now), core.is_over(now), core)
        }));
        let Ok((acts, sleep, over, core)) = took else {
            let text = format!("the core of worker {} panicked", worker.0);
            return self.fail(Invariant::Panics, None, text);
        };
        let session = over.then(|| core.session().clone());
        self.workers[worker.0].core = Some(core);
        for act in acts {
            self.act(worker, node, act);
        }
        match session {
            Some(session) => self.close(worker, session),
            None => self.after(sleep, Ev::Tick(worker, ticks)),
        }
    }

    fn say_input(&mut self, worker: WorkerId, input: &Input) {
        let mut job = None;
        let text = match input {
            Input::Tick | Input::Tree(_) => return,
            Input::Executor(Event::Alive)
            | Input::Renewed(_, Ok(Renewed::Lives))
            | Input::Appended(_, Ok(())) => {
                return self.say_routine(|| format!("worker {} gets {input:?}", worker.0));
            }
            Input::Committed(ask, reply) => {
                job = self.workers[worker.0].abouts.remove(ask).flatten();
                match reply {
                    Ok(TxnReply { succeeded: true, revision, .. }) => {
                        format!("the answer: done at {revision}")
                    }
                    Ok(TxnReply { revision, found, .. }) => {
                        format!("the answer: refused at {revision}, and {} keys", found.len())
                    }
                    Err(why) => format!("no answer: {why}"),
                }
            }
            Input::Executor(
                event @ (Event::Started { key, .. } | Event::Output { key, .. } | Event::Ended { key, .. }),
            ) => {
                job = self.workers[worker.0].keys.get(key).cloned();
                format!("{event:?}")
            }
            other => format!("{other:?}"),
        };
        self.say(job.as_ref(), || format!("worker {} gets {text}", worker.0));
    }

    fn act(&mut self, worker: WorkerId, node: usize, act: Act) {
        if let Act::Commit(ask, _)
        | Act::Append(ask, _)
        | Act::Find(ask, ..)
        | Act::Renew(ask, ..)
        | Act::Open(ask, _) = &act
        {
            self.workers[worker.0].asked.insert(*ask);
        }
        match act {
            Act::Commit(ask, txn) => {
                if self.traced {
                    self.workers[worker.0].abouts.insert(ask, about(&txn));
                }
                self.send(worker, Request::Commit(ask, Box::new(txn)), REQUEST);
            }
            Act::Renew(ask, session, timeout) => {
                self.send(worker, Request::Renew(ask, session), timeout);
            }
            Act::Open(ask, info) => {
                let id = self.new_session(worker);
                self.send(worker, Request::Open(Some(ask), id, info), REQUEST);
            }
            Act::Append(ask, entries) => {
                let wait = self.draw(node, 0..=4);
                self.after(wait, Ev::SpoolWrite(worker, ask, entries));
            }
            Act::Find(ask, run, attempt) => {
                let wait = self.draw(node, 0..=2);
                self.after(wait, Ev::Find(worker, ask, run, attempt));
            }
            Act::Order(order) => self.pass_order(worker, order),
            Act::Spawn => {
                let wait = self.draw(node, 3..=40);
                self.after(wait, Ev::SpawnExecutor(worker));
            }
            Act::Sweep(session) => {
                let wait = self.draw(node, 2..=150);
                self.after(wait, Ev::Swept(worker, session));
            }
            Act::Follow => self.follow(worker),
            Act::Note(Note { level, job, text }) => {
                self.say(job.as_ref(), || format!("worker {} notes {level:?}: {text}", worker.0));
            }
            Act::Tell(_) | Act::Count(_) => {}
        }
    }

    pub(super) fn draw(&mut self, node: usize, millis: std::ops::RangeInclusive<u64>) -> Duration {
        self.nodes.get_mut(&node).map_or(Duration::ZERO, |node| node.rng.millis(millis))
    }

    /// Puts an order into the pipe.
    fn pass_order(&mut self, worker: WorkerId, order: Order) {
        let Some(executor) = self.workers[worker.0].executor else { return };
        if let Order::Start(start) = &order
            && let Some(about) = About::of(start)
        {
            if self.traced {
                self.workers[worker.0].keys.insert(start.key, about.job.clone());
            }
            self.checker.ordered(about.run, about.attempt, executor);
        }
        let wait = self.draw(self.workers[worker.0].node, 0..=1);
        let at = &mut self.workers[worker.0];
        at.last_order = (self.now + wait).max(at.last_order);
        self.queue.put(at.last_order, Ev::Order(executor, order));
    }
}
