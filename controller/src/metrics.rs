//! What a controller counts, since its start. Names and meanings are in `docs/controller.md`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    to: &'static str,
    result: &'static str,
}

/// The counters of one controller. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) leader: Gauge,
    pub(crate) resources: Gauge,
    pub(crate) waiting: Gauge,
    pub(crate) looks: Counter,
    pub(crate) listings: Counter,
    pub(crate) definition_outdated: Gauge,
    writes: Family<Write, Counter>,
}

impl Metrics {
    /// Adds all of them to what is shown.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("crontab_controller");
        registry.register(
            "leader",
            "1 while this controller works, 0 while it stands by",
            self.leader.clone(),
        );
        registry.register("resources", "NodeCronJobs that it knows", self.resources.clone());
        registry.register("statuses_waiting", "Statuses that wait to be written", self.waiting.clone());
        registry.register("looks", "How often a job was compared with what is wanted", self.looks.clone());
        registry.register("listings", "How often the whole tree was read", self.listings.clone());
        let outdated = "1 if the definition in the cluster lacks something that this version has";
        registry.register("definition_outdated", outdated, self.definition_outdated.clone());
        let writes = "Writes to the job tree, of statuses and of events, by result";
        registry.register("writes", writes, self.writes.clone());
    }

    /// Says whether this process works.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    pub(crate) fn wrote(&self, to: &'static str, result: &'static str) {
        self.writes.get_or_create(&Write { to, result }).inc();
    }
}
