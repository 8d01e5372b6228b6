//! `crontab-worker`: runs the jobs of a tree on this node.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use model::keys::KeyPrefix;
use model::schedule::TimeZone;
use runtime::logging::{self, LogArgs};
use runtime::shutdown::Shutdown;
use store::embedded::Embedded;
use tokio::sync::broadcast;
use worker::{Config, Report, Worker};

/// Run the jobs of a data folder on this node, without a page.
///
/// The folder is one that `cronctl up` filled; one process at a time uses it.
#[derive(Debug, Parser)]
#[command(name = "crontab-worker", version, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    /// Folder that keeps jobs, runs and their output
    #[arg(long, env = "CRONTAB_DATA", value_name = "FOLDER")]
    data: PathBuf,
    /// What all keys of the tree begin with
    #[arg(long, env = "ETCD_PREFIX", value_name = "PREFIX", default_value = "/cron", value_parser = KeyPrefix::new)]
    etcd_prefix: KeyPrefix,
    /// Name of this node in records
    #[arg(long, env = "NODE_NAME", value_name = "NAME", default_value_t = runtime::host_name())]
    node_name: String,
    /// Address that this worker is listed by; the node's name unless given
    #[arg(long, value_name = "ADDRESS")]
    id: Option<String>,
    /// IANA zone in which jobs of the legacy form are read
    #[arg(long, env = "CRONTAB_TIME_ZONE", value_name = "ZONE", default_value_t = TimeZone::UTC, value_parser = TimeZone::parse)]
    time_zone: TimeZone,
    #[command(flatten)]
    log: LogArgs,
}

fn main() -> ExitCode {
    worker::become_executor_if_asked();
    let arguments = Arguments::parse();
    logging::start(&arguments.log);
    let ended = tokio::runtime::Runtime::new()
        .context("the runtime could not be started")
        .and_then(|runtime| runtime.block_on(run(arguments)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("crontab-worker: {why:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { data, etcd_prefix, node_name, id, time_zone, log: _ } = arguments;
    let mut shutdown = Shutdown::new().context("signals could not be taken over")?;
    let store = Embedded::open(&data, etcd_prefix, Duration::from_secs(5))?;
    let program = std::env::current_exe().context("the path of this program could not be read")?;
    let config = Config::new(node_name.clone(), id.unwrap_or(node_name), time_zone, program);
    let mut worker = Worker::start(store.clone(), store.clone(), config).await?;
    tokio::spawn(log_reports(worker.reports()));
    tracing::info!(session = %worker.session(), "the worker has started");
    let mut asked = false;
    loop {
        tokio::select! {
            () = worker.ended() => break,
            signal = shutdown.requested() => {
                tracing::info!(signal, hurried = asked, "ending");
                worker.stop(if asked { Duration::ZERO } else { Duration::MAX });
                asked = true;
            }
        }
    }
    store.close().await;
    if asked { Ok(()) } else { anyhow::bail!("the worker ended by itself; its log says why") }
}

/// One line for each thing that happens.
async fn log_reports(mut reports: broadcast::Receiver<Report>) {
    loop {
        match reports.recv().await {
            Ok(Report::Ended(record)) => tracing::info!(
                job = %record.job,
                run = %record.run,
                slot = %record.slot,
                outcome = %record.outcome,
                message = record.message,
                "a run ended"
            ),
            Ok(Report::Skipped(record)) => tracing::info!(
                job = %record.job,
                from = %record.skipped.from,
                to = %record.skipped.to,
                reason = %record.skipped.reason,
                "slots were skipped"
            ),
            Ok(Report::Malformed(what)) => {
                tracing::warn!(key = %what.key, why = %what.message, "something in the job tree can't be used");
            }
            Ok(Report::Trouble(why)) => {
                tracing::error!(%why, "the store takes no writes; trying again until it does");
            }
            Ok(Report::Recovered) => tracing::info!("the store takes writes again"),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "reports were not logged");
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
