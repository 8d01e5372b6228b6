//! Jobs as the API server has them: their specs, and what the controller says in their status.

use anyhow::anyhow;
use crds::{DEFAULT_NAMESPACE, NodeCronJob};
use master::{ClusterError, Resources};
use model::job::Owner;
use model::next::{held_back, next_slot};
use model::schedule::Dialect;
use model::{JobName, UnixMillis};
use serde_json::json;

use crate::view::{Active, Job, Schedule, State, Status};

/// How often a change is tried while others change the same resource.
const TRIES: u32 = 8;

/// The resources of a cluster, and the namespace that names without one mean.
pub(crate) struct Cluster(Resources);

/// Why there is no cluster.
pub(super) enum ClusterFailure {
    /// None is named; the text says what was looked for.
    Unknown(String),
    Other(anyhow::Error),
}

impl Cluster {
    pub(super) async fn open(
        context: Option<String>,
        namespace: Option<String>,
    ) -> Result<Self, ClusterFailure> {
        match Resources::of_context(context, namespace, "cronctl").await {
            Ok(resources) => Ok(Self(resources)),
            Err(ClusterError::Unknown(why)) => Err(ClusterFailure::Unknown(why.to_string())),
            Err(why) => Err(ClusterFailure::Other(explained(why))),
        }
    }

    pub(super) async fn list(&self, everywhere: bool) -> anyhow::Result<Vec<Job>> {
        let namespace = (!everywhere).then(|| self.0.namespace());
        let found = self.0.list(namespace).await.map_err(explained)?;
        let mut jobs: Vec<Job> = found.iter().map(view).collect();
        jobs.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(jobs)
    }

    /// By the resource's name, with its namespace or without, or by its `jobName`.
    pub(super) async fn find(&self, name: &str) -> anyhow::Result<Option<Job>> {
        let (namespace, object) = name.split_once('/').unwrap_or((self.0.namespace(), name));
        let found = self.0.get(namespace, object).await.map_err(explained)?;
        let found = match (found, JobName::new(name)) {
            (None, Ok(name)) if !name.as_str().contains('/') => {
                self.0.find(&name).await.map_err(explained)?
            }
            (found, _) => found,
        };
        Ok(found.as_ref().map(view))
    }

    pub(super) async fn suspend(&self, job: &Job, suspend: bool) -> anyhow::Result<()> {
        let owner = job.owner.clone().and_then(|owner| serde_json::from_value(owner).ok());
        let Some(Owner::Resource { namespace, name, uid: _ }) = owner else {
            return Err(anyhow!("{} is no resource", job.name));
        };
        for _ in 0..TRIES {
            let Some(resource) = self.0.get(&namespace, &name).await.map_err(explained)? else {
                return Err(anyhow!("{} was deleted at this moment", job.name));
            };
            if resource.spec.suspend == suspend {
                return Ok(());
            }
            match self.0.suspend(&resource, suspend).await {
                Ok(_) => return Ok(()),
                Err(ClusterError::Conflict) => {}
                Err(why) => return Err(explained(why)),
            }
        }
        Err(anyhow!("{} is being changed by others at this moment; look at it and try again", job.name))
    }
}

/// The master's words speak of its service account; here it is a person who asks.
fn explained(why: ClusterError) -> anyhow::Error {
    match why {
        ClusterError::Credentials => {
            anyhow!("the API server does not accept your credentials; renew the login of your kubeconfig")
        }
        ClusterError::Forbidden { verb, namespace } => anyhow!(
            "the API server does not let you {verb} NodeCronJobs{}; ask for the verb {verb} there",
            if namespace == "*" {
                " in all namespaces".to_owned()
            } else {
                format!(" in the namespace {namespace}")
            }
        ),
        ClusterError::Away(source) => {
            anyhow::Error::from_boxed(source).context("the API server is not available")
        }
        other => other.into(),
    }
}

fn view(resource: &NodeCronJob) -> Job {
    let namespace = resource.metadata.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    let object = resource.metadata.name.clone().unwrap_or_default();
    let name =
        crds::job_name(resource).map_or_else(|_| format!("{namespace}/{object}"), |name| name.to_string());
    let status = resource.status.clone().unwrap_or_default();
    let condition = |kind| status.conditions.iter().find(|condition| condition.type_ == kind);
    let is_true = |kind| condition(kind).is_some_and(|condition| condition.status == "True");
    let said = |kind| condition(kind).map(|condition| condition.message.clone());
    let active_count = status.active.and_then(|active| usize::try_from(active).ok()).unwrap_or_default();
    let job = crds::to_job(resource);
    let (state, message) = match &job {
        Err(why) => (State::Invalid, Some(why.to_string())),
        Ok(_) if is_true("Stalled") => (State::Invalid, said("Stalled")),
        Ok(_) if !is_true("Ready") => {
            let message = said("Ready").filter(|said| !said.is_empty());
            (State::Pending, message.or_else(|| Some("its controller has not taken it up yet".to_owned())))
        }
        Ok(_) if active_count > 0 => (State::Running, None),
        Ok(_) => (State::Idle, None),
    };
    let schedule = job.as_ref().ok().map(|job| &job.schedule);
    let runs = matches!(state, State::Idle | State::Running) && !resource.spec.suspend;
    let running = schedule.filter(|_| runs);
    // The controller knows which slots have been decided.
    let now = worker::now();
    let is_observed = status.observed_generation == resource.metadata.generation;
    let told = status.next_schedule_time.as_ref().filter(|_| is_observed);
    let told = told.map(|time| UnixMillis(time.0.as_millisecond())).filter(|next| *next > now);
    let next = running.and_then(|schedule| told.or_else(|| next_slot(schedule, None, now)));
    let message = message.or_else(|| running.and_then(|schedule| held_back(schedule, next, now)));
    Job {
        name,
        state,
        message,
        suspended: resource.spec.suspend,
        schedule: schedule.map(|schedule| Schedule {
            text: schedule.text().to_owned(),
            dialect: match schedule.dialect() {
                Dialect::Standard => "Standard",
                Dialect::Legacy => "Legacy",
            }
            .to_owned(),
            time_zone: schedule.zone().name().to_owned(),
            description: schedule.describe(),
        }),
        command: job.as_ref().map(|job| job.command.display()).unwrap_or_default(),
        command_cut: false,
        owner: Some(json!({ "resource": {
            "namespace": namespace, "name": object, "uid": resource.metadata.uid,
        }})),
        next: next.map(|next| next.to_string()),
        active_count,
        active: status
            .active_runs
            .iter()
            .map(|run| Active {
                run: run.run_id.clone(),
                attempt: 0,
                node: run.node.clone(),
                slot: run.scheduled_time.0.to_string(),
                claimed: run.start_time.as_ref().map(|time| time.0.to_string()),
            })
            .collect(),
        status: Status {
            last_outcome: condition("LastRunSucceeded").map(|condition| condition.reason.clone()),
            last_schedule_time: status.last_schedule_time.as_ref().map(|time| time.0.to_string()),
            last_successful_time: status.last_successful_time.as_ref().map(|time| time.0.to_string()),
            last_failure_time: status.last_failure_time.as_ref().map(|time| time.0.to_string()),
            ..Status::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_run_is_the_one_that_the_controller_tells_while_it_is_to_come() {
        let shown = |said: &str, observed: i64| {
            let resource = json!({
                "apiVersion": "crontab.dev/v1alpha1",
                "kind": "NodeCronJob",
                "metadata": { "namespace": "ops", "name": "a", "generation": 2 },
                "spec": { "schedule": "0 0 1 1 *", "template": { "command": "true" } },
                "status": {
                    "observedGeneration": observed,
                    "nextScheduleTime": said,
                    "conditions": [{
                        "type": "Ready", "status": "True", "reason": "Scheduled", "message": "",
                        "lastTransitionTime": "2026-01-01T00:00:00Z",
                    }],
                },
            });
            let job = view(&serde_json::from_value(resource).expect("it is a resource"));
            (job.next.expect("it runs again"), job.message)
        };
        let message = "the clock was set back: no run before 2099-01-01T00:00:00Z";
        let held_back = ("2099-01-01T00:00:00Z".to_owned(), Some(message.to_owned()));
        assert_eq!(shown("2099-01-01T00:00:00Z", 2), held_back);
        for (said, observed) in [("2099-01-01T00:00:00Z", 1), ("2001-01-01T00:00:00Z", 2)] {
            let (next, message) = shown(said, observed);
            assert!(next.as_str() < "2098" && message.is_none(), "{next} {message:?}");
        }
    }
}
