//! The engine: the one task that owns what the worker knows and does.
//!
//! It waits for the next input, takes it in, and looks again at the job concerned. Everything that needs waiting for is
//! a future in [`Engine::in_flight`] whose reply is one more input. So an input's work is that of one job, and no store
//! and no process can hold up another job.

mod acts;
mod look;
mod orphans;
mod replies;
mod session;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use model::run::{Revision, SessionId, Slot};
use model::values::NotClaiming;
use model::{JobName, UnixMillis};
use store::{Follow, RunLog, Session, Tree, protocol};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use self::look::Standing;
use self::replies::Reply;
use self::session::Keeper;
use crate::due::Due;
use crate::executor::{Boottime, Event, Executor, ExecutorError, StopReason};
use crate::finish::Trouble;
use crate::metrics::Metrics;
use crate::runs::{Running, Runs};
use crate::state::State;
use crate::view::{Malformed, News, View};
use crate::{Config, Order, Report, boot_millis, environment, now};

/// The engine sleeps no longer than this, so that a step of the wall clock is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How many transactions wait for their replies at once. More jobs than these wait their turn in [`Due`].
const MOST_IN_FLIGHT: usize = 1024;

/// How many changes are taken, and how many jobs looked at, before the next input of another kind has its turn.
pub(crate) const AT_ONCE: usize = 64;

/// How long after the last command's grace the worker waits for the store to take the ends, before it gives up and
/// leaves them to the next start.
const LAST_WRITES: Duration = Duration::from_secs(10);

pub(crate) type ExecutorPair = (Executor, mpsc::Receiver<Event>);

/// All state of a worker.
pub(crate) struct Engine<T, L> {
    tree: T,
    log: L,
    config: Config,
    session: Session,
    /// The sessions that this process had before.
    former: Vec<SessionId>,
    /// When this process registered first.
    since: UnixMillis,
    /// Absent where a session lasts as long as the process.
    keeper: Option<Keeper>,
    /// When there was news of the tree.
    heard: Instant,
    /// When the executor last spoke.
    answered: Instant,
    not_claiming: Option<NotClaiming>,
    announced: Instant,
    announce_at: Instant,
    inherited: Vec<(String, String)>,
    /// Absent while a dead one is being replaced; nothing is claimed meanwhile.
    executor: Option<Executor>,
    events: mpsc::Receiver<Event>,
    reports: broadcast::Sender<Report>,
    view: View,
    due: Due,
    runs: Runs,
    /// Claims that are not answered yet.
    claiming: usize,
    /// Slots that wait until there is room for another run.
    held: BTreeSet<(Slot, JobName)>,
    standing: Standing,
    /// Since when sessions that left runs behind are known to be gone.
    absent: HashMap<SessionId, Instant>,
    /// The dead sessions' runs whose record was looked for.
    searched: HashSet<Revision>,
    /// The dead sessions of which no process is left.
    swept: HashSet<SessionId>,
    in_flight: FuturesUnordered<BoxFuture<'static, Reply>>,
    /// Whether the tree has been read once.
    listed: bool,
    /// The keys of a repeated listing, while it comes in.
    listing: Option<HashSet<String>>,
    ready: Vec<oneshot::Sender<usize>>,
    state: watch::Sender<State>,
    pulse: Arc<AtomicU64>,
    metrics: Metrics,
    trouble: mpsc::UnboundedSender<Trouble>,
    troubles: mpsc::UnboundedReceiver<Trouble>,
    troubled: bool,
    /// Set once the end was asked for: when to stop waiting for it.
    give_up: Option<Instant>,
}

impl<T: Tree, L: RunLog> Engine<T, L> {
    pub(crate) fn new(
        tree: T,
        log: L,
        config: Config,
        (session, asked): (Session, Boottime),
        (executor, events): ExecutorPair,
        (reports, state, pulse): (broadcast::Sender<Report>, watch::Sender<State>, Arc<AtomicU64>),
    ) -> Self {
        let view = View::new(tree.prefix().clone(), session.id.clone(), config.zone);
        let (trouble, troubles) = mpsc::unbounded_channel();
        let began = Instant::now();
        let metrics = config.metrics.clone();
        metrics.sessions.inc();
        let engine = Self {
            tree,
            log,
            config,
            keeper: Keeper::new(&session, asked),
            session,
            former: Vec::new(),
            since: now(),
            heard: began,
            answered: began,
            not_claiming: None,
            announced: began,
            announce_at: began,
            inherited: environment::inherited(),
            executor: Some(executor),
            events,
            reports,
            view,
            due: Due::default(),
            runs: Runs::default(),
            claiming: 0,
            held: BTreeSet::new(),
            standing: Standing::default(),
            absent: HashMap::new(),
            searched: HashSet::new(),
            swept: HashSet::new(),
            in_flight: FuturesUnordered::new(),
            listed: false,
            listing: None,
            ready: Vec::new(),
            state,
            pulse,
            metrics,
            trouble,
            troubles,
            troubled: false,
            give_up: None,
        };
        engine.send_fence();
        engine
    }

    /// Works until it is told to stop, or until the store is closed.
    pub(crate) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut changes = self.tree.follow(&protocol::FOLLOWED);
        let mut owned = true;
        let mut backlog = VecDeque::new();
        loop {
            self.pulse.store(boot_millis(), Ordering::Relaxed);
            self.keep_session();
            self.look_at_what_is_due();
            self.tell_ready();
            if self.is_over() {
                break;
            }
            let sleep = self.until_next();
            tokio::select! {
                order = orders.recv(), if owned => {
                    // Without an owner nobody could end it any more.
                    owned = order.is_some();
                    self.take_order(order.unwrap_or(Order::Stop { grace: Duration::MAX }));
                }
                change = next_of(&mut backlog, &mut changes), if self.give_up.is_none() => match change {
                    Some(change) => self.take_change(change),
                    None => self.stop(Duration::MAX),
                },
                event = self.events.recv(), if self.executor.is_some() => {
                    self.take_event(event.unwrap_or(Event::Gone { why: "its events ended".to_owned() }));
                }
                Some(reply) = self.in_flight.next() => self.take_reply(reply),
                Some(trouble) = self.troubles.recv() => self.take_trouble(trouble),
                () = tokio::time::sleep(sleep) => {}
            }
        }
        if !self.runs.is_empty() {
            tracing::warn!(
                runs = self.runs.len(),
                "the store did not take the ends of some runs in time; the next start records them"
            );
        }
        if let Err(why) = self.tree.close_session(&self.session).await {
            tracing::warn!(%why, "the worker's registration could not be removed; it ends by itself");
        }
    }

    fn until_next(&self) -> Duration {
        let until_due = match self.due.next() {
            Some(at) if self.in_flight.len() < MOST_IN_FLIGHT => at.since(now()),
            _ => LONGEST_SLEEP,
        };
        let until_end =
            self.give_up.map_or(LONGEST_SLEEP, |end| end.saturating_duration_since(Instant::now()));
        let until_renewal = self.keeper.as_ref().map_or(LONGEST_SLEEP, Keeper::sleep);
        until_due.min(until_end).min(until_renewal).min(LONGEST_SLEEP)
    }

    fn is_over(&self) -> bool {
        let Some(give_up) = self.give_up else { return false };
        (self.runs.is_empty() && self.in_flight.is_empty()) || Instant::now() >= give_up
    }

    fn tell_ready(&mut self) {
        let settled = self.listed && self.in_flight.is_empty() && self.due.next().is_none_or(|at| at > now());
        if settled && !self.ready.is_empty() {
            let jobs = self.view.jobs();
            for waiting in self.ready.drain(..) {
                // Who no longer waits needs no answer.
                let _ = waiting.send(jobs);
            }
        }
    }

    fn take_order(&mut self, order: Order) {
        match order {
            Order::Stop { grace } => self.stop(grace),
            Order::Ready(tell) => self.ready.push(tell),
        }
    }

    /// No more claims; what runs is asked to end, and what can't be recorded by `give_up` is left to the next start.
    fn stop(&mut self, grace: Duration) {
        let longest =
            self.runs.alive().map(|(_, running)| running.job.grace.min(grace)).max().unwrap_or_default();
        self.give_up = Some(Instant::now() + longest + LAST_WRITES);
        if let Some(executor) = &self.executor {
            executor.stop_all(grace);
        }
    }

    fn take_change(&mut self, change: Follow) {
        self.heard = Instant::now();
        match change {
            Follow::Page(pairs) => {
                for pair in pairs {
                    if let Some(listing) = &mut self.listing {
                        listing.insert(pair.key.clone());
                    }
                    let news = self.view.put(&pair);
                    self.take_news(news);
                }
            }
            Follow::Listed(revision) => {
                self.listed = true;
                self.metrics.listings.inc();
                if let Some(listing) = self.listing.take() {
                    // All jobs are looked at below.
                    self.view.retain(&listing, revision);
                    self.view.retain_workers(&listing);
                    let newer = revision >= self.session.registered;
                    if newer && !self.view.peers.contains(&self.session.id) {
                        self.session_ended("the session's key is gone");
                    }
                    tracing::info!(%revision, "the job tree has been read again; nothing is missing");
                }
                self.warn_of_namesake();
                self.look_at_all_again();
            }
            Follow::Changed(changes) => {
                for change in changes {
                    let news = self.view.apply(change);
                    self.take_news(news);
                }
            }
            Follow::Current(_) => {}
            Follow::Again(why) => {
                tracing::warn!(%why, "changes of the job tree may have been missed; reading all of it again");
                self.listing = Some(HashSet::new());
            }
        }
    }

    fn take_news(&mut self, news: News) {
        match news {
            News::None => {}
            News::Job(name) => self.look_again(&name),
            News::Workers(session) => {
                if self.listed {
                    if session != self.session.id {
                        self.announce_soon();
                    }
                    self.warn_of_namesake();
                    self.look_at_all_again();
                }
            }
            // Its runs are orphans, and its jobs have other owners.
            News::WorkerGone(session) if session == self.session.id => {
                self.session_ended("the session's key was removed");
            }
            News::WorkerGone(session) => {
                self.absent.entry(session).or_insert_with(Instant::now);
                self.look_at_all_again();
            }
            News::Kill(name, revision) => {
                for (key, running) in self.runs.alive_of(&name) {
                    if running.token < revision {
                        running.stopped = Some("killed on request");
                        if let Some(executor) = &self.executor {
                            executor.stop(key, StopReason::Killed);
                        }
                    }
                }
            }
            News::Malformed(name, what) => {
                self.report_malformed(what);
                if let Some(name) = name {
                    self.look_again(&name);
                }
            }
        }
    }

    fn report_malformed(&self, what: Malformed) {
        self.metrics.malformed.inc();
        self.tell(Report::Malformed(Arc::new(what)));
    }

    fn tell(&self, report: Report) {
        // Nobody has to listen.
        let _ = self.reports.send(report);
    }

    fn take_trouble(&mut self, Trouble(why): Trouble) {
        if !std::mem::replace(&mut self.troubled, true) {
            self.tell(Report::Trouble(why));
        }
    }

    fn over_trouble(&mut self) {
        if std::mem::take(&mut self.troubled) {
            self.tell(Report::Recovered);
        }
    }

    fn warn_of_namesake(&self) {
        if let Some(session) = self.view.peers.namesake(&self.config.node, &self.config.address) {
            tracing::warn!(
                %session,
                address = %self.config.address,
                "another worker has the same node and --id; both work, but lists show them alike: give each its own --id"
            );
        }
    }

    fn take_event(&mut self, event: Event) {
        self.answered = Instant::now();
        match event {
            Event::Started { key, at, pid: _ } => {
                if let Some(running) = self.runs.get_mut(key) {
                    running.started = Some(at);
                    self.metrics.start_delay.observe(at.since(running.slot.0).as_secs_f64());
                }
            }
            Event::Output { key, bytes } => {
                if let Some(running) = self.runs.get_mut(key) {
                    running.head.extend_from_slice(&bytes);
                }
            }
            Event::Ended { key, ended } => {
                let Some(running) = self.runs.get_mut(key) else { return };
                running.ending = true;
                let record = running.record(&self.config.node, &self.session.id, ended);
                running.head = Vec::new();
                let running = running.clone();
                self.finish(&running, record);
            }
            Event::Alive => {}
            Event::Gone { why } => self.replace_executor(&why),
        }
    }

    /// The executor is dead, and its commands with it or about to be: their ends are not known.
    fn replace_executor(&mut self, why: &str) {
        tracing::error!(%why, "the executor ended; its commands are lost, a new one is started");
        self.executor = None;
        for session in self.former.iter().chain([&self.session.id]) {
            crate::executor::kill_escapees(&session.0);
        }
        let lost: Vec<Running> = self
            .runs
            .alive()
            .map(|(_, running)| {
                running.ending = true;
                running.clone()
            })
            .collect();
        for running in lost {
            let message =
                format!("the executor ended while the command ran ({why}); how far it came is not known");
            let record = running.lost(&self.config.node, &self.session.id, now(), message);
            self.finish(&running, record);
        }
        self.start_executor(Duration::ZERO);
    }

    fn start_executor(&mut self, after: Duration) {
        let program = self.config.program.clone();
        let future = async move {
            tokio::time::sleep(after).await;
            Reply::Executor(Executor::spawn(&program))
        };
        self.in_flight.push(future.boxed());
    }
}

/// The next news of the tree, at most [`AT_ONCE`] keys of it; the rest waits in the backlog. Nothing is lost when it is
/// not waited for to the end.
async fn next_of(backlog: &mut VecDeque<Follow>, changes: &mut mpsc::Receiver<Follow>) -> Option<Follow> {
    if let Some(next) = backlog.pop_front() {
        return Some(next);
    }
    match changes.recv().await? {
        Follow::Page(mut pairs) if pairs.len() > AT_ONCE => {
            while pairs.len() > AT_ONCE {
                backlog.push_front(Follow::Page(pairs.split_off(pairs.len() - AT_ONCE)));
            }
            Some(Follow::Page(pairs))
        }
        Follow::Changed(mut news) if news.len() > AT_ONCE => {
            while news.len() > AT_ONCE {
                backlog.push_front(Follow::Changed(news.split_off(news.len() - AT_ONCE)));
            }
            Some(Follow::Changed(news))
        }
        other => Some(other),
    }
}
