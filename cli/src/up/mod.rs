//! `cronctl up`: reads manifests, runs their jobs on this machine, prints what happens and serves the page.
//!
//! Everything is one process (and its executor) on one file of state. What ran when the process was killed is recorded
//! as `Lost` by the next start; what was due meanwhile is decided by each job's missed-run policy.

mod apply;
mod lines;
mod show;
pub(crate) mod sources;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use model::keys::KeyPrefix;
use model::schedule::TimeZone;
use runtime::shutdown::Shutdown;
use store::embedded::Embedded;
use tokio::net::TcpListener;
use worker::Worker;

use show::Printer;
use sources::Sources;

use crate::target::folder::Announced;

/// How long a data folder may still be held by what a killed process left, before it counts as in use.
const FORMER_OWNER: Duration = Duration::from_secs(5);

/// Run jobs on this machine: no server, no cluster
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Manifests: files, folders (their .yaml, .yml and .json files), or - for standard input. Without any, the jobs of
    /// the data folder run.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Address of the page and of the REST calls. There is no login, so only this machine can be served; port 0 takes a
    /// free one.
    #[arg(long, env = "CRONTAB_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8070")]
    listen: SocketAddr,
    /// Folder that keeps jobs, runs and their output between starts. One process at a time uses it.
    #[arg(long, env = "CRONTAB_DATA", value_name = "FOLDER", default_value = ".crontab")]
    data: PathBuf,
    /// Name of this node in records.
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    node_name: Option<String>,
}

const EXAMPLES: &str = "Examples:
  cronctl up examples/             run every job of a folder, page at http://127.0.0.1:8070/
  cronctl up a.yaml b.yaml         run the jobs of two files
  kubectl get ncj -A -o yaml | cronctl up -
                                   run a cluster's jobs here
  cronctl up                       go on with the jobs of the data folder

Ctrl-C ends it: running commands get SIGTERM and their grace period; a second Ctrl-C kills them.";

/// A mistake in the arguments: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

pub(crate) fn main(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { paths, listen, data, node_name } = arguments;
    if !listen.ip().is_loopback() {
        let message = format!(
            "--listen {listen}: the page can run any command and has no login, so it is only served on this machine; \
             write --listen 127.0.0.1:{}",
            listen.port()
        );
        return Err(UsageError(message).into());
    }
    let sources = sources::find(&paths)?;
    let node = node_name.unwrap_or_else(runtime::host_name);
    let runtime = tokio::runtime::Runtime::new().context("the runtime could not be started")?;
    let ended = runtime.block_on(run(sources, listen, &data, node));
    // What is left are reads of standard input or a terminal that nobody waits for.
    runtime.shutdown_background();
    ended
}

async fn run(sources: Sources, listen: SocketAddr, data: &Path, node: String) -> anyhow::Result<()> {
    let mut shutdown = Shutdown::new().context("signals could not be taken over")?;
    let listener = TcpListener::bind(listen).await.map_err(|why| bind_error(listen, &why))?;
    let address = listener.local_addr().context("the address that is listened at could not be read")?;
    let store = Embedded::open(data, KeyPrefix::default(), FORMER_OWNER).map_err(|why| explained(&why))?;

    let zone = local_zone();
    let printer = Printer::start(zone);
    printer.welcome(data, &node, zone);
    let applied = tokio::select! {
        applied = apply::apply(&store, &sources, &printer) => applied?,
        signal = shutdown.requested() => {
            printer.ending(signal);
            store.close().await;
            printer.ended();
            return Ok(());
        }
    };

    let program = std::env::current_exe().context("the path of this program could not be read")?;
    let config = worker::Config::new(node.clone(), address.ip().to_string(), zone, program);
    let mut worker = Worker::start(store.clone(), store.clone(), config).await?;
    printer.follow(worker.reports());
    let jobs = tokio::select! {
        jobs = worker.ready() => jobs.ok_or_else(|| anyhow!("the worker ended while it started"))?,
        signal = shutdown.requested() => return end(worker, shutdown, store, printer, signal).await,
    };
    let master = master::Master::new(store.clone(), store.clone(), zone, address);
    let (stop_serving, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(master::serve(listener, master::router(master), async {
        // Sent or dropped, both mean the end.
        let _ = stopped.await;
    }));
    // Without it the page works all the same, and other commands say that the folder is in use.
    let _announced = Announced::at(data, address)
        .inspect_err(|why| tracing::warn!(%why, "other commands won't find this one by its data folder"));
    printer.ready(address, jobs, &applied);

    let signal = tokio::select! {
        signal = shutdown.requested() => signal,
        () = worker.ended() => return Err(anyhow!("the worker ended by itself, by a defect; please report what the log says")),
    };
    drop(stop_serving);
    let ended = end(worker, shutdown, store, printer, signal).await;
    // By now it has had its time for the answers that were under way.
    server.abort();
    ended
}

/// Ends the worker: commands get their grace, and who asks a second time does not want to wait for it.
async fn end(
    mut worker: Worker,
    mut shutdown: Shutdown,
    store: Embedded,
    printer: Printer,
    signal: &'static str,
) -> anyhow::Result<()> {
    printer.ending(signal);
    worker.stop(Duration::MAX);
    loop {
        let hurried = tokio::select! {
            () = worker.ended() => break,
            _ = shutdown.requested() => true,
        };
        if hurried {
            worker.stop(Duration::ZERO);
        }
    }
    store.close().await;
    printer.ended();
    Ok(())
}

/// The machine's own zone: what jobs in the legacy form are read in, and what times are printed in.
pub(crate) fn local_zone() -> TimeZone {
    let name = iana_time_zone::get_timezone().unwrap_or_default();
    TimeZone::parse(&name).unwrap_or(TimeZone::UTC)
}

fn bind_error(listen: SocketAddr, why: &std::io::Error) -> anyhow::Error {
    match why.kind() {
        std::io::ErrorKind::AddrInUse => {
            let other = listen.port().checked_add(1).unwrap_or(8071);
            anyhow!(
                "{listen} is taken: another program listens there, perhaps another `cronctl up`; stop it, or write \
                 --listen {}:{other} (port 0 takes any free one)",
                listen.ip()
            )
        }
        std::io::ErrorKind::PermissionDenied => {
            anyhow!(
                "{listen}: this user may not listen there; write a port from 1024 on, such as --listen 127.0.0.1:8070"
            )
        }
        _ => anyhow!("{listen} can't be listened at: {why}"),
    }
}

/// An error with its sources in one line.
fn explained(why: &(dyn std::error::Error + 'static)) -> anyhow::Error {
    let chain = std::iter::successors(Some(why), |why| why.source());
    anyhow!(chain.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}
