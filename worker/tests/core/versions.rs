//! Workers of different versions on one tree: who runs what, and what is left of values that a newer one wrote.

use model::keys::Key;
use model::run::{Revision, RunId, Slot};
use model::{UnixMillis, values};
use serde_json::{Value, json};
use store::{Op, Range};
use worker::executor::ExitResult;

use crate::rig::{DAY, Rig, name};

const OVERLAP: &str = "*/10 * * * * *";

/// A job that needs these features, of a form that only they explain if it has other fields.
fn put_needy(rig: &mut Rig, job: &str, needs: &[&str], fields: Value) {
    rig.job(job, fields);
    let mut value = value(rig, &Key::Job(name(job)));
    value["needs"] = json!(needs);
    rig.write(Op::Put(Key::Job(name(job)), value.to_string().into_bytes()));
}

fn value(rig: &Rig, key: &Key) -> Value {
    serde_json::from_slice(&rig.tree.get(key).expect("it is there").value).unwrap()
}

/// Adds fields to a value, as a newer version does.
fn extend(rig: &mut Rig, key: Key, fields: Value) {
    let mut value = value(rig, &key);
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    value.as_object_mut().unwrap().extend(fields);
    rig.write(Op::Put(key, value.to_string().into_bytes()));
}

fn run_key(rig: &Rig, job: &str) -> Key {
    let runs: Vec<&str> = rig.tree.list(&Range::RunsOf(name(job))).map(|pair| pair.key.as_str()).collect();
    let run = runs[0].rsplit('/').next().unwrap().parse().unwrap();
    Key::Run(name(job).into(), run)
}

#[test]
fn a_job_runs_at_once_where_what_it_needs_is_known_and_nowhere_else() {
    let mut rig = Rig::new();
    rig.add_version("b", &["f", "g"]);
    for n in 0..20 {
        put_needy(&mut rig, &format!("j{n}"), &["f"], json!({}));
    }
    rig.job("plain", json!({}));
    rig.pass_until(62);
    let starts = rig.starts();
    assert_eq!(starts.iter().filter(|(node, at)| (*node, *at) == (1, 60)).count(), starts.len());
    assert!(starts.len() >= 20, "{starts:?}");
    assert!(rig.nodes[0].notes.is_empty(), "somebody has it: {:?}", rig.nodes[0].notes);
    // The only one who has it goes: the others say so once, and wait.
    let session = rig.nodes.pop().unwrap().core.session().clone();
    rig.tree.close_session(rig.boot, &session);
    rig.pass_until(200);
    let told = rig.nodes[0].notes.iter().filter(|note| note.contains("needs f, and no live worker has"));
    assert_eq!(told.count(), 20, "{:?}", rig.nodes[0].notes);
    assert_eq!(rig.runs("j0").len(), 1, "its run is left to whoever comes");
    // Another one comes, and ends the run that was left.
    rig.add_version("c", &["f"]);
    rig.pass_until(250);
    assert!(rig.starts().contains(&(1, 240)), "{:?}", rig.starts());
    assert!(rig.outcomes("j0").contains(&"Lost".to_owned()));
}

#[test]
fn a_job_that_begins_to_need_something_is_left_and_one_that_ceases_to_is_taken() {
    let mut rig = Rig::new();
    rig.job("j", json!({"schedule": OVERLAP, "concurrencyPolicy": "Allow"}));
    rig.pass_until(12);
    put_needy(&mut rig, "j", &["f"], json!({"schedule": OVERLAP, "concurrencyPolicy": "Allow"}));
    // What it means is not even looked at.
    extend(&mut rig, Key::Job(name("j")), json!({"spec": {"schedule": ["of", "another", "form"]}}));
    rig.pass_until(42);
    assert_eq!(rig.starts(), [(0, 10)]);
    let key = rig.nodes[0].started[0].key;
    rig.ended(0, key, ExitResult::Exited(0), None);
    assert_eq!(rig.outcomes("j"), ["Succeeded"], "its own run it ends all the same");
    rig.job("j", json!({"schedule": OVERLAP, "concurrencyPolicy": "Allow", "missedRunPolicy": "Skip"}));
    rig.pass_until(52);
    assert_eq!(rig.starts().last(), Some(&(0, 50)));
}

#[test]
fn what_is_unknown_of_cursor_status_and_run_outlives_claims_ends_and_skips() {
    let mut rig = Rig::new();
    rig.job("j", json!({"schedule": OVERLAP}));
    rig.pass_until(12);
    extend(&mut rig, Key::Cursor(name("j").into()), json!({"x": [1], "jitter": {"y": 0.5}}));
    let run = run_key(&rig, "j");
    extend(&mut rig, run.clone(), json!({"avoid": ["a"]}));
    let first = rig.nodes[0].started[0].key;
    let status = json!({
        "runs": {"Replaced": 3}, "skipped": {"Paused": 4}, "z": null,
        "recent": [{"run": "1764000000000-00000000000000ff", "slot": 1, "outcome": "Replaced", "ended": 2, "started": 1}],
    });
    rig.write(Op::Put(Key::Status(name("j").into()), status.to_string().into_bytes()));
    rig.pass_until(32);
    assert_eq!(value(&rig, &Key::Status(name("j").into()))["skipped"], json!({"Overlap": 2, "Paused": 4}));
    rig.ended(0, first, ExitResult::Exited(0), None);
    rig.pass_until(42);
    let status = value(&rig, &Key::Status(name("j").into()));
    assert_eq!(status["runs"], json!({"Replaced": 3, "Succeeded": 1}));
    assert_eq!((&status["recent"][0]["started"], status.get("z")), (&json!(1), Some(&Value::Null)));
    let cursor = value(&rig, &Key::Cursor(name("j").into()));
    assert_eq!((&cursor["x"], &cursor["jitter"]), (&json!([1]), &json!({"y": 0.5})));
    assert_eq!(cursor["slot"], json!(DAY + 40_000), "it has moved since");
    // A new incarnation begins without.
    rig.delete("j");
    rig.job("j", json!({"schedule": OVERLAP}));
    rig.pass_until(52);
    assert_eq!(value(&rig, &Key::Cursor(name("j").into())).get("x"), None);
}

#[test]
fn what_is_unknown_of_a_run_that_waits_is_there_when_it_is_taken_and_lost() {
    let mut rig = Rig::new();
    rig.job("j", json!({"schedule": "0 0 0 1 1 *"}));
    rig.pass_until(2);
    let (created, slot) = (Revision(value_revision(&rig)), Slot(UnixMillis(DAY)));
    let id = RunId::of_slot(name("j"), created, slot);
    let waits = json!({
        "session": "gone", "node": "x", "slot": DAY, "attempt": 0, "claimed": DAY, "definition": created, "job": created,
        "waiting": {"because": "b", "notBefore": 5}, "avoid": ["x"],
    });
    let key = Key::Run(name("j").into(), id);
    rig.write(Op::Put(key.clone(), waits.to_string().into_bytes()));
    rig.pass_until(5);
    assert_eq!(rig.starts().len(), 1, "it is taken");
    let run = value(&rig, &key);
    assert_eq!((&run["avoid"], run.get("waiting")), (&json!(["x"]), None));
    let session = rig.nodes.pop().unwrap().core.session().clone();
    rig.tree.close_session(rig.boot, &session);
    rig.add("b", None);
    rig.nodes[0].log_is_away = true;
    rig.pass_until(60);
    let run = value(&rig, &key);
    assert_eq!((&run["ended"]["outcome"], &run["avoid"]), (&json!("Lost"), &json!(["x"])));
}

fn value_revision(rig: &Rig) -> i64 {
    rig.tree.get(&Key::Job(name("j"))).unwrap().created.0
}

#[test]
fn a_run_that_needs_what_is_unknown_is_left_alone_and_keeps_its_job_busy() {
    for of_another_form in [false, true] {
        let mut rig = Rig::new();
        rig.job("j", json!({"schedule": OVERLAP}));
        rig.pass_until(2);
        let created = value_revision(&rig);
        let id = RunId::of_slot(name("j"), Revision(created), Slot(UnixMillis(DAY)));
        let mut run = json!({
            "session": "gone", "node": "a", "slot": DAY, "attempt": 0, "claimed": DAY, "definition": created,
            "job": created, "waiting": {"because": "b"}, "needs": ["f"],
        });
        if of_another_form {
            run["slot"] = json!({"day": 1});
        }
        let bytes = run.to_string().into_bytes();
        assert_eq!(values::needs_of(&bytes).to_string(), "f");
        rig.write(Op::Put(Key::Run(name("j").into(), id.clone()), bytes.clone()));
        rig.pass_until(100);
        assert_eq!(rig.starts(), [], "{of_another_form}");
        let kept = rig.tree.get(&Key::Run(name("j").into(), id)).map(|pair| pair.value.clone());
        assert_eq!(kept, Some(bytes));
        // Whoever knows it decides about it: its slot was missed by now.
        if !of_another_form {
            rig.add_version("b", &["f"]);
            rig.pass_until(110);
            assert_eq!(rig.starts(), [(1, 100)]);
            assert!(rig.log.skipped(&name("j"), 10).iter().any(|skip| skip.skipped.from.0.0 == DAY));
        }
    }
}

#[test]
fn a_job_with_a_policy_that_nobody_knows_yet_is_not_run_and_not_changed() {
    let mut rig = Rig::new();
    let text =
        json!({"spec": {"schedule": OVERLAP, "concurrencyPolicy": "Queue", "template": {"command": "true"}}});
    rig.write(Op::Put(Key::Job(name("j")), text.to_string().into_bytes()));
    rig.pass_until(30);
    assert_eq!((rig.starts(), value(&rig, &Key::Job(name("j")))), (Vec::new(), text));
}

#[test]
fn what_a_deleted_job_left_is_collected_although_its_needs_are_unknown() {
    let mut rig = Rig::new();
    rig.job("j", json!({"schedule": OVERLAP}));
    rig.pass_until(12);
    let key = rig.nodes[0].started[0].key;
    rig.ended(0, key, ExitResult::Exited(0), None);
    put_needy(&mut rig, "j", &["f"], json!({"schedule": OVERLAP}));
    rig.pass_until(25);
    assert!(rig.tree.get(&Key::Cursor(name("j").into())).is_some());
    rig.delete("j");
    rig.pass_until(27);
    assert!(rig.tree.get(&Key::Cursor(name("j").into())).is_none());
}
