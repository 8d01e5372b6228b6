//! Runs that a dead session left behind.
//!
//! Their processes are gone: an executor ends its commands when its worker's pipe closes, and what an executor that was
//! itself killed left over is found by the session's id in its environment. What is left is to record the end: the one
//! that the dead worker had already written to the log, or else `Lost`.

use std::sync::Arc;

use model::record::{Output, RunRecord};
use model::run::{Outcome, RunId};
use model::values::ActiveRun;
use model::{JobName, UnixMillis};
use store::RunLog;
use tokio::sync::mpsc;

use crate::finish::{RETRY_AFTER, Trouble, lost_message};

/// The record of the run's end. `command` is what the job says now, the best that is known.
pub(crate) async fn end_of<L: RunLog>(
    log: &L,
    job: &JobName,
    command: String,
    run: &RunId,
    active: &ActiveRun,
    now: UnixMillis,
    trouble: &mpsc::UnboundedSender<Trouble>,
) -> Arc<RunRecord> {
    loop {
        match log.find(run, active.attempt).await {
            Ok(Some(record)) => return Arc::new(record),
            Ok(None) => return Arc::new(lost(job, command, run, active, now)),
            Err(why) => Trouble::tell(trouble, &why),
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

fn lost(job: &JobName, command: String, run: &RunId, active: &ActiveRun, now: UnixMillis) -> RunRecord {
    RunRecord {
        run: run.clone(),
        attempt: active.attempt,
        job: job.clone(),
        command,
        node: active.node.clone(),
        session: active.session.clone(),
        slot: active.slot,
        claimed: active.claimed,
        started: None,
        ended: now.max(active.claimed),
        outcome: Outcome::Lost,
        exit_status: None,
        signal: None,
        message: lost_message(&active.session),
        output: Output::default(),
    }
}
