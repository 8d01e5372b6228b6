//! `crontab-controller`: brings `NodeCronJob` resources into the job tree.

mod arguments;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use controller::{Engine, Leadership, Metrics, Times, claim_tree, compare_definition, identity};
use kube::Client;
use runtime::daemon::{self, Usage};
use runtime::health::{self, Health};
use runtime::metrics;
use runtime::shutdown::Shutdown;
use store::etcd::Etcd;

use self::arguments::Arguments;

/// How long the API server may take to open a connection.
const CONNECT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    daemon::run("crontab-controller", &arguments.log, run(&arguments))
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut shutdown = Shutdown::new().context("signals could not be taken over")?;
    let tree = Etcd::new(arguments.etcd().map_err(Usage)?)
        .map_err(|why| Usage(anyhow::Error::from(why).context("--etcd-endpoints")))?;
    let mut access = kube::Config::infer().await.map_err(|why| {
        let how =
            "no way to the API server is known; run in a cluster, or set KUBECONFIG to a file that names one";
        Usage(anyhow::Error::from(why).context(how))
    })?;
    access.connect_timeout = Some(CONNECT);
    let namespace = arguments.lease_namespace.clone().unwrap_or_else(|| access.default_namespace.clone());
    let client = Client::try_from(access).context("the way to the API server can't be used")?;
    let health = Health::default();
    for part in ["leader", "kubernetes", "tree"] {
        health.register(part);
    }
    let counters = Metrics::default();
    let mut registry = metrics::registry("crontab-controller", env!("CARGO_PKG_VERSION"));
    counters.register(&mut registry);
    if let Some(address) = arguments.health.health_listen {
        let listener = health::listen(address).await?;
        tokio::spawn(health::serve(listener, health.clone(), Arc::new(registry)));
    }
    let config = arguments.config(identity());
    let mut leadership =
        Leadership::new(client.clone(), &namespace, config.identity.clone(), Times::default());
    tracing::info!(identity = config.identity, namespace, "the controller has started");
    loop {
        let held = tokio::select! {
            held = stand_by(&mut leadership, &health) => held,
            signal = shutdown.requested() => {
                tracing::info!(signal, "ending");
                return Ok(());
            }
        };
        tracing::info!("this controller works now");
        counters.set_leader(true);
        let engine =
            Engine::new(tree.clone(), client.clone(), config.clone(), health.clone(), counters.clone());
        for part in ["kubernetes", "tree"] {
            health.set_ready(part, Err("reading".to_owned()));
        }
        let work = async {
            claim_tree(&tree, &client, &health).await;
            engine.run().await;
        };
        let ended = tokio::select! {
            why = leadership.keep(held) => Some(why),
            () = work => Some("the store was closed".to_owned()),
            never = compare_definition(client.clone(), counters.clone()) => match never {},
            signal = shutdown.requested() => {
                tracing::info!(signal, "ending");
                None
            }
        };
        counters.set_leader(false);
        let Some(why) = ended else {
            leadership.release().await;
            return Ok(());
        };
        tracing::warn!(why, "this controller stands by now");
    }
}

/// Waits for leadership. One that stands by is ready as long as it hears from the API server.
async fn stand_by(leadership: &mut Leadership, health: &Health) -> Instant {
    let mut told = None;
    let mut ready = |outcome: Result<&str, &kube::Error>| {
        let (ready, line) = match outcome {
            Ok(holder) => (Ok(()), format!("{holder} works; this controller stands by")),
            Err(why) => {
                let why = explain(why);
                (Err(why.clone()), format!("the lease can't be asked for; trying again: {why}"))
            }
        };
        if told.as_ref() != Some(&line) {
            if ready.is_ok() {
                tracing::info!("{line}");
            } else {
                tracing::warn!("{line}");
            }
            told = Some(line);
        }
        for part in ["kubernetes", "tree"] {
            health.set_ready(part, Ok(()));
        }
        health.set_ready("leader", ready);
    };
    let held = leadership.acquire(&mut ready).await;
    health.set_ready("leader", Ok(()));
    held
}

/// An error of the API server, with what to do where that is known.
fn explain(why: &kube::Error) -> String {
    match why {
        kube::Error::Api(status) if status.code == 403 => {
            format!("{}; grant the controller's account the rights that the chart gives it", status.message)
        }
        kube::Error::Api(status) if status.code == 401 => {
            "the API server does not know this account; check the kubeconfig or the service account"
                .to_owned()
        }
        kube::Error::Api(status) => status.message.clone(),
        other => {
            let causes = std::iter::successors(std::error::Error::source(other), |why| why.source());
            causes.last().map_or_else(
                || other.to_string(),
                |last| format!("the API server could not be asked: {last}"),
            )
        }
    }
}
