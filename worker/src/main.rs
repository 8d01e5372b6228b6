//! `crontab-worker`: runs the jobs of a tree on this node.

mod arguments;
mod tell;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use runtime::daemon::{self, Usage};
use runtime::health::{self, Health};
use runtime::metrics;
use runtime::shutdown::Shutdown;
use store::embedded::Embedded;
use store::etcd::Etcd;
use store::mongo::MongoLog;
use store::spool::Spool;
use store::{RunLog, Tree, TreeError};
use tokio::time::sleep;
use worker::{Config, StartError, State, Worker};

use self::arguments::{Arguments, Stores};

/// How long to wait before the worker is started again.
const START_AGAIN: Duration = Duration::from_secs(1);

/// A worker that does not go on within this is stuck.
const STUCK: Duration = Duration::from_secs(10);

/// How long records that the log does not take are waited for at the end. They stay in the spool.
const LAST_RECORDS: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    worker::become_executor_if_asked();
    let arguments = Arguments::parse();
    daemon::run("crontab-worker", &arguments.log, run(&arguments))
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut shutdown = Shutdown::new().context("signals could not be taken over")?;
    let config = arguments.config()?;
    let stores = arguments.stores().map_err(Usage)?;
    let health = Health::default();
    for part in ["session", "tree", "executor"] {
        health.register(part);
    }
    let mut registry = metrics::registry("crontab-worker", env!("CARGO_PKG_VERSION"));
    config.metrics.register(&mut registry);
    let listener = match arguments.health.health_listen {
        Some(address) => Some(health::listen(address).await?),
        None => None,
    };
    let serve = |registry| {
        if let Some(listener) = listener {
            tokio::spawn(health::serve(listener, health.clone(), Arc::new(registry)));
        }
    };
    match stores {
        Stores::Embedded { folder, prefix } => {
            let store = Embedded::open(&folder, prefix, Duration::from_secs(5))?;
            serve(registry);
            let worked = work(store.clone(), store.clone(), config, &health, &mut shutdown).await;
            store.close().await;
            worked
        }
        Stores::Shared { etcd, mongo, spool, spool_limit } => {
            let tree = Etcd::new(*etcd).map_err(|why| Usage(why.into()))?;
            let log = MongoLog::new(mongo)
                .map_err(|why| Usage(anyhow::Error::from(why).context("--mongodb-uri")))?;
            let log = Spool::open(&spool, spool_limit, log).context("--spool-dir")?;
            tell::spool(log.clone(), &mut registry);
            serve(registry);
            let worked = work(tree, log.clone(), config, &health, &mut shutdown).await;
            log.close(LAST_RECORDS).await;
            worked
        }
    }
}

/// Works until it is asked to end. Everything that waiting can mend is waited for.
async fn work<T: Tree, L: RunLog>(
    tree: T,
    log: L,
    config: Config,
    health: &Health,
    shutdown: &mut Shutdown,
) -> anyhow::Result<()> {
    let mut told = None;
    let mut worker = loop {
        let started = tokio::select! {
            started = Worker::start(tree.clone(), log.clone(), config.clone()) => started,
            signal = shutdown.requested() => {
                tracing::info!(signal, "ending before there was a session");
                return Ok(());
            }
        };
        match started {
            Ok(worker) => break worker,
            Err(why @ StartError::Register(TreeError::Unavailable(_) | TreeError::NoSpace(_))) => {
                let why = format!("{:#}", anyhow::Error::from(why));
                health.set_ready("session", Err(why.clone()));
                if told.as_ref() != Some(&why) {
                    tracing::error!(%why, "the worker waits for the job tree, and tries again each second");
                    told = Some(why);
                }
            }
            Err(why) => return Err(why.into()),
        }
        tokio::select! {
            () = sleep(START_AGAIN) => {}
            signal = shutdown.requested() => {
                tracing::info!(signal, "ending before there was a session");
                return Ok(());
            }
        }
    };
    tokio::spawn(tell::reports(worker.reports()));
    let mut state = worker.state();
    tracing::info!(session = %worker.session(), "the worker has started");
    let mut asked = false;
    let mut look = tokio::time::interval(Duration::from_secs(1));
    loop {
        let stuck = worker.silent_for() > STUCK;
        let live =
            if stuck { Err("the scheduler stands still; it needs a restart".to_owned()) } else { Ok(()) };
        health.set_live("scheduler", live);
        let State { session, tree, executor } = state.borrow_and_update().clone();
        health.set_ready("session", session);
        health.set_ready("tree", tree);
        health.set_ready("executor", executor);
        tokio::select! {
            () = worker.ended() => break,
            Ok(()) = state.changed() => {}
            _ = look.tick() => {}
            signal = shutdown.requested() => {
                tracing::info!(signal, hurried = asked, "ending");
                worker.stop(if asked { Duration::ZERO } else { Duration::MAX });
                asked = true;
            }
        }
    }
    if asked { Ok(()) } else { anyhow::bail!("the worker ended by itself; its log says why") }
}
