//! A store in a folder of its own and a worker on it.

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use model::job::JobSpec;
use model::keys::{Folder, Key, KeyPrefix};
use model::legacy::JobValue;
use model::record::{RunRecord, SkipRecord};
use model::run::Revision;
use model::values::{ActiveRun, JobStatus};
use model::{Job, JobName, TimeZone};
use serde_json::{Value, json};
use store::embedded::Embedded;
use store::{KeyValue, Op, Range, RunLog, RunQuery, Tree, Txn, protocol};
use tempfile::TempDir;
use worker::{Config, Worker};

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) store: Embedded,
}

pub(crate) fn name(text: &str) -> JobName {
    JobName::new(text).unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Embedded::open(&folder.path().join("data"), KeyPrefix::default(), Duration::ZERO).unwrap();
        Self { folder, store }
    }

    /// A file that commands of this test can write to.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn worker(&self) -> Worker {
        self.worker_with(|_| {}).await
    }

    pub(crate) async fn worker_with(&self, change: impl FnOnce(&mut Config)) -> Worker {
        let program = env!("CARGO_BIN_EXE_crontab-worker").into();
        let mut config = Config::new("node1".to_owned(), "127.0.0.1".to_owned(), TimeZone::UTC, program);
        change(&mut config);
        let worker = Worker::start(self.store.clone(), self.store.clone(), config).await.unwrap();
        worker.ready().await.unwrap();
        worker
    }

    /// Puts a job that runs `command` each second, with further fields of its spec.
    pub(crate) async fn job(&self, job: &str, command: &str, fields: Value) {
        let mut spec = json!({"schedule": "* * * * * *", "template": {"command": command}});
        merge(&mut spec, fields);
        let spec: JobSpec = serde_json::from_value(spec).unwrap();
        let parsed = Job::new(name(job), spec.clone()).unwrap();
        self.put(Key::Job(name(job)), JobValue::of_spec(&parsed, spec, None).to_bytes()).await;
    }

    /// Puts any value, as people do by hand. Returns the revision.
    pub(crate) async fn put(&self, key: Key, value: Vec<u8>) -> Revision {
        let txn = Txn { then: vec![Op::Put(key, value)], ..Txn::default() };
        self.store.commit(txn).await.unwrap().revision
    }

    pub(crate) async fn delete(&self, job: &str) {
        self.delete_key(Key::Job(name(job))).await;
    }

    pub(crate) async fn delete_key(&self, key: Key) {
        let txn = Txn { then: vec![Op::Delete(key)], ..Txn::default() };
        self.store.commit(txn).await.unwrap();
    }

    /// Asks for the end of what runs; says whether anything did.
    pub(crate) async fn kill(&self, job: &str) -> bool {
        !self.store.commit(protocol::kill(&name(job), worker::now())).await.unwrap().succeeded
    }

    /// The records of a job, newest first.
    pub(crate) async fn records(&self, job: &str) -> Vec<RunRecord> {
        let query = RunQuery { job: Some(name(job)), skip: 0, limit: 100, with_output: true };
        self.store.runs(query).await.unwrap()
    }

    pub(crate) async fn skipped(&self, job: &str) -> Vec<SkipRecord> {
        self.store.skipped(&name(job), 100).await.unwrap()
    }

    pub(crate) async fn get(&self, key: Key) -> Option<KeyValue> {
        self.store.get(key).await.unwrap()
    }

    /// How many runs of a job a worker holds.
    pub(crate) async fn active(&self, job: &str) -> usize {
        let runs = self.store.list(Range::RunsOf(name(job))).await.unwrap();
        let held = |pair: &&KeyValue| protocol::read::<ActiveRun>(pair).unwrap().waiting.is_none();
        runs.iter().filter(held).count()
    }

    pub(crate) async fn keys(&self, folder: Folder) -> Vec<String> {
        self.store.list(Range::Folder(folder)).await.unwrap().into_iter().map(|pair| pair.key).collect()
    }

    pub(crate) async fn status(&self, job: &str) -> JobStatus {
        match self.get(Key::Status(name(job).into())).await {
            Some(pair) => protocol::read(&pair).unwrap(),
            None => JobStatus::default(),
        }
    }

    /// Waits for records of a job and returns them, oldest first.
    pub(crate) async fn records_until(
        &self,
        job: &str,
        enough: impl Fn(&[RunRecord]) -> bool,
    ) -> Vec<RunRecord> {
        eventually(&format!("records of {job}"), || async {
            let mut records = self.records(job).await;
            records.reverse();
            if enough(&records) { Ok(records) } else { Err(format!("{records:#?}")) }
        })
        .await
    }

    /// Waits for the first record of a job.
    pub(crate) async fn first_record(&self, job: &str) -> RunRecord {
        self.records_until(job, |records| !records.is_empty()).await.swap_remove(0)
    }
}

/// Whether a process runs. One that has ended and waits for its parent to notice does not.
pub(crate) fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses and may contain anything.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Ends a worker as a SIGTERM does.
pub(crate) async fn stop(mut worker: Worker) {
    worker.stop(Duration::MAX);
    worker.ended().await;
}

/// Asks until the answer is there; panics with the last state if it does not come.
pub(crate) async fn eventually<T, F, Fut>(what: &str, mut ask: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, String>>,
{
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(state) if begun.elapsed() > PATIENCE => panic!("gave up waiting for {what}: {state}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
