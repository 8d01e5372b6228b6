//! What the API server tells: the streams of resources and nodes.

use std::collections::HashSet;

use crds::NodeCronJob;
use futures::StreamExt as _;
use futures::stream::{BoxStream, select_all};
use k8s_openapi::api::core::v1::Node;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};

use crate::Config;
use crate::resources::ObjectKey;

/// What a watch says.
pub(crate) type Told<K> = Result<watcher::Event<K>, watcher::Error>;

/// Resources of one of the namespaces, by the number of its [`Source`].
pub(crate) type Resources = BoxStream<'static, (usize, Told<DeserializeGuard<NodeCronJob>>)>;

/// The nodes of the cluster.
pub(crate) type NodeStream = BoxStream<'static, Told<PartialObjectMeta<Node>>>;

/// One watch of resources, and how far it has come.
#[derive(Debug)]
pub(crate) struct Source {
    /// The namespace; nothing means all.
    pub(crate) namespace: Option<String>,
    /// What the listing has shown that is under way.
    pub(crate) listing: HashSet<ObjectKey>,
    /// Whether there was a whole listing.
    pub(crate) known: bool,
    /// Why it does not go on at the moment.
    pub(crate) trouble: Option<String>,
}

/// Watches the resources of the namespaces that a configuration names. Where the API server is away, or refuses, that is
/// told, and tried again ever more seldom; one object that can't be read does not hide the others.
pub(crate) fn resources(client: &Client, config: &Config) -> (Vec<Source>, Resources) {
    let mut namespaces: Vec<_> = config.namespaces.iter().cloned().map(Some).collect();
    if namespaces.is_empty() {
        namespaces.push(None);
    }
    let streams = namespaces.iter().enumerate().map(|(number, namespace)| {
        let api: Api<DeserializeGuard<NodeCronJob>> = match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let events = watcher(api, watcher::Config::default()).default_backoff();
        events.map(move |event| (number, event)).boxed()
    });
    let streams = select_all(streams).boxed();
    let source = |namespace| Source { namespace, listing: HashSet::new(), known: false, trouble: None };
    (namespaces.into_iter().map(source).collect(), streams)
}

/// Watches the nodes.
pub(crate) fn nodes(client: &Client) -> NodeStream {
    let nodes: Api<PartialObjectMeta<Node>> = Api::all(client.clone());
    watcher(nodes, watcher::Config::default()).default_backoff().boxed()
}

/// Why a watch does not go on, in one line for people.
pub(crate) fn in_words(why: &watcher::Error) -> String {
    let api = match why {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status,
        other => {
            let causes = std::iter::successors(std::error::Error::source(other), |why| why.source());
            let last = causes.last().map_or_else(|| other.to_string(), ToString::to_string);
            return format!("the API server could not be asked: {last}");
        }
    };
    match api.code {
        404 => "the API server knows no NodeCronJobs; install their definition: kubectl apply -f crds/nodecronjobs.yaml"
            .to_owned(),
        403 => format!("{}; grant the controller's account the rights that the chart gives it", api.message),
        401 => "the API server does not know this account; check the kubeconfig or the service account".to_owned(),
        _ => format!("the API server refused: {}", api.message),
    }
}
