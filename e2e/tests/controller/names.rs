//! Who has which name.

use e2e::{Controller, until};
use serde_json::{Value, json};

use crate::world::{World, yearly};

fn named(job: &str, command: &str) -> Value {
    json!({"schedule": "0 0 1 1 *", "jobName": job, "template": {"command": command}})
}

fn honouring(world: &World) -> Controller {
    let mut options = world.options();
    options.arguments = vec!["--job-name-namespace=default".to_owned()];
    Controller::start(options)
}

#[test]
fn of_two_that_want_one_name_the_holder_keeps_it_until_it_goes() {
    let world = World::start();
    let mut controller = honouring(&world);
    world.apply("first", &named("backup", "echo first"));
    world.until_ready("first");
    world.apply("second", &named("backup", "echo second"));
    let message = world.until_condition("second", "Stalled", "True", "JobNameConflict");
    assert!(message.contains("default/first"), "it says whose the name is: {message}");
    assert_eq!(world.job("backup").unwrap()["command"], "echo first");
    assert_eq!(world.condition("first", "Ready")["status"], "True");
    world.until_event("second", "JobNameConflict");

    controller.kill();
    controller.start_again();
    controller.until_ready();
    world.apply("first", &named("backup", "echo edited"));
    until("the holder's edit", || (world.job("backup")?["command"] == "echo edited").then_some(()));
    assert_eq!(world.condition("second", "Ready")["status"], "False");

    world.api.kubectl(&["delete", "ncj", "first"]);
    world.until_ready("second");
    assert_eq!(world.job("backup").unwrap()["command"], "echo second");
}

#[test]
fn a_name_of_ones_own_is_honoured_only_where_the_controller_was_told_and_takes_a_job_over() {
    let world = World::start();
    world.api.kubectl(&["create", "namespace", "other"]);
    world.put("jobs/backup", r#"{"name":"backup","command":"echo legacy","cronExpr":"0 3 * * *"}"#);
    let _controller = honouring(&world);
    world.apply_in("other", "thief", &named("backup", "echo thief"));
    until("the refusal", || {
        let output = world.api.kubectl(&["get", "ncj", "thief", "--namespace=other", "--output=json"]);
        let found = crate::world::condition(&serde_json::from_str(&output).unwrap(), "Stalled");
        let told =
            found["message"].as_str().is_some_and(|message| message.contains("--job-name-namespace other"));
        (found["reason"] == "JobNameNotHonoured" && told).then_some(())
    });
    assert_eq!(world.job("backup").unwrap()["command"], "echo legacy");
    world.apply("backup", &named("backup", "echo ours"));
    world.until_ready("backup");
    assert_eq!(world.job("backup").unwrap()["command"], "echo ours");
    assert_eq!(world.value("lock/backup").as_deref(), Some("reserved"));
}

#[test]
fn a_job_that_a_worker_of_the_replaced_system_runs_is_reserved_when_that_run_ends() {
    let world = World::start();
    let _controller = world.controller();
    // Somebody of the replaced system holds the lock of a name that no job has.
    world.put("lock/default/new", "");
    world.apply("new", &yearly("true"));
    let message = world.until_condition("new", "Ready", "False", "HeldByLegacyWorker");
    assert!(message.contains("replaced system"), "{message}");
    assert_eq!(world.job("default/new"), None);
    world.delete("lock/default/new");
    world.until_ready("new");
    assert_eq!(world.value("lock/default/new").as_deref(), Some("reserved"));
}

#[test]
fn resources_of_other_namespaces_are_none_of_a_limited_controllers_business() {
    let world = World::start();
    world.api.kubectl(&["create", "namespace", "other"]);
    let mut options = world.options();
    options.arguments = vec!["--namespace=other".to_owned()];
    let mut controller = Controller::start(options);
    world.apply("a", &yearly("true"));
    world.apply_in("other", "b", &yearly("true"));
    until("the one in its namespace", || world.job("other/b").map(drop));
    assert_eq!(world.job("default/a"), None);
    controller.kill();

    // And it sweeps nothing of theirs.
    let all = world.controller();
    world.until_ready("a");
    drop(all);
    controller.start_again();
    controller.until_ready();
    world.api.kubectl(&["delete", "ncj", "b", "--namespace=other"]);
    until("the sweep of its own", || world.job("other/b").is_none().then_some(()));
    assert!(world.job("default/a").is_some());
}
