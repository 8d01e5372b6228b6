//! What a worker counts.
//!
//! All of it is about this process since its start. Names and meanings are in `docs/worker.md`.

use model::run::{Outcome, SkipReason};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct How {
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: String,
}

/// The counters of one worker. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) jobs: Gauge,
    pub(crate) jobs_ahead: Gauge,
    pub(crate) runs: Gauge,
    pub(crate) claims: Counter,
    pub(crate) claims_refused: Counter,
    pub(crate) start_delay: Histogram,
    pub(crate) malformed: Counter,
    pub(crate) listings: Counter,
    pub(crate) sessions: Counter,
    pub(crate) store_errors: Counter,
    ended: Family<How, Counter>,
    skipped: Family<Why, Counter>,
}

/// Seconds; a start is usually some milliseconds late.
const DELAYS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            jobs: Gauge::default(),
            jobs_ahead: Gauge::default(),
            runs: Gauge::default(),
            claims: Counter::default(),
            claims_refused: Counter::default(),
            start_delay: Histogram::new(DELAYS),
            malformed: Counter::default(),
            listings: Counter::default(),
            sessions: Counter::default(),
            store_errors: Counter::default(),
            ended: Family::default(),
            skipped: Family::default(),
        }
    }
}

impl Metrics {
    /// Adds all of them to what is shown.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("crontab_worker");
        registry.register("jobs", "Jobs that this worker knows", self.jobs.clone());
        let ahead = "This worker's jobs that stand still because slots were decided while a clock was ahead";
        registry.register("jobs_ahead", ahead, self.jobs_ahead.clone());
        registry.register("runs", "Runs that have been claimed and not given back", self.runs.clone());
        registry.register("claims", "Claims that this worker made", self.claims.clone());
        let refused = "Claims that the tree refused, because its state had moved on";
        registry.register("claims_refused", refused, self.claims_refused.clone());
        let delay = "Seconds from a slot to the start of its process";
        registry.register("start_delay_seconds", delay, self.start_delay.clone());
        registry.register("runs_ended", "Recorded ends of runs, by outcome", self.ended.clone());
        let skipped = "Recorded stretches of skipped slots, by reason";
        registry.register("slots_skipped", skipped, self.skipped.clone());
        let malformed = "Keys and values of the tree that could not be used";
        registry.register("malformed", malformed, self.malformed.clone());
        registry.register("listings", "How often the whole tree was read", self.listings.clone());
        registry.register("sessions", "Sessions that this process has had", self.sessions.clone());
        let errors = "Requests that the tree or the log did not take";
        registry.register("store_errors", errors, self.store_errors.clone());
    }

    pub(crate) fn ended(&self, outcome: Outcome) {
        self.ended.get_or_create(&How { outcome: outcome.to_string() }).inc();
    }

    pub(crate) fn skipped(&self, reason: SkipReason) {
        self.skipped.get_or_create(&Why { reason: reason.to_string() }).inc();
    }
}
