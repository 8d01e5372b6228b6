//! Whose tree it is. The controller deletes the jobs of resources that it does not find, so it has to be sure that they are
//! gone and not in another cluster: one prefix of the tree belongs to one cluster, the first that had a controller there.
//!
//! A cluster is known by the uid of its namespace `kube-system`, which lives as long as the cluster.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use model::keys::Key;
use model::run::Revision;
use model::values::ClusterInfo;
use runtime::health::Health;
use store::{Compare, Op, Tree, TreeError, Txn};
use thiserror::Error;

/// The namespace that every cluster has.
const SYSTEM: &str = "kube-system";

/// Between two attempts.
const AGAIN: Duration = Duration::from_secs(2);

/// Why the tree is not this cluster's.
#[derive(Debug, Error)]
enum Refused {
    #[error("the namespace kube-system, by which a cluster is known, could not be read: {0}")]
    Kubernetes(String),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(
        "the keys below {prefix} belong to another cluster ({whose}), and this controller would delete the jobs of its resources; give --etcd-prefix another value or, if that cluster is gone, delete the key {key}"
    )]
    Another { prefix: String, whose: String, key: String },
}

/// Waits until the tree is this cluster's: it is taken where it is nobody's. What keeps it from being so is said in the
/// health of the part `tree` and in the log. Without the right to read the namespace it can't be told, which is said too.
pub async fn claim_tree<T: Tree>(tree: &T, client: &Client, health: &Health) {
    let mut told = String::new();
    loop {
        let why = match claim(tree, client).await {
            Ok(()) => return,
            Err(why) => why.to_string(),
        };
        if told != why {
            tracing::warn!("{why}");
            told.clone_from(&why);
        }
        health.set_ready("tree", Err(why));
        tokio::time::sleep(AGAIN).await;
    }
}

async fn claim<T: Tree>(tree: &T, client: &Client) -> Result<(), Refused> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let uid = match namespaces.get(SYSTEM).await {
        Ok(namespace) => namespace.metadata.uid.unwrap_or_default(),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            tracing::warn!(
                "{}; so it can't be told whether another cluster uses the same keys, whose jobs would be deleted",
                status.message
            );
            return Ok(());
        }
        Err(why) => return Err(Refused::Kubernetes(why.to_string())),
    };
    let ours = ClusterInfo { uid, unknown: model::Unknown::default() };
    let value = serde_json::to_vec(&ours).unwrap_or_default();
    let txn = Txn {
        when: vec![Compare::Created(Key::Cluster, Revision::NONE)],
        then: vec![Op::Put(Key::Cluster, value)],
        otherwise: vec![Op::Get(Key::Cluster)],
    };
    let reply = tree.commit(txn).await?;
    let Some(found) = reply.found.first() else { return Ok(()) };
    let whose = serde_json::from_slice::<ClusterInfo>(&found.value).ok();
    if whose.as_ref().is_some_and(|whose| whose.uid == ours.uid) {
        return Ok(());
    }
    Err(Refused::Another {
        prefix: tree.prefix().as_str().to_owned(),
        whose: whose.map_or_else(|| "its value can't be read".to_owned(), |whose| whose.uid),
        key: tree.prefix().encode(&Key::Cluster),
    })
}
