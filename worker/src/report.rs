//! What a worker tells whoever listens, besides what it writes into the tree and the log.

use std::sync::Arc;

use model::record::{RunRecord, SkipRecord};

use crate::core::Malformed;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Report {
    /// A run ended, and its end is recorded.
    Ended(Arc<RunRecord>),
    /// Slots were passed over, and that is recorded.
    Skipped(Arc<SkipRecord>),
    /// A key of the tree can't be used.
    Malformed(Arc<Malformed>),
    /// The store has not taken a write; it is tried again until it does. Told once until it works again.
    Trouble(String),
    /// The store works again.
    Recovered,
}
