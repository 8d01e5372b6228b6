//! Reconciles `NodeCronJob` resources into the job tree, and what became of them back into their status.
//!
//! A resource **wants** a name in the tree: its `spec.jobName`, or `namespace/name`. Of all resources that want one name
//! one is its **holder**. The controller sees to it that the tree has the holder's job under that name and nothing of a
//! resource that is gone. It leaves jobs alone that no resource wants and that have no owner.
//!
//! The steps of one look at one name, each with its own module: what is known is gathered from two mirrors, that of the
//! resources (`resources`) and that of the tree (`view`); a resource is checked once, when it comes in (`validate`,
//! pure); what to do about a name is decided (`plan`, pure) and done (`engine`); what a resource should say of itself
//! follows from the mirrors (`status`, pure) and is written where it differs from what the resource says (`write`).
//!
//! Level triggered: a look compares the present with what is wanted, however it came about, so a crash at any point
//! leaves nothing that the next look does not finish. Every write to the tree compares revisions, so nothing is put over
//! what was not seen.
//!
//! Not here: running anything (the workers'), the schema of the resources (`crds`), saves of the page (the master's).

mod cluster;
mod definition;
mod engine;
mod inputs;
mod leader;
mod metrics;
mod nodes;
mod pending;
mod plan;
mod resources;
mod status;
mod validate;
mod view;
mod write;

use std::collections::BTreeSet;

pub use cluster::claim_tree;
pub use definition::compare_definition;
pub use engine::Engine;
pub use leader::{Leadership, Times, identity};
pub use metrics::Metrics;

/// Where the controller looks, and what it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The namespaces whose resources it reconciles; none: all.
    pub namespaces: BTreeSet<String>,
    /// The namespaces whose resources may choose a name in the tree by `spec.jobName`.
    pub job_name_namespaces: BTreeSet<String>,
    /// The name of this process in events.
    pub identity: String,
}

impl Config {
    /// Whether resources of a namespace are reconciled.
    pub(crate) fn covers(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.contains(namespace)
    }
}

/// The name under which the controller owns fields, writes events and holds its `Lease`.
pub const NAME: &str = "crontab-controller";
