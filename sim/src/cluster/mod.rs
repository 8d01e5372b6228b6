//! A plan carried out.
//!
//! One queue of events, by true time. Each part of the cluster is a value, and what happens to it is a method of
//! `World` in the file of that part: `tree` and `watch` (the tree behind links), `node` (clocks, spool), `shell`
//! (the shell around a core), `executor` and `process`, `faults` and `environment`.

mod about;
mod ends;
mod environment;
mod executor;
mod faults;
mod fence;
mod link;
mod node;
mod process;
mod shell;
mod tree;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use model::JobName;
use model::keys::KeyPrefix;
use model::run::{Revision, RunId, SessionId};
use model::schedule::TimeZone;
use store::memory::{LogState, TreeState};
use store::{Follow, KeyValue, LogEntry, Session, TreeError};
use worker::core::{AskId, Input, Order};
use worker::executor::{Event as ExecutorEvent, RunKey};

use self::environment::Environment;
use self::executor::{Executor, Notice};
use self::node::Node;
use self::process::Process;
use self::shell::Worker;
use self::tree::Request;
use crate::check::{Checker, End, ExecutorId, Exit, Invariant, Tally, Violation, WorkerId};
use crate::plan::{JobPlan, Plan};
use crate::queue::Queue;
use crate::sabotage::Sabotage;
use crate::time::At;

/// What happens at an instant.
#[derive(Debug)]
enum Ev {
    /// A fault of the plan begins or is over.
    Fault(usize),
    FaultOver(usize),
    /// A node's worker is to run.
    StartWorker(usize),
    /// The reply to the request for a worker's first session.
    FirstSession(WorkerId, Result<Session, TreeError>),
    /// An input comes to a worker.
    Input(WorkerId, Input),
    /// An answer, unless there was one.
    Answer(WorkerId, AskId, Input),
    Tick(WorkerId, u64),
    /// A worker that was asked to end has ended by now.
    MustHaveEnded(WorkerId),
    /// A worker that is over leaves.
    Leave(WorkerId),
    /// A second SIGTERM.
    StopAgain(WorkerId),
    /// A request reaches the tree; its answer takes so long, if it is not lost.
    Request(WorkerId, Request, Option<Duration>),
    Leases,
    /// A follower is to list, to send news, to say that it is current.
    List(WorkerId, u64),
    Wake(WorkerId, u64),
    Progress(WorkerId, u64),
    /// News of the tree reach a worker.
    News(WorkerId, u64, Follow),
    SpoolWrite(WorkerId, AskId, Vec<LogEntry>),
    Find(WorkerId, AskId, RunId, u32),
    Ship(usize),
    Shipped(usize, WorkerId, usize),
    Order(ExecutorId, Order),
    FromExecutor(WorkerId, ExecutorId, ExecutorEvent),
    SpawnExecutor(WorkerId),
    Begin(ExecutorId, RunKey),
    Spawned(ExecutorId, RunKey),
    Fence(ExecutorId),
    PipeClosed(ExecutorId),
    /// All processes of an executor whose worker has gone are gone.
    MustBeGone(ExecutorId),
    /// Something that an executor notices about its process.
    Notice(ExecutorId, Notice),
    Deadline(u64),
    KillTimer(u64),
    Write(u64),
    MainExit(u64, Exit),
    ChildrenGone(u64),
    Swept(WorkerId, SessionId),
    /// What the environment does later.
    Environment(environment::Later),
}

/// A line of the trace.
#[derive(Clone, Debug)]
pub struct Line {
    /// When.
    pub at: At,
    /// The job it is about, if it is about one.
    pub job: Option<JobName>,
    /// It is a matter of course: a renewal, or an executor that answers.
    pub routine: bool,
    /// What happened.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.at)?;
        if let Some(job) = &self.job {
            write!(f, "[{job}] ")?;
        }
        f.write_str(&self.text)
    }
}

/// How a simulation went.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The first promise that was broken.
    pub violation: Option<Violation>,
    /// What happened, in numbers.
    pub tally: Tally,
    /// How long it lasted, in true time.
    pub lasted: Duration,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<String, u64>,
    /// How many events there were.
    pub events: u64,
    /// A number that depends on everything that happened.
    pub digest: u64,
    /// What happened, if that was asked for.
    pub trace: Vec<Line>,
}

/// Carries a plan out. With `traced`, says what happened.
pub fn run(plan: &Plan, sabotage: Option<Sabotage>, traced: bool) -> Outcome {
    World::new(plan, sabotage, traced).run()
}

struct World<'a> {
    plan: &'a Plan,
    sabotage: Option<Sabotage>,
    now: At,
    queue: Queue<Ev>,
    tree: TreeState,
    log: LogState,
    /// Changes up to this revision were checked.
    seen: Revision,
    nodes: BTreeMap<usize, Node>,
    workers: Vec<Worker>,
    executors: Vec<Executor>,
    processes: Vec<Process>,
    /// The numbers of those that live.
    living: BTreeSet<u64>,
    environment: Environment,
    /// The faults that last now.
    active: BTreeSet<usize>,
    /// How many reasons there are for which the tree, and the log, are away for all.
    tree_down: u32,
    log_away: u32,
    no_space: u32,
    checker: Checker,
    sessions: u64,
    /// What refused transactions found of each job, where answers are forged.
    former_answers: BTreeMap<JobName, Vec<KeyValue>>,
    faults: BTreeMap<String, u64>,
    events: u64,
    digest: u64,
    traced: bool,
    trace: Vec<Line>,
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan, sabotage: Option<Sabotage>, traced: bool) -> Self {
        let prefix = KeyPrefix::default();
        let limited = plan.nodes.iter().any(|node| node.max_runs.is_some());
        Self {
            plan,
            sabotage,
            now: At(0),
            queue: Queue::new(),
            tree: TreeState::new(prefix.clone()),
            log: LogState::new(),
            seen: Revision(1),
            nodes: plan.nodes.iter().map(|node| (node.id, Node::new(plan, node))).collect(),
            workers: Vec::new(),
            executors: Vec::new(),
            processes: Vec::new(),
            living: BTreeSet::new(),
            environment: Environment::new(plan),
            active: BTreeSet::new(),
            tree_down: 0,
            log_away: 0,
            no_space: 0,
            checker: Checker::new(prefix, TimeZone::UTC, plan.epoch, limited),
            sessions: 0,
            former_answers: BTreeMap::new(),
            faults: BTreeMap::new(),
            events: 0,
            digest: 0,
            traced,
            trace: Vec::new(),
        }
    }

    fn run(mut self) -> Outcome {
        self.put_jobs();
        for node in &self.plan.nodes {
            self.queue.put(node.from, Ev::StartWorker(node.id));
        }
        for (at, fault) in self.plan.faults.iter().enumerate() {
            self.queue.put(fault.at, Ev::Fault(at));
        }
        self.queue.put(At::seconds(1), Ev::Leases);
        while let Some((at, event)) = self.queue.pop() {
            if at > self.plan.end || self.checker.violation().is_some() {
                break;
            }
            self.now = at;
            self.events += 1;
            self.happen(event);
        }
        if self.checker.violation().is_none() {
            self.now = self.plan.end;
            self.finish();
        }
        Outcome {
            violation: self.checker.violation().cloned(),
            tally: self.checker.tally(),
            lasted: self.now.elapsed(),
            faults: self.faults,
            events: self.events,
            digest: self.digest,
            trace: self.trace,
        }
    }

    fn happen(&mut self, event: Ev) {
        match event {
            Ev::Fault(at) => self.begin_fault(at),
            Ev::FaultOver(at) => self.end_fault(at),
            Ev::StartWorker(node) => self.start_worker(node),
            Ev::FirstSession(worker, session) => self.first_session(worker, session),
            Ev::Input(worker, input) => self.input(worker, input),
            Ev::Answer(worker, ask, input) => self.answer(worker, ask, input),
            Ev::Tick(worker, number) => self.tick(worker, number),
            Ev::MustHaveEnded(worker) => self.must_have_ended(worker),
            Ev::Leave(worker) => self.leave(worker),
            Ev::StopAgain(worker) => self.stop_again(worker),
            Ev::Request(worker, request, reply) => self.request(worker, request, reply),
            Ev::Leases => self.leases(),
            Ev::List(worker, number) => self.list(worker, number),
            Ev::Wake(worker, number) => self.wake(worker, number),
            Ev::Progress(worker, number) => self.progress(worker, number),
            Ev::News(worker, number, news) => self.news(worker, number, news),
            Ev::SpoolWrite(worker, ask, entries) => self.spool_write(worker, ask, entries),
            Ev::Find(worker, ask, run, attempt) => self.find(worker, ask, &run, attempt),
            Ev::Ship(node) => self.ship(node),
            Ev::Shipped(node, worker, count) => self.shipped(node, worker, count),
            Ev::Order(executor, order) => self.order(executor, order),
            Ev::FromExecutor(worker, executor, event) => self.executor_speaks(worker, executor, event),
            Ev::SpawnExecutor(worker) => self.spawn_executor(worker),
            Ev::Begin(executor, key) => self.begin(executor, key),
            Ev::Spawned(executor, key) => self.spawned(executor, key),
            Ev::Fence(executor) => self.fence(executor),
            Ev::PipeClosed(executor) => self.pipe_closed(executor),
            Ev::MustBeGone(executor) => self.must_be_gone(executor),
            Ev::Notice(executor, notice) => self.notice(executor, notice),
            Ev::Deadline(pid) => self.deadline(pid),
            Ev::KillTimer(pid) => self.kill_timer(pid),
            Ev::Write(pid) => self.write(pid),
            Ev::MainExit(pid, exit) => self.main_exit(pid, exit),
            Ev::ChildrenGone(pid) => self.children_gone(pid),
            Ev::Swept(worker, session) => self.swept(worker, session),
            Ev::Environment(later) => self.environment_later(later),
        }
    }

    fn after(&mut self, wait: Duration, event: Ev) {
        self.queue.put(self.now + wait, event);
    }

    /// Puts events back that were held up, in their order.
    fn requeue(&mut self, held: Vec<Ev>) {
        for event in held {
            self.queue.put(self.now, event);
        }
    }

    fn fail(&mut self, invariant: Invariant, job: Option<&JobName>, text: String) {
        self.checker.fail(self.now, invariant, job, text);
    }

    /// Adds a line to the trace. Whatever is said is part of the digest only in numbers, so that it costs nothing.
    fn say(&mut self, job: Option<&JobName>, text: impl FnOnce() -> String) {
        if self.traced {
            self.trace.push(Line { at: self.now, job: job.cloned(), routine: false, text: text() });
        }
    }

    /// As [`World::say`], of something that is a matter of course.
    fn say_routine(&mut self, text: impl FnOnce() -> String) {
        if self.traced {
            self.trace.push(Line { at: self.now, job: None, routine: true, text: text() });
        }
    }

    /// Mixes something that happened into the digest.
    fn mix(&mut self, what: u64) {
        let mixed = self.digest.rotate_left(5) ^ what ^ self.now.0;
        self.digest = mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&mut self) {
        let jobs = self
            .plan
            .jobs
            .iter()
            .map(|job| JobPlan { later: self.environment.needs_later(job.id), ..job.clone() });
        let jobs: Vec<JobPlan> = jobs.collect();
        let patience = jobs.iter().map(|job| (job.name.clone(), self.plan.patience(job))).collect();
        let nobody = !self.nodes.values().any(|node| node.later && node.wanted);
        let unmet = jobs.iter().filter(|job| job.later && nobody).map(|job| job.name.clone()).collect();
        let wall = self.plan.epoch + self.now.elapsed();
        let end = End { now: self.now, wall, quiet_since: self.plan.quiet, patience, unmet };
        self.checker.finish(&end);
    }
}
