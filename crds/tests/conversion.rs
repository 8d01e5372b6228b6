//! From the resource to the domain's job.

use std::time::Duration;

use crds::{ConvertError, NodeCronJob, NodeCronJobSpec, to_job};
use model::job::{Command, JobSpec};
use model::name::NameError;
use serde_json::{Value, json};

fn resource(metadata: &Value, spec: &Value) -> NodeCronJob {
    serde_json::from_value(json!({
        "apiVersion": "crontab.dev/v1alpha1", "kind": "NodeCronJob", "metadata": metadata, "spec": spec,
    }))
    .unwrap()
}

#[test]
fn a_resource_is_the_job_of_its_namespace_and_name() {
    let spec = json!({"schedule": "@daily", "template": {"command": "true"}});
    for (metadata, name) in [
        (json!({"name": "rotate", "namespace": "ops"}), "ops/rotate"),
        (json!({"name": "rotate"}), "default/rotate"),
    ] {
        assert_eq!(to_job(&resource(&metadata, &spec)).unwrap().name.as_str(), name);
    }
    assert_eq!(to_job(&resource(&json!({}), &spec)), Err(ConvertError::Name(NameError::Empty)));
}

#[test]
fn every_field_arrives() {
    let spec = json!({
        "schedule": "0 2 * * *", "timeZone": "Europe/Paris", "suspend": true, "concurrencyPolicy": "Allow",
        "startingDeadlineSeconds": 1, "missedRunPolicy": "All", "missedRunLimit": 7, "successfulRunsHistoryLimit": 2,
        "failedRunsHistoryLimit": 3,
        "template": {
            "command": "a", "shell": ["/bin/bash", "-c"], "workingDir": "/srv", "env": [{"name": "A", "value": "b"}],
            "activeDeadlineSeconds": 4, "terminationGracePeriodSeconds": 5, "output": {"limitBytes": 6},
        },
    });
    let resource: NodeCronJobSpec = serde_json::from_value(spec.clone()).unwrap();
    // The text form of the domain has the same shape, so what arrives can be compared as it is.
    assert_eq!(serde_json::to_value(JobSpec::from(resource)).unwrap(), {
        let mut same = spec;
        same["template"].as_object_mut().unwrap().insert("env".into(), json!([{"name": "A", "value": "b"}]));
        same
    });
}

#[test]
fn defaults_are_those_of_the_domain() {
    let spec = json!({"schedule": "@daily", "template": {"command": "true"}});
    let resource: NodeCronJobSpec = serde_json::from_value(spec.clone()).unwrap();
    assert_eq!(JobSpec::from(resource), serde_json::from_value(spec).unwrap());
}

#[test]
fn the_default_shell_beside_exec_means_nothing() {
    // An API server writes the default into every object.
    let spec = json!({"schedule": "@daily", "template": {"exec": ["true"], "shell": ["/bin/sh", "-c"]}});
    let job = to_job(&resource(&json!({"name": "x"}), &spec)).unwrap();
    assert_eq!(job.command, Command::Exec(["true".to_owned()].into()));
    assert_eq!(job.grace, Duration::from_secs(30));
}

#[test]
fn what_a_schema_cannot_see_is_refused_with_the_field() {
    let spec = json!({"schedule": "0 0 31 2 *", "template": {"command": "true"}});
    let Err(ConvertError::Spec(error)) = to_job(&resource(&json!({"name": "x"}), &spec)) else {
        panic!("31 February was accepted")
    };
    assert_eq!(error.field(), "schedule");
}
