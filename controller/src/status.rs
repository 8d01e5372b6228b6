//! What a resource should say of itself. Pure.

use crds::{ActiveRun, NodeCronJobStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use model::decide::CURSOR_AHEAD;
use model::next::{next_slot, stands_still};
use model::run::Outcome;
use model::{JobName, UnixMillis};

use crate::plan::{Holder, Plan};
use crate::resources::{ObjectKey, Resource};
use crate::validate::Wanted;
use crate::view::Entry;

/// How many runs a status names.
const MOST_RUNS: usize = 20;

/// The conditions' types.
pub(crate) const READY: &str = "Ready";
pub(crate) const STALLED: &str = "Stalled";
const SUSPENDED: &str = "Suspended";
pub(crate) const LAST_RUN_SUCCEEDED: &str = "LastRunSucceeded";

/// What is known of a resource's name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    pub(crate) job: &'a JobName,
    pub(crate) holder: &'a Holder,
    pub(crate) plan: &'a Plan,
    /// What the tree has under the name.
    pub(crate) entry: Option<&'a Entry>,
}

/// The status of a resource. Its times of transition are those of the status it has, where a condition's status is the
/// same; so what has not changed compares equal. `known` is absent where the resource has no name that can be had.
pub(crate) fn status(
    key: &ObjectKey,
    resource: &Resource,
    known: Option<Known<'_>>,
    now: UnixMillis,
) -> NodeCronJobStatus {
    let mut status =
        NodeCronJobStatus { observed_generation: Some(resource.generation), ..NodeCronJobStatus::default() };
    let mut conditions = Conditions { before: &resource.status, now, made: Vec::new() };
    let holds = known.filter(|known| matches!(known.holder, Holder::Resource(holder) if holder == key));
    match &resource.wanted {
        Err(refusal) => {
            let goes_on =
                holds.is_some_and(|known| known.entry.is_some_and(|entry| entry.job.hash.is_some()));
            let message = if goes_on {
                format!("{}; until then the job runs as it was before", refusal.message)
            } else {
                refusal.message.clone()
            };
            conditions.ready("False", refusal.reason, &message);
            conditions.set(STALLED, "True", refusal.reason, &message);
        }
        Ok(wanted) => match (known, holds) {
            (Some(known), None) => {
                let message = match known.holder {
                    Holder::Resource(holder) => format!(
                        "the name {} belongs to the NodeCronJob {holder}; choose another jobName, or delete that one",
                        known.job
                    ),
                    Holder::Other(whose) => {
                        format!("the name {} belongs to {whose}; choose another", known.job)
                    }
                    Holder::Nobody => format!("the name {} is about to be free", known.job),
                };
                conditions.ready("False", "JobNameConflict", &message);
                if *known.holder != Holder::Nobody {
                    conditions.set(STALLED, "True", "JobNameConflict", &message);
                }
            }
            (_, Some(known)) => ready(&mut conditions, known, wanted, now),
            // A name that can be had is always known.
            (None, None) => {}
        },
    }
    if let Ok(wanted) = &resource.wanted {
        let (state, reason, message) = if wanted.suspend {
            ("True", "SuspendRequested", "no new run starts until spec.suspend is false")
        } else {
            ("False", "NotSuspended", "runs start by the schedule")
        };
        conditions.set(SUSPENDED, state, reason, message);
    }
    if let Some(known) = holds {
        status.job_name = Some(known.job.to_string());
        if let Some(entry) = known.entry {
            runs(&mut status, &mut conditions, entry);
        }
        let accepted = resource.wanted.as_ref().ok().filter(|_| *known.plan == Plan::Nothing);
        let runs = accepted.filter(|wanted| !wanted.suspend);
        let decided = known.entry.and_then(Entry::decided);
        status.next_schedule_time =
            runs.and_then(|wanted| next_slot(&wanted.schedule, decided, now)).map(time);
    }
    status.conditions = conditions.made;
    status
}

/// The status of a resource whose job the tree did not take: as it was, but for what that means. What it observed stays
/// too, so that nobody takes the resource for done.
pub(crate) fn not_taken(resource: &Resource, why: &str, now: UnixMillis) -> NodeCronJobStatus {
    let mut conditions = Conditions { before: &resource.status, now, made: Vec::new() };
    let message = format!("{why}; it is tried again until it works");
    conditions.ready("False", "JobTreeUnavailable", &message);
    let others = resource.status.conditions.iter().filter(|condition| condition.type_ != READY);
    conditions.made.extend(others.cloned());
    NodeCronJobStatus { conditions: conditions.made, ..resource.status.clone() }
}

fn ready(conditions: &mut Conditions<'_>, known: Known<'_>, wanted: &Wanted, now: UnixMillis) {
    let decided = known.entry.and_then(Entry::decided);
    match (known.plan, decided.filter(|slot| slot.0 > now + CURSOR_AHEAD)) {
        (Plan::Nothing, Some(decided)) => {
            conditions.ready("False", "ClockWasAhead", &stands_still(decided));
        }
        (Plan::Nothing, None) => {
            let message = wanted.schedule.describe();
            conditions.ready("True", "Scheduled", &message);
        }
        (Plan::Wait, _) => conditions.ready(
            "False",
            "HeldByLegacyWorker",
            "a worker of the replaced system runs a job of this name; it is taken over when that run ends",
        ),
        (Plan::Put(..) | Plan::Reserve(_) | Plan::Delete(_), _) => {
            conditions.ready("False", "Reconciling", "the job is being written to the job tree");
        }
    }
}

fn runs(status: &mut NodeCronJobStatus, conditions: &mut Conditions<'_>, entry: &Entry) {
    status.active = Some(i32::try_from(entry.runs.len()).unwrap_or(i32::MAX));
    status.active_runs = entry
        .runs
        .iter()
        .take(MOST_RUNS)
        .map(|(id, run)| ActiveRun {
            run_id: id.to_string(),
            node: run.node.clone(),
            scheduled_time: time(run.slot.0),
            start_time: Some(time(run.claimed)),
        })
        .collect();
    let ended = entry.ended.as_deref();
    let running = entry.runs.values().map(|run| run.slot).max();
    let last = ended.and_then(|ended| ended.last_schedule_time).max(running);
    status.last_schedule_time = last.map(|slot| time(slot.0));
    let Some(ended) = ended else { return };
    status.last_successful_time = ended.last_successful_time.map(time);
    status.last_failure_time = ended.last_failure_time.map(time);
    if let Some(last) = &ended.last {
        let succeeded = if last.outcome == Outcome::Succeeded { "True" } else { "False" };
        let message = format!("run {} of {} ended", last.run, time(last.slot.0).0);
        conditions.set(LAST_RUN_SUCCEEDED, succeeded, &last.outcome.to_string(), &message);
    }
}

/// Conditions in the making.
struct Conditions<'a> {
    before: &'a NodeCronJobStatus,
    now: UnixMillis,
    made: Vec<Condition>,
}

impl Conditions<'_> {
    fn ready(&mut self, state: &str, reason: &str, message: &str) {
        self.set(READY, state, reason, message);
    }

    fn set(&mut self, kind: &str, state: &str, reason: &str, message: &str) {
        let before = condition(self.before, kind).filter(|before| before.status == state);
        let since = before.map_or_else(|| time(self.now), |before| before.last_transition_time.clone());
        self.made.push(Condition {
            type_: kind.to_owned(),
            status: state.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: since,
            observed_generation: None,
        });
    }
}

/// One condition of a status.
pub(crate) fn condition<'a>(status: &'a NodeCronJobStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind)
}

/// How soon a difference should be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Whether the resource is taken up, or suspended: somebody may wait for that.
    Now,
    /// How the last run ended.
    Soon,
    /// Times and counts.
    Later,
}

/// Whether one status says anything else than another, and how soon that should be seen.
pub(crate) fn difference(before: &NodeCronJobStatus, after: &NodeCronJobStatus) -> Option<Urgency> {
    let sorted = |status: &NodeCronJobStatus| {
        let mut status = status.clone();
        status.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
        status.active_runs.sort_by(|a, b| a.run_id.cmp(&b.run_id));
        status
    };
    if sorted(before) == sorted(after) {
        return None;
    }
    let of = |status: &NodeCronJobStatus, kind| {
        condition(status, kind)
            .map(|found| (found.status.clone(), found.reason.clone(), found.message.clone()))
    };
    let differs = |kind| of(before, kind) != of(after, kind);
    if before.observed_generation != after.observed_generation
        || [READY, STALLED, SUSPENDED].into_iter().any(differs)
    {
        Some(Urgency::Now)
    } else if condition(before, LAST_RUN_SUCCEEDED).map(|found| &found.status)
        != condition(after, LAST_RUN_SUCCEEDED).map(|found| &found.status)
    {
        Some(Urgency::Soon)
    } else {
        Some(Urgency::Later)
    }
}

/// An instant as Kubernetes writes times in statuses: whole seconds.
fn time(at: UnixMillis) -> Time {
    Time(Timestamp::from_second(at.0.div_euclid(1000)).unwrap_or_default())
}

#[cfg(test)]
mod tests;
