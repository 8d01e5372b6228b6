//! What people and machines are told while a worker works.

use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use store::RunLog;
use store::spool::{Spool, SpoolStatus};
use tokio::sync::broadcast;
use worker::Report;

/// One line for each thing that happens.
pub(crate) async fn reports(mut reports: broadcast::Receiver<Report>) {
    loop {
        match reports.recv().await {
            Ok(Report::Ended(record)) => tracing::info!(
                job = %record.job,
                run = %record.run,
                slot = %record.slot,
                outcome = %record.outcome,
                why = record.message,
                "a run ended"
            ),
            Ok(Report::Skipped(record)) => tracing::info!(
                job = %record.job,
                from = %record.skipped.from,
                to = %record.skipped.to,
                reason = %record.skipped.reason,
                "slots were skipped"
            ),
            Ok(Report::Malformed(what)) => {
                tracing::warn!(key = %what.key, why = %what.message, "something in the job tree can't be used");
            }
            Ok(Report::Trouble(why)) => {
                tracing::error!(%why, "the store takes no writes; trying again until it does");
            }
            Ok(Report::Recovered) => tracing::info!("the store takes writes again"),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "reports were not logged");
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// How often the spool is looked at.
const LOOK_AT_SPOOL: Duration = Duration::from_secs(1);

/// Shows what waits in the spool.
pub(crate) fn spool<L: RunLog>(spool: Spool<L>, registry: &mut Registry) {
    let registry = registry.sub_registry_with_prefix("crontab_spool");
    let (entries, bytes, limit) = (Gauge::<i64>::default(), Gauge::<i64>::default(), Gauge::<i64>::default());
    let (outputs, records, refused) =
        (Gauge::<i64>::default(), Gauge::<i64>::default(), Gauge::<i64>::default());
    registry.register("entries", "Records that wait for the log", entries.clone());
    registry.register_with_unit("size", "How large they are", Unit::Bytes, bytes.clone());
    registry.register_with_unit("limit", "How large they may be", Unit::Bytes, limit.clone());
    let help = "Outputs that were dropped because the spool was full, since the start";
    registry.register("dropped_outputs", help, outputs.clone());
    let help = "Records that were dropped because the spool was full, since the start";
    registry.register("dropped_records", help, records.clone());
    registry.register("refused", "Records that the log refused for good, since the start", refused.clone());
    let task = async move {
        let set = |gauge: &Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        loop {
            let status: SpoolStatus = spool.status();
            set(&entries, status.entries);
            set(&bytes, status.bytes);
            set(&limit, status.limit);
            set(&outputs, status.dropped_outputs);
            set(&records, status.dropped_records);
            set(&refused, status.refused);
            tokio::time::sleep(LOOK_AT_SPOOL).await;
        }
    };
    tokio::spawn(task);
}
