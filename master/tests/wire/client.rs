//! A server on a free port, and a client that sends exactly the bytes it is told to.

use std::net::SocketAddr;
use std::time::Duration;

use master::Master;
use model::job::{Job, JobSpec, Owner};
use model::keys::{Key, KeyPrefix};
use model::legacy::JobValue;
use model::record::{Output, RunRecord};
use model::run::{Outcome, Revision, RunId, SessionId, Slot};
use model::values::{JobStatus, RecentRun};
use model::{JobName, TimeZone, UnixMillis};
use serde_json::{Value, json};
use store::embedded::Embedded;
use store::{LogEntry, Op, RunLog, Tree, Txn};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    pub(crate) store: Embedded,
    pub(crate) address: SocketAddr,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) served: JoinHandle<std::io::Result<()>>,
    _folder: TempDir,
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(folder.path(), KeyPrefix::default(), Duration::ZERO).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let master = Master::new(store.clone(), store.clone(), TimeZone::UTC, address);
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(master::serve(listener, master::router(master), async {
            let _ = stopped.await;
        }));
        Self { store, address, stop: Some(stop), served, _folder: folder }
    }

    /// Sends bytes and reads until the server closes the connection.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Answer {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            // The server may answer and close before it has read everything.
            let _ = stream.write_all(bytes).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            answer
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time");
        let answer = String::from_utf8(answer).expect("answers are UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// A request with more headers, each line ended by CRLF.
    pub(crate) async fn send(&self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        let host = if headers.to_lowercase().contains("host:") { "" } else { "Host: localhost\r\n" };
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        self.raw(request.as_bytes()).await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, "", "").await
    }

    pub(crate) async fn post(&self, target: &str, form: &str) -> Answer {
        self.send("POST", target, FORM, form).await
    }

    pub(crate) async fn save(&self, name: &str, command: &str, cron_expr: &str) -> Answer {
        self.post("/job/save", &save_form(name, command, cron_expr)).await
    }

    pub(crate) async fn put(&self, key: Key, value: impl Into<Vec<u8>>) {
        let txn = Txn { then: vec![Op::Put(key, value.into())], ..Txn::default() };
        assert!(self.store.commit(txn).await.unwrap().succeeded);
    }

    /// A job in full, as `up` writes it when it has an owner.
    pub(crate) async fn put_spec(&self, name: &str, spec: Value, owner: Option<&str>) {
        let spec: JobSpec = serde_json::from_value(spec).unwrap();
        let job = Job::new(job(name), spec.clone()).unwrap();
        let owner = owner.map(|path| Owner::Manifest { path: path.to_owned() });
        self.put(Key::Job(job.name.clone()), JobValue::of_spec(&job, spec, owner).to_bytes()).await;
    }

    /// A claimed run that nobody finishes.
    pub(crate) async fn put_active(&self, name: &str) -> RunId {
        let slot = Slot(UnixMillis(1_764_000_000_000));
        let run = RunId::of_slot(job(name), Revision(1), slot);
        let active = json!({
            "session": "s", "node": "node-1", "slot": slot, "attempt": 0, "claimed": slot, "definition": 1,
        });
        self.put(Key::Run(job(name).into(), run.clone()), active.to_string()).await;
        run
    }

    /// An ended run that was due so many seconds after 2025-11-24T16:00:00Z, and the status that counts it.
    pub(crate) async fn add_run(&self, name: &str, second: i64, output: &[u8]) -> RunId {
        let slot = Slot(UnixMillis(1_764_000_000_000 + second * 1000));
        let run = RunId::of_slot(job(name), Revision(1), slot);
        let ended = slot.0 + Duration::from_millis(250);
        let record = RunRecord {
            run: run.clone(),
            attempt: 0,
            job: job(name),
            command: "a && b < c".to_owned(),
            node: "node-1".to_owned(),
            session: SessionId("s".to_owned()),
            slot,
            claimed: slot.0,
            started: Some(slot.0 + Duration::from_millis(4)),
            ended,
            outcome: Outcome::Failed,
            exit_status: Some(3),
            signal: None,
            message: "exit status 3".to_owned(),
            output: Output { head: output.to_vec(), cut: 0, tail: Vec::new() },
        };
        self.store
            .append(vec![LogEntry::Run { record, keep: model::job::History::default() }])
            .await
            .unwrap();
        let mut status = JobStatus::default();
        let unknown = model::Unknown::default();
        status.add_run(RecentRun { run: run.clone(), slot, outcome: Outcome::Failed, ended, unknown });
        self.put(Key::Status(job(name).into()), serde_json::to_vec(&status).unwrap()).await;
        run
    }
}

pub(crate) const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
pub(crate) const OLD_PAGE: &str = "X-Requested-With: XMLHttpRequest\r\n";

pub(crate) fn job(name: &str) -> JobName {
    JobName::new(name).unwrap()
}

pub(crate) fn save_form(name: &str, command: &str, cron_expr: &str) -> String {
    let job = serde_json::json!({ "name": name, "command": command, "cronExpr": cron_expr }).to_string();
    format!("job={}", encode(&job))
}

/// Percent-encodes everything, which every decoder has to take.
pub(crate) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| encoded + &format!("%{byte:02X}"))
}
