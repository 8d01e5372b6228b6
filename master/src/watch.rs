//! Whether the servers behind a master answer, for `/readyz`, metrics and its log.
//!
//! A master without its tree can answer nothing, and without the API server it can change nothing, so it is not ready
//! then. Without its log it is: jobs can be seen and
//! changed, and `/job/log` says what is wrong.

use std::error::Error;
use std::iter::successors;
use std::time::Duration;

use master::Resources;
use model::keys::Key;
use model::run::{Revision, RunId, Slot};
use model::{JobName, UnixMillis};

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use runtime::health::Health;
use store::{RunLog, Tree};
use tokio::time::sleep;

/// How often a server that answers is asked, and one that does not.
const CALM: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(1);

/// One for each server behind the master.
pub(crate) type Up = Family<[(&'static str, &'static str); 1], Gauge>;

/// Makes them known to Prometheus.
pub(crate) fn register(registry: &mut Registry) -> Up {
    let up = Up::default();
    registry.register("crontab_master_server_up", "Whether a server behind the master answers", up.clone());
    up
}

/// Begins to ask the API server, for as long as the runtime lives.
pub(crate) fn cluster(resources: &Resources, health: &Health, up: &Up) {
    health.register("kubernetes");
    let (resources, health) = (resources.clone(), health.clone());
    tokio::spawn(ask("the API server", up.get_or_create_owned(&[("server", "kubernetes")]), move || {
        let (resources, health) = (resources.clone(), health.clone());
        async move {
            let asked = resources.check().await.map_err(|why| in_words(&why));
            health.set_ready("kubernetes", asked.clone());
            asked
        }
    }));
}

/// Begins to ask the tree and the log.
pub(crate) fn servers(tree: &impl Tree, log: &impl RunLog, health: &Health, up: &Up) {
    // Nothing has this name, and nothing is read but that.
    let nobody = JobName::new("nobody").expect("this is a name");
    let run = RunId::of_slot(&nobody, Revision::NONE, Slot(UnixMillis::EPOCH));
    health.register("tree");

    let (tree, health) = (tree.clone(), health.clone());
    tokio::spawn(ask("the job tree", up.get_or_create_owned(&[("server", "tree")]), move || {
        let (tree, health, key) = (tree.clone(), health.clone(), Key::Status(nobody.clone().into()));
        async move {
            let asked = tree.get(key).await.map(drop).map_err(|why| in_words(&why));
            health.set_ready("tree", asked.clone());
            asked
        }
    }));
    let log = log.clone();
    tokio::spawn(ask("the run log", up.get_or_create_owned(&[("server", "log")]), move || {
        let (log, run) = (log.clone(), run.clone());
        async move { log.find(&run, 0).await.map(drop).map_err(|why| in_words(&why)) }
    }));
}

/// Asks for ever, and says what changes.
async fn ask<F>(what: &'static str, up: Gauge, mut asked: impl FnMut() -> F)
where
    F: Future<Output = Result<(), String>>,
{
    let mut told: Option<Result<(), String>> = None;
    loop {
        let answer = asked().await;
        up.set(i64::from(answer.is_ok()));
        let pause = if answer.is_ok() { CALM } else { AGAIN };
        if told.as_ref() != Some(&answer) {
            match &answer {
                Ok(()) => tracing::info!("{what} answers"),
                Err(why) => tracing::error!(why, "{what} does not answer; it is asked again each second"),
            }
            told = Some(answer);
        }
        sleep(pause).await;
    }
}

fn in_words(why: &(dyn Error + 'static)) -> String {
    let all: Vec<String> = successors(Some(why), |&why| why.source()).map(ToString::to_string).collect();
    all.join(": ")
}
