//! Jobs as resources of an API server, with the controller.

use e2e::{Controller, ControllerOptions, Etcd, KubeApi};
use serde_json::{Value, json};

use crate::world::Place;

fn apply(api: &KubeApi, namespace: &str, name: &str, spec: &Value) {
    let resource = json!({
        "apiVersion": "crontab.dev/v1alpha1",
        "kind": "NodeCronJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    });
    api.apply(&resource.to_string());
}

fn place(kubeconfig: &std::path::Path) -> Place {
    Place { environment: vec![("KUBECONFIG", kubeconfig.display().to_string())], ..Place::default() }
}

#[test]
fn resources_are_listed_and_suspended_as_kubectl_would() {
    let (etcd, api) = (Etcd::start(), KubeApi::start());
    let cluster = place(&api.kubeconfig());
    let undefined = cluster.run(&["get"]);
    assert!(undefined.said.contains("crds/nodecronjobs.yaml") && undefined.status == 1, "{undefined:?}");
    api.kubectl(&["apply", "--filename", concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/nodecronjobs.yaml")]);
    api.kubectl(&["wait", "--for=condition=Established", "crd/nodecronjobs.crontab.dev", "--timeout=30s"]);
    let nothing = cluster.run(&["get"]);
    assert_eq!((nothing.said.as_str(), nothing.status), ("No jobs.\n", 0));

    api.kubectl(&["create", "namespace", "ops"]);
    let spec = |schedule: &str| json!({"schedule": schedule, "template": {"command": "echo hello"}});
    apply(&api, "default", "hello", &spec("*/5 * * * *"));
    apply(&api, "default", "never", &spec("0 0 31 2 *"));
    apply(&api, "ops", "rotate", &spec("0 3 * * *"));
    let mut named = spec("0 4 * * *");
    named["jobName"] = "old name".into();
    apply(&api, "default", "taken", &named);
    let pending = cluster.run(&["get", "hello"]);
    assert_eq!(pending.row("default/hello").last(), Some(&"Pending"), "{pending:?}");

    let mut options = ControllerOptions::new(&etcd, &api);
    options.arguments = vec!["--job-name-namespace=default".to_owned()];
    let _controller = Controller::start(options);
    let table = cluster.until(&["get"], |table| table.row("default/hello").last() == Some(&"Idle"));
    assert_eq!(table.row("default/hello")[..4], ["*/5 * * * *", "UTC", "false", "0"], "{table:?}");
    assert_eq!(table.row("default/never").last(), Some(&"Invalid"), "{table:?}");
    assert!(!table.printed.contains("ops/rotate"), "the context's namespace alone: {table:?}");
    assert!(cluster.ok(&["get", "-A"]).contains("ops/rotate"));
    assert!(cluster.ok(&["get", "-n", "ops", "rotate"]).contains("ops/rotate"));
    assert!(cluster.ok(&["get", "ops/rotate"]).contains("ops/rotate"));
    let taken = cluster.run(&["get", "old name", "taken", "-o", "json"]).json();
    let listed: Vec<&Value> =
        taken["jobs"].as_array().expect("jobs").iter().map(|job| &job["name"]).collect();
    assert_eq!(listed, ["old name", "old name"]);
    assert_eq!(taken["jobs"][0]["owner"]["resource"]["name"], "taken");
    assert_eq!(taken["jobs"][0]["state"], "idle");

    // Suspended by an edit of the spec, which says who made it.
    let before = resource(&api, "hello");
    assert_eq!(
        cluster.ok(&["suspend", "hello", "ops/rotate"]),
        "default/hello suspended\nops/rotate suspended\n"
    );
    assert_eq!(cluster.ok(&["suspend", "hello"]), "default/hello already suspended\n");
    let after = resource(&api, "hello");
    assert_eq!((&before["spec"]["suspend"], &after["spec"]["suspend"]), (&json!(false), &json!(true)));
    assert_eq!(after["spec"]["template"], before["spec"]["template"]);
    let writers = after["metadata"]["managedFields"].as_array().expect("managers");
    assert!(writers.iter().any(|writer| writer["manager"] == "cronctl"), "{writers:?}");
    assert_eq!(cluster.run(&["get", "hello"]).row("default/hello")[2], "true");
    assert_eq!(cluster.ok(&["resume", "hello"]), "default/hello resumed\n");
    assert_eq!(cluster.ok(&["suspend", "old name"]), "old name suspended\n");

    // What the API server does not know, and what it does not let people do.
    let unknown = cluster.run(&["get", "helo"]);
    assert_eq!(
        (unknown.said.as_str(), unknown.status),
        ("cronctl: there is no job helo; did you mean default/hello?\n", 1)
    );
    for arguments in [["kill", "hello"], ["logs", "hello"], ["history", "hello"]] {
        let refused = cluster.run(&arguments);
        assert!(
            refused.said.contains("--master http://127.0.0.1:8070/") && refused.status == 2,
            "{refused:?}"
        );
    }
    let nobody = place(&api.kubeconfig_of("ops", "nobody"));
    let refused = nobody.run(&["get", "-n", "ops"]);
    let wanted =
        "the API server does not let you list NodeCronJobs in the namespace ops; ask for the verb list there";
    assert!(refused.said.contains(wanted) && refused.status == 1, "{refused:?}");
    let wrong = Place { options: vec!["--context".to_owned(), "nowhere".to_owned()], ..cluster };
    let wrong = wrong.run(&["get"]);
    assert!(
        wrong.said.contains("--context") && wrong.said.contains("get-contexts") && wrong.status == 2,
        "{wrong:?}"
    );
}

fn resource(api: &KubeApi, name: &str) -> Value {
    let text = api.kubectl(&["get", "ncj", name, "--output=json", "--show-managed-fields"]);
    serde_json::from_str(&text).expect("kubectl prints JSON")
}
