//! How long a controller takes from its start until every resource has its job in etcd and says `Ready`, against a bare
//! loop that does the same writes; what a restart writes; and how much memory the controller has.
//!
//! `KUBECONFIG=FILE cargo run --release -p crontab-controller --example reconcile_rate -- ETCD_URL PROGRAM RESOURCES` needs an
//! API server that knows the definition and that nobody else uses. `cargo xtask bench controller` runs it against servers
//! of its own.

use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crds::NodeCronJob;
use etcd_client::{Client as Etcd, Compare, CompareOp, GetOptions, Txn, TxnOp};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, GetParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Request};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

type Failure = Box<dyn Error + Send + Sync>;

/// How many transactions and statuses the controller has under way at once, and the bare loop too.
const TRANSACTIONS: usize = 64;
const WRITES: usize = 32;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [etcd, program, resources] = &arguments[..] else {
        eprintln!("give the URL of etcd, the controller's program, and a number of resources");
        return ExitCode::from(2);
    };
    match measure(etcd, program, resources.parse().unwrap_or(1000)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("reconcile_rate: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(etcd_url: &str, program: &str, resources: usize) -> Result<(), Failure> {
    let client = Client::try_default().await?;
    let etcd = Etcd::connect([etcd_url], None).await?;
    let (bare, ours) = (format!("bare-{resources}"), format!("ours-{resources}"));
    for namespace in [&bare, &ours] {
        create(&client, namespace, resources).await?;
    }
    let bare_time = bare_loop(&client, &etcd, &bare).await?;

    let begun = Instant::now();
    let mut controller = Controller::start(etcd_url, program, &ours).await?;
    until_all_ready(&client, &ours, resources).await?;
    let keys = GetOptions::new().with_prefix().with_count_only();
    let jobs = etcd.clone().get(format!("/{ours}/jobs/"), Some(keys)).await?.count();
    if usize::try_from(jobs)? != resources {
        return Err(format!("all are ready, and etcd has {jobs} jobs").into());
    }
    let time = begun.elapsed();
    println!(
        "{resources} resources: bare loop {:.1} s; from the controller's start to the last Ready {:.1} s, ratio {:.2}; its memory {:.1} MiB, at most {:.1}",
        bare_time.as_secs_f64(),
        time.as_secs_f64(),
        time.as_secs_f64() / bare_time.as_secs_f64(),
        controller.memory("VmRSS:")?,
        controller.memory("VmHWM:")?,
    );
    controller.stop().await?;

    let before = (writes(&client).await?, revision(&etcd).await?);
    let begun = Instant::now();
    let mut controller = Controller::start(etcd_url, program, &ours).await?;
    loop {
        let looks = controller.metric("crontab_controller_looks_total").await;
        let waiting = controller.metric("crontab_controller_statuses_waiting").await;
        if looks >= Some(u32::try_from(resources)?.into()) && waiting == Some(0.0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let time = begun.elapsed();
    // What would be written late.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = (writes(&client).await?, revision(&etcd).await?);
    println!(
        "{resources} resources: a restart has compared all after {:.1} s and has made {} writes of resources and {} of etcd; its memory {:.1} MiB",
        time.as_secs_f64(),
        after.0 - before.0,
        after.1 - before.1,
        controller.memory("VmRSS:")?,
    );
    controller.stop().await
}

/// Makes resources that run once a year.
async fn create(client: &Client, namespace: &str, resources: usize) -> Result<(), Failure> {
    let made: Namespace = serde_json::from_value(json!({"metadata": {"name": namespace}}))?;
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &made).await?;
    let api: Api<NodeCronJob> = Api::namespaced(client.clone(), namespace);
    let spec: crds::NodeCronJobSpec = serde_json::from_value(json!({
        "schedule": "0 0 1 1 *", "timeZone": "Europe/Paris", "template": {"command": "/usr/local/bin/report --of all && echo done"},
    }))?;
    stream::iter(0..resources)
        .map(|number| {
            let name = Some(format!("job-{number:05}"));
            let metadata = ObjectMeta { name, ..ObjectMeta::default() };
            let resource = NodeCronJob { metadata, spec: spec.clone(), status: None };
            let api = api.clone();
            async move { api.create(&PostParams::default(), &resource).await.map(drop) }
        })
        .buffer_unordered(WRITES)
        .try_collect::<()>()
        .await?;
    Ok(())
}

/// Of each resource one transaction that puts its job and its lock where they are not there, then a status of the same
/// size as the controller's.
async fn bare_loop(client: &Client, etcd: &Etcd, namespace: &str) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let api: Api<NodeCronJob> = Api::namespaced(client.clone(), namespace);
    let resources = api.list(&ListParams::default()).await?.items;
    stream::iter(resources)
        .map(|resource| {
            let (mut etcd, namespace) = (etcd.clone(), namespace.to_owned());
            async move {
                let name = resource.name_any();
                let value = json!({"name": name, "command": resource.spec.template.command, "cronExpr": "0 0 1 1 *", "spec": resource.spec});
                let (job, lock) = (format!("/{namespace}/jobs/{name}"), format!("/{namespace}/lock/{name}"));
                let absent = |key: &str| Compare::mod_revision(key, CompareOp::Equal, 0);
                let puts = [
                    TxnOp::put(job.clone(), value.to_string(), None),
                    TxnOp::put(lock.clone(), "reserved", None),
                ];
                etcd.txn(Txn::new().when([absent(&job), absent(&lock)]).and_then(puts)).await?;
                Ok::<_, Failure>(resource)
            }
        })
        .buffer_unordered(TRANSACTIONS)
        .map(|resource| {
            let api = api.clone();
            async move {
                let resource = resource?;
                let patch = status(&resource);
                let parameters = PatchParams::apply("bare-loop").force();
                api.patch_status(&resource.name_any(), &parameters, &Patch::Apply(patch)).await?;
                Ok::<_, Failure>(())
            }
        })
        .buffer_unordered(WRITES)
        .try_collect::<()>()
        .await?;
    Ok(begun.elapsed())
}

fn status(resource: &NodeCronJob) -> Value {
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    json!({
        "apiVersion": "crontab.dev/v1alpha1", "kind": "NodeCronJob",
        "metadata": {"name": resource.name_any(), "resourceVersion": resource.resource_version()},
        "status": {
            "observedGeneration": 1,
            "jobName": format!("{}/{}", resource.namespace().unwrap_or_default(), resource.name_any()),
            "nextScheduleTime": "2027-01-01T00:00:00Z",
            "active": 0,
            "conditions": [
                condition("Ready", "True", "Scheduled", "At 00:00 on 1 January, Europe/Paris"),
                condition("Suspended", "False", "NotSuspended", "runs start by the schedule"),
            ],
        },
    })
}

/// Waits until every resource of a namespace was seen with the condition `Ready`.
async fn until_all_ready(client: &Client, namespace: &str, resources: usize) -> Result<(), Failure> {
    let api: Api<NodeCronJob> = Api::namespaced(client.clone(), namespace);
    let mut changes = watcher(api, watcher::Config::default()).applied_objects().boxed();
    let mut ready = std::collections::HashSet::new();
    while ready.len() < resources {
        let Some(resource) = changes.try_next().await? else { return Err("the watch ended".into()) };
        let conditions = resource.status.as_ref().map_or(&[][..], |status| &status.conditions);
        if conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
            ready.insert(resource.name_any());
        }
    }
    Ok(())
}

/// How many requests that write resources the API server has answered.
async fn writes(client: &Client) -> Result<u64, Failure> {
    let request = Request::new("").get("metrics", &GetParams::default())?;
    let text = client.request_text(request).await?;
    let lines = text.lines().filter(|line| line.starts_with("apiserver_request_total{"));
    let lines = lines.filter(|line| line.contains("resource=\"nodecronjobs\""));
    let write = |line: &&str| {
        ["POST", "PUT", "PATCH", "APPLY", "DELETE"]
            .iter()
            .any(|verb| line.contains(&format!("verb=\"{verb}\"")))
    };
    let counts = lines.filter(write).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    Ok(counts.sum())
}

/// The revision of etcd, which grows by one with each transaction that writes.
async fn revision(etcd: &Etcd) -> Result<i64, Failure> {
    let answer = etcd.clone().get("/", None).await?;
    Ok(answer.header().ok_or("etcd says no revision")?.revision())
}

/// A running controller. It is killed when this is dropped.
struct Controller {
    child: Child,
    health: String,
}

impl Controller {
    async fn start(etcd: &str, program: &str, namespace: &str) -> Result<Self, Failure> {
        // The port is free when the listener is gone.
        let health = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string();
        let prefix = format!("/{namespace}");
        let child = Command::new(program)
            .args(["--etcd-endpoints", etcd, "--etcd-prefix", &prefix, "--namespace", namespace])
            .args(["--lease-namespace", "default", "--health-listen", &health, "--log", "warn"])
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child, health })
    }

    /// A figure of /proc/PID/status in MiB.
    fn memory(&self, figure: &str) -> Result<f64, Failure> {
        let id = self.child.id().ok_or("the controller has ended")?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(figure)).ok_or("no such figure")?;
        let kibibytes: f64 = line.split_ascii_whitespace().next().ok_or("no number")?.parse()?;
        Ok(kibibytes / 1024.0)
    }

    /// One of its metrics, once it answers.
    async fn metric(&mut self, name: &str) -> Option<f64> {
        let mut stream = TcpStream::connect(&self.health).await.ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Ends it as a service manager does, so that it gives its lease back.
    async fn stop(&mut self) -> Result<(), Failure> {
        let id = self.child.id().ok_or("the controller has ended")?;
        let asked = Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
        let ended = self.child.wait().await?;
        if asked.success() && ended.success() {
            Ok(())
        } else {
            Err(format!("the controller: {ended}").into())
        }
    }
}
