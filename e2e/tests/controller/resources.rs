//! From resources to the tree.

use e2e::until;
use serde_json::json;

use crate::world::{World, yearly};

#[test]
fn a_resource_becomes_a_job_follows_its_edits_and_goes_with_it() {
    let world = World::start();
    let _controller = world.controller();
    world.apply("rotate", &yearly("echo one"));
    let message = world.until_ready("rotate");
    assert!(message.contains("00:00"), "it says when it runs: {message}");
    let job = world.job("default/rotate").expect("the job is in the tree");
    assert_eq!(job["name"], "default/rotate");
    assert_eq!(job["command"], "echo one");
    assert_eq!(job["cronExpr"], "0 0 0 1 1 * *", "as the replaced system reads it");
    let resource = world.resource("rotate");
    assert_eq!(job["owner"]["resource"]["uid"], resource["metadata"]["uid"]);
    assert_eq!(world.value("lock/default/rotate").as_deref(), Some("reserved"));
    assert_eq!(resource["status"]["jobName"], "default/rotate");
    assert_eq!(resource["status"]["observedGeneration"], 1);
    world.until_event("rotate", "Accepted");

    world.apply("rotate", &yearly("echo two"));
    until("the edit to reach the tree", || {
        (world.job("default/rotate")?["command"] == "echo two").then_some(())
    });
    until("the edit to be observed", || {
        (world.resource("rotate")["status"]["observedGeneration"] == 2).then_some(())
    });
    world.until_event("rotate", "Updated");

    world.api.kubectl(&["delete", "ncj", "rotate"]);
    until("the job to go", || world.job("default/rotate").is_none().then_some(()));
}

#[test]
fn suspending_reaches_the_tree_and_the_status() {
    let world = World::start();
    let _controller = world.controller();
    world.apply("a", &yearly("true"));
    world.until_ready("a");
    assert_eq!(world.condition("a", "Suspended")["status"], "False");
    assert!(world.resource("a")["status"]["nextScheduleTime"].is_string());

    world.api.kubectl(&["patch", "ncj", "a", "--type=merge", "--patch", r#"{"spec":{"suspend":true}}"#]);
    world.until_condition("a", "Suspended", "True", "SuspendRequested");
    assert_eq!(world.job("default/a").unwrap()["spec"]["suspend"], true);
    assert!(world.resource("a")["status"]["nextScheduleTime"].is_null());
    assert_eq!(world.condition("a", "Ready")["status"], "True", "a suspended job is well");
}

#[test]
fn what_somebody_changes_or_deletes_in_the_tree_is_put_back() {
    let world = World::start();
    let _controller = world.controller();
    world.apply("a", &yearly("true"));
    world.until_ready("a");
    let right = world.value("jobs/default/a").unwrap();

    world.put("jobs/default/a", r#"{"name":"default/a","command":"rm -rf /","cronExpr":"* * * * *"}"#);
    until("the job to be put back", || (world.value("jobs/default/a")? == right).then_some(()));
    world.until_event("a", "PutBack");
    world.delete("jobs/default/a");
    until("the job to be put back", || (world.value("jobs/default/a")? == right).then_some(()));
    world.delete("lock/default/a");
    until("the lock to be put back", || (world.value("lock/default/a")? == "reserved").then_some(()));
}

#[test]
fn jobs_without_an_owner_are_left_alone_and_those_of_deleted_resources_swept() {
    let world = World::start();
    let by_hand = r#"{"name":"by hand","command":"true","cronExpr":"* * * * *"}"#;
    world.put("jobs/by hand", by_hand);
    world.put("jobs/default/garbage", "{");
    let mut controller = world.controller();
    for name in ["kept", "deleted"] {
        world.apply(name, &yearly("true"));
        world.until_ready(name);
    }
    controller.kill();
    // Nobody sees this one go.
    world.api.kubectl(&["delete", "ncj", "deleted"]);
    controller.start_again();
    until("the orphan to be swept", || world.job("default/deleted").is_none().then_some(()));
    assert_eq!(world.value("jobs/by hand").as_deref(), Some(by_hand));
    assert_eq!(world.value("jobs/default/garbage").as_deref(), Some("{"));
    assert!(world.job("default/kept").is_some());
}

#[test]
fn a_resource_that_is_deleted_and_created_anew_is_another_job() {
    let world = World::start();
    let mut controller = world.controller();
    world.apply("a", &yearly("echo old"));
    world.until_ready("a");
    controller.kill();
    world.api.kubectl(&["delete", "ncj", "a"]);
    world.apply("a", &yearly("echo new"));
    controller.start_again();
    world.until_ready("a");
    let job = world.job("default/a").unwrap();
    assert_eq!(job["command"], "echo new");
    assert_eq!(job["owner"]["resource"]["uid"], world.resource("a")["metadata"]["uid"]);
}

#[test]
fn a_resource_that_can_never_run_says_so_alone_and_what_ran_before_goes_on() {
    let world = World::start();
    let _controller = world.controller();
    world.apply("good", &yearly("true"));
    // The rules of the definition can't see these.
    world.apply("february", &json!({"schedule": "0 0 31 2 *", "template": {"command": "true"}}));
    world.until_ready("good");
    let message = world.until_condition("february", "Stalled", "True", "InvalidSchedule");
    assert!(message.contains("spec.schedule"), "{message}");
    assert_eq!(world.condition("february", "Ready")["status"], "False");
    assert_eq!(world.job("default/february"), None);
    world.until_event("february", "InvalidSchedule");

    world.apply("good", &json!({"schedule": "0 0 31 2 *", "template": {"command": "true"}}));
    let message = world.until_condition("good", "Stalled", "True", "InvalidSchedule");
    assert!(message.contains("as it was before"), "{message}");
    assert_eq!(world.job("default/good").unwrap()["spec"]["schedule"], "0 0 1 1 *");
    world.apply("good", &yearly("true"));
    world.until_ready("good");
    assert_eq!(world.condition("good", "Stalled"), serde_json::Value::Null, "it is mended");
}

#[test]
fn an_object_that_an_older_definition_let_in_fails_alone() {
    let world = World::start();
    // One without rules, as a careless operator might install.
    let definition =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/nodecronjobs.yaml"));
    let definition = definition.expect("it is in the checkout");
    world.api.kubectl(&[
        "patch",
        "crd",
        "nodecronjobs.crontab.dev",
        "--type=json",
        "--patch",
        r#"[
        {"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema",
         "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            {"op": "remove", "path": "/spec/versions/0/selectableFields"}]"#,
    ]);
    until("the loose definition to hold", || {
        let odd = r#"{"apiVersion":"crontab.dev/v1alpha1","kind":"NodeCronJob","metadata":{"name":"odd"},"spec":{"schedule":7}}"#;
        world.api.kubectl_output(&["apply", "--filename", "-"], odd).status.success().then_some(())
    });
    world.apply("good", &yearly("true"));
    let _controller = world.controller();
    world.until_ready("good");
    world.api.apply(&definition);
    let message = world.until_condition("odd", "Stalled", "True", "InvalidObject");
    assert!(message.contains("can't be read"), "{message}");
}

#[test]
fn labels_of_nodes_are_in_the_tree() {
    let world = World::start();
    let node = |labels: &str| {
        world.api.apply(&format!(
            r#"{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"node-1","labels":{labels}}}}}"#
        ));
    };
    node(r#"{"disk":"ssd"}"#);
    world.put("nodes/gone", "{}");
    let _controller = world.controller();
    let labels = || -> Option<serde_json::Value> { serde_json::from_str(&world.value("nodes/node-1")?).ok() };
    until("the labels", || (labels()?["disk"] == "ssd").then_some(()));
    until("the gone node to go", || world.value("nodes/gone").is_none().then_some(()));
    node(r#"{"disk":"hdd"}"#);
    until("the changed label", || (labels()?["disk"] == "hdd").then_some(()));
    world.api.kubectl(&["delete", "node", "node-1"]);
    until("the node to go", || world.value("nodes/node-1").is_none().then_some(()));
}
