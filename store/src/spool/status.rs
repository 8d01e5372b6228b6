//! What the spool says of itself.

use std::error::Error;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use model::UnixMillis;

use super::entry::{Dropped, Totals};
use crate::log::LogError;

/// How a spool does; for metrics and readiness. What is counted begins anew with each opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolStatus {
    /// How many entries wait, those that the log refuses included.
    pub entries: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many bytes there may be.
    pub limit: u64,
    /// How many of them the log has refused for good. They are tried again when the spool is next opened.
    pub refused: u64,
    /// How many outputs were dropped since the opening, because the spool was full.
    pub dropped_outputs: u64,
    /// How many entries were dropped for that reason.
    pub dropped_records: u64,
    /// How many entries the log has taken.
    pub shipped: u64,
    /// Why the log takes nothing now, and since when.
    pub trouble: Option<String>,
}

/// The same, as it changes.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) limit: u64,
    entries: AtomicU64,
    bytes: AtomicU64,
    refused: AtomicU64,
    dropped_outputs: AtomicU64,
    dropped_records: AtomicU64,
    shipped: AtomicU64,
    trouble: Mutex<Option<(UnixMillis, String)>>,
}

impl State {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(super) fn has(&self, totals: Totals) {
        self.entries.store(totals.entries, Relaxed);
        self.bytes.store(totals.bytes, Relaxed);
        self.refused.store(totals.refused, Relaxed);
    }

    pub(super) fn dropped(&self, dropped: Dropped) {
        self.dropped_outputs.fetch_add(dropped.outputs, Relaxed);
        self.dropped_records.fetch_add(dropped.records, Relaxed);
    }

    /// The log took so many entries.
    pub(super) fn shipped(&self, entries: usize) {
        self.shipped.fetch_add(entries.try_into().unwrap_or(u64::MAX), Relaxed);
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((since, _)) = trouble {
            tracing::info!(%since, "the log takes entries from the spool again");
        }
    }

    /// The log did not take them.
    pub(super) fn failed(&self, error: &LogError) {
        let mut text = error.to_string();
        let causes = std::iter::successors(error.source(), |cause| (*cause).source());
        for cause in causes {
            // Writing to a string does not fail.
            let _ = write!(text, ": {cause}");
        }
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *trouble {
            Some((_, known)) => *known = text,
            none => {
                tracing::warn!(
                    error = error as &dyn Error,
                    "the log takes nothing; entries wait in the spool"
                );
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                *none = Some((UnixMillis::EPOCH + now, text));
            }
        }
    }

    pub(super) fn status(&self) -> SpoolStatus {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        SpoolStatus {
            entries: self.entries.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            limit: self.limit,
            refused: self.refused.load(Relaxed),
            dropped_outputs: self.dropped_outputs.load(Relaxed),
            dropped_records: self.dropped_records.load(Relaxed),
            shipped: self.shipped.load(Relaxed),
            trouble: trouble.as_ref().map(|(since, why)| format!("since {since}: {why}")),
        }
    }
}
