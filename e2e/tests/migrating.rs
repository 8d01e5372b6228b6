//! The steps of `docs/migrating.md`, there and back, with a stand-in of the replaced system's worker.

use std::fs;
use std::path::Path;

use e2e::{
    Controller, ControllerOptions, Etcd, KubeApi, LegacyWorker, Master, MasterOptions, Mongo, Worker,
    WorkerOptions, cronctl, documents, insert_documents, until,
};
use serde_json::{Value, json};

const EACH_SECOND: &str = "* * * * * * *";

/// A command whose runs add a line to a file that says whether an old or a new worker runs them.
fn note(file: &Path, what: &str) -> String {
    format!("echo {what} by ${{CRON_RUN_ID:+new}}${{CRON_RUN_ID:-old}} >> '{}'", file.display())
}

/// Waits for a line that is not there yet.
fn until_new_line(file: &Path, wanted: &str) {
    let lines = || fs::read_to_string(file).unwrap_or_default();
    let before = lines().len();
    until(&format!("{wanted:?} in {}", file.display()), || {
        lines().get(before..)?.lines().any(|line| line.contains(wanted)).then_some(())
    });
}

fn put(etcd: &Etcd, key: &str, value: &Value) {
    etcd.ctl(&["put", "--", &format!("/cron/{key}"), &value.to_string()]);
}

fn value(etcd: &Etcd, key: &str) -> String {
    etcd.ctl(&["get", "--print-value-only", &format!("/cron/{key}")]).trim_end().to_owned()
}

fn legacy(name: &str, command: &str, cron_expr: &str) -> Value {
    json!({ "name": name, "command": command, "cronExpr": cron_expr })
}

fn logged(master: &Master, job: &str) -> Vec<Value> {
    master.get(&format!("/job/log?name={job}")).json()["data"].as_array().cloned().unwrap_or_default()
}

#[test]
fn master_and_workers_are_replaced_one_by_one_and_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rotate");
    let (etcd, mongo) = (Etcd::start(), Mongo::start());
    put(&etcd, "jobs/rotate", &legacy("rotate", &note(&file, "first"), EACH_SECOND));
    put(&etcd, "jobs/sleep", &legacy("sleep", "sleep 300", EACH_SECOND));
    put(&etcd, "jobs/never", &legacy("never", "true", "0 0 31 2 *"));
    let at = 1_764_000_000_000_i64;
    let record = json!({
        "jobName": "rotate", "command": "an old one", "err": "", "output": "kept\n",
        "planTime": at, "scheduleTime": at, "startTime": at, "endTime": at + 250,
    });
    insert_documents(&mongo, "log", &[record]);
    let old = LegacyWorker::start(&etcd, "/cron", "10.0.0.1");
    until_new_line(&file, "first by old");

    // Step 3: a new master beside it. The list is what was there, the bad one says why, the old log is shown.
    let master = Master::start(MasterOptions::new(&etcd, &mongo));
    let list = until("the list", || {
        let list = master.get("/job/list").json()["data"].clone();
        (list.as_array()?.len() == 3).then_some(list)
    });
    assert_eq!(list[0], legacy("never", "true", "0 0 31 2 *"));
    assert_eq!(list[1], legacy("rotate", &note(&file, "first"), EACH_SECOND));
    let invalid = master.get("/api/v1/job?name=never").json();
    assert_eq!(invalid["state"], "invalid");
    assert!(invalid["message"].as_str().unwrap().contains("never matches"), "{invalid}");
    assert_eq!(logged(&master, "rotate")[0]["output"], "kept\n");
    assert_eq!(master.get("/worker/list").json()["data"], json!(["10.0.0.1"]));
    // What is saved there has three fields, and the old worker takes it.
    assert_eq!(master.save("rotate", &note(&file, "second"), EACH_SECOND).json()["errno"], 0);
    assert_eq!(
        serde_json::from_str::<Value>(&value(&etcd, "jobs/rotate")).unwrap(),
        legacy("rotate", &note(&file, "second"), EACH_SECOND)
    );
    until_new_line(&file, "second by old");
    // A kill by the key reaches the old worker; the new master does not know its runs, and says so.
    until("the old worker to run the other job", || (!keys(&etcd, "lock/sleep").is_empty()).then_some(()));
    let answer = master.post("/job/kill", "name=sleep").json();
    assert_eq!(answer["errno"], -1, "{answer}");

    // Step 5: a new worker beside the old one, then alone. The old one is stopped when nothing of its runs.
    let mut new = Worker::start(WorkerOptions::new(&etcd, &mongo, "10.0.0.2"));
    assert_eq!(master.get("/worker/list").json()["data"], json!(["10.0.0.1", "10.0.0.2"]));
    assert_eq!(master.post("/job/delete", "name=sleep").json()["errno"], 0);
    etcd.ctl(&["put", "/cron/killer/sleep", ""]);
    until("the lock to go", || keys(&etcd, "lock/sleep").is_empty().then_some(()));
    until_new_line(&file, "second by new");
    drop(old);
    until("the old worker's address to go", || {
        (master.get("/worker/list").json()["data"] == json!(["10.0.0.2"])).then_some(())
    });
    until_new_line(&file, "second by new");
    until("a record of the new worker", || {
        logged(&master, "rotate").iter().any(|record| record["planTime"].as_i64() > Some(at)).then_some(())
    });
    assert!(documents(&mongo, "log").iter().any(|record| record["output"] == "kept\n"), "old records stay");

    // What an old worker can't do is kept from it …
    let suspend = |on: bool| {
        let answer = master.send(
            "PATCH",
            "/api/v1/job?name=rotate",
            "Content-Type: application/json\r\n",
            &json!({ "suspend": on }).to_string(),
        );
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    suspend(true);
    until("the reservation", || (value(&etcd, "lock/rotate") == "reserved").then_some(()));
    // … and the way back: its worker ends, the old one starts, and the job is given back.
    assert!(new.process_mut().stop().success());
    let _old = LegacyWorker::start(&etcd, "/cron", "10.0.0.1");
    until("the new worker to be gone", || {
        (master.get("/worker/list").json()["data"] == json!(["10.0.0.1"])).then_some(())
    });
    etcd.ctl(&["del", "/cron/jobs/rotate"]);
    etcd.ctl(&["del", "/cron/lock/rotate"]);
    assert_eq!(master.save("rotate", &note(&file, "third"), EACH_SECOND).json()["errno"], 0);
    until_new_line(&file, "third by old");
}

/// The keys that begin with one below the prefix.
fn keys(etcd: &Etcd, key: &str) -> String {
    etcd.ctl(&["get", "--prefix", "--keys-only", &format!("/cron/{key}")]).trim().to_owned()
}

#[test]
fn jobs_move_into_a_cluster_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rotate");
    let (etcd, mongo, api) = (Etcd::start(), Mongo::start(), KubeApi::start());
    let before = legacy("rotate", &note(&file, "key"), EACH_SECOND);
    put(&etcd, "jobs/rotate", &before);
    put(&etcd, "jobs/stays", &legacy("stays", "true", "@daily"));
    let _worker = Worker::start(WorkerOptions::new(&etcd, &mongo, "10.0.0.2"));
    until_new_line(&file, "key by new");

    // Step 6: the definition, a controller that honours names in one namespace, a master in front of resources.
    api.kubectl(&["apply", "--filename", concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/nodecronjobs.yaml")]);
    api.kubectl(&["wait", "--for=condition=Established", "crd/nodecronjobs.crontab.dev", "--timeout=30s"]);
    api.kubectl(&["create", "namespace", "ops"]);
    let mut options = ControllerOptions::new(&etcd, &api);
    options.arguments = vec!["--job-name-namespace=ops".to_owned()];
    let mut controller = Controller::start(options);
    let on_resources = Master::start(MasterOptions {
        arguments: ["--source", "kubernetes", "--namespace", "ops"].map(str::to_owned).to_vec(),
        environment: vec![("KUBECONFIG".to_owned(), api.kubeconfig().display().to_string())],
        ..MasterOptions::new(&etcd, &mongo)
    });
    let saved = on_resources.save("fresh", "true", "@daily").json();
    assert_eq!(saved["errno"], 0, "{saved}");
    let ready = ["wait", "ncj", "--all", "--for=condition=Ready", "--namespace=ops", "--timeout=60s"];
    api.kubectl(&ready);
    // Keys that were there are nobody's: they are changed as before, and run.
    assert_eq!(on_resources.save("rotate", &note(&file, "changed"), EACH_SECOND).json()["errno"], 0);
    until_new_line(&file, "changed by new");
    assert!(!value(&etcd, "jobs/rotate").contains("owner"));
    // They become resources by an import, under their names.
    let mut import = cronctl();
    import.args([
        "import",
        "etcd",
        "--etcd-endpoints",
        &etcd.endpoint(),
        "--time-zone=UTC",
        "--namespace=ops",
    ]);
    let imported = import.output().unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    api.apply(&String::from_utf8(imported.stdout).unwrap());
    api.kubectl(&ready);
    until("the controller to take the key over", || {
        value(&etcd, "jobs/rotate").contains("owner").then_some(())
    });
    until_new_line(&file, "changed by new");
    // A key that belongs to a resource is put back.
    etcd.ctl(&["del", "/cron/jobs/stays"]);
    until("the key to be put back", || value(&etcd, "jobs/stays").contains("owner").then_some(()));

    // The way back: keys alone, with the three fields of the backup.
    drop(on_resources);
    controller.kill();
    for key in ["jobs/rotate", "lock/rotate"] {
        etcd.ctl(&["del", &format!("/cron/{key}")]);
    }
    let on_keys = Master::start(MasterOptions::new(&etcd, &mongo));
    let text = |field: &str| before[field].as_str().unwrap().to_owned();
    assert_eq!(on_keys.save("rotate", &text("command"), &text("cronExpr")).json()["errno"], 0);
    assert_eq!(serde_json::from_str::<Value>(&value(&etcd, "jobs/rotate")).unwrap(), before);
    until_new_line(&file, "key by new");
    let _old = LegacyWorker::start(&etcd, "/cron", "10.0.0.1");
    until_new_line(&file, "key by old");
}
