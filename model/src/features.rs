//! What this version understands, by names that no other version gives another meaning.
//!
//! A value that is not done justice by whoever passes over what it does not know lists what its reader must understand, its
//! **needs**. A worker that lacks one leaves the value to others, and its registration says what it has, its **features**.
//! So versions run side by side, in both directions of an upgrade. Everything else that is unknown is kept and passed over.

use crate::Job;
use crate::words::Words;

/// The features of this version.
const FEATURES: [&str; 0] = [];

/// The features of this version.
pub fn known() -> Words {
    FEATURES.into_iter().collect()
}

/// What a reader must understand to run a job as it is meant. What 0.1.0 runs as well needs nothing.
pub fn needed_by(_job: &Job) -> Words {
    Words::default()
}
