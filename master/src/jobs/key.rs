//! Changes of a job's key in the tree. Each returns whether it was done, or has to be tried again because the key has
//! moved.

use model::job::{JobError, JobSpec};
use model::keys::Key;
use model::legacy::{JobValue, LegacyJob, MAX_VALUE_BYTES, in_standard_dialect};
use model::run::Revision;
use model::values::LockValue;
use model::{Job, JobName, TimeZone};
use serde_json::json;
use store::{KeyValue, RunLog, Tree, Txn, protocol};

use super::{ChangeError, check};
use crate::app::App;

impl<T: Tree, L: RunLog> App<T, L> {
    pub(super) async fn save_key(
        &self,
        name: &JobName,
        present: Option<&KeyValue>,
        wanted: &LegacyJob,
    ) -> Result<bool, ChangeError> {
        let seen = present.map_or(Revision::NONE, |pair| pair.modified);
        let value = changed(present, name, wanted.clone(), self.zone)?.to_bytes();
        if value.len() > MAX_VALUE_BYTES {
            return Err(ChangeError::TooLarge(value.len()));
        }
        self.write(protocol::put_job(name, value, seen)).await
    }

    pub(super) async fn delete_key(&self, name: &JobName, present: &KeyValue) -> Result<bool, ChangeError> {
        self.write(protocol::delete_job(name, present.modified)).await
    }

    /// Workers of the replaced system know no suspension, so they are kept from the job.
    pub(super) async fn suspend_key(
        &self,
        name: &JobName,
        present: &KeyValue,
        suspend: bool,
    ) -> Result<bool, ChangeError> {
        let value = JobValue::from_bytes(&present.value)
            .map_err(|why| ChangeError::Unreadable { name: name.clone(), why: why.explain() })?;
        let mut spec = match &value.spec {
            Some(spec) if spec.suspend == suspend => return Ok(true),
            None if !suspend => return Ok(true),
            Some(spec) => spec.clone(),
            None => spec(name, &value.legacy, self.zone)?,
        };
        spec.suspend = suspend;
        let job = Job::new(name.clone(), spec.clone()).map_err(ChangeError::Job)?;
        let owner = value.owner.clone();
        let value = value.with_spec(&job, spec, owner).to_bytes();
        let lock = self.tree.get(Key::Lock(name.clone())).await?;
        let lock_seen = lock.as_ref().map_or(Revision::NONE, |pair| pair.modified);
        let txn = match lock.map(|pair| LockValue::from_bytes(&pair.value)) {
            Some(LockValue::Reserved) => protocol::put_job(name, value, present.modified),
            Some(LockValue::Foreign) => return Err(ChangeError::Foreign(name.clone())),
            Some(LockValue::Held { .. }) | None => {
                protocol::put_reserved_job(name, value, present.modified, lock_seen)
            }
        };
        self.write(txn).await
    }

    async fn write(&self, txn: Txn) -> Result<bool, ChangeError> {
        let reply = self.tree.commit(txn).await?;
        if reply.succeeded {
            self.index.shows(reply.revision).await;
        }
        Ok(reply.succeeded)
    }
}

/// The value after a change of command and expression. Of a job in full everything else stays; an expression equal to
/// the one that was shown changes nothing, another one is translated.
fn changed(
    present: Option<&KeyValue>,
    name: &JobName,
    wanted: LegacyJob,
    zone: TimeZone,
) -> Result<JobValue, ChangeError> {
    let present = match present.map(|pair| JobValue::from_bytes(&pair.value)) {
        Some(Ok(value)) => Some(value),
        // What a newer version wrote is not replaced by those three fields.
        Some(Err(why)) if why.may_be_newer() => {
            return Err(ChangeError::Unreadable { name: name.clone(), why: why.explain() });
        }
        Some(Err(_)) | None => None,
    };
    let Some((present, mut spec)) = present.and_then(|value| value.spec.clone().map(|spec| (value, spec)))
    else {
        check(name, &wanted, zone)?;
        return Ok(JobValue::of_legacy(wanted));
    };
    let shown = &present.legacy;
    if wanted.cron_expr != shown.cron_expr {
        spec.schedule = in_standard_dialect(&wanted.cron_expr, zone, name).map_err(ChangeError::Job)?;
    }
    if wanted.command != shown.command {
        spec.template.command = Some(wanted.command);
        spec.template.exec.clear();
    }
    let job = Job::new(name.clone(), spec.clone()).map_err(ChangeError::Job)?;
    Ok(present.with_spec(&job, spec, None))
}

/// The job in full that a job of the legacy form means.
fn spec(name: &JobName, legacy: &LegacyJob, zone: TimeZone) -> Result<JobSpec, ChangeError> {
    check(name, legacy, zone)?;
    let schedule = in_standard_dialect(&legacy.cron_expr, zone, name).map_err(ChangeError::Job)?;
    let spec =
        json!({ "schedule": schedule, "timeZone": zone.name(), "template": { "command": legacy.command } });
    serde_json::from_value(spec).map_err(|why| {
        ChangeError::Job(JobError::Field { field: "template".to_owned(), message: why.to_string() })
    })
}
