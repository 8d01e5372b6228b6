//! What all handlers share.

use std::sync::Arc;

use model::TimeZone;
use store::{RunLog, Tree};
use tokio::sync::Semaphore;

use crate::Master;
use crate::index::Index;
use crate::resources::Resources;

/// How many large answers (all jobs, or output) exist at a time; others wait for their turn.
const LARGE_ANSWERS: usize = 3;

/// What all handlers share.
pub(crate) struct App<T, L> {
    pub(crate) tree: T,
    pub(crate) log: L,
    pub(crate) zone: TimeZone,
    /// Where jobs are changed; in the tree where there are none.
    pub(crate) resources: Option<Resources>,
    /// The names of all jobs.
    pub(crate) index: Index,
    /// One for each large answer, until its last byte has been handed to the connection.
    pub(crate) large: Arc<Semaphore>,
}

/// What axum hands to a handler.
pub(crate) type Shared<T, L> = axum::extract::State<Arc<App<T, L>>>;

impl<T: Tree, L: RunLog> App<T, L> {
    pub(crate) fn new(master: Master<T, L>) -> Self {
        let Master { tree, log, zone, resources, access: _, web_root: _ } = master;
        let index = Index::follow(&tree);
        Self { tree, log, zone, resources, index, large: Arc::new(Semaphore::new(LARGE_ANSWERS)) }
    }
}
