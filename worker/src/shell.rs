//! The shell: does what the core says and brings it what comes of that.
//!
//! One task. Everything that needs waiting for is a future in [`Shell::in_flight`] whose reply is one more input. Nothing
//! here decides about jobs.

use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use model::run::Revision;
use store::{Change, Follow, LogError, RunLog, Session, Tree, TreeError, protocol};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::core::{AT_ONCE, Act, Core, CoreConfig, Count, Input, Level, Note, Now, Order};
use crate::executor::{Boottime, Event, Executor, ExecutorError};
use crate::metrics::Metrics;
use crate::state::State;
use crate::{Report, boot_millis, new_session_id, now};

/// How long the log is asked for a record.
const SEARCH: Duration = Duration::from_secs(5);

/// How long the removal of the registration is waited for at the end. It ends by itself otherwise.
const LAST_REQUEST: Duration = Duration::from_secs(5);

/// What the owner of a worker may ask.
#[derive(Debug)]
pub(crate) enum Request {
    /// End: no more claims; running jobs get at most this long between SIGTERM and SIGKILL.
    Stop { grace: Duration },
    /// Tell when the tree has been read and everything in it was looked at.
    Ready(oneshot::Sender<usize>),
}

/// Whom the shell tells what happens.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) reports: broadcast::Sender<Report>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) pulse: Arc<AtomicU64>,
    pub(crate) metrics: Metrics,
}

/// A reply that came.
#[expect(clippy::large_enum_variant, reason = "each is handed over once")]
enum Reply {
    Input(Input),
    Executor(Result<(Executor, mpsc::Receiver<Event>), ExecutorError>),
}

/// A core with what it needs around it.
pub(crate) struct Shell<T, L> {
    tree: T,
    log: L,
    core: Core,
    node: String,
    program: PathBuf,
    listeners: Listeners,
    /// `None` while a dead one is being replaced.
    executor: Option<Executor>,
    events: mpsc::Receiver<Event>,
    changes: mpsc::Receiver<Follow>,
    /// Changes that were received and not taken in yet.
    backlog: VecDeque<Follow>,
    in_flight: FuturesUnordered<BoxFuture<'static, Reply>>,
    ready: Vec<oneshot::Sender<usize>>,
}

/// What both clocks read.
pub(crate) fn clocks() -> Now {
    Now { wall: now(), boot: Boottime::now() }
}

impl<T: Tree, L: RunLog> Shell<T, L> {
    pub(crate) fn new(
        (tree, log): (T, L),
        config: CoreConfig,
        program: PathBuf,
        (session, asked): (Session, Boottime),
        (executor, events): (Executor, mpsc::Receiver<Event>),
        listeners: Listeners,
    ) -> Self {
        let (node, changes) = (config.node.clone(), tree.follow(&protocol::FOLLOWED));
        Self {
            tree,
            log,
            core: Core::new(config, session, asked, clocks()),
            node,
            program,
            listeners,
            executor: Some(executor),
            events,
            changes,
            backlog: VecDeque::new(),
            in_flight: FuturesUnordered::new(),
            ready: Vec::new(),
        }
    }

    /// Works until it is told to stop, or until the store is closed.
    pub(crate) async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) {
        let (mut owned, mut followed) = (true, true);
        self.take(Input::Tick);
        loop {
            let now = clocks();
            self.listeners.pulse.store(boot_millis(), Ordering::Relaxed);
            self.publish(now);
            if self.core.is_over(now) {
                break;
            }
            let sleep = self.core.sleep(now);
            let input = tokio::select! {
                request = requests.recv(), if owned => match request {
                    Some(Request::Ready(tell)) => {
                        self.ready.push(tell);
                        continue;
                    }
                    Some(Request::Stop { grace }) => Input::Stop { grace },
                    // Without an owner nobody could end it any more.
                    None => {
                        owned = false;
                        Input::Stop { grace: Duration::MAX }
                    }
                },
                change = next_of(&mut self.backlog, &mut self.changes), if followed => {
                    followed = change.is_some();
                    change.map_or(Input::Stop { grace: Duration::MAX }, Input::Tree)
                }
                event = self.events.recv(), if self.executor.is_some() => {
                    let event = event.unwrap_or(Event::Gone { why: "its events ended".to_owned() });
                    if let Event::Gone { .. } = event {
                        self.executor = None;
                    }
                    Input::Executor(event)
                }
                Some(reply) = self.in_flight.next() => self.input_of(reply),
                () = tokio::time::sleep(sleep) => Input::Tick,
            };
            self.take(input);
        }
        self.close().await;
    }

    /// Removes the registration. What is still under way is given up first: it may hold the connection.
    async fn close(self) {
        if self.core.runs() > 0 {
            let text = "the store did not take the ends of some runs in time; the next start records them";
            tracing::warn!(runs = self.core.runs(), "{text}");
        }
        drop(self.in_flight);
        let closed = timeout(LAST_REQUEST, self.tree.close_session(self.core.session())).await;
        let why = match closed {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why.to_string(),
            Err(_) => "no answer came".to_owned(),
        };
        tracing::warn!(%why, "the worker's registration could not be removed; it ends by itself");
    }

    fn take(&mut self, input: Input) {
        for act in self.core.take(clocks(), input) {
            self.perform(act);
        }
    }

    fn publish(&mut self, now: Now) {
        let state = self.core.state(now);
        self.listeners.state.send_if_modified(|before| {
            let changed = *before != state;
            *before = state;
            changed
        });
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.listeners.metrics.jobs.set(number(self.core.jobs()));
        self.listeners.metrics.jobs_ahead.set(number(self.core.jobs_ahead()));
        self.listeners.metrics.runs.set(number(self.core.runs()));
        if !self.ready.is_empty() && self.core.is_settled(now) {
            for waiting in self.ready.drain(..) {
                // Who no longer waits needs no answer.
                let _ = waiting.send(self.core.jobs());
            }
        }
    }

    fn perform(&mut self, act: Act) {
        let (tree, log) = (self.tree.clone(), self.log.clone());
        match act {
            Act::Commit(id, txn) => self.expect(async move { Input::Committed(id, tree.commit(txn).await) }),
            Act::Append(id, entries) => {
                self.expect(async move { Input::Appended(id, log.append(entries).await) });
            }
            Act::Find(id, run, attempt) => self.expect(async move {
                let found = timeout(SEARCH, log.find(&run, attempt)).await;
                let silent = |_| Err(LogError::Unavailable("no answer came within 5 s".into()));
                Input::Found(id, found.unwrap_or_else(silent))
            }),
            Act::Renew(id, session, longest) => self.expect(async move {
                let renewed = timeout(longest, tree.renew_session(&session)).await;
                let silent = |_| {
                    let why = format!("no answer came within {} ms", longest.as_millis());
                    Err(TreeError::Unavailable(why.into()))
                };
                Input::Renewed(id, renewed.unwrap_or_else(silent))
            }),
            Act::Open(id, info) => {
                let session = new_session_id(&self.node);
                self.expect(async move { Input::Opened(id, tree.open_session(session, &info).await) });
            }
            Act::Order(order) => self.order(order),
            Act::Spawn => {
                let program = self.program.clone();
                self.in_flight.push(async move { Reply::Executor(Executor::spawn(&program)) }.boxed());
            }
            Act::Sweep(session) => self.expect(async move {
                let swept = session.0.clone();
                // It reads all of /proc.
                let sweep = tokio::task::spawn_blocking(move || crate::executor::kill_escapees(&swept));
                if let Err(why) = sweep.await {
                    tracing::error!(%why, "the processes of a dead session could not be looked for");
                }
                Input::Swept(session)
            }),
            Act::Follow => {
                self.backlog.clear();
                self.changes = self.tree.follow(&protocol::FOLLOWED);
            }
            Act::Tell(report) => self.tell(report),
            Act::Note(note) => write(&note),
            Act::Count(count) => self.count(count),
        }
    }

    fn expect(&mut self, input: impl Future<Output = Input> + Send + 'static) {
        self.in_flight.push(input.map(Reply::Input).boxed());
    }

    fn input_of(&mut self, reply: Reply) -> Input {
        match reply {
            Reply::Input(input) => input,
            Reply::Executor(Ok((executor, events))) => {
                (self.executor, self.events) = (Some(executor), events);
                Input::Spawned(Ok(()))
            }
            Reply::Executor(Err(why)) => Input::Spawned(Err(format!("{:#}", anyhow::Error::from(why)))),
        }
    }

    fn order(&self, order: Order) {
        // Without an executor its commands are being looked for, which the core knows.
        let Some(executor) = &self.executor else { return };
        match order {
            Order::Start(start) => executor.start(*start),
            Order::Stop(key, reason) => executor.stop(key, reason),
            Order::StopAll(grace) => executor.stop_all(grace),
            Order::Fence(fence) => executor.fence(Some(fence)),
            Order::Ping => executor.ping(),
        }
    }

    fn tell(&self, report: Report) {
        let metrics = &self.listeners.metrics;
        match &report {
            Report::Ended(record) => metrics.ended(record.outcome),
            Report::Skipped(record) => metrics.skipped(record.skipped.reason),
            Report::Malformed(_) => drop(metrics.malformed.inc()),
            Report::Trouble(_) | Report::Recovered => {}
        }
        // Nobody has to listen.
        let _ = self.listeners.reports.send(report);
    }

    fn count(&self, count: Count) {
        let metrics = &self.listeners.metrics;
        match count {
            Count::Claim => drop(metrics.claims.inc()),
            Count::Refused => drop(metrics.claims_refused.inc()),
            Count::Started(late) => metrics.start_delay.observe(late.as_secs_f64()),
            Count::Listing => drop(metrics.listings.inc()),
            Count::Session => drop(metrics.sessions.inc()),
            Count::StoreError => drop(metrics.store_errors.inc()),
        }
    }
}

fn write(note: &Note) {
    let Note { level, job, text } = note;
    let job = job.as_ref().map(tracing::field::display);
    match level {
        Level::Info => tracing::info!(job, "{text}"),
        Level::Warn => tracing::warn!(job, "{text}"),
        Level::Error => tracing::error!(job, "{text}"),
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
            let mut pieces = VecDeque::new();
            while news.len() > AT_ONCE {
                // Changes of one transaction stay together.
                let same = |at: usize| revision(&news[at]) == revision(&news[at - 1]);
                let end = (AT_ONCE..news.len()).find(|at| !same(*at)).unwrap_or(news.len());
                let rest = news.split_off(end);
                pieces.push_back(Follow::Changed(std::mem::replace(&mut news, rest)));
            }
            if !news.is_empty() {
                pieces.push_back(Follow::Changed(news));
            }
            let first = pieces.pop_front();
            backlog.extend(pieces);
            first
        }
        other => Some(other),
    }
}

fn revision(change: &Change) -> Revision {
    match change {
        Change::Put(pair) => pair.modified,
        Change::Deleted { revision, .. } => *revision,
    }
}
