//! The environment of a command.
//!
//! As with Vixie cron, a command does not inherit all of its parent's environment: a worker's holds addresses and
//! passwords that are no job's business. It gets those for which [`is_inherited`] holds, then the job's own, then those
//! that describe the run.

use model::values::JobStatus;

use super::runs::HeldRun;

/// What a command gets of the worker's own environment, besides everything that begins with `LC_`.
const INHERITED: [&str; 10] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "NODE_NAME", "TERM"];

/// Whether commands get this variable of the worker's own environment.
pub fn is_inherited(name: &str) -> bool {
    INHERITED.contains(&name) || name.starts_with("LC_")
}

/// The variables of one run.
pub(super) fn of_run(
    inherited: &[(String, String)],
    run: &HeldRun,
    status: Option<&JobStatus>,
) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = inherited.to_vec();
    for variable in &run.job.env {
        env.retain(|(name, _)| *name != variable.name);
        env.push((variable.name.clone(), variable.value.clone()));
    }
    let last_success = status.and_then(|status| status.last_successful_time);
    let about_the_run = [
        ("CRON_JOB_NAME", run.job.name.to_string()),
        ("CRON_RUN_ID", run.run.to_string()),
        ("CRON_SCHEDULED_TIME", run.active.slot.to_string()),
        ("CRON_ATTEMPT", run.active.attempt.to_string()),
        ("CRON_LAST_SUCCESS_TIME", last_success.map(|time| time.to_string()).unwrap_or_default()),
        ("CRON_FENCING_TOKEN", run.token.to_string()),
        ("CRON_SESSION", run.active.session.to_string()),
    ];
    env.extend(about_the_run.map(|(name, value)| (name.to_owned(), value)));
    env
}
