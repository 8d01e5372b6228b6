//! The engine: the one task that owns what the worker knows and does.
//!
//! It waits for the next input, takes it in, and looks again at the job concerned. Everything that needs waiting for is
//! a future in [`Engine::in_flight`] whose reply is one more input. So an input's work is that of one job, and no store
//! and no process can hold up another job.

mod acts;
mod replies;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use model::decide::{Decision, decide};
use model::run::SessionId;
use model::{JobName, UnixMillis};
use store::{Follow, RunLog, Session, Tree, protocol};
use tokio::sync::{broadcast, mpsc, oneshot};

use self::replies::Reply;
use crate::due::Due;
use crate::executor::{Event, Executor, ExecutorError, StopReason};
use crate::finish::{self, Trouble};
use crate::runs::{Running, Runs};
use crate::view::{Malformed, News, View};
use crate::{CLAIM_LEAD, Config, Order, Report, environment, now};

/// The engine sleeps no longer than this, so that a step of the wall clock is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How many transactions wait for their replies at once. More jobs than these wait their turn in [`Due`].
const MOST_IN_FLIGHT: usize = 1024;

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
    inherited: Vec<(String, String)>,
    /// Absent while a dead one is being replaced; nothing is claimed meanwhile.
    executor: Option<Executor>,
    events: mpsc::Receiver<Event>,
    reports: broadcast::Sender<Report>,
    view: View,
    due: Due,
    runs: Runs,
    /// The dead sessions of which no process is left.
    swept: HashSet<SessionId>,
    in_flight: FuturesUnordered<BoxFuture<'static, Reply>>,
    /// Whether the tree has been read once.
    listed: bool,
    /// The keys of a repeated listing, while it comes in.
    listing: Option<HashSet<String>>,
    ready: Vec<oneshot::Sender<usize>>,
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
        session: Session,
        (executor, events): ExecutorPair,
        reports: broadcast::Sender<Report>,
    ) -> Self {
        let view = View::new(tree.prefix().clone(), session.id.clone(), config.zone);
        let (trouble, troubles) = mpsc::unbounded_channel();
        Self {
            tree,
            log,
            config,
            session,
            inherited: environment::inherited(),
            executor: Some(executor),
            events,
            reports,
            view,
            due: Due::default(),
            runs: Runs::default(),
            swept: HashSet::new(),
            in_flight: FuturesUnordered::new(),
            listed: false,
            listing: None,
            ready: Vec::new(),
            trouble,
            troubles,
            troubled: false,
            give_up: None,
        }
    }

    /// Works until it is told to stop, or until the store is closed.
    pub(crate) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut changes = self.tree.follow(&protocol::FOLLOWED);
        let mut owned = true;
        loop {
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
                change = changes.recv(), if self.give_up.is_none() => match change {
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
        until_due.min(until_end).min(LONGEST_SLEEP)
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
                if let Some(listing) = self.listing.take() {
                    for name in self.view.retain(&listing, revision) {
                        self.look_again(&name);
                    }
                }
                let names: Vec<JobName> = self.view.names().cloned().collect();
                for name in names {
                    self.look_again(&name);
                }
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
            News::WorkerGone(session) => {
                for name in self.view.jobs_run_by(&session) {
                    self.look_again(&name);
                }
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

    /// Looks at a job as soon as there is room for its transaction.
    fn look_again(&mut self, name: &JobName) {
        self.look_at(name, Some(UnixMillis::EPOCH));
    }

    fn look_at(&mut self, name: &JobName, at: Option<UnixMillis>) {
        let entry = self.view.entry(name);
        self.due.set(name, entry.due, at);
        entry.due = at;
    }

    fn look_at_what_is_due(&mut self) {
        if !self.listed || self.give_up.is_some() {
            return;
        }
        while self.in_flight.len() < MOST_IN_FLIGHT {
            let Some(name) = self.due.pop(now()) else { return };
            self.view.entry(&name).due = None;
            self.look(&name);
        }
    }

    /// Does what is to be done about a job now, and sets when to look next. While a transaction about it is under way
    /// there is nothing to do: its reply looks again.
    fn look(&mut self, name: &JobName) {
        if self.view.entry(name).deciding > 0 {
            return;
        }
        if self.view.entry(name).is_deleted() {
            self.clear_away(name);
            return;
        }
        if self.recover(name) {
            return;
        }
        let now = now();
        if self.executor.is_none() {
            return self.look_at(name, Some(now + finish::RETRY_AFTER));
        }
        let entry = self.view.entry(name);
        let known = entry.known();
        let Some((job, seen)) = entry.to_decide() else { return };
        match decide(now, CLAIM_LEAD, job, &seen) {
            Decision::Wait(at) => self.look_at(name, at),
            Decision::Claim { slot, skipped } => {
                let job = Arc::clone(job);
                self.claim(job, known, slot, skipped, now);
            }
            Decision::Skip { slot, skipped } | Decision::Arm { slot, skipped } => {
                let job = Arc::clone(job);
                self.pass(job, known, slot, skipped);
            }
        }
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::Started { key, at, pid: _ } => {
                if let Some(running) = self.runs.get_mut(key) {
                    running.started = Some(at);
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
        crate::executor::kill_escapees(&self.session.id.0);
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
