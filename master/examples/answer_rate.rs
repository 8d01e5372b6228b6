//! How long the master's two large answers take, against bare ones: `/job/list` beside a handler that reads the same keys
//! from etcd and joins their values, `/job/log` beside one that asks MongoDB the same question.
//!
//! `cargo run --release -p crontab-master --example answer_rate -- ETCD_URL MONGODB_URI JOBS` adds a prefix and a database
//! of its own and removes them again. `cargo xtask bench master` runs it against servers of its own.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use etcd_client::{Client, GetOptions};
use futures::TryStreamExt;
use master::Master;
use model::TimeZone;
use model::keys::KeyPrefix;
use mongodb::bson::{Document, doc};
use serde_json::json;
use store::etcd::{Etcd, EtcdConfig};
use store::mongo::{MongoConfig, MongoLog};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn Error + Send + Sync>;

/// How many records the job has whose log is asked for.
const RECORDS: i64 = 500;

/// How often each is asked, in turn.
const ROUNDS: usize = 40;

const LOG: &str = "/job/log?name=job00000&limit=20";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [etcd, mongodb, jobs] = &arguments[..] else {
        eprintln!("give the URLs of etcd and MongoDB, and a number of jobs");
        return ExitCode::from(2);
    };
    match measure(etcd, mongodb, jobs.parse().unwrap_or(10_000)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("answer_rate: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What the bare handlers have.
#[derive(Clone)]
struct Bare {
    etcd: Client,
    prefix: String,
    log: mongodb::Collection<Document>,
}

async fn measure(etcd: &str, mongodb: &str, jobs: usize) -> Result<(), Failure> {
    let own = format!("answer_rate_{}", std::process::id());
    let prefix = format!("/{own}");
    let mut client = Client::connect([etcd], None).await?;
    for number in 0..jobs {
        let name = format!("job{number:05}");
        let value = json!({ "name": name, "command": format!("/usr/local/bin/report --of {name} && echo done"), "cronExpr": "*/5 * * * *" });
        client.put(format!("{prefix}/jobs/{name}"), value.to_string(), None).await?;
    }
    let config = MongoConfig { uri: mongodb.to_owned(), database: Some(own.clone()), retention: None };
    let log = MongoLog::new(config)?;
    // Makes the collections and indexes.
    store::RunLog::append(&log, Vec::new()).await?;
    let database = mongodb::Client::with_uri_str(mongodb).await?.database(&own);
    let record = |number: i64| {
        let at = 1_764_000_000_000 + number * 1000;
        doc! {
            "jobName": "job00000", "command": "/usr/local/bin/report", "err": "", "output": "one line of output\n".repeat(50),
            "planTime": at, "scheduleTime": at, "startTime": at + 2, "endTime": at + 90,
        }
    };
    database.collection("log").insert_many((0..RECORDS).map(record)).await?;

    let config = EtcdConfig {
        endpoints: vec![etcd.to_owned()],
        prefix: KeyPrefix::new(&prefix)?,
        tls: None,
        user: None,
        lease: Duration::from_secs(10),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let ours = listener.local_addr()?.to_string();
    let master = Master::new(Etcd::new(config)?, log, TimeZone::UTC, listener.local_addr()?);
    tokio::spawn(master::serve(listener, master::router(master), std::future::pending()));
    for _ in 0..10 {
        ask(&ours, "/job/list").await?;
    }
    println!(
        "memory: at most {:.1} MiB for the process with the master in it, after ten lists of {jobs} jobs",
        peak()?
    );
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let bare = listener.local_addr()?.to_string();
    let handlers = Bare { etcd: client.clone(), prefix: prefix.clone(), log: database.collection("log") };
    let router =
        Router::new().route("/job/list", get(list)).route("/job/log", get(records)).with_state(handlers);
    tokio::spawn(master::serve(listener, router, std::future::pending()));

    for target in ["/job/list", LOG] {
        let (mut our_times, mut bare_times, mut bytes) = (Vec::new(), Vec::new(), (0, 0));
        for round in 0..=ROUNDS {
            let (our_time, our_bytes) = ask(&ours, target).await?;
            let (bare_time, bare_bytes) = ask(&bare, target).await?;
            bytes = (our_bytes, bare_bytes);
            // The first of each makes connections.
            if round > 0 {
                our_times.push(our_time);
                bare_times.push(bare_time);
            }
        }
        let (our_time, bare_time) = (median(our_times), median(bare_times));
        println!(
            "{target}: bare {:.2} ms ({} KiB); the master {:.2} ms ({} KiB), ratio {:.2}",
            millis(bare_time),
            bytes.1 >> 10,
            millis(our_time),
            bytes.0 >> 10,
            our_time.as_secs_f64() / bare_time.as_secs_f64(),
        );
    }
    let all = etcd_client::DeleteOptions::new().with_prefix();
    client.delete(prefix + "/", Some(all)).await?;
    database.drop().await?;
    Ok(())
}

/// All values of the prefix, with commas between them.
async fn list(State(bare): State<Bare>) -> Response {
    let mut client = bare.etcd.kv_client().max_decoding_message_size(1 << 30);
    let all = GetOptions::new().with_prefix();
    let Ok(answer) = client.get(format!("{}/jobs/", bare.prefix), Some(all)).await else {
        return "etcd does not answer".into_response();
    };
    let values: Vec<&[u8]> = answer.kvs().iter().map(etcd_client::KeyValue::value).collect();
    let body = [&br#"{"errno":0,"msg":"success","data":["#[..], &values.join(&b','), b"]}"].concat();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The newest twenty documents.
async fn records(State(bare): State<Bare>) -> Response {
    let found = bare.log.find(doc! { "jobName": "job00000" });
    let newest =
        found.sort(doc! { "startTime": -1, "_id": -1 }).limit(20).projection(doc! { "_id": 0 }).await;
    let Ok(newest) = newest else { return "MongoDB does not answer".into_response() };
    let newest: Vec<Document> = newest.try_collect().await.unwrap_or_default();
    axum::Json(json!({ "errno": 0, "msg": "success", "data": newest })).into_response()
}

/// How long an answer took, and how large it was.
async fn ask(address: &str, target: &str) -> Result<(Duration, usize), Failure> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let time = begun.elapsed();
    let right = answer.windows(10).any(|window| window == br#""errno":0,"#);
    if right { Ok((time, answer.len())) } else { Err(String::from_utf8_lossy(&answer).into()) }
}

/// The most memory that this process has had so far, in MiB.
fn peak() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no such figure")?;
    let kibibytes: f64 = line.split_ascii_whitespace().next().ok_or("no number")?.parse()?;
    Ok(kibibytes / 1024.0)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
