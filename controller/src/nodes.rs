//! The labels of nodes, for jobs that choose nodes by them.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;
use model::NodeName;
use model::keys::Key;
use model::run::Revision;
use store::Op;

/// What `nodes/<name>` should hold.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    labels: HashMap<NodeName, Vec<u8>>,
    /// The names of a listing that is under way.
    listed: Option<HashMap<NodeName, Vec<u8>>>,
    /// Whether there was a whole listing.
    pub(crate) known: bool,
}

impl Nodes {
    /// A listing begins.
    pub(crate) fn begin(&mut self) {
        self.listed = Some(HashMap::new());
    }

    /// A listing shows a node.
    pub(crate) fn listed(&mut self, node: &PartialObjectMeta<Node>) {
        if let (Some(listed), Some((name, value))) = (&mut self.listed, read(node)) {
            listed.insert(name, value);
        }
    }

    /// A listing is complete. Returns the nodes that changed.
    pub(crate) fn end(&mut self) -> Vec<NodeName> {
        let Some(listed) = self.listed.take() else { return Vec::new() };
        let gone = self.labels.keys().filter(|name| !listed.contains_key(*name));
        let other = listed.iter().filter(|(name, value)| self.labels.get(*name) != Some(value));
        let changed = gone.chain(other.map(|(name, _)| name)).cloned().collect();
        self.labels = listed;
        self.known = true;
        changed
    }

    /// A node is there. Returns it if its labels changed.
    pub(crate) fn apply(&mut self, node: &PartialObjectMeta<Node>) -> Option<NodeName> {
        let (name, value) = read(node)?;
        let before = self.labels.insert(name.clone(), value.clone());
        (before != Some(value)).then_some(name)
    }

    /// A node is gone.
    pub(crate) fn delete(&mut self, node: &PartialObjectMeta<Node>) -> Option<NodeName> {
        let name = NodeName::new(&node.name_any())?;
        self.labels.remove(&name).map(|_| name)
    }

    /// What to do about a node's key in the tree, of which this is known; nothing where it is right.
    pub(crate) fn plan(&self, name: &NodeName, tree: Option<&(Revision, Vec<u8>)>) -> Option<Op> {
        let (wanted, key) = (self.labels.get(name), Key::Node(name.clone()));
        let differs = wanted != tree.map(|(_, value)| value);
        differs.then(|| wanted.map_or(Op::Delete(key.clone()), |value| Op::Put(key, value.clone())))
    }

    /// Every node that is there.
    pub(crate) fn names(&self) -> impl Iterator<Item = &NodeName> {
        self.labels.keys()
    }
}

/// The name and the labels, as they are stored. A name that Kubernetes would not allow has no key.
fn read(node: &PartialObjectMeta<Node>) -> Option<(NodeName, Vec<u8>)> {
    let empty = BTreeMap::new();
    let labels = node.metadata.labels.as_ref().unwrap_or(&empty);
    let value = serde_json::to_vec(labels).expect("texts always make JSON");
    Some((NodeName::new(&node.name_any())?, value))
}
