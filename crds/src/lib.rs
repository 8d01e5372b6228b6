//! The Kubernetes resources, their schema, and their way into the domain.
//!
//! [`NodeCronJob`] is the resource; [`definition()`] is its definition for an API server, from which the committed YAML and
//! `docs/reference.md` are generated; [`to_job`] makes a resource the domain's job; [`manifest`] reads the text people
//! write. Not here: who talks to an API server (`controller`, `master`), and what a job does (`model`, `worker`).
//!
//! A field enters the schema only once it works, so that nobody sets one that does nothing.
//!
//! # Decided, not yet in the schema
//!
//! Names, shapes and defaults of what comes later, so that nothing here has to be renamed for it. Below `spec` unless it
//! says otherwise:
//!
//! - `concurrencyPolicy: Replace | Queue`, and `queueLimit` (1 to 1000), required with `Queue` and refused without it.
//! - `jitterSeconds`: 0 to 86400, default 0, less than `startingDeadlineSeconds`.
//! - `historyTTLSeconds`: seconds a run's log is kept; no default. (`ttlSecondsAfterFinished` deletes objects, so it is `NodeJob`'s.)
//! - `deletionPolicy: Kill | Drain`, default `Kill`: what happens to runs when the object is deleted.
//! - `template.env[].valueFrom`: exactly one of `secretKeyRef` and `configMapKeyRef`, each `{name, key, optional}`; not with `value`.
//! - `template.envFrom[]`: `{prefix, secretRef | configMapRef}`, each reference `{name, optional}`.
//! - `template.runAs`: exactly one of `userName` and `uid`, and `gid`.
//! - `template.nice`, and `template.limits`: `{memoryBytes, openFiles, processes}`.
//! - `template.placement`: `{mode: Any | All, nodeSelector, nodeNames, host}`, default `{mode: Any}`.
//! - `template.backoffLimit`: 0 to 100, default 0 (a Kubernetes Job: 6); `template.backoff`: `{initialSeconds: 10, maxSeconds: 360}`.
//! - `template.retryPlacement: Same | Avoid`, default `Same`; `Avoid` only with `placement.mode: Any`.
//! - `template.onSessionLoss: Kill | Wait | Continue`, default `Kill`.
//! - `attempt` in each of `status.activeRuns`; `status.lastHandledKillRequest`.
//! - Kind `NodeJob` (short `nj`), one run now: `cronJobName` or `template`, `force`, `ttlSecondsAfterFinished`; immutable but for the last.

pub mod convert;
mod definition;
pub mod manifest;
#[expect(clippy::duplicated_attributes, reason = "columns of one type repeat it")]
pub mod resource;

pub use convert::{ConvertError, DEFAULT_NAMESPACE, JobNameError, job_name, object_name, to_job};
pub use definition::{definition, definition_yaml, unknown_to};
pub use resource::{
    ActiveRun, ConcurrencyPolicy, EnvVar, MissedRunPolicy, NodeCronJob, NodeCronJobSpec, NodeCronJobStatus,
    Output, RunTemplate,
};
