//! The worker: follows the job tree, claims due slots, runs their commands on this node and records how they ended.
//!
//! The `core` owns all state and decides, as a value without a clock; the shell around it, one task, does what the core
//! says and brings it the replies. The commands themselves belong to the `executor`, a process of its own.
//!
//! Not here: the rules of scheduling (`model::decide`) and of excluding other workers (`store::protocol`).

pub mod core;
pub mod executor;

mod clock;
mod metrics;
mod report;
mod shell;
mod state;
mod times;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use model::keys::KeyPrefix;
use model::run::SessionId;
use model::schedule::TimeZone;
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

use self::core::CoreConfig;
pub use self::core::{CLAIM_LEAD, Malformed};
use shell::{Listeners, Request, Shell};

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

    /// What the core needs of it, for a tree with this prefix.
    fn core(&self, prefix: KeyPrefix) -> CoreConfig {
        let inherited = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| core::is_inherited(name));
        CoreConfig {
            prefix,
            node: self.node.clone(),
            address: self.address.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            labels: self.labels.clone(),
            features: model::features::known(),
            zone: self.zone,
            max_runs: self.max_runs,
            inherited: inherited.collect(),
            #[cfg(feature = "broken-rules")]
            broken: None,
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
    requests: mpsc::UnboundedSender<Request>,
    shell: JoinHandle<()>,
}

impl Worker {
    /// Registers and starts working. Runs that a dead session left behind are recorded as `Lost` before anything of
    /// their jobs starts again.
    pub async fn start<T: Tree, L: RunLog>(tree: T, log: L, config: Config) -> Result<Self, StartError> {
        let core = config.core(tree.prefix().clone());
        let asked = Boottime::now();
        let info = core.info(now(), now());
        let opened = tree.open_session(new_session_id(&config.node), &info).await;
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
        let (requests, received) = mpsc::unbounded_channel();
        let (tell_state, state) = watch::channel(State::starting());
        let pulse = Arc::new(AtomicU64::new(boot_millis()));
        let listeners = Listeners {
            reports: reports.clone(),
            state: tell_state,
            pulse: Arc::clone(&pulse),
            metrics: config.metrics,
        };
        let id = session.id.clone();
        let shell = Shell::new((tree, log), core, config.program, (session, asked), executor, listeners);
        let shell = tokio::spawn(shell.run(received));
        Ok(Self { session: id, state, pulse, reports, requests, shell })
    }

    /// The first session of this worker; it gets a new one when that is lost.
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// Whether it is fit to work, now and whenever that changes.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// How long ago it last went through its loop. It does so at least once a second, so a longer time means that
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
        self.requests.send(Request::Ready(tell)).ok()?;
        told.await.ok()
    }

    /// Asks for the end and returns at once. To ask again with a shorter grace hurries the commands that still run.
    pub fn stop(&self, grace: Duration) {
        // A worker that has ended needs no order.
        let _ = self.requests.send(Request::Stop { grace });
    }

    /// Waits for the end: every run has ended and is recorded, the registration is gone.
    pub async fn ended(&mut self) {
        if let Err(why) = (&mut self.shell).await {
            tracing::error!(%why, "the worker ended by a defect; please report it");
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
