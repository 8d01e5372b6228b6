//! Writing to the API server: statuses and events.

use std::time::Duration;

use crds::{NodeCronJob, NodeCronJobStatus};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource as _};
use serde_json::json;
use tokio::time::timeout;

use crate::NAME;
use crate::resources::ObjectKey;
use crate::status::{LAST_RUN_SUCCEEDED, READY, STALLED, condition};

/// How long the API server may take for a write.
const LONGEST: Duration = Duration::from_secs(10);

/// How many bytes of text an event holds.
const LONGEST_NOTE: usize = 1024;

/// What became of a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// The resource has this version now.
    Done(String),
    /// The resource has changed meanwhile: the watch shows it soon.
    Conflict,
    /// There is no such resource any more.
    Gone,
    /// It may be tried again; why it failed.
    Failed(String),
}

/// Writes a status, if the resource still has the version that it was made for. Of the whole status the controller is the
/// owner (server-side apply), so what it leaves out goes away.
pub(crate) async fn status(
    client: Client,
    key: ObjectKey,
    version: String,
    status: NodeCronJobStatus,
) -> Written {
    let resources = Api::<NodeCronJob>::namespaced(client, &key.namespace);
    let patch = json!({
        "apiVersion": NodeCronJob::api_version(&()),
        "kind": NodeCronJob::kind(&()),
        "metadata": {"name": &*key.name, "resourceVersion": version},
        "status": status,
    });
    let parameters = PatchParams::apply(NAME).force();
    let patch = Patch::Apply(&patch);
    let written = resources.patch_status(&key.name, &parameters, &patch);
    match timeout(LONGEST, written).await {
        Ok(Ok(resource)) => Written::Done(resource.metadata.resource_version.unwrap_or_default()),
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Written::Conflict,
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Written::Gone,
        Ok(Err(kube::Error::Api(status))) => Written::Failed(status.message.clone()),
        Ok(Err(why)) => Written::Failed(why.to_string()),
        Err(_) => Written::Failed(format!("the API server did not answer within {} s", LONGEST.as_secs())),
    }
}

/// One thing to tell the people who look at a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct News {
    warning: bool,
    reason: String,
    note: String,
}

impl News {
    /// Somebody else changed or removed the job, and it was put back.
    pub(crate) fn put_back(job: &model::JobName) -> Self {
        let note = format!(
            "the job {job} was changed or removed in the job tree by somebody else, and was put back"
        );
        Self { warning: false, reason: "PutBack".to_owned(), note }
    }

    /// What the change of a status tells. A status that is written again tells nothing, so neither does a restart.
    pub(crate) fn of(before: &NodeCronJobStatus, after: &NodeCronJobStatus) -> Vec<Self> {
        let mut news = Vec::new();
        let of = |status, kind, state: &str| {
            condition(status, kind).filter(|found| found.status == state).cloned()
        };
        let said = |kind, state| of(before, kind, state);
        if let Some(stalled) = of(after, STALLED, "True") {
            if said(STALLED, "True").is_none_or(|before| before.message != stalled.message) {
                news.push(Self { warning: true, reason: stalled.reason, note: stalled.message });
            }
        } else if let Some(ready) = of(after, READY, "True") {
            let name = after.job_name.as_deref().unwrap_or_default();
            let note = format!("the job {name} is in the job tree: {}", ready.message);
            if said(READY, "True").is_none() {
                news.push(Self { warning: false, reason: "Accepted".to_owned(), note });
            } else if before.observed_generation != after.observed_generation {
                news.push(Self { warning: false, reason: "Updated".to_owned(), note });
            }
        }
        if let Some(failed) = of(after, LAST_RUN_SUCCEEDED, "False")
            && said(LAST_RUN_SUCCEEDED, "False").is_none_or(|before| before.message != failed.message)
        {
            let note = format!("{}: {}", failed.message, failed.reason);
            news.push(Self { warning: true, reason: "RunFailed".to_owned(), note });
        }
        news
    }
}

/// Who writes events.
pub(crate) fn recorder(client: Client, identity: &str) -> Recorder {
    Recorder::new(client, Reporter { controller: NAME.to_owned(), instance: Some(identity.to_owned()) })
}

/// Writes an event. Says whether it was taken; one that was not is not tried again.
pub(crate) async fn event(recorder: Recorder, key: ObjectKey, uid: String, news: News) -> bool {
    let about = ObjectReference {
        api_version: Some(NodeCronJob::api_version(&()).into_owned()),
        kind: Some(NodeCronJob::kind(&()).into_owned()),
        namespace: Some(key.namespace.to_string()),
        name: Some(key.name.to_string()),
        uid: Some(uid),
        ..ObjectReference::default()
    };
    let News { warning, reason, note } = news;
    let event = Event {
        type_: if warning { EventType::Warning } else { EventType::Normal },
        reason,
        note: Some(note[..note.floor_char_boundary(LONGEST_NOTE)].to_owned()),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    match timeout(LONGEST, recorder.publish(&event, &about)).await {
        Ok(Ok(())) => true,
        Ok(Err(why)) => {
            tracing::debug!(%why, resource = %key, "an event was not taken");
            false
        }
        Err(_) => false,
    }
}
