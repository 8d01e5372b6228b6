//! Lanes: what the slots of a job are decided in.
//!
//! A job that runs on any node has one lane. A job that runs on each node has one for each of them, so that every node
//! has a cursor, a status and missed slots of its own.

use std::fmt;
use std::sync::Arc;

use crate::JobName;

/// The scope of runs of which one at a time exists in the whole cluster; no node has this name.
pub(crate) const ANY_NODE: &str = "-";

/// The name of a node, as Kubernetes allows it: 1 to 253 letters, digits, `-`, `_` and `.`. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// Checks a text and makes it a name.
    pub fn new(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let usable = (1..=253).contains(&text.len()) && text.chars().all(plain) && text != ANY_NODE;
        usable.then(|| Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A job, or a job on one node: what has one cursor, one status and at most one exclusive run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The job.
    pub job: JobName,
    /// The node, where the job has a lane on each; `None` for the one lane of a job that runs on any node.
    pub node: Option<NodeName>,
}

impl Lane {
    /// How the scope of its runs is written in keys: the node, or `-`.
    pub fn scope(&self) -> &str {
        self.node.as_ref().map_or(ANY_NODE, NodeName::as_str)
    }
}

impl From<JobName> for Lane {
    /// The lane of a job that runs on any node.
    fn from(job: JobName) -> Self {
        Self { job, node: None }
    }
}

impl From<&JobName> for Lane {
    /// The lane of a job that runs on any node.
    fn from(job: &JobName) -> Self {
        job.clone().into()
    }
}

impl From<&Lane> for Lane {
    fn from(lane: &Self) -> Self {
        lane.clone()
    }
}

impl fmt::Display for Lane {
    /// `ops/rotate`, or `ops/rotate on node-7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            None => self.job.fmt(f),
            Some(node) => write!(f, "{} on {node}", self.job),
        }
    }
}
