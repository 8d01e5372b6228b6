//! From what workers do to what resources say.

use e2e::{Mongo, Worker, WorkerOptions, until};
use serde_json::json;

use crate::world::World;

#[test]
fn runs_show_in_the_status_and_failed_ones_in_events() {
    let world = World::start();
    let mongo = Mongo::start();
    let _controller = world.controller();
    let _worker = Worker::start(WorkerOptions::new(&world.etcd, &mongo, "node-1"));
    world.apply("good", &json!({"schedule": "* * * * * *", "template": {"command": "true"}}));
    world.apply("bad", &json!({"schedule": "* * * * * *", "template": {"command": "exit 3"}}));
    world.apply("long", &json!({"schedule": "* * * * * *", "template": {"command": "sleep 300"}}));
    world.until_condition("good", "LastRunSucceeded", "True", "Succeeded");
    let message = world.until_condition("bad", "LastRunSucceeded", "False", "Failed");
    assert!(message.starts_with("run "), "{message}");
    assert_eq!(world.condition("bad", "Ready")["status"], "True", "the job is well; its command is not");
    world.until_event("bad", "RunFailed");
    until("the times", || {
        let status = &world.resource("good")["status"];
        let times = ["lastScheduleTime", "lastSuccessfulTime", "nextScheduleTime"];
        times.iter().all(|time| status[time].is_string()).then_some(())
    });
    until("the run that goes on", || {
        let status = &world.resource("long")["status"];
        let run = &status["activeRuns"][0];
        (status["active"] == 1 && run["node"] == "node-1" && run["runId"].is_string()).then_some(())
    });
    let table = world.api.kubectl(&["get", "ncj"]);
    let line = table.lines().find(|line| line.starts_with("bad")).expect("it is listed");
    assert!(line.contains("Failed") && line.contains("True"), "{table}");
}
