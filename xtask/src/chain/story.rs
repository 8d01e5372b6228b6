//! What must be true of an installed chain, told in order.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::cluster::{NAMESPACE, until};
use super::{Cluster, step};
use crate::child::Children;
use crate::lab::NODES;

/// The release.
const RELEASE: &str = "crontab";

/// The run log, and where calls are made from: a pod with Python, on the network of all others.
const MONGO: &str = include_str!("mongo.yaml");

/// Makes requests, and prints the statuses and the bodies of the answers.
const CALL: &str = include_str!("call.py");

/// Kills the worker of the container, its executor too, as the end of a machine would.
const KILL: &str = r#"for process in /proc/[0-9]*; do
    case "$(readlink "$process/exe")" in */crontab-worker) kill -KILL "${process#/proc/}" ;; esac
done"#;

/// How many jobs share the nodes between them. That all should belong to one node by chance, with as many, happens once
/// in two million times.
const SHARED: usize = 22;

/// Tells it. An error says what was not so.
pub(super) fn tell(children: &mut Children, cluster: &Cluster<'_>) -> anyhow::Result<()> {
    step("installing the log's server", || {
        // Of a story that was cut short.
        let _ = cluster.helm(children, &[&["uninstall", RELEASE, "--ignore-not-found"], &WAIT[..]].concat());
        let _ =
            cluster.kubectl(&["delete", "nodecronjobs", "--all", "--all-namespaces", "--ignore-not-found"]);
        cluster.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found"])?;
        cluster.kubectl(&["create", "namespace", NAMESPACE])?;
        cluster.apply(MONGO)?;
        cluster.kubectl(&["rollout", "status", "deployment/mongo", "--timeout=2m"]).map(drop)
    })?;
    step("helm install", || {
        let spool = format!("worker.spool.hostPath={}", cluster.spool());
        let arguments = [&["install", RELEASE, "charts/crontab"], &SETTINGS[..], &["--set", &spool]].concat();
        cluster.helm(children, &arguments)
    })?;
    // Helm waits for all but as many nodes as may be without a worker during an upgrade.
    step("a worker runs on each node", || {
        until(children, "each node has a worker that is ready", || {
            let nodes: BTreeSet<String> = workers(cluster)?.into_iter().map(|worker| worker.node).collect();
            let expected: BTreeSet<String> = NODES.map(str::to_owned).into_iter().collect();
            Ok(if nodes == expected { Ok(()) } else { Err(format!("workers are on {nodes:?}")) })
        })
    })?;
    let password = password(cluster)?;
    let master = Master { cluster, password: &password };
    jobs_run(children, &master)?;
    step("the page and the legacy calls answer through the Service", || legacy_calls(children, &master))?;
    a_worker_is_killed(children, &master)?;
    step("helm upgrade replaces pods, and jobs go on", || upgrade(children, &master))?;
    step("helm uninstall leaves the resources and nothing else", || uninstall(children, cluster))?;
    comes_back_and_goes(children, cluster)
}

fn jobs_run(children: &mut Children, master: &Master<'_>) -> anyhow::Result<()> {
    let cluster = master.cluster;
    step("kubectl apply -f examples/ is accepted and becomes Ready", || {
        let examples = crate::root().join("examples").display().to_string();
        cluster.kubectl(&["--namespace", "default", "apply", "--filename", &examples])?;
        let wait = [
            "--namespace",
            "default",
            "wait",
            "nodecronjobs",
            "--all",
            "--for=condition=Ready",
            "--timeout=60s",
        ];
        cluster.kubectl(&wait).map(drop)
    })?;
    step("its runs are in the log", || {
        until(children, "a run of hello is recorded", || {
            let log = master.log("default/hello")?;
            Ok(log
                .iter()
                .any(|run| run.output.starts_with("hello, it is"))
                .then_some(())
                .ok_or(format!("{log:?}")))
        })
    })?;
    step("the nodes share the jobs", || {
        (0..SHARED).try_for_each(|number| cluster.apply(&shared(number)))?;
        until(children, "both nodes have run some", || {
            let pods = master.pods_of_last_runs()?;
            Ok(if pods.len() == NODES.len() { Ok(()) } else { Err(format!("{pods:?}")) })
        })
    })
}

fn a_worker_is_killed(children: &mut Children, master: &Master<'_>) -> anyhow::Result<()> {
    let cluster = master.cluster;
    step("a node's worker is killed, and the other takes over", || {
        let gone =
            workers(cluster)?.into_iter().find(|worker| worker.node == NODES[1]).context("it was there")?;
        cluster.kubectl(&["taint", "node", NODES[1], "lab/away=yes:NoSchedule"])?;
        // It says good-bye to nobody; the pod is deleted so that kubelet does not start it again at once.
        // The container ends with its worker, at times before the shell that was told to kill it.
        let kill = cluster.kubectl(&["exec", &gone.pod, "--container=worker", "--", "sh", "-c", KILL]);
        kill.map(drop)
            .or_else(|why| if why.to_string().contains("exit code 137") { Ok(()) } else { Err(why) })?;
        cluster.kubectl(&["delete", "pod", &gone.pod, "--grace-period=0", "--force"])?;
        let killed = now();
        until(children, "the other runs all jobs", || {
            let staying = workers(cluster)?.into_iter().map(|worker| worker.pod).collect::<Vec<_>>();
            master.all_have_run_since(killed, &staying)
        })
    })?;
    step("the node comes back and has its share again", || {
        cluster.kubectl(&["taint", "node", NODES[1], "lab/away-"])?;
        until(children, "both nodes run some again", || {
            let pods = master.pods_of_last_runs()?;
            let present: BTreeSet<String> = workers(cluster)?.into_iter().map(|worker| worker.pod).collect();
            Ok(if pods == present && pods.len() == NODES.len() {
                Ok(())
            } else {
                Err(format!("{pods:?}, {present:?}"))
            })
        })
    })
}

fn upgrade(children: &mut Children, master: &Master<'_>) -> anyhow::Result<()> {
    let cluster = master.cluster;
    let upgrade = ["upgrade", RELEASE, "charts/crontab", "--reuse-values", "--set", "worker.maxRuns=50"];
    cluster.helm(children, &[&upgrade[..], &WAIT[..]].concat())?;
    let upgraded = now();
    ensure!(password(cluster)? == master.password, "the page has another password than before");
    until(children, "all jobs run again", || {
        let pods: Vec<String> = workers(cluster)?.into_iter().map(|worker| worker.pod).collect();
        master.all_have_run_since(upgraded, &pods)
    })
}

fn comes_back_and_goes(children: &mut Children, cluster: &Cluster<'_>) -> anyhow::Result<()> {
    step("it can be installed again, and takes up the jobs", || {
        let spool = format!("worker.spool.hostPath={}", cluster.spool());
        let arguments = [&["install", RELEASE, "charts/crontab"], &SETTINGS[..], &["--set", &spool]].concat();
        cluster.helm(children, &arguments)?;
        let (again, password) = (now(), password(cluster)?);
        let master = Master { cluster, password: &password };
        until(children, "all jobs run", || {
            let pods: Vec<String> = workers(cluster)?.into_iter().map(|worker| worker.pod).collect();
            master.all_have_run_since(again, &pods)
        })
    })?;
    step("kubectl delete of all resources stops them", || {
        delete_all(cluster)?;
        let master = Master { cluster, password: &password(cluster)? };
        until(children, "the master lists no job", || {
            let jobs = master.answer("GET", "/job/list", "")?;
            Ok(if jobs == Value::Array(Vec::new()) { Ok(()) } else { Err(jobs.to_string()) })
        })
    })
}

/// Deletes the resources of the examples, and the shared jobs.
fn delete_all(cluster: &Cluster<'_>) -> anyhow::Result<()> {
    for namespace in ["default", NAMESPACE] {
        cluster.kubectl(&["--namespace", namespace, "delete", "nodecronjobs", "--all", "--timeout=60s"])?;
    }
    Ok(())
}

const WAIT: [&str; 2] = ["--wait", "--timeout=3m"];

/// How the chart is installed: images that were loaded, an etcd of its own, the log by address.
const SETTINGS: [&str; 14] = [
    "--set",
    "image.registry=localhost,image.tag=lab,image.pullPolicy=Never",
    "--set",
    "etcd.bundled.enabled=true,etcd.bundled.image=localhost/etcd:lab",
    "--set",
    "etcd.bundled.persistence.enabled=false",
    "--set",
    "mongodb.existingSecret=log",
    // So that a test need not wait longer than that for a take-over.
    "--set",
    "worker.sessionSeconds=6",
    "--set",
    "controller.resources.requests.cpu=10m,master.resources.requests.cpu=10m",
    WAIT[0],
    WAIT[1],
];

struct Pod {
    pod: String,
    node: String,
}

/// The workers' pods that are ready and not about to go.
fn workers(cluster: &Cluster<'_>) -> anyhow::Result<Vec<Pod>> {
    let pods = cluster.get(&["pods", "--selector", "app.kubernetes.io/component=worker"])?;
    let pods = pods["items"].as_array().context("a list has items")?;
    let ready = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array();
        pod["metadata"]["deletionTimestamp"].is_null()
            && conditions
                .is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(pods
        .iter()
        .filter(ready)
        .map(|pod| Pod { pod: text(&pod["metadata"]["name"]), node: text(&pod["spec"]["nodeName"]) })
        .collect())
}

/// The password that the chart has made.
fn password(cluster: &Cluster<'_>) -> anyhow::Result<String> {
    let template = "--output=go-template={{.data.password | base64decode}}";
    cluster.kubectl(&["get", "secret", "crontab-master", template])
}

/// A job that says on which pod it runs.
fn shared(number: usize) -> String {
    format!(
        "apiVersion: crontab.dev/v1alpha1\nkind: NodeCronJob\nmetadata: {{name: shared-{number}}}\n\
         spec: {{schedule: '{}/3 * * * * *', template: {{command: hostname}}}}\n",
        number % 3
    )
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The master, called from a pod by the name of its Service.
struct Master<'a> {
    cluster: &'a Cluster<'a>,
    password: &'a str,
}

/// A record of the log.
#[derive(Debug)]
struct Run {
    output: String,
    err: String,
    started: i64,
}

impl Master<'_> {
    /// The statuses and the bodies of answers, in the order of the paths.
    fn calls(&self, method: &str, paths: &[String], form: &str) -> anyhow::Result<Vec<(u16, String)>> {
        let url = format!("http://crontab-master.{NAMESPACE}.svc.cluster.local:8070");
        let words =
            ["exec", "deployment/mongo", "--", "python3", "-c", CALL, &url, self.password, method, form];
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let answers = self.cluster.kubectl(&[&words[..], &paths].concat())?;
        let answers: Vec<Value> = serde_json::from_str(&answers).context("answers come as JSON")?;
        let answer = |answer: &Value| {
            let status = answer[0].as_u64().and_then(|status| u16::try_from(status).ok());
            Some((status?, answer[1].as_str()?.to_owned()))
        };
        answers.iter().map(answer).collect::<Option<_>>().context("each is a status and a body")
    }

    /// The status and the body of an answer.
    fn call(&self, method: &str, path: &str, form: &str) -> anyhow::Result<(u16, String)> {
        let mut answers = self.calls(method, &[path.to_owned()], form)?;
        answers.pop().context("one answer to one request")
    }

    /// The data of a legacy call that succeeds.
    fn answer(&self, method: &str, path: &str, form: &str) -> anyhow::Result<Value> {
        let (status, body) = self.call(method, path, form)?;
        data(status, &body).with_context(|| format!("{method} {path}"))
    }

    /// The last runs of a job, the newest first.
    fn log(&self, job: &str) -> anyhow::Result<Vec<Run>> {
        runs(&self.answer("GET", &log_of(job), "")?)
    }

    /// The last run of each shared job that came to a good end.
    fn last_runs(&self) -> anyhow::Result<Vec<Option<Run>>> {
        let path = |number| log_of(&format!("{NAMESPACE}/shared-{number}"));
        let answers = self.calls("GET", &(0..SHARED).map(path).collect::<Vec<_>>(), "")?;
        let last = |(status, body): &(u16, String)| {
            Ok(runs(&data(*status, body)?)?.into_iter().find(|run| run.err.is_empty()))
        };
        answers.iter().map(last).collect()
    }

    /// The pods that the shared jobs ran on last.
    fn pods_of_last_runs(&self) -> anyhow::Result<BTreeSet<String>> {
        Ok(self.last_runs()?.into_iter().flatten().map(|run| run.output).collect())
    }

    /// Whether each shared job has run on one of these pods since then.
    fn all_have_run_since(&self, then: i64, pods: &[String]) -> anyhow::Result<Result<(), String>> {
        let runs = self.last_runs()?;
        let late: Vec<_> = runs
            .iter()
            .enumerate()
            .filter(|(_, run)| {
                !run.as_ref().is_some_and(|run| run.started > then && pods.contains(&run.output))
            })
            .collect();
        Ok(if late.is_empty() { Ok(()) } else { Err(format!("{late:?}")) })
    }
}

fn log_of(job: &str) -> String {
    format!("/job/log?name={job}&limit=5")
}

/// What a legacy call that succeeds answers.
fn data(status: u16, body: &str) -> anyhow::Result<Value> {
    let answer: Value = serde_json::from_str(body).with_context(|| format!("{status}: {body}"))?;
    ensure!(status == 200 && answer["errno"] == 0, "{status}: {body}");
    Ok(answer["data"].clone())
}

fn runs(log: &Value) -> anyhow::Result<Vec<Run>> {
    let records = log.as_array().context("a log is a list")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().trim().to_owned();
    let run = |record: &Value| Run {
        output: text(&record["output"]),
        err: text(&record["err"]),
        started: record["startTime"].as_i64().unwrap_or_default(),
    };
    Ok(records.iter().map(run).collect())
}

fn legacy_calls(children: &mut Children, master: &Master<'_>) -> anyhow::Result<()> {
    let (status, page) = master.call("GET", "/", "")?;
    ensure!(status == 200 && page.contains("<html"), "the page: {status}: {page}");
    let without = Master { password: "wrong", ..*master }.call("GET", "/job/list", "")?;
    ensure!(without.0 == 401, "with a wrong password: {without:?}");
    let listed = master.answer("GET", "/job/list", "")?;
    let names = listed.as_array().into_iter().flatten().filter_map(|job| job["name"].as_str());
    ensure!(names.clone().any(|name| name == "default/hello"), "/job/list: {listed}");
    let workers = master.answer("GET", "/worker/list", "")?;
    ensure!(
        workers.as_array().is_some_and(|workers| workers.len() == NODES.len()),
        "/worker/list: {workers}"
    );
    // {"name":"legacy","command":"echo from a form","cronExpr":"*/1 * * * * * *"}
    let job = "job=%7B%22name%22%3A%22legacy%22%2C%22command%22%3A%22echo+from+a+form%22%2C%22cronExpr%22%3A%22*%2F1+*+*+*+*+*+*%22%7D";
    master.answer("POST", "/job/save", job)?;
    until(children, "a job saved by the legacy call runs", || {
        let log = master.log("legacy")?;
        Ok(log.iter().any(|run| run.output == "from a form").then_some(()).ok_or(format!("{log:?}")))
    })?;
    let deleted = master.answer("POST", "/job/delete", "name=legacy")?;
    ensure!(deleted["name"] == "legacy", "/job/delete: {deleted}");
    // An endless run, to be killed.
    let job = "job=%7B%22name%22%3A%22endless%22%2C%22command%22%3A%22sleep+600%22%2C%22cronExpr%22%3A%22*%2F1+*+*+*+*+*+*%22%7D";
    master.answer("POST", "/job/save", job)?;
    until(children, "a run is ended by /job/kill", || {
        master.answer("POST", "/job/kill", "name=endless")?;
        let log = master.log("endless")?;
        Ok(log.iter().any(|run| !run.err.is_empty()).then_some(()).ok_or("no run is recorded".to_owned()))
    })?;
    master.answer("POST", "/job/delete", "name=endless").map(drop)
}

fn uninstall(children: &mut Children, cluster: &Cluster<'_>) -> anyhow::Result<()> {
    cluster.helm(children, &[&["uninstall", RELEASE], &WAIT[..]].concat())?;
    let kinds = "all,secrets,serviceaccounts,networkpolicies,poddisruptionbudgets,roles,rolebindings";
    let selector = "app.kubernetes.io/instance=crontab";
    until(children, "all objects of the release are gone", || {
        let mut left = cluster.kubectl(&["get", kinds, "--selector", selector, "--output", "name"])?;
        left += &cluster.kubectl(&[
            "get",
            "clusterroles,clusterrolebindings",
            "--selector",
            selector,
            "--output",
            "name",
        ])?;
        Ok(if left.trim().is_empty() { Ok(()) } else { Err(left) })
    })?;
    let jobs = cluster.kubectl(&["get", "nodecronjobs", "--all-namespaces", "--output", "name"])?;
    if jobs.lines().count() <= SHARED {
        bail!("resources are gone: {jobs}");
    }
    Ok(())
}
