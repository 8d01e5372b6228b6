//! Metrics: numbers about a daemon for Prometheus, in the `OpenMetrics` text format.
//!
//! A daemon registers its own beside those that every process has (processor time, memory, open files), under the names
//! that Prometheus' own client libraries give them.
//!
//! Not here: what a daemon counts, and the server ([`crate::health`]).

use std::fmt;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// The media type of what [`text()`] returns.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry with the metrics of this process and `crontab_build_info`, which has the program's name and version as
/// labels. To be called when the daemon starts, for the time of which it is taken.
pub fn registry(program: &'static str, version: &'static str) -> Registry {
    let mut registry = Registry::default();
    let build = Info::new([("program", program), ("version", version)]);
    registry.register("crontab_build", "What this program is", build);
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    registry.register_collector(Box::new(Process { started }));
    registry
}

/// The present values of all that is registered.
pub fn text(registry: &Registry) -> String {
    let mut text = String::new();
    text::encode(&mut text, registry).expect("a String takes everything");
    text
}

/// Reads the figures of this process each time they are asked for. One that can't be read is left out.
#[derive(Debug)]
struct Process {
    /// Seconds since the epoch.
    started: f64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: Option<f64>| {
            let Some(value) = value else { return Ok(()) };
            let metric = ConstGauge::new(value);
            metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
        };
        let usage = usage();
        let resident = usage.map(|usage| usage.resident_bytes);
        let open = fs::read_dir("/proc/self/fd").ok().map(|entries| whole(entries.count() as u64));
        let most = getrlimit(Resource::Nofile).current.map(whole);
        gauge("process_resident_memory", "Resident memory size", Some(&Unit::Bytes), resident)?;
        gauge("process_open_fds", "Open file descriptors", None, open)?;
        gauge("process_max_fds", "File descriptors that may be open", None, most)?;
        let since = "Start time of the process since the Unix epoch";
        gauge("process_start_time", since, Some(&Unit::Seconds), Some(self.started))?;
        let Some(usage) = usage else { return Ok(()) };
        let help = "User and system processor time spent";
        let metric = ConstCounter::new(usage.cpu_seconds);
        metric.encode(encoder.encode_descriptor(
            "process_cpu",
            help,
            Some(&Unit::Seconds),
            metric.metric_type(),
        )?)
    }
}

#[derive(Clone, Copy, Debug)]
struct Usage {
    cpu_seconds: f64,
    resident_bytes: f64,
}

/// From /proc/self/stat, see proc(5): its fields 14, 15 and 24, counted from 1.
fn usage() -> Option<Usage> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses, with anything in it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok().map(whole);
    Some(Usage {
        cpu_seconds: (field(14)? + field(15)?) / whole(clock_ticks_per_second()),
        resident_bytes: field(24)? * whole(page_size() as u64),
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floating-point numbers; these are far below 2^52"
)]
fn whole(number: u64) -> f64 {
    number as f64
}
