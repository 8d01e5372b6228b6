//! The resources, as the API server last showed them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crds::{NodeCronJob, NodeCronJobStatus};
use k8s_openapi::jiff::Timestamp;
use kube::Resource as _;
use kube::api::ObjectMeta;
use kube::core::DeserializeGuard;
use model::JobName;

use crate::Config;
use crate::validate::{Refusal, Wanted, validate};

/// Namespace and name of a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectKey {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl ObjectKey {
    fn of(metadata: &ObjectMeta) -> Self {
        Self {
            namespace: metadata.namespace.as_deref().unwrap_or_default().into(),
            name: metadata.name.as_deref().unwrap_or_default().into(),
        }
    }
}

/// One resource.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) uid: String,
    /// Guards a status against being written to another state of the resource, or to another one of its name.
    pub(crate) version: String,
    pub(crate) generation: i64,
    /// Which of two that want one name was first.
    pub(crate) created: Timestamp,
    /// The name it wants, unless that can't be had.
    pub(crate) job: Option<JobName>,
    pub(crate) wanted: Result<Wanted, Refusal>,
    /// What it says of itself.
    pub(crate) status: NodeCronJobStatus,
    /// When this process last wrote that.
    pub(crate) written: Option<Instant>,
}

impl Resource {
    /// Reads a resource. One that is about to be deleted counts as gone: its job ends now, whatever else waits for it.
    fn read(object: DeserializeGuard<NodeCronJob>, config: &Config) -> (ObjectKey, Option<Self>) {
        let (metadata, job, wanted, status) = match object.0 {
            Ok(mut object) => {
                let (job, wanted) = validate(&object, config);
                let status = object.status.take().unwrap_or_default();
                (object.metadata, job, wanted, status)
            }
            Err(invalid) => {
                let message = format!(
                    "the object can't be read: {}; compare it with kubectl explain nodecronjob.spec, and the resource definition in the cluster with that of this version",
                    invalid.error
                );
                let refusal = Refusal { reason: "InvalidObject", message };
                (invalid.metadata, None, Err(refusal), NodeCronJobStatus::default())
            }
        };
        let key = ObjectKey::of(&metadata);
        if metadata.deletion_timestamp.is_some() {
            return (key, None);
        }
        let resource = Self {
            uid: metadata.uid.unwrap_or_default(),
            version: metadata.resource_version.unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            created: metadata.creation_timestamp.map(|time| time.0).unwrap_or_default(),
            job,
            wanted,
            status,
            written: None,
        };
        (key, Some(resource))
    }
}

/// All resources, and which of them want a name.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    by_key: HashMap<ObjectKey, Resource>,
    by_job: HashMap<JobName, BTreeSet<ObjectKey>>,
}

/// What has to be looked at again.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) jobs: Vec<JobName>,
    pub(crate) resource: Option<ObjectKey>,
}

impl Resources {
    /// Takes a resource in as it is now.
    pub(crate) fn apply(&mut self, object: DeserializeGuard<NodeCronJob>, config: &Config) -> News {
        let (key, resource) = Resource::read(object, config);
        let Some(resource) = resource else { return self.remove(&key) };
        let mut jobs = Vec::new();
        // A status that was written here comes back, and a listing repeats what is known.
        let same = |known: &Resource| known.uid == resource.uid && known.generation == resource.generation;
        if let Some(known) = self.by_key.get_mut(&key).filter(|known| same(known)) {
            known.version = resource.version;
            known.status = resource.status;
            return News { jobs, resource: Some(key) };
        }
        jobs.extend(self.remove(&key).jobs);
        if let Some(job) = &resource.job {
            self.by_job.entry(job.clone()).or_default().insert(key.clone());
            jobs.push(job.clone());
        }
        self.by_key.insert(key.clone(), resource);
        News { jobs, resource: Some(key) }
    }

    /// Takes out a resource that is gone.
    pub(crate) fn delete(&mut self, object: &DeserializeGuard<NodeCronJob>) -> News {
        self.remove(&ObjectKey::of(object.meta()))
    }

    fn remove(&mut self, key: &ObjectKey) -> News {
        let job = self.by_key.remove(key).and_then(|resource| resource.job);
        if let Some(job) = &job
            && let Some(keys) = self.by_job.get_mut(job)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.by_job.remove(job);
            }
        }
        News { jobs: job.into_iter().collect(), resource: None }
    }

    /// Takes out what a listing did not show, of those in `covered` namespaces.
    pub(crate) fn keep(&mut self, listed: &HashSet<ObjectKey>, covered: impl Fn(&str) -> bool) -> News {
        let gone = self.by_key.keys().filter(|key| covered(&key.namespace) && !listed.contains(key));
        let gone: Vec<_> = gone.cloned().collect();
        let jobs = gone.iter().flat_map(|key| self.remove(key).jobs).collect();
        News { jobs, resource: None }
    }

    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&Resource> {
        self.by_key.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &ObjectKey) -> Option<&mut Resource> {
        self.by_key.get_mut(key)
    }

    /// Those that want a name, the one that was created first first.
    pub(crate) fn wanting(&self, job: &JobName) -> Vec<(&ObjectKey, &Resource)> {
        let keys = self.by_job.get(job).into_iter().flatten();
        let mut found: Vec<_> = keys.filter_map(|key| Some((key, self.by_key.get(key)?))).collect();
        found.sort_by(|(_, a), (_, b)| (a.created, &a.uid).cmp(&(b.created, &b.uid)));
        found
    }

    /// Every name that a resource wants.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = &JobName> {
        self.by_job.keys()
    }

    /// Those that want no name that can be had.
    pub(crate) fn homeless(&self) -> impl Iterator<Item = &ObjectKey> {
        self.by_key.iter().filter(|(_, resource)| resource.job.is_none()).map(|(key, _)| key)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }
}

/// The key of an object that a watch shows.
pub(crate) fn key_of(object: &DeserializeGuard<NodeCronJob>) -> ObjectKey {
    ObjectKey::of(object.meta())
}
