//! The whole chain on loopback: what a person does, and what comes of it, with nothing stood in for.

use e2e::{
    Controller, ControllerOptions, Etcd, KubeApi, Master, MasterOptions, Mongo, Worker, WorkerOptions,
    documents, encode, until,
};
use serde_json::{Value, json};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

struct Chain {
    etcd: Etcd,
    mongo: Mongo,
    api: KubeApi,
    master: Master,
    controller: Controller,
    _workers: [Worker; 2],
}

impl Chain {
    fn start() -> Self {
        let (etcd, mongo, api) = (Etcd::start(), Mongo::start(), KubeApi::start());
        api.kubectl(&["apply", "--filename", &format!("{ROOT}/crds/nodecronjobs.yaml")]);
        api.kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd/nodecronjobs.crontab.dev",
            "--timeout=30s",
        ]);
        let mut options = ControllerOptions::new(&etcd, &api);
        options.arguments = vec!["--job-name-namespace=default".to_owned()];
        let controller = Controller::start(options);
        let workers = ["node-1", "node-2"].map(|name| Worker::start(WorkerOptions::new(&etcd, &mongo, name)));
        let options = MasterOptions {
            arguments: ["--source", "kubernetes", "--namespace", "default"].map(str::to_owned).to_vec(),
            environment: vec![("KUBECONFIG".to_owned(), api.kubeconfig().display().to_string())],
            ..MasterOptions::new(&etcd, &mongo)
        };
        let master = Master::start(options);
        Self { etcd, mongo, api, master, controller, _workers: workers }
    }

    fn job(&self, name: &str) -> Option<Value> {
        let value = self.etcd.ctl(&["get", &format!("/cron/jobs/{name}"), "--print-value-only"]);
        serde_json::from_str(&value).ok()
    }

    fn resource(&self, name: &str) -> Value {
        let text = self.api.kubectl(&["get", "ncj", name, "--output=json"]);
        serde_json::from_str(&text).expect("kubectl prints JSON")
    }

    fn log(&self, job: &str) -> Vec<Value> {
        let answer = self.master.get(&format!("/job/log?name={}", encode(job))).json();
        answer["data"].as_array().cloned().unwrap_or_default()
    }

    fn until_logged(&self, job: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(&format!("the log of {job} to show {what}"), || {
            self.log(job).into_iter().find(|record| wanted(record))
        })
    }
}

#[test]
fn from_kubectl_apply_to_the_log_and_back() {
    let mut chain = Chain::start();

    // The examples become jobs, and run.
    chain.api.kubectl(&["apply", "--filename", &format!("{ROOT}/examples")]);
    let ready = ["wait", "ncj", "--all", "--for=condition=Ready", "--timeout=60s"];
    chain.api.kubectl(&ready);
    let hello = until("the job", || chain.job("default/hello"));
    assert_eq!(hello["owner"]["resource"]["name"], "hello");
    let run = chain.until_logged("default/hello", "its output", |record| {
        record["output"].as_str().is_some_and(|output| output.contains("hello"))
    });
    assert_eq!(run["err"], "");
    let stored = documents(&chain.mongo, "log");
    assert!(stored.iter().any(|record| record["jobName"] == "default/hello"), "it is in MongoDB");
    chain.until_logged("default/failure", "a failure", |record| record["err"] != "");
    until("the status to tell of runs", || {
        let status = &chain.resource("hello")["status"];
        (status["lastScheduleTime"].is_string() && status["nextScheduleTime"].is_string()).then_some(())
    });
    let table = chain.api.kubectl(&["get", "ncj", "hello"]);
    assert!(table.contains("*/5 * * * * *") && table.contains("Succeeded"), "{table}");
    let workers = chain.master.get("/worker/list").json();
    assert_eq!(workers["data"], json!(["node-1", "node-2"]));

    // An edit takes effect, and a suspended job stops.
    let patch = |name: &str, spec: Value| {
        let patch = json!({ "spec": spec }).to_string();
        chain.api.kubectl(&["patch", "ncj", name, "--type=merge", "--patch", &patch]);
    };
    patch("hello", json!({"schedule": "* * * * * *", "template": {"command": "echo edited"}}));
    chain.until_logged("default/hello", "the edit", |record| record["output"] == "edited\n");
    patch("hello", json!({"suspend": true}));
    until("the job to be suspended", || {
        (chain.job("default/hello")?["spec"]["suspend"] == true).then_some(())
    });
    until("its last run to end", || {
        (chain.etcd.ctl(&["get", "/cron/runs/default%2Fhello", "--prefix", "--keys-only"]).trim().is_empty())
            .then_some(())
    });

    // A deleted one goes, and its log stays.
    chain.api.kubectl(&["delete", "ncj", "hello"]);
    until("the key to go", || chain.job("default/hello").is_none().then_some(()));
    assert!(!chain.log("default/hello").is_empty(), "its log outlives it");

    // The legacy calls make, end and remove.
    let started = tempfile::NamedTempFile::new().expect("a file");
    let command = format!("echo started; echo . > '{}'; sleep 300", started.path().display());
    let saved = chain.master.save("by the page", &command, "* * * * * * *").json();
    assert_eq!((&saved["errno"], &saved["data"]), (&json!(0), &Value::Null), "{saved}");
    let listed = chain.master.get("/job/list").json();
    let names: Vec<_> = listed["data"].as_array().expect("jobs").iter().map(|job| &job["name"]).collect();
    assert!(names.contains(&&json!("by the page")), "{names:?}");
    let made =
        chain.api.kubectl(&["get", "ncj", "--field-selector=spec.jobName=by the page", "--output=json"]);
    let made: Value = serde_json::from_str(&made).expect("kubectl prints JSON");
    assert_eq!(made["items"][0]["spec"]["template"]["command"], command);
    until("it to run", || (started.as_file().metadata().ok()?.len() > 0).then_some(()));
    assert_eq!(chain.master.post("/job/kill", "name=by+the+page").json()["errno"], 0);
    chain.until_logged("by the page", "the kill", |record| {
        record["err"] != "" && record["output"] == "started\n"
    });
    assert_eq!(chain.master.post("/job/delete", "name=by+the+page").json()["errno"], 0);
    until("the resource to go", || {
        let left =
            chain.api.kubectl(&["get", "ncj", "--field-selector=spec.jobName=by the page", "--output=name"]);
        left.trim().is_empty().then_some(())
    });

    // What somebody put by hand runs too, and is nobody else's to remove.
    let by_hand = r#"{"name":"by hand","command":"echo by hand","cronExpr":"* * * * * * *"}"#;
    chain.etcd.ctl(&["put", "/cron/jobs/by hand", by_hand]);
    chain.until_logged("by hand", "a run", |record| record["output"] == "by hand\n");
    chain.controller.kill();
    chain.controller.start_again();
    chain.controller.until_ready();
    chain.api.kubectl(&["delete", "ncj", "--all"]);
    until("the jobs of resources to go", || chain.job("default/failure").is_none().then_some(()));
    assert_eq!(chain.job("by hand").expect("it stays")["command"], "echo by hand");
}
