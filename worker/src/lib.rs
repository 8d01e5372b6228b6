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
mod recover;
mod report;
mod runs;
mod view;

use std::path::PathBuf;
use std::time::Duration;

use model::run::SessionId;
use model::schedule::TimeZone;
use model::values::WorkerInfo;
use store::{RunLog, Tree, TreeError};
use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

pub use clock::now;
pub use executor::become_executor_if_asked;
pub use report::Report;
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
        let session = SessionId(format!("{}-{}", config.node, nonce()));
        let info = WorkerInfo::new(&config.address, &config.node, env!("CARGO_PKG_VERSION"), now());
        let (executor, events) = executor::Executor::spawn(&config.program)?;
        let session = tree.open_session(session, &info).await.map_err(StartError::Register)?;
        let (reports, _) = broadcast::channel(REPORTS_KEPT);
        let (orders, received) = mpsc::unbounded_channel();
        let id = session.id.clone();
        let engine = engine::Engine::new(tree, log, config, session, (executor, events), reports.clone());
        Ok(Self { session: id, reports, orders, engine: tokio::spawn(engine.run(received)) })
    }

    /// This life of the worker.
    pub fn session(&self) -> &SessionId {
        &self.session
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

/// Distinguishes this life of a worker from every other on its node.
fn nonce() -> String {
    let time = now().0.to_string();
    let process = std::process::id().to_string();
    format!("{:016x}", model::hash::stable_hash(&[&time, &process]))
}
