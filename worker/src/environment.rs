//! The environment of a command.
//!
//! As with Vixie cron, a command does not inherit all of its parent's environment: a worker's holds addresses and
//! passwords that are no job's business. It gets the variables listed in [`INHERITED`], then the job's own, then those
//! that describe the run.

use model::Job;
use model::run::{Revision, RunId, SessionId, Slot};
use model::values::JobStatus;

/// What a command gets of the worker's own environment, besides everything that begins with `LC_`.
pub(crate) const INHERITED: [&str; 10] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "NODE_NAME", "TERM"];

/// What is inherited, read once at the start of a worker.
pub(crate) fn inherited() -> Vec<(String, String)> {
    let wanted = |name: &str| INHERITED.contains(&name) || name.starts_with("LC_");
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| wanted(name))
        .collect()
}

/// The variables of one run.
pub(crate) fn of_run(
    inherited: &[(String, String)],
    job: &Job,
    run: &RunId,
    slot: Slot,
    token: Revision,
    session: &SessionId,
    status: Option<&JobStatus>,
) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = inherited.to_vec();
    for variable in &job.env {
        env.retain(|(name, _)| *name != variable.name);
        env.push((variable.name.clone(), variable.value.clone()));
    }
    let last_success = status.and_then(|status| status.last_successful_time);
    let about_the_run = [
        ("CRON_JOB_NAME", job.name.to_string()),
        ("CRON_RUN_ID", run.to_string()),
        ("CRON_SCHEDULED_TIME", slot.to_string()),
        ("CRON_ATTEMPT", "0".to_owned()),
        ("CRON_LAST_SUCCESS_TIME", last_success.map(|time| time.to_string()).unwrap_or_default()),
        ("CRON_FENCING_TOKEN", token.to_string()),
        ("CRON_SESSION", session.to_string()),
    ];
    env.extend(about_the_run.map(|(name, value)| (name.to_owned(), value)));
    env
}
