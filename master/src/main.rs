//! `crontab-master`: the REST calls and the page, in front of etcd and MongoDB.

mod arguments;
mod watch;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use master::{Access, Master};
use runtime::daemon::{self, Usage};
use runtime::health::{self, Health};
use runtime::metrics;
use runtime::shutdown::Shutdown;
use store::etcd::Etcd;
use store::mongo::MongoLog;
use tokio::net::TcpListener;

use self::arguments::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    daemon::run("crontab-master", &arguments.log, run(&arguments))
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut shutdown = Shutdown::new().context("signals could not be taken over")?;
    let users = arguments.users().map_err(Usage)?;
    let web_root = arguments.web_root().map_err(Usage)?;
    let tree = Etcd::new(arguments.etcd().map_err(Usage)?).map_err(|why| Usage(why.into()))?;
    let log = MongoLog::new(arguments.mongo().map_err(Usage)?)
        .map_err(|why| Usage(anyhow::Error::from(why).context("--mongodb-uri")))?;
    let resources = arguments.resources().await.map_err(Usage)?;
    let listener = listen(arguments.listen).await?;
    let address = listener.local_addr().context("--listen")?;

    let health = Health::default();
    let mut registry = metrics::registry("crontab-master", env!("CARGO_PKG_VERSION"));
    let up = watch::register(&mut registry);
    watch::servers(&tree, &log, &health, &up);
    if let Some(resources) = &resources {
        watch::cluster(resources, &health, &up);
    }
    if let Some(address) = arguments.health.health_listen {
        let listener = health::listen(address).await?;
        tokio::spawn(health::serve(listener, health, Arc::new(registry)));
    }
    let mut master = Master::new(tree, log, arguments.time_zone, address);
    master.resources = resources;
    master.web_root = web_root;
    if let Some(users) = users {
        tokio::spawn(users.clone().follow_file());
        master.access = Access::Users(users);
    }
    tracing::info!(%address, "the master listens");
    let ended = async {
        let signal = shutdown.requested().await;
        tracing::info!(signal, "ending");
    };
    master::serve(listener, master::router(master), ended).await.context("--listen")
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|why| {
        let what_to_do = match why.kind() {
            ErrorKind::AddrInUse => {
                "another process listens there; give another port, or end that process (ss -ltnp names it)"
            }
            ErrorKind::AddrNotAvailable => {
                "this machine does not have the address; give one of its own, or 0.0.0.0 for all of them"
            }
            ErrorKind::PermissionDenied => "this user may not listen there; give a port from 1024 on",
            _ => "the system does not let it be listened on; give another address",
        };
        anyhow::Error::from(why).context(format!("--listen {address}: {what_to_do}"))
    })
}
