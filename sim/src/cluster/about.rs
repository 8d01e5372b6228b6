//! What a command's environment says of its run. That is all that a process knows of it, and so the witness.

use model::JobName;
use model::run::SessionId;
use worker::executor::Start;

/// What a command's environment says of its run.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) job: JobName,
    pub(super) run: model::run::RunId,
    pub(super) attempt: u32,
    pub(super) session: SessionId,
    pub(super) token: model::run::Revision,
}

impl About {
    pub(super) fn of(start: &Start) -> Option<Self> {
        let value = |name: &str| {
            start.env.iter().find(|(variable, _)| variable == name).map(|(_, value)| value.as_str())
        };
        Some(Self {
            job: JobName::new(value("CRON_JOB_NAME")?).ok()?,
            run: value("CRON_RUN_ID")?.parse().ok()?,
            attempt: value("CRON_ATTEMPT")?.parse().ok()?,
            session: SessionId(value("CRON_SESSION")?.to_owned()),
            token: model::run::Revision(value("CRON_FENCING_TOKEN")?.parse().ok()?),
        })
    }
}
