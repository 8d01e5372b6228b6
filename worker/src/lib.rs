//! The worker: follows the job tree, claims due slots, runs their commands on this node and records how they ended.
//!
//! One task, the engine, owns all state and never waits for anything but its next input: changes of the tree,
//! replies to its own transactions, news of its processes, and the clock. The commands themselves belong to the
//! [`executor`], a process of its own.
//!
//! Not here: the rules of scheduling (`model::decide`) and of excluding other workers (`store::protocol`).

pub mod executor;

mod clock;
mod due;
mod engine;
mod environment;
mod finish;
mod metrics;
mod recover;
mod report;
mod runs;
mod state;
mod times;
mod view;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use model::run::SessionId;
use model::schedule::TimeZone;
use model::values::WorkerInfo;
use store::{RunLog, Tree, TreeError};
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use clock::now;
use executor::Boottime;
pub use executor::become_executor_if_asked;
pub use metrics::Metrics;
pub use report::Report;
pub use state::State;
pub use times::SHORTEST_SESSION;
pub use view::Malformed;

/// How long before its instant a slot may be claimed, so that no round trip stands between the instant and the process.
pub const CLAIM_LEAD: Duration = Duration::from_millis(250);

/// What a worker needs to know about itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node it runs on; part of every record.
    pub node: String,
    /// The address people know it by, as the legacy calls list it.
    pub address: String,
    /// The zone of jobs in the legacy form.
    pub zone: TimeZone,
    /// The program that becomes the executor: one whose `main` begins with [`become_executor_if_asked`].
    pub program: PathBuf,
    /// What it can be chosen by; part of its registration.
    pub labels: BTreeMap<String, String>,
    /// How many runs it takes at once; beyond them slots wait here, or go to workers that have room.
    pub max_runs: Option<NonZeroUsize>,
    /// Where it counts what it does.
    pub metrics: Metrics,
}

impl Config {
    /// A worker without labels and limits.
    pub fn new(node: String, address: String, zone: TimeZone, program: PathBuf) -> Self {
        Self {
            node,
            address,
            zone,
            program,
            labels: BTreeMap::new(),
            max_runs: None,
            metrics: Metrics::default(),
        }
    }

    fn info(&self) -> WorkerInfo {
        let version = env!("CARGO_PKG_VERSION");
        WorkerInfo {
            labels: self.labels.clone(),
            capacity: self.max_runs.and_then(|most| u32::try_from(most.get()).ok()),
            clock: Some(now()),
            ..WorkerInfo::new(&self.address, &self.node, version, now())
        }
    }
}

/// Why a worker could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The tree did not take the registration.
    #[error("the worker could not register")]
    Register(#[source] TreeError),
    /// The process that runs the commands did not start.
    #[error("the executor could not be started")]
    Executor(#[from] executor::ExecutorError),
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    session: SessionId,
    state: watch::Receiver<State>,
    pulse: Arc<AtomicU64>,
    reports: broadcast::Sender<Report>,
    orders: mpsc::UnboundedSender<Order>,
    engine: JoinHandle<()>,
}

/// What the owner of a worker may ask of its engine.
#[derive(Debug)]
enum Order {
    /// End: no more claims; running jobs get at most this long between SIGTERM and SIGKILL.
    Stop { grace: Duration },
    /// Tell when the tree has been read and everything in it was looked at.
    Ready(oneshot::Sender<usize>),
}

impl Worker {
    /// Registers and starts working. Runs that a dead session left behind are recorded as `Lost` before anything of
    /// their jobs starts again.
    pub async fn start<T: Tree, L: RunLog>(tree: T, log: L, config: Config) -> Result<Self, StartError> {
        let asked = Boottime::now();
        let opened = tree.open_session(new_session_id(&config.node), &config.info()).await;
        let session = opened.map_err(StartError::Register)?;
        let executor = match executor::Executor::spawn(&config.program) {
            Ok(executor) => executor,
            Err(why) => {
                // Where that fails too, it ends by itself.
                let _ = tree.close_session(&session).await;
                return Err(why.into());
            }
        };
        let (reports, _) = broadcast::channel(REPORTS_KEPT);
        let (orders, received) = mpsc::unbounded_channel();
        let (tell_state, state) = watch::channel(State::starting());
        let id = session.id.clone();
        let pulse = Arc::new(AtomicU64::new(boot_millis()));
        let told = (reports.clone(), tell_state, Arc::clone(&pulse));
        let engine = engine::Engine::new(tree, log, config, (session, asked), executor, told);
        let engine = tokio::spawn(engine.run(received));
        Ok(Self { session: id, state, pulse, reports, orders, engine })
    }

    /// The first session of this worker; it gets a new one when that is lost.
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// Whether it is fit to work, now and whenever that changes.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// How long ago its engine last went through its loop. It does so at least once a second, so a longer time means that
    /// it is stuck: then its state does not change any more either.
    pub fn silent_for(&self) -> Duration {
        Duration::from_millis(boot_millis().saturating_sub(self.pulse.load(Ordering::Relaxed)))
    }

    /// What happens from now on. A receiver that falls far behind is told how much it missed; nothing waits for it.
    pub fn reports(&self) -> broadcast::Receiver<Report> {
        self.reports.subscribe()
    }

    /// Waits until all jobs of the tree are known and scheduled; returns how many there are, or nothing if the worker
    /// ended before.
    pub async fn ready(&self) -> Option<usize> {
        let (tell, told) = oneshot::channel();
        self.orders.send(Order::Ready(tell)).ok()?;
        told.await.ok()
    }

    /// Asks for the end and returns at once. To ask again with a shorter grace hurries the commands that still run.
    pub fn stop(&self, grace: Duration) {
        // A worker that has ended needs no order.
        let _ = self.orders.send(Order::Stop { grace });
    }

    /// Waits for the end: every run has ended and is recorded, the registration is gone.
    pub async fn ended(&mut self) {
        if let Err(why) = (&mut self.engine).await {
            tracing::error!(%why, "the worker's engine ended by a defect; please report it");
        }
    }
}

/// How many reports a slow receiver may be behind.
const REPORTS_KEPT: usize = 4096;

/// The boot-time clock in milliseconds.
pub(crate) fn boot_millis() -> u64 {
    u64::try_from(Boottime::now().0.as_millis()).unwrap_or(u64::MAX)
}

/// Names a session; no other of the same node ever has the same name.
pub(crate) fn new_session_id(node: &str) -> SessionId {
    let time = format!("{:?} {:?}", SystemTime::now(), Boottime::now());
    let process = std::process::id().to_string();
    SessionId(format!("{node}-{:016x}", model::hash::stable_hash(&[&time, &process])))
}
