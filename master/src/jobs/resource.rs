//! Changes of a job's resource. Each returns whether it was done, or has to be tried again because the resource has
//! changed meanwhile.
//!
//! The controller brings a change into the tree, which lists are read from. So each change waits a while until the tree
//! shows it; where it does not, the resource may say why.

use std::time::Duration;

use crds::{ConvertError, NodeCronJob};
use kube::ResourceExt;
use model::job::Owner;
use model::keys::Key;
use model::legacy::{JobValue, LegacyJob, in_standard_dialect};
use model::{Job, JobName};
use serde_json::{Value, json};
use store::{KeyValue, RunLog, Tree};
use tokio::time::{Instant, sleep};

use super::{ChangeError, check, read_owner, shown};
use crate::app::App;
use crate::resources::{ClusterError, Resources};

/// How long a change waits until the tree shows it, and how often the tree is asked.
const SHOWN: Duration = Duration::from_secs(5);
const ASK: Duration = Duration::from_millis(50);

impl<T: Tree, L: RunLog> App<T, L> {
    /// Changes command and schedule alone, and those only where they differ from what was listed.
    pub(super) async fn edit_resource(
        &self,
        name: &JobName,
        present: Option<&KeyValue>,
        resource: &NodeCronJob,
        wanted: &LegacyJob,
    ) -> Result<bool, ChangeError> {
        let listed = present.map(|pair| shown(name.as_str(), &pair.value));
        let listed = listed.or_else(|| as_listed(resource)).unwrap_or_default();
        let (mut edited, mut patch) = (resource.clone(), json!({}));
        if wanted.cron_expr != listed.cron_expr {
            let schedule =
                in_standard_dialect(&wanted.cron_expr, self.zone, name).map_err(ChangeError::Job)?;
            patch["schedule"] = schedule.clone().into();
            edited.spec.schedule = schedule;
        }
        if wanted.command != listed.command {
            patch["template"] = json!({ "command": wanted.command, "exec": Value::Null });
            edited.spec.template.command = Some(wanted.command.clone());
            edited.spec.template.exec.clear();
        }
        checked(&edited)?;
        if patch == json!({}) {
            return Ok(true);
        }
        let Some(saved) = again(self.resources()?.patch(resource, patch).await)? else { return Ok(false) };
        self.until_shown(name, &saved).await?;
        Ok(true)
    }

    /// Makes a resource in the configured namespace, and zone.
    pub(super) async fn make_resource(
        &self,
        name: &JobName,
        wanted: &LegacyJob,
    ) -> Result<bool, ChangeError> {
        check(name, wanted, self.zone)?;
        if name.as_str().contains('/') {
            return Err(ChangeError::NoResource(name.clone()));
        }
        let schedule = in_standard_dialect(&wanted.cron_expr, self.zone, name).map_err(ChangeError::Job)?;
        let made = self.resources()?.create(name, &schedule, self.zone.name(), &wanted.command).await;
        let Some(made) = again(made)? else { return Ok(false) };
        self.until_shown(name, &made).await?;
        Ok(true)
    }

    pub(super) async fn delete_resource(
        &self,
        name: &JobName,
        resource: &NodeCronJob,
    ) -> Result<bool, ChangeError> {
        if again(self.resources()?.delete(resource).await)?.is_none() {
            return Ok(false);
        }
        self.until(name, |pair| !pair.is_some_and(|pair| is_of(pair, resource))).await;
        Ok(true)
    }

    pub(super) async fn suspend_resource(
        &self,
        name: &JobName,
        resource: &NodeCronJob,
        suspend: bool,
    ) -> Result<bool, ChangeError> {
        if resource.spec.suspend == suspend {
            return Ok(true);
        }
        let saved = self.resources()?.suspend(resource, suspend).await;
        let Some(saved) = again(saved)? else { return Ok(false) };
        self.until_shown(name, &saved).await?;
        Ok(true)
    }

    fn resources(&self) -> Result<&Resources, ChangeError> {
        let missing = || ClusterError::Unknown("this master changes the tree".into());
        self.resources.as_ref().ok_or_else(|| missing().into())
    }

    /// Waits until the tree has the job of a resource as it is now. That it can't have it is an error; that it takes long
    /// is none.
    async fn until_shown(&self, name: &JobName, saved: &NodeCronJob) -> Result<(), ChangeError> {
        let job = checked(saved)?;
        let wanted = JobValue::of_spec(&job, saved.spec.clone().into(), None);
        let shows = |pair: Option<&KeyValue>| {
            pair.filter(|pair| is_of(pair, saved))
                .and_then(|pair| JobValue::from_bytes(&pair.value).ok())
                .is_some_and(|value| {
                    (value.legacy, value.spec) == (wanted.legacy.clone(), wanted.spec.clone())
                })
        };
        if self.until(name, shows).await {
            return Ok(());
        }
        let namespace = saved.namespace().unwrap_or_default();
        let now = self.resources()?.get(&namespace, &saved.name_any()).await.unwrap_or_default();
        if let Some(why) = now.as_ref().and_then(stalled) {
            return Err(ChangeError::Stalled { name: name.clone(), why });
        }
        tracing::warn!(job = %name, "the tree does not show a saved resource yet; does the controller run?");
        Ok(())
    }

    /// Waits until a job's key is as it should be; false where it takes too long.
    async fn until(&self, name: &JobName, mut is: impl FnMut(Option<&KeyValue>) -> bool) -> bool {
        let deadline = Instant::now() + SHOWN;
        while Instant::now() < deadline {
            match self.tree.get(Key::Job(name.clone())).await {
                Ok(pair) if is(pair.as_ref()) => {
                    if let Some(pair) = pair {
                        self.index.shows(pair.modified).await;
                    } else {
                        self.index.lacks(name.as_str()).await;
                    }
                    return true;
                }
                Ok(_) => sleep(ASK).await,
                // What was asked for is done; the next request says what is wrong with the tree.
                Err(_) => return false,
            }
        }
        false
    }
}

/// Nothing where it has to be tried again.
fn again<T>(outcome: Result<T, ClusterError>) -> Result<Option<T>, ChangeError> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(ClusterError::Conflict) => Ok(None),
        Err(why) => Err(why.into()),
    }
}

/// The job of a resource.
fn checked(resource: &NodeCronJob) -> Result<Job, ChangeError> {
    crds::to_job(resource).map_err(|why| match why {
        ConvertError::Spec(why) => ChangeError::Job(why),
        ConvertError::Name(why) => ChangeError::Name(why),
        ConvertError::JobName(why) => ClusterError::Refused(why.to_string()).into(),
    })
}

/// What the controller would list of a resource; nothing of one that is no job.
fn as_listed(resource: &NodeCronJob) -> Option<LegacyJob> {
    let job = crds::to_job(resource).ok()?;
    Some(JobValue::of_spec(&job, resource.spec.clone().into(), None).legacy)
}

/// Whether a key was made from this resource.
fn is_of(pair: &KeyValue, resource: &NodeCronJob) -> bool {
    matches!(read_owner(pair), Ok(Some(Owner::Resource { uid, .. })) if Some(&uid) == resource.metadata.uid.as_ref())
}

/// Why only an edit can mend a resource, as its controller says of its present spec.
fn stalled(resource: &NodeCronJob) -> Option<String> {
    let status = resource.status.as_ref()?;
    if status.observed_generation < resource.metadata.generation {
        return None;
    }
    let stalled =
        status.conditions.iter().find(|condition| condition.type_ == "Stalled" && condition.status == "True");
    stalled.map(|condition| condition.message.clone())
}
