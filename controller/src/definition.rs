//! Whether the cluster has the definition of `NodeCronJob` that this version needs. An API server drops fields that the
//! definition does not name, without a word: a job would run, and not as it was written. Helm, for one, never updates a
//! definition.

use std::convert::Infallible;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt as _};

use crate::Metrics;

/// Between two looks.
const EVERY: Duration = Duration::from_mins(5);

/// Compares the definition in the cluster with that of this version, now and then again, and says in the log and in the
/// metric `definition_outdated` what the API server would drop.
pub async fn compare_definition(client: Client, metrics: Metrics) -> Infallible {
    let definitions: Api<CustomResourceDefinition> = Api::all(client);
    let name = crds::definition().name_any();
    let mut told = String::new();
    loop {
        let line = match definitions.get(&name).await {
            Ok(installed) => {
                let unknown = crds::unknown_to(&installed);
                metrics.definition_outdated.set(i64::from(!unknown.is_empty()));
                if unknown.is_empty() {
                    String::new()
                } else {
                    format!(
                        "the definition of NodeCronJob in the cluster is older than this controller: the API server drops {}; update it: kubectl apply --server-side --force-conflicts -f crds/nodecronjobs.yaml",
                        unknown.join(", ")
                    )
                }
            }
            // That there is none is said by the watch of the resources.
            Err(kube::Error::Api(status)) if status.code == 404 => String::new(),
            Err(kube::Error::Api(status)) => {
                format!("the definition of NodeCronJob can't be compared: {}", status.message)
            }
            Err(_) => told.clone(),
        };
        if line != told {
            if !line.is_empty() {
                tracing::warn!("{line}");
            }
            told = line;
        }
        tokio::time::sleep(EVERY).await;
    }
}
