//! Values that other versions wrote: those of 0.1.0, from files, and those of a version to come.

use std::fs;
use std::path::Path;

use model::legacy::{JobValue, ValueError};
use model::record::{RunRecord, SkipRecord};
use model::run::{Outcome, SkipReason};
use model::values::{ActiveRun, ClusterInfo, Cursor, JobStatus, LockValue, WorkerInfo};
use model::{JobName, TimeZone, UnixMillis, Words};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn again<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Vec<u8> {
    let value: T = serde_json::from_slice(bytes).unwrap_or_else(|why| panic!("{why}: {bytes:?}"));
    serde_json::to_vec(&value).unwrap()
}

/// Reads a value as its kind and writes it again.
fn written_again(kind: &str, bytes: &[u8]) -> Vec<u8> {
    match kind {
        "job" => JobValue::from_bytes(bytes).unwrap().to_bytes(),
        "cursor" => again::<Cursor>(bytes),
        "run" => again::<ActiveRun>(bytes),
        "status" => again::<JobStatus>(bytes),
        "worker" => again::<WorkerInfo>(bytes),
        "cluster" => again::<ClusterInfo>(bytes),
        "kill" => again::<UnixMillis>(bytes),
        "lock" => LockValue::from_bytes(bytes).to_bytes(),
        "record" => again::<RunRecord>(bytes),
        "skips" => again::<SkipRecord>(bytes),
        other => panic!("no kind is named {other}"),
    }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn every_value_of_0_1_0_is_read_and_written_again_byte_by_byte() {
    let mut kinds = Vec::new();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/0.1.0")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let kind = name.split('-').next().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        let written = written_again(if name == "record-of-skips" { "skips" } else { &kind }, &bytes);
        assert_eq!(String::from_utf8(written), String::from_utf8(bytes), "{name}");
        kinds.push(kind);
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["cluster", "cursor", "job", "kill", "lock", "record", "run", "status", "worker"]);
}

#[test]
fn a_registration_of_0_1_0_has_no_features() {
    let bytes = include_bytes!("golden/0.1.0/worker.json");
    let info: WorkerInfo = serde_json::from_slice(bytes).unwrap();
    assert!(info.features.is_empty() && info.features.hold(&Words::default()));
    assert!(!info.features.hold(&["anything"].into_iter().collect()));
}

/// One value of each kind from a version to come: what we know of it is in another order, and it has fields and names that
/// nobody knows yet.
fn of_the_future() -> Vec<(&'static str, Value)> {
    let skip = json!({"from": 1000, "to": 2000, "count": 2, "reason": "Paused"});
    vec![
        (
            "job",
            json!({
                "x": {"y": [1, 2.5, null, "z"]}, "owner": {"resource": {"uid": "u", "namespace": "n", "name": "a", "shard": 3}},
                "spec": {
                    "retries": {"limit": 3}, "schedule": "* * * * *", "timeZone": "UTC", "suspend": false,
                    "concurrencyPolicy": "Forbid", "missedRunPolicy": "Latest",
                    "successfulRunsHistoryLimit": 100, "failedRunsHistoryLimit": 100,
                    "template": {
                        "command": "date", "user": "nobody", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "", "valueFrom": {"secret": "s"}}],
                        "terminationGracePeriodSeconds": 30, "output": {"limitBytes": 1_048_576, "compress": true},
                    },
                },
                "name": "a", "command": "date", "cronExpr": "0 * * * * * *",
            }),
        ),
        (
            "cursor",
            json!({"jitter": 7, "slot": 1, "job": 2, "schedule": "@daily", "dialect": "Standard", "zone": "UTC", "skips": [skip]}),
        ),
        (
            "run",
            json!({
                "needs": ["a-later-feature"], "avoid": ["node-1"], "session": "s", "node": "n", "slot": 1, "attempt": 0,
                "claimed": 1, "definition": 1, "waiting": {"because": "b", "notBefore": 9}, "skipped": [skip],
                "ended": {"outcome": "Replaced", "message": "m", "by": "x"},
            }),
        ),
        (
            "status",
            json!({
                "runs": {"Succeeded": 1, "Replaced": 2}, "skipped": {"Paused": 4, "Overlap": 1},
                "recent": [{"run": "1764000000000-00000000000000ff", "slot": 1, "outcome": "Replaced", "ended": 2, "started": 1}],
                "lastSkipped": skip, "retries": 12,
            }),
        ),
        (
            "worker",
            json!({
                "address": "a", "node": "n", "version": "9", "since": 1, "features": ["a-later-feature", "another"],
                "load": 0.25, "bootId": "b",
            }),
        ),
        ("cluster", json!({"uid": "u", "shard": 1})),
    ]
}

#[test]
fn what_a_newer_version_wrote_is_written_again_without_loss() {
    for (kind, value) in of_the_future() {
        let bytes = serde_json::to_vec(&value).unwrap();
        assert_eq!(json(&written_again(kind, &bytes)), value, "{kind}");
    }
    let outcome: Outcome = serde_json::from_str("\"Replaced\"").unwrap();
    assert_eq!((outcome.to_string(), outcome), ("Replaced".to_owned(), Outcome::named("Replaced").unwrap()));
    assert_eq!(SkipReason::named("Overlap"), Some(SkipReason::Overlap));
}

#[test]
fn a_change_of_a_job_leaves_what_is_unknown_of_it() {
    let (_, mut future) = of_the_future().remove(0);
    let value = JobValue::from_bytes(&serde_json::to_vec(&future).unwrap()).unwrap();
    let (owner, mut spec) = (value.owner.clone(), value.spec.clone().unwrap());
    spec.suspend = true;
    let job = model::Job::new(JobName::new("a").unwrap(), spec.clone()).unwrap();
    future["spec"]["suspend"] = json!(true);
    assert_eq!(json(&value.with_spec(&job, spec, owner).to_bytes()), future);
}

#[test]
fn a_job_is_run_by_those_who_have_all_it_needs() {
    let bytes =
        br#"{"name":"a","command":"date","cronExpr":"@daily","needs":["one","two"],"spec":{"schedule":[]}}"#;
    let Err(ValueError::Needs { needs, missing }) = JobValue::read(bytes, &["one"].into_iter().collect())
    else {
        panic!("it is read");
    };
    assert_eq!((needs.to_string(), missing.to_string()), ("one, two".to_owned(), "two".to_owned()));
    let why = JobValue::from_bytes(bytes).unwrap_err();
    assert!(why.may_be_newer());
    assert_eq!(
        why.explain(),
        "the job needs one, two, which this program does not know; update this program"
    );
    // Whoever knows both goes on to read the rest.
    let both = ["two", "one"].into_iter().collect();
    assert!(matches!(JobValue::read(bytes, &both), Err(ValueError::Json(_))));
    assert!(matches!(JobValue::from_bytes(br#"{"needs":"one"}"#), Err(ValueError::Json(_))));
}

#[test]
fn a_policy_that_nobody_knows_yet_is_named_and_may_be_right() {
    let bytes =
        br#"{"spec":{"schedule":"@daily","concurrencyPolicy":"Queue","template":{"command":"date"}}}"#;
    let why = JobValue::from_bytes(bytes).unwrap_err();
    assert!(why.may_be_newer());
    assert_eq!(
        why.explain(),
        "spec.concurrencyPolicy is \"Queue\", which this program does not know; write Forbid or Allow, or update \
         this program"
    );
}

#[test]
fn values_are_compared_by_what_they_mean() {
    let read = |text: &str| JobValue::read(text.as_bytes(), &["f"].into_iter().collect()).unwrap();
    let least = r#"{"name":"a","command":"date","cronExpr":"0 0 0 * * * *","spec":{"schedule":"@daily","template":{"command":"date"}}}"#;
    let same = [
        (
            "the order of fields",
            r#"{"spec":{"template":{"command":"date"},"schedule":"@daily"},"cronExpr":"0 0 0 * * * *","command":"date","name":"a"}"#,
        ),
        (
            "defaults spelt out",
            r#"{"name":"a","command":"date","cronExpr":"0 0 0 * * * *","needs":[],"spec":{"schedule":"@daily","timeZone":"UTC","suspend":false,"concurrencyPolicy":"Forbid","template":{"command":"date","env":[],"output":{"limitBytes":1048576}}}}"#,
        ),
        (
            "unknown fields",
            r#"{"name":"a","command":"date","cronExpr":"0 0 0 * * * *","x":1,"spec":{"schedule":"@daily","y":2,"template":{"command":"date","z":3}}}"#,
        ),
        (
            "other words for people",
            r#"{"name":"a","command":"'date'","cronExpr":"@daily","spec":{"schedule":"@daily","template":{"command":"date"}}}"#,
        ),
    ];
    for (what, text) in same {
        assert!(read(least).means_the_same(&read(text)) && read(text).means_the_same(&read(least)), "{what}");
    }
    let other = [
        ("another schedule", least.replace("\"@daily\"", "\"@hourly\"")),
        ("needs", least.replace("\"spec\"", "\"needs\":[\"f\"],\"spec\"")),
        ("an owner", least.replace("\"spec\"", "\"owner\":{\"manifest\":{\"path\":\"p\"}},\"spec\"")),
        ("the legacy form", r#"{"name":"a","command":"date","cronExpr":"0 0 0 * * * *"}"#.to_owned()),
    ];
    for (what, text) in &other {
        assert!(
            !read(least).means_the_same(&read(text)) && !read(text).means_the_same(&read(least)),
            "{what}"
        );
    }
    let legacy = read(&other[3].1);
    assert!(legacy.means_the_same(&read(r#"{"cronExpr":"0 0 0 * * * *","command":"date"}"#)));
    assert!(!legacy.means_the_same(&read(r#"{"cronExpr":"0 0 0 * * * *","command":"who"}"#)));
}

#[test]
fn a_job_half_written_by_another_version_runs_as_far_as_it_is_known() {
    let (_, future) = of_the_future().remove(0);
    let value = JobValue::from_bytes(&serde_json::to_vec(&future).unwrap()).unwrap();
    let job = value.into_job(JobName::new("a").unwrap(), TimeZone::UTC).unwrap();
    assert_eq!(job.command.display(), "date");
}
