//! What became of a run that a dead session left behind: the end that its worker had already put into the log, or else
//! `Lost`.

use std::time::Duration;

use model::record::{Output, RunRecord};
use model::run::{Outcome, RunId};
use model::values::ActiveRun;
use model::{JobName, UnixMillis};
use store::RunLog;
use tokio::sync::mpsc;

use crate::finish::{Trouble, lost_message};

/// How long the log is asked. Its absence must not keep a job from running again.
const SEARCH: Duration = Duration::from_secs(5);

/// The record of an attempt, if there is one and the log can be asked. Should it turn up later, it takes the place of the
/// `Lost` that is recorded without it.
pub(crate) async fn recorded<L: RunLog>(
    log: &L,
    run: &RunId,
    attempt: u32,
    trouble: &mpsc::UnboundedSender<Trouble>,
) -> Option<RunRecord> {
    match tokio::time::timeout(SEARCH, log.find(run, attempt)).await {
        Ok(Ok(record)) => record,
        Ok(Err(why)) => {
            Trouble::tell(trouble, &why);
            None
        }
        Err(_) => None,
    }
}

/// The record of a run of which nobody knows how it ended. `command` is what the job says now, the best that is known.
pub(crate) fn lost(
    job: &JobName,
    command: String,
    run: &RunId,
    active: &ActiveRun,
    now: UnixMillis,
) -> RunRecord {
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
