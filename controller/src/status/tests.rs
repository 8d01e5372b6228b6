use std::collections::BTreeSet;

use crds::NodeCronJob;
use kube::core::DeserializeGuard;
use model::keys::KeyPrefix;
use model::run::{Revision, RunId, Slot};
use model::values::{JobStatus, RecentRun};
use serde_json::{Value, json};
use store::KeyValue;

use super::*;
use crate::Config;
use crate::resources::Resources;
use crate::view::View;

/// 2026-01-01 00:00:00.
const MIDNIGHT: UnixMillis = UnixMillis(1_767_225_600_000);

fn after(seconds: i64) -> UnixMillis {
    UnixMillis(MIDNIGHT.0 + seconds * 1000)
}

/// A resource `ops/a` that runs every ten seconds, with these fields of its spec changed, and with this status.
fn resource(changes: &Value, status: &NodeCronJobStatus) -> (ObjectKey, Resource) {
    let mut spec = json!({"schedule": "*/10 * * * * *", "template": {"command": "true"}});
    for (field, value) in changes.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    let object = json!({
        "apiVersion": "crontab.dev/v1",
        "kind": "NodeCronJob",
        "metadata": {"namespace": "ops", "name": "a", "uid": "1", "generation": 3, "resourceVersion": "8"},
        "spec": spec,
        "status": status,
    });
    let object: DeserializeGuard<NodeCronJob> =
        serde_json::from_value(object).expect("a guard takes anything");
    let config = Config {
        namespaces: BTreeSet::new(),
        job_name_namespaces: BTreeSet::new(),
        identity: "a".to_owned(),
    };
    let mut resources = Resources::default();
    let key = resources.apply(object, &config).resource.expect("it is there");
    let resource = resources.get(&key).expect("it was taken in").clone();
    (key, resource)
}

fn name() -> JobName {
    JobName::new("ops/a").expect("it is one")
}

/// What the tree has under the name, from its keys and values.
fn entry(pairs: &[(&str, Value)]) -> Entry {
    let mut view = View::new(KeyPrefix::new("/cron").expect("it is one"));
    for (key, value) in pairs {
        let pair = KeyValue {
            key: format!("/cron/{key}"),
            value: value.to_string().into_bytes(),
            created: Revision(1),
            modified: Revision(2),
        };
        view.put(&pair).unwrap_or_else(|| panic!("{key} is not understood"));
    }
    view.get(&name()).cloned().unwrap_or_default()
}

fn told(resource: &(ObjectKey, Resource), plan: &Plan, entry: &Entry, now: UnixMillis) -> NodeCronJobStatus {
    let (key, resource) = resource;
    let holder = Holder::Resource(key.clone());
    let known = Known { job: &name(), holder: &holder, plan, entry: Some(entry) };
    status(key, resource, Some(known), now)
}

/// A condition's status, reason and message.
fn said<'a>(status: &'a NodeCronJobStatus, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let found = condition(status, kind)?;
    Some((&found.status, &found.reason, &found.message))
}

#[test]
fn a_job_in_the_tree_is_ready_in_words_and_has_a_next_slot() {
    let resource = resource(&json!({}), &NodeCronJobStatus::default());
    let status = told(&resource, &Plan::Nothing, &Entry::default(), after(3));
    let (state, reason, message) = said(&status, READY).expect("it says so");
    assert_eq!((state, reason), ("True", "Scheduled"));
    assert_eq!(message, resource.1.wanted.as_ref().expect("it can be a job").schedule.describe());
    assert_eq!(said(&status, STALLED), None);
    assert_eq!(said(&status, SUSPENDED).map(|(state, ..)| state), Some("False"));
    assert_eq!(status.observed_generation, Some(3));
    assert_eq!(status.job_name.as_deref(), Some("ops/a"));
    assert_eq!(status.next_schedule_time, Some(time(after(10))));
    assert_eq!(status.active, Some(0));
}

#[test]
fn the_next_slot_is_the_first_that_is_neither_past_nor_decided() {
    let resource = resource(&json!({}), &NodeCronJobStatus::default());
    let job = json!({"name": "ops/a", "command": "true", "cronExpr": "* * * * *"});
    for (cursor, incarnation, next, why) in [
        (20, 1, 30, "a slot is claimed ahead of its instant"),
        (-50, 1, 20, "no worker has decided the slots before"),
        (7200, 1, 7210, "the clock was set back"),
        (7200, 9, 20, "the cursor is that of a job that was deleted"),
    ] {
        let cursor = json!({
            "slot": after(cursor), "job": incarnation,
            "schedule": "*/10 * * * * *", "dialect": "Standard", "zone": "UTC",
        });
        let known = entry(&[("jobs/ops/a", job.clone()), ("cursor/ops/a", cursor)]);
        let status = told(&resource, &Plan::Nothing, &known, after(12));
        assert_eq!(status.next_schedule_time, Some(time(after(next))), "{why}");
        let (ready, reason, _) = said(&status, READY).unwrap();
        let expected = if next == 7210 { ("False", "ClockWasAhead") } else { ("True", "Scheduled") };
        assert_eq!((ready, reason), expected, "{why}");
    }
}

#[test]
fn runs_that_go_on_and_runs_that_ended_show_with_their_times() {
    let run = |slot| RunId::of_slot(name(), Revision(1), Slot(after(slot)));
    let mut ended = JobStatus { last_schedule_time: Some(Slot(after(10))), ..JobStatus::default() };
    for (slot, outcome) in [(0, Outcome::Succeeded), (10, Outcome::Failed)] {
        let (ended_at, unknown) = (after(slot + 4), model::Unknown::default());
        ended.add_run(RecentRun {
            run: run(slot),
            slot: Slot(after(slot)),
            outcome,
            ended: ended_at,
            unknown,
        });
    }
    let active = json!({
        "session": "node-1.5", "node": "node-1", "slot": after(20), "attempt": 0, "claimed": after(19),
        "definition": 1,
    });
    let key = format!("runs/ops%2Fa/-/{}", run(20));
    let entry = entry(&[("status/ops/a", json!(ended)), (&key, active)]);
    let resource = resource(&json!({}), &NodeCronJobStatus::default());
    let status = told(&resource, &Plan::Nothing, &entry, after(22));
    assert_eq!(status.active, Some(1));
    assert_eq!(
        (&status.active_runs[0].run_id, &*status.active_runs[0].node),
        (&run(20).to_string(), "node-1")
    );
    assert_eq!(status.last_schedule_time, Some(time(after(20))), "the run that goes on is the latest");
    assert_eq!(status.last_successful_time, Some(time(after(4))));
    assert_eq!(status.last_failure_time, Some(time(after(14))));
    let message = format!("run {} of 2026-01-01T00:00:10Z ended", run(10));
    assert_eq!(said(&status, LAST_RUN_SUCCEEDED), Some(("False", "Failed", &*message)));
}

#[test]
fn a_job_that_is_being_written_is_not_ready_yet() {
    let resource = resource(&json!({}), &NodeCronJobStatus::default());
    let cases = [
        (Plan::Put(Revision::NONE, None), "Reconciling"),
        (Plan::Reserve(Revision::NONE), "Reconciling"),
        (Plan::Wait, "HeldByLegacyWorker"),
    ];
    for (plan, reason) in cases {
        let status = told(&resource, &plan, &Entry::default(), MIDNIGHT);
        assert_eq!(said(&status, READY).map(|(state, reason, _)| (state, reason)), Some(("False", reason)));
        assert_eq!(said(&status, STALLED), None, "{plan:?}: nobody has to edit anything");
        assert_eq!(status.next_schedule_time, None, "{plan:?}");
    }
}

#[test]
fn a_suspended_job_has_no_next_slot() {
    let resource = resource(&json!({"suspend": true}), &NodeCronJobStatus::default());
    let status = told(&resource, &Plan::Nothing, &Entry::default(), MIDNIGHT);
    assert_eq!(said(&status, READY).map(|(state, ..)| state), Some("True"));
    assert_eq!(said(&status, SUSPENDED).map(|(state, ..)| state), Some("True"));
    assert_eq!(status.next_schedule_time, None);
}

#[test]
fn a_refused_spec_says_what_to_write_and_whether_the_former_job_goes_on() {
    let resource = resource(&json!({"schedule": "61 * * * *"}), &NodeCronJobStatus::default());
    let absent = told(&resource, &Plan::Nothing, &Entry::default(), MIDNIGHT);
    let (state, reason, message) = said(&absent, STALLED).expect("only an edit can mend it");
    assert_eq!((state, reason), ("True", "InvalidSchedule"));
    assert!(message.starts_with("spec.schedule: ") && message.contains("61"), "{message}");
    assert!(!message.contains("until then"), "{message}");
    assert_eq!(said(&absent, READY), Some(("False", "InvalidSchedule", message)));
    assert_eq!(said(&absent, SUSPENDED), None, "nothing is known of it");

    let former = json!({"name": "ops/a", "command": "true", "cronExpr": "* * * * *"});
    let goes_on = told(&resource, &Plan::Nothing, &entry(&[("jobs/ops/a", former)]), MIDNIGHT);
    let (.., message) = said(&goes_on, STALLED).expect("only an edit can mend it");
    assert!(message.ends_with("until then the job runs as it was before"), "{message}");
}

#[test]
fn a_resource_without_the_name_says_who_has_it() {
    let (key, resource) = resource(&json!({}), &NodeCronJobStatus::default());
    let other = ObjectKey { namespace: "web".into(), name: "b".into() };
    let cases = [
        (
            Holder::Resource(other),
            true,
            "belongs to the NodeCronJob web/b; choose another jobName, or delete that one",
        ),
        (Holder::Other("the manifest x".to_owned()), true, "belongs to the manifest x; choose another"),
        (Holder::Nobody, false, "is about to be free"),
    ];
    for (holder, stalled, words) in cases {
        let known = Known { job: &name(), holder: &holder, plan: &Plan::Nothing, entry: None };
        let status = status(&key, &resource, Some(known), MIDNIGHT);
        let (state, reason, message) = said(&status, READY).expect("it says so");
        assert_eq!((state, reason), ("False", "JobNameConflict"));
        assert!(message.contains(words), "{message}");
        assert_eq!(said(&status, STALLED).is_some(), stalled, "{holder:?}");
        assert_eq!((status.job_name, status.next_schedule_time, status.active), (None, None, None));
    }
}

#[test]
fn a_transition_keeps_its_time_until_the_state_changes() {
    let first = told(
        &resource(&json!({}), &NodeCronJobStatus::default()),
        &Plan::Nothing,
        &Entry::default(),
        MIDNIGHT,
    );
    let since = |status: &NodeCronJobStatus, kind| {
        condition(status, kind).expect("it is said").last_transition_time.clone()
    };
    let later =
        told(&resource(&json!({"suspend": true}), &first), &Plan::Nothing, &Entry::default(), after(60));
    assert_eq!(since(&later, READY), time(MIDNIGHT));
    assert_eq!(since(&later, SUSPENDED), time(after(60)));
}

#[test]
fn what_has_not_changed_compares_equal_a_minute_later_and_after_a_round_over_the_api_server() {
    let first = told(
        &resource(&json!({}), &NodeCronJobStatus::default()),
        &Plan::Nothing,
        &Entry::default(),
        after(1),
    );
    let again = told(&resource(&json!({}), &first), &Plan::Nothing, &Entry::default(), after(2));
    assert_eq!(difference(&first, &again), None);
    let read: NodeCronJobStatus =
        serde_json::from_value(serde_json::to_value(&first).expect("it is JSON")).expect("it is a status");
    assert_eq!(difference(&read, &again), None);
}

#[test]
fn what_somebody_may_wait_for_is_urgent_and_a_count_is_not() {
    let idle = told(
        &resource(&json!({}), &NodeCronJobStatus::default()),
        &Plan::Nothing,
        &Entry::default(),
        MIDNIGHT,
    );
    let mut ended = idle.clone();
    ended.conditions.push(Condition {
        type_: LAST_RUN_SUCCEEDED.to_owned(),
        status: "True".to_owned(),
        ..idle.conditions[0].clone()
    });
    let mut failed = ended.clone();
    failed.conditions.last_mut().expect("it was added").status = "False".to_owned();
    let mut counted = ended.clone();
    counted.active = Some(1);
    let mut suspended = idle.clone();
    suspended.conditions.iter_mut().find(|found| found.type_ == SUSPENDED).expect("it is said").status =
        "True".to_owned();
    let mut edited = idle.clone();
    edited.observed_generation = Some(4);
    let mut reordered = ended.clone();
    reordered.conditions.reverse();
    let cases = [
        ("suspended", &idle, &suspended, Some(Urgency::Now)),
        ("another generation", &idle, &edited, Some(Urgency::Now)),
        ("the first run", &idle, &ended, Some(Urgency::Soon)),
        ("a run failed", &ended, &failed, Some(Urgency::Soon)),
        ("a count", &ended, &counted, Some(Urgency::Later)),
        ("another order", &ended, &reordered, None),
    ];
    for (case, before, after, wanted) in cases {
        assert_eq!(difference(before, after), wanted, "{case}");
    }
}

#[test]
fn a_job_that_the_tree_did_not_take_stays_unobserved() {
    let before =
        NodeCronJobStatus { observed_generation: Some(2), active: Some(1), ..NodeCronJobStatus::default() };
    let (_, resource) = resource(&json!({}), &before);
    let status = not_taken(&resource, "etcd is full", MIDNIGHT);
    assert_eq!(status.observed_generation, Some(2), "nobody takes the edit for done");
    assert_eq!(status.active, Some(1));
    assert_eq!(
        said(&status, READY),
        Some(("False", "JobTreeUnavailable", "etcd is full; it is tried again until it works"))
    );
}

#[test]
fn an_object_that_can_not_be_read_says_so() {
    let (key, resource) = resource(&json!({"suspend": "perhaps"}), &NodeCronJobStatus::default());
    let status = status(&key, &resource, None, MIDNIGHT);
    let (state, reason, message) = said(&status, STALLED).expect("only an edit can mend it");
    assert_eq!((state, reason), ("True", "InvalidObject"));
    assert!(message.contains("perhaps") && message.contains("kubectl explain"), "{message}");
}
