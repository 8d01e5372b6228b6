//! Jobs as resources of a cluster: found by a job's name, made, changed and deleted through the API server.
//!
//! The API server is the truth there: its rules and its RBAC decide, and the controller brings what it accepts into the
//! tree. A change names the version of the resource that it was made for, so nothing of somebody else's is overwritten.
//!
//! Not here: what a job becomes (`jobs` says), and the tree.

use std::fmt;
use std::time::Duration;

use crds::{NodeCronJob, NodeCronJobSpec, object_name};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::config::KubeConfigOptions;
use kube::{Client, Config, ResourceExt};
use model::JobName;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::timeout;

/// Who writes, as the API server notes it, unless it is somebody else's command.
const NAME: &str = "crontab-master";

/// How long the API server may take for a request.
const LONGEST: Duration = Duration::from_secs(10);

/// How many resources of a list come at a time.
const PAGE: u32 = 500;

/// The resources of a cluster. Clones share their connections.
#[derive(Clone)]
pub struct Resources {
    client: Client,
    namespace: String,
    writer: &'static str,
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resources").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// Why the API server did not do what was asked. `Display` says what to do.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// There is no way to it.
    #[error(
        "no way to the API server is known; run in a cluster, or set KUBECONFIG to a file that names one"
    )]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It can't be reached, does not answer, or can't do its work.
    #[error("the API server is not available; try again in a moment, and see this program's log")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It does not know who asks.
    #[error(
        "the API server does not accept this master's credentials; renew its service account's token or its kubeconfig"
    )]
    Credentials,
    /// It knows, and does not allow it.
    #[error(
        "the API server does not let this master {verb} NodeCronJobs in the namespace {namespace}; grant its service account the verb {verb} there"
    )]
    Forbidden {
        /// What was tried.
        verb: &'static str,
        /// Where.
        namespace: String,
    },
    /// The kind of resource is not there.
    #[error(
        "the API server knows no NodeCronJob; apply the definition that belongs to this version (crds/nodecronjobs.yaml)"
    )]
    NoDefinition,
    /// The kind is there, but not as this version needs it.
    #[error(
        "the definition of NodeCronJob in the cluster is older than this master and has no spec.jobName; apply the one that belongs to this version (crds/nodecronjobs.yaml)"
    )]
    OldDefinition,
    /// The object breaks a rule.
    #[error("the API server refuses it: {0}")]
    Refused(String),
    /// Somebody else was faster.
    #[error("the resource was changed by somebody else at the same time")]
    Conflict,
}

impl Resources {
    /// The resources of the cluster that this pod is in, or that a kubeconfig names. New jobs get resources in
    /// `namespace`; by default the pod's, or the kubeconfig's. Nothing is asked yet.
    pub async fn infer(namespace: Option<String>) -> Result<Self, ClusterError> {
        let config = Config::infer().await.map_err(|why| ClusterError::Unknown(why.into()))?;
        Self::of(config, namespace, NAME)
    }

    /// The resources of the cluster that a context of the kubeconfig names, or as [`Self::infer`] finds it. Changes are
    /// noted as made by `writer`.
    pub async fn of_context(
        context: Option<String>,
        namespace: Option<String>,
        writer: &'static str,
    ) -> Result<Self, ClusterError> {
        let config = if let Some(context) = context {
            let options = KubeConfigOptions { context: Some(context), ..KubeConfigOptions::default() };
            let found = Config::from_kubeconfig(&options).await;
            found.map_err(|why| ClusterError::Unknown(why.into()))?
        } else {
            Config::infer().await.map_err(|why| ClusterError::Unknown(why.into()))?
        };
        Self::of(config, namespace, writer)
    }

    fn of(mut config: Config, namespace: Option<String>, writer: &'static str) -> Result<Self, ClusterError> {
        config.connect_timeout = Some(Duration::from_secs(5));
        config.read_timeout = Some(LONGEST);
        config.write_timeout = Some(LONGEST);
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|why| ClusterError::Unknown(why.into()))?;
        Ok(Self { client, namespace, writer })
    }

    /// Where new jobs get their resources.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether the API server answers, and lets resources be read.
    pub async fn check(&self) -> Result<(), ClusterError> {
        let one = ListParams::default().limit(1);
        bounded(self.api(&self.namespace).list(&one), "list", &self.namespace).await.map(drop)
    }

    /// All resources of a namespace, or of all namespaces.
    pub async fn list(&self, namespace: Option<&str>) -> Result<Vec<NodeCronJob>, ClusterError> {
        let api = match namespace {
            Some(namespace) => self.api(namespace),
            None => Api::all(self.client.clone()),
        };
        let mut all = Vec::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let found = bounded(api.list(&page), "list", namespace.unwrap_or("*")).await?;
            all.extend(found.items);
            match found.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => return Ok(all),
            }
        }
    }

    /// One resource.
    pub async fn get(&self, namespace: &str, name: &str) -> Result<Option<NodeCronJob>, ClusterError> {
        if !is_object_name(namespace) || !is_object_name(name) {
            return Ok(None);
        }
        bounded(self.api(namespace).get_opt(name), "get", namespace).await
    }

    /// The resource whose job has this name: `namespace/name`, or the oldest that asks for it in our namespace.
    pub async fn find(&self, job: &JobName) -> Result<Option<NodeCronJob>, ClusterError> {
        let is_it = |resource: &NodeCronJob| crds::job_name(resource).is_ok_and(|name| name == *job);
        if let Some((namespace, name)) = job.as_str().split_once('/') {
            return Ok(self.get(namespace, name).await?.filter(is_it));
        }
        let wanted = ListParams::default().fields(&format!("spec.jobName={}", selector(job.as_str())));
        let found = bounded(self.api(&self.namespace).list(&wanted), "list", &self.namespace).await;
        let found = found.map_err(|why| match why {
            // It can't be selected by a field that it does not have.
            ClusterError::Refused(why) if why.contains("spec.jobName") => ClusterError::OldDefinition,
            why => why,
        })?;
        let mut found: Vec<NodeCronJob> = found.items.into_iter().filter(is_it).collect();
        found.sort_by_key(|resource| (resource.creation_timestamp().map(|time| time.0), resource.name_any()));
        Ok(found.into_iter().next())
    }

    /// Makes a resource for a job, in our namespace.
    pub(crate) async fn create(
        &self,
        job: &JobName,
        schedule: &str,
        zone: &str,
        command: &str,
    ) -> Result<NodeCronJob, ClusterError> {
        let spec = json!({
            "schedule": schedule, "timeZone": zone, "jobName": job.as_str(), "template": { "command": command },
        });
        let spec: NodeCronJobSpec =
            serde_json::from_value(spec).map_err(|why| ClusterError::Refused(why.to_string()))?;
        let resource = NodeCronJob::new(&object_name(job.as_str(), &[job.as_str()]), spec);
        let parameters = PostParams { field_manager: Some(self.writer.to_owned()), ..PostParams::default() };
        let api = self.api(&self.namespace);
        let made = bounded(api.create(&parameters, &resource), "create", &self.namespace).await?;
        if made.spec.job_name.is_none() {
            // It would run under another name.
            self.delete(&made).await?;
            return Err(ClusterError::OldDefinition);
        }
        Ok(made)
    }

    /// Suspends a resource or resumes it, if it is still as it was read.
    pub async fn suspend(&self, resource: &NodeCronJob, suspend: bool) -> Result<NodeCronJob, ClusterError> {
        self.patch(resource, json!({ "suspend": suspend })).await
    }

    /// Changes some fields of a resource's spec, given as a merge patch, if it is still as it was read.
    pub(crate) async fn patch(
        &self,
        resource: &NodeCronJob,
        spec: Value,
    ) -> Result<NodeCronJob, ClusterError> {
        let namespace = resource.namespace().unwrap_or_default();
        let version = json!({ "uid": resource.uid(), "resourceVersion": resource.resource_version() });
        let patch = Patch::Merge(json!({ "metadata": version, "spec": spec }));
        let parameters =
            PatchParams { field_manager: Some(self.writer.to_owned()), ..PatchParams::default() }
                .validation_strict();
        let api = self.api(&namespace);
        bounded(api.patch(&resource.name_any(), &parameters, &patch), "patch", &namespace).await
    }

    /// Deletes a resource, if it is still the one that was read. One that is gone is as good.
    pub(crate) async fn delete(&self, resource: &NodeCronJob) -> Result<(), ClusterError> {
        let namespace = resource.namespace().unwrap_or_default();
        let same = Preconditions { uid: resource.uid(), resource_version: None };
        let parameters = DeleteParams::default().preconditions(same);
        let name = resource.name_any();
        let deleted = async {
            match self.api(&namespace).delete(&name, &parameters).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                deleted => deleted.map(drop),
            }
        };
        bounded(deleted, "delete", &namespace).await
    }

    fn api(&self, namespace: &str) -> Api<NodeCronJob> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

/// One request, bounded in time.
async fn bounded<T>(
    asked: impl Future<Output = Result<T, kube::Error>>,
    verb: &'static str,
    namespace: &str,
) -> Result<T, ClusterError> {
    match timeout(LONGEST, asked).await {
        Ok(answer) => answer.map_err(|why| translate(why, verb, namespace)),
        Err(why) => Err(ClusterError::Away(why.into())),
    }
}

fn translate(why: kube::Error, verb: &'static str, namespace: &str) -> ClusterError {
    let kube::Error::Api(status) = &why else { return ClusterError::Away(why.into()) };
    match status.code {
        401 => ClusterError::Credentials,
        403 if status.message.contains("is being terminated") => {
            ClusterError::Refused(status.message.clone())
        }
        403 => ClusterError::Forbidden { verb, namespace: namespace.to_owned() },
        // A missing object or namespace is named; a missing kind is not.
        404 if status.details.as_ref().is_none_or(|details| details.name.is_empty()) => {
            ClusterError::NoDefinition
        }
        409 => ClusterError::Conflict,
        400..=499 if status.code != 429 => ClusterError::Refused(status.message.clone()),
        _ => ClusterError::Away(why.into()),
    }
}

/// Whether an API server takes it as the name of an object; otherwise there is no such object.
fn is_object_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
}

/// A value in a field selector.
fn selector(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        if matches!(c, '\\' | ',' | '=') {
            escaped.push('\\');
        }
        escaped.push(c);
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_selector_is_one_value() {
        assert_eq!(selector(r"a,spec.suspend=true\"), r"a\,spec.suspend\=true\\");
    }

    #[test]
    fn an_answer_of_the_api_server_says_what_to_do() {
        let status = |code: u16, message: &str, name: &str| {
            let status = json!({ "code": code, "message": message, "details": { "name": name } });
            let status = serde_json::from_value(status).unwrap();
            translate(kube::Error::Api(status), "create", "ops").to_string()
        };
        for (said, why) in [
            (status(401, "Unauthorized", ""), "renew its service account's token"),
            (status(403, "nodecronjobs is forbidden", ""), "grant its service account the verb create"),
            (status(404, "the server could not find the requested resource", ""), "crds/nodecronjobs.yaml"),
            (status(404, "namespaces \"ops\" not found", "ops"), "refuses it: namespaces \"ops\" not found"),
            (status(409, "exists", "x"), "changed by somebody else"),
            (status(422, "spec.schedule: Invalid value", "x"), "refuses it: spec.schedule"),
            (status(429, "slow down", ""), "not available"),
            (status(500, "etcd", ""), "not available"),
        ] {
            assert!(said.contains(why), "{said}");
        }
    }
}
