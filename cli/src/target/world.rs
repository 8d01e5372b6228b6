//! A master of this process with a tree and a log, for tests of what is read while both change.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use futures::future::BoxFuture;
use master::Master;
use model::job::History;
use model::keys::{Key, KeyPrefix};
use model::record::{Output, RunRecord};
use model::run::{Outcome, Revision, RunId, SessionId, Slot};
use model::{JobName, TimeZone, UnixMillis};
use serde_json::json;
use store::embedded::Embedded;
use store::{LogEntry, Op, RunLog, Tree, Txn};
use tempfile::TempDir;

use super::rest::HERE;
use super::{Rest, Session};

/// Limits that nothing here reaches.
pub(crate) const KEEP_ALL: History = History { succeeded: 10_000, failed: 10_000 };

/// 2026-01-01T00:00:00Z.
const MIDNIGHT: i64 = 1_767_225_600_000;

type Meanwhile = Box<dyn FnMut(World) -> BoxFuture<'static, ()> + Send>;

/// A job `a` and its records. Clones are about the same.
#[derive(Clone)]
pub(crate) struct World {
    store: Embedded,
    /// What happens after each page of records.
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
    _folder: Arc<TempDir>,
}

fn job() -> JobName {
    JobName::new("a").expect("it is a name")
}

/// An instant so many seconds after midnight.
fn second(second: i64) -> UnixMillis {
    UnixMillis(MIDNIGHT + second * 1000)
}

/// The run of the slot of a second.
pub(crate) fn id(slot: i64) -> String {
    RunId::of_slot(job(), Revision(1), Slot(second(slot))).to_string()
}

/// A record of the run of a slot, which started at once.
fn record(slot: i64, outcome: Outcome) -> RunRecord {
    RunRecord {
        run: RunId::of_slot(job(), Revision(1), Slot(second(slot))),
        attempt: 0,
        job: job(),
        command: "true".to_owned(),
        node: "n".to_owned(),
        session: SessionId("n/1".to_owned()),
        slot: Slot(second(slot)),
        claimed: second(slot),
        started: Some(second(slot)),
        ended: second(slot),
        outcome,
        exit_status: Some(0),
        signal: None,
        message: String::new(),
        output: Output::default(),
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Embedded::open(folder.path(), KeyPrefix::default(), Duration::ZERO).expect("it is new");
        let value = br#"{"command":"true","cronExpr":"* * * * *"}"#.to_vec();
        let world = Self { store, meanwhile: Arc::default(), _folder: Arc::new(folder) };
        world.put(Key::Job(job()), value).await;
        world
    }

    /// Has something happen after each page of records that somebody has read.
    pub(crate) fn meanwhile<F: Future<Output = ()> + Send + 'static>(
        &self,
        mut happens: impl FnMut(Self) -> F + Send + 'static,
    ) {
        let happens: Meanwhile = Box::new(move |world| Box::pin(happens(world)));
        *self.meanwhile.lock().expect("no test panics here") = Some(happens);
    }

    pub(crate) async fn session(&self) -> Session {
        let world = self.clone();
        let master = Master::new(self.store.clone(), self.store.clone(), TimeZone::UTC, HERE);
        let router = master::router(master).layer(from_fn(move |request: Request, next: Next| {
            let world = world.clone();
            async move {
                let is_page = request.uri().path() == "/api/v1/runs";
                let answer = next.run(request).await;
                if is_page {
                    world.happens().await;
                }
                answer
            }
        }));
        Rest::tree(router, true).session().await.expect("it is here")
    }

    fn happens(&self) -> BoxFuture<'static, ()> {
        let mut meanwhile = self.meanwhile.lock().expect("no test panics here");
        meanwhile.as_mut().map_or_else(|| Box::pin(async {}) as _, |meanwhile| meanwhile(self.clone()))
    }

    /// Runs of these slots end.
    pub(crate) async fn end(&self, slots: impl IntoIterator<Item = i64>, outcome: Outcome, keep: History) {
        let entries = slots.into_iter().map(|slot| LogEntry::Run { record: record(slot, outcome), keep });
        self.store.append(entries.collect()).await.expect("the log works");
    }

    /// A run of a slot goes on.
    pub(crate) async fn start(&self, slot: i64) {
        let record = record(slot, Outcome::Succeeded);
        let active = json!({
            "session": "n/1", "node": "n", "slot": record.slot, "attempt": 0,
            "claimed": record.claimed, "definition": 1,
        });
        self.put(Key::Run(job().into(), record.run), active.to_string().into_bytes()).await;
    }

    /// It goes on no more. Its record is another matter.
    pub(crate) async fn stop(&self, slot: i64) {
        let gone = Op::Delete(Key::Run(job().into(), record(slot, Outcome::Succeeded).run));
        self.commit(gone).await;
    }

    async fn put(&self, key: Key, value: Vec<u8>) {
        self.commit(Op::Put(key, value)).await;
    }

    async fn commit(&self, op: Op) {
        let reply = self.store.commit(Txn { then: vec![op], ..Txn::default() }).await;
        assert!(reply.expect("the tree works").succeeded);
    }
}
