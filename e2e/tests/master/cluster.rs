//! `--source kubernetes`: the calls change resources on a real API server. Where no controller runs, what it would put
//! into the tree is put by hand.

use e2e::{Controller, ControllerOptions, Etcd, KubeApi, Master, MasterOptions, Mongo, encode};
use serde_json::{Value, json};

use crate::world::save_form;

const DEFINITION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/nodecronjobs.yaml");

struct Cluster {
    master: Master,
    etcd: Etcd,
    mongo: Mongo,
    api: KubeApi,
}

impl Cluster {
    fn start() -> Self {
        let (api, etcd, mongo) = (KubeApi::start(), Etcd::start(), Mongo::start());
        api.kubectl(&["apply", "--filename", DEFINITION]);
        api.kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd/nodecronjobs.crontab.dev",
            "--timeout=30s",
        ]);
        api.kubectl(&["create", "namespace", "ops"]);
        let kubeconfig = api.kubeconfig().to_str().unwrap().to_owned();
        let master = Master::start(options(&etcd, &mongo, kubeconfig));
        Self { master, etcd, mongo, api }
    }

    /// The resources in a namespace.
    fn resources(&self, namespace: &str) -> Vec<Value> {
        let list = self.api.kubectl(&["get", "ncj", "--namespace", namespace, "--output=json"]);
        let list: Value = serde_json::from_str(&list).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    fn apply(&self, namespace: &str, name: &str, spec: &Value) {
        let resource = json!({
            "apiVersion": "crontab.dev/v1alpha1", "kind": "NodeCronJob",
            "metadata": { "name": name, "namespace": namespace }, "spec": spec,
        });
        self.api.apply(&resource.to_string());
    }

    /// Puts a resource's job into the tree, as its controller does.
    fn bring(&self, job: &str, resource: &Value, cron_expr: &str) {
        let spec = &resource["spec"];
        let template = json!({ "command": spec["template"]["command"] });
        let value = json!({
            "name": job, "command": spec["template"]["command"], "cronExpr": cron_expr,
            "spec": { "schedule": spec["schedule"], "timeZone": spec["timeZone"], "template": template },
            "owner": { "resource": {
                "namespace": resource["metadata"]["namespace"], "name": resource["metadata"]["name"],
                "uid": resource["metadata"]["uid"],
            } },
        });
        self.etcd.ctl(&["put", "--", &format!("/cron/jobs/{job}"), &value.to_string()]);
    }
}

fn options(etcd: &Etcd, mongo: &Mongo, kubeconfig: String) -> MasterOptions {
    let arguments = ["--source", "kubernetes", "--namespace", "ops", "--time-zone", "Europe/Paris"];
    MasterOptions {
        arguments: arguments.iter().map(ToString::to_string).collect(),
        environment: vec![("KUBECONFIG".to_owned(), kubeconfig)],
        ..MasterOptions::new(etcd, mongo)
    }
}

fn success(data: &Value) -> Value {
    json!({ "errno": 0, "msg": "success", "data": data })
}

#[test]
fn a_save_makes_a_resource_and_changes_only_command_and_expression() {
    let cluster = Cluster::start();
    let saved = cluster.master.save("Rotate logs", "a && b < c", "0 12 * * * 2099").json();
    assert_eq!(saved, success(&Value::Null));
    let made = cluster.resources("ops").remove(0);
    assert!(made["metadata"]["name"].as_str().unwrap().starts_with("rotate-logs-"), "{made}");
    assert_eq!(
        (&made["spec"]["jobName"], &made["spec"]["schedule"], &made["spec"]["timeZone"]),
        (&json!("Rotate logs"), &json!("0 0 12 * * * 2099"), &json!("Europe/Paris"))
    );
    assert_eq!(made["spec"]["template"]["command"], "a && b < c");

    // Somebody refines it; the job as listed is saved with another command.
    let name = made["metadata"]["name"].as_str().unwrap();
    let refined = r#"{"spec":{"timeZone":"Asia/Tokyo","concurrencyPolicy":"Allow","template":{"env":[{"name":"A","value":"b"}]}}}"#;
    cluster.api.kubectl(&["patch", "ncj", name, "--namespace=ops", "--type=merge", "--patch", refined]);
    let refined = cluster.resources("ops").remove(0);
    cluster.bring("Rotate logs", &refined, "0 0 12 * * * 2099");
    let listed = cluster.master.get("/job/list").json()["data"][0].clone();
    let answer = cluster.master.save("Rotate logs", "d", listed["cronExpr"].as_str().unwrap()).json();
    assert_eq!(answer, success(&listed));
    let mut expected = refined["spec"].clone();
    expected["template"]["command"] = "d".into();
    assert_eq!(cluster.resources("ops")[0]["spec"], expected);

    // What is listed, saved as it is, changes nothing at all.
    let before = cluster.resources("ops").remove(0);
    cluster.bring("Rotate logs", &before, "0 0 12 * * * 2099");
    cluster.master.save("Rotate logs", "d", "0 0 12 * * * 2099");
    assert_eq!(cluster.resources("ops").remove(0), before);

    cluster.master.save("Rotate logs", "d", "30 4 * * MON");
    expected["schedule"] = "30 4 * * MON".into();
    assert_eq!(cluster.resources("ops")[0]["spec"], expected);

    let deleted = cluster.master.post("/job/delete", &format!("name={}", encode("Rotate logs"))).json();
    assert_eq!(deleted["data"]["command"], "d");
    assert_eq!(cluster.resources("ops"), Vec::<Value>::new());
}

#[test]
fn a_name_with_a_slash_is_a_resource_that_is_there_and_a_key_of_nobodys_stays_a_key() {
    let cluster = Cluster::start();
    let spec = json!({ "schedule": "0 3 * * *", "template": { "exec": ["echo", "a b"] } });
    cluster.apply("default", "hello", &spec);
    assert_eq!(cluster.master.save("default/hello", "echo c", "0 3 * * *").json()["errno"], 0);
    let edited = cluster.resources("default").remove(0);
    assert_eq!(edited["spec"]["template"]["command"], "echo c");
    assert_eq!(edited["spec"]["template"].get("exec"), None);
    assert_eq!(edited["spec"].get("jobName"), None);

    let refused = cluster.master.save("default/other", "true", "0 3 * * *").json();
    assert!(
        refused["msg"]
            .as_str()
            .unwrap()
            .contains("there is no NodeCronJob for default/other; make it with kubectl")
    );
    assert_eq!(cluster.master.post("/job/delete", "name=default/other").json(), success(&Value::Null));

    let mine = r#"{"name":"x/mine","command":"true","cronExpr":"0 3 * * *"}"#;
    for name in ["x/mine", "mine"] {
        cluster.etcd.ctl(&["put", &format!("/cron/jobs/{name}"), mine]);
        assert_eq!(cluster.master.save(name, "false", "0 4 * * *").json()["data"]["command"], "true");
        let value = cluster.etcd.ctl(&["get", "--print-value-only", &format!("/cron/jobs/{name}")]);
        assert!(value.contains("\"false\"") && !value.contains("owner"), "{value}");
        let form = format!("name={name}");
        assert_eq!(cluster.master.post("/job/delete", &form).json()["data"]["command"], "false");
        assert_eq!(cluster.etcd.ctl(&["get", &format!("/cron/jobs/{name}")]), "");
    }
    assert_eq!(cluster.resources("default").len(), 1);
    assert_eq!(cluster.resources("ops").len(), 0);
}

#[test]
fn suspend_and_resume_change_the_resource() {
    let cluster = Cluster::start();
    let spec = json!({ "schedule": "0 3 * * *", "timeZone": "UTC", "template": { "command": "true" } });
    cluster.apply("ops", "a", &spec);
    for suspend in [true, false] {
        let body = json!({ "suspend": suspend }).to_string();
        let headers = "Content-Type: application/json\r\n";
        // No controller brings it into the tree, where jobs are read.
        let answer = cluster.master.send("PATCH", "/api/v1/job?name=ops%2Fa", headers, &body);
        assert_eq!(answer.status, 404, "{}", answer.body);
        assert_eq!(cluster.resources("ops")[0]["spec"]["suspend"], suspend);
    }
    cluster.bring("ops/a", &cluster.resources("ops")[0], "0 0 3 * * * *");
    assert_eq!(cluster.master.get("/api/v1/job?name=ops%2Fa").json()["editable"], true);
}

#[test]
fn what_the_api_server_refuses_is_said_with_what_to_do() {
    let cluster = Cluster::start();
    let message = |master: &Master, form: &str| {
        let answer = master.post("/job/save", form);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["errno"], -1, "{}", answer.body);
        answer.json()["msg"].as_str().unwrap().to_owned()
    };
    let form = save_form("a", "true", "0 3 * * *");

    // An account without rights.
    let kubeconfig = cluster.api.kubeconfig_of("ops", "nobody").to_str().unwrap().to_owned();
    let weak = Master::start_unready(options(&cluster.etcd, &cluster.mongo, kubeconfig));
    let said = message(&weak, &form);
    assert!(said.contains("grant its service account the verb list there"), "{said}");
    assert!(!weak.is_ready());
    assert_eq!(weak.get("/job/list").json()["errno"], 0);

    // A namespace that is not there.
    let mut elsewhere =
        options(&cluster.etcd, &cluster.mongo, cluster.api.kubeconfig().to_str().unwrap().to_owned());
    elsewhere.arguments[3] = "nowhere".to_owned();
    let said = message(&Master::start(elsewhere), &form);
    assert!(said.contains("namespaces \"nowhere\" not found"), "{said}");

    // A spec that a rule of the definition refuses and this program does not: an admission policy stands for it.
    let policy = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-rm}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [crontab.dev], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [nodecronjobs]}]
  validations: [{expression: "!object.spec.template.command.startsWith('rm ')", message: "no rm here"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-rm}
spec: {policyName: no-rm, validationActions: [Deny]}
"#;
    cluster.api.apply(policy);
    let dangerous = save_form("dangerous", "rm -rf /", "0 3 * * *");
    let said = e2e::until("the policy to count", || {
        let answer = cluster.master.post("/job/save", &dangerous).json();
        let said = answer["msg"].as_str().unwrap().to_owned();
        cluster.api.kubectl(&["delete", "ncj", "--all", "--namespace=ops"]);
        (answer["errno"] == -1).then_some(said)
    });
    assert!(said.contains("refuses it") && said.contains("no rm here"), "{said}");

    // An older definition, without jobName.
    let mut definition: Value = serde_json::from_str(&cluster.api.kubectl(&[
        "get",
        "crd",
        "nodecronjobs.crontab.dev",
        "--output=json",
    ]))
    .unwrap();
    let version = &mut definition["spec"]["versions"][0];
    let spec = &mut version["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["properties"].as_object_mut().unwrap().remove("jobName");
    spec.as_object_mut().unwrap().remove("x-kubernetes-validations");
    version["selectableFields"] = json!([{ "jsonPath": ".spec.suspend" }]);
    cluster.api.kubectl(&["delete", "crd", "nodecronjobs.crontab.dev"]);
    for field in ["resourceVersion", "uid", "creationTimestamp", "managedFields"] {
        definition["metadata"].as_object_mut().unwrap().remove(field);
    }
    let said = message(&cluster.master, &form);
    assert!(said.contains("knows no NodeCronJob; apply the definition"), "{said}");
    definition.as_object_mut().unwrap().remove("status");
    cluster.api.apply(&definition.to_string());
    let said = e2e::until("the definition to count", || {
        let said = message(&cluster.master, &form);
        (!said.contains("knows no NodeCronJob")).then_some(said)
    });
    assert!(said.contains("older than this master and has no spec.jobName"), "{said}");
    assert_eq!(cluster.resources("ops").len(), 0);
}

#[test]
fn without_the_api_server_lists_go_on_and_changes_say_what_is_wrong() {
    let mut cluster = Cluster::start();
    cluster.etcd.ctl(&["put", "/cron/jobs/k", r#"{"name":"k","command":"true","cronExpr":"0 3 * * *"}"#]);
    cluster.api.kill();
    let answer = cluster.master.save("a", "true", "0 3 * * *").json();
    assert!(answer["msg"].as_str().unwrap().contains("the API server is not available"), "{answer}");
    e2e::until("it to be no longer ready", || (!cluster.master.is_ready()).then_some(()));
    assert_eq!(cluster.master.get("/job/list").json()["data"][0]["name"], "k");
    assert_eq!(cluster.master.save("k", "false", "0 3 * * *").json()["errno"], 0);
    cluster.api.start_again();
    e2e::until("it to be ready", || cluster.master.is_ready().then_some(()));
    assert_eq!(cluster.master.save("a", "true", "0 3 * * *").json()["errno"], 0);
}

#[test]
fn with_a_controller_what_was_changed_is_listed_at_once_and_what_cannot_run_is_said() {
    let cluster = Cluster::start();
    let mut options = ControllerOptions::new(&cluster.etcd, &cluster.api);
    options.arguments = vec!["--job-name-namespace".to_owned(), "ops".to_owned()];
    let _controller = Controller::start(options);
    let listed = || cluster.master.get("/job/list").json()["data"].clone();
    assert_eq!(cluster.master.save("a b", "a && b", "0 3 * * *").json(), success(&Value::Null));
    let first = json!({ "name": "a b", "command": "a && b", "cronExpr": "0 0 3 * * * *" });
    assert_eq!(listed(), json!([first]));
    // Saved as it was listed, but for the command.
    assert_eq!(cluster.master.save("a b", "c", "0 0 3 * * * *").json(), success(&first));
    assert_eq!(listed()[0]["command"], "c");
    assert_eq!(cluster.resources("ops")[0]["spec"]["schedule"], "0 3 * * *");
    let headers = "Content-Type: application/json\r\n";
    let answer =
        cluster.master.send("PATCH", "/api/v1/job?name=a%20b", headers, r#"{"suspend":true}"#).json();
    assert_eq!((&answer["suspended"], &answer["editable"]), (&json!(true), &json!(true)), "{answer}");
    assert_eq!(cluster.master.post("/job/delete", "name=a+b").json()["data"]["command"], "c");
    assert_eq!(listed(), json!([]));

    // A namespace in which the controller does not honour names of the replaced system.
    cluster.api.kubectl(&["create", "namespace", "elsewhere"]);
    let kubeconfig = cluster.api.kubeconfig().to_str().unwrap().to_owned();
    let mut elsewhere = self::options(&cluster.etcd, &cluster.mongo, kubeconfig);
    elsewhere.arguments[3] = "elsewhere".to_owned();
    let said = Master::start(elsewhere).save("x", "true", "0 3 * * *").json();
    let message = said["msg"].as_str().unwrap();
    assert!(message.contains("the job x is saved but does not run: "), "{said}");
    println!("{message}");
}
