//! The tree in memory beside a real etcd: the same requests to both, the same replies, revisions and changes from both.

use std::time::Duration;

use e2e::{Etcd as Server, EtcdOptions};
use etcd_client::{Client, EventType, WatchOptions};
use model::keys::{Folder, Key, KeyPrefix};
use model::run::{Revision, RunId, SessionId, Slot};
use model::values::WorkerInfo;
use model::{JobName, UnixMillis};
use store::etcd::{Etcd, EtcdConfig};
use store::memory::TreeState;
use store::{Change, Compare, Follow, LeaseId, Op, Range, Session, Tree, TreeError, Txn};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(1);

/// The time in memory stands still, and sessions outlive the test.
const NOW: Duration = Duration::ZERO;
const LASTS: Duration = Duration::from_mins(10);

/// Both trees. What was asked of them so far had the same effect.
struct Both {
    etcd: Etcd,
    memory: TreeState,
    /// As each of them knows them: leases have other ids.
    sessions: Vec<(Session, Session)>,
}

impl Both {
    fn new(server: &Server) -> Self {
        let prefix = KeyPrefix::default();
        let endpoints = vec![server.endpoint()];
        let config = EtcdConfig { endpoints, prefix: prefix.clone(), tls: None, user: None, lease: LASTS };
        let etcd = Etcd::new(config).expect("a usable endpoint");
        Self { etcd, memory: TreeState::new(prefix), sessions: Vec::new() }
    }

    /// Commits what is made of the lease of the session with this number. Returns whether it was done and succeeded;
    /// nothing where both have refused it.
    async fn commit(&mut self, make: impl Fn(&dyn Fn(usize) -> LeaseId) -> Txn) -> Option<bool> {
        let lease = |theirs: fn(&(Session, Session)) -> LeaseId,
                     sessions: &[(Session, Session)],
                     at: usize| { sessions.get(at).map_or(LeaseId(0), theirs) };
        let sessions = &self.sessions;
        let to_etcd = make(&|at| lease(|(session, _)| session.lease, sessions, at));
        let to_memory = make(&|at| lease(|(_, session)| session.lease, sessions, at));
        let shown = format!("{to_memory:?}");
        let (etcd, memory) = (self.etcd.commit(to_etcd).await, self.memory.commit(NOW, &to_memory));
        match (etcd, memory.map_err(TreeError::from)) {
            (Ok(etcd), Ok(memory)) => {
                assert_eq!(etcd, memory, "{shown}");
                Some(etcd.succeeded)
            }
            (Err(etcd), Err(memory)) => {
                assert_eq!(etcd.kind(), memory.kind(), "{shown}: {etcd:?}, {memory:?}");
                None
            }
            (etcd, memory) => panic!("{shown}: {etcd:?}, {memory:?}"),
        }
    }

    async fn open(&mut self, id: &str) -> bool {
        let id = || SessionId(id.to_owned());
        let info = WorkerInfo::new("10.0.0.1", "node-1", "1", UnixMillis(0));
        let etcd = self.etcd.open_session(id(), &info).await;
        let memory = self.memory.open_session(NOW, id(), &info, LASTS).map_err(TreeError::from);
        match (etcd, memory) {
            (Ok(etcd), Ok(memory)) => {
                assert_eq!((etcd.registered, etcd.lasts), (memory.registered, memory.lasts));
                self.sessions.push((etcd, memory));
                true
            }
            (Err(etcd), Err(memory)) => {
                assert_eq!(etcd.kind(), memory.kind(), "{etcd:?}, {memory:?}");
                false
            }
            (etcd, memory) => panic!("{etcd:?}, {memory:?}"),
        }
    }

    async fn renew(&mut self, at: usize) {
        let (etcd, memory) = &self.sessions[at];
        let renewed = self.etcd.renew_session(etcd).await.expect("etcd answers");
        assert_eq!(renewed, self.memory.renew_session(NOW, memory));
    }

    async fn close(&mut self, at: usize) {
        let (etcd, memory) = &self.sessions[at];
        self.etcd.close_session(etcd).await.expect("etcd answers");
        self.memory.close_session(NOW, memory);
    }
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    /// One below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }

    fn key(&mut self) -> Key {
        let job = name(["a", "a/b", "c"][self.below(3)]);
        match self.below(4) {
            0 => Key::Job(job),
            1 => Key::Lock(job),
            2 => Key::Run(job.clone().into(), RunId::of_slot(&job, Revision(1), Slot(UnixMillis(1)))),
            _ => Key::Worker(SessionId(["n/0", "n/1"][self.below(2)].to_owned())),
        }
    }

    fn range(&mut self) -> Range {
        [Range::Folder(Folder::Jobs), Range::Folder(Folder::Locks), Range::RunsOf(name("a"))][self.below(3)]
            .clone()
    }

    /// The present revision of a key in most cases, and another one in some.
    fn revision(&mut self, key: &Key, tree: &TreeState, created: bool) -> Revision {
        let present =
            tree.get(key).map_or(Revision::NONE, |pair| if created { pair.created } else { pair.modified });
        if self.below(6) == 0 { Revision(present.0 / 2) } else { present }
    }

    fn compare(&mut self, tree: &TreeState) -> Compare {
        let key = self.key();
        match self.below(5) {
            0 | 1 => Compare::Modified(key.clone(), self.revision(&key, tree, false)),
            2 | 3 => Compare::Created(key.clone(), self.revision(&key, tree, true)),
            _ => Compare::Empty(self.range()),
        }
    }

    /// An operation, and the number of the session whose lease is to be put into it.
    fn op(&mut self, tree: &TreeState, sessions: usize) -> (Op, usize) {
        let (key, session) = (self.key(), self.below(sessions + 1));
        let value = self.below(1000).to_string().into_bytes();
        let op = match self.below(10) {
            0..3 => Op::Put(key, value),
            3 | 4 => Op::PutLeased(key, value, LeaseId(0)),
            5 => Op::Delete(key),
            6 | 7 => Op::DeleteIf(key.clone(), self.revision(&key, tree, false)),
            8 => Op::Get(key),
            _ => Op::List(self.range()),
        };
        (op, session)
    }
}

fn name(text: &str) -> JobName {
    JobName::new(text).expect("a valid name")
}

fn with_leases(ops: &[(Op, usize)], lease: &dyn Fn(usize) -> LeaseId) -> Vec<Op> {
    let of = |(op, session): &(Op, usize)| match op.clone() {
        Op::PutLeased(key, value, _) => Op::PutLeased(key, value, lease(*session)),
        other => other,
    };
    ops.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_requests_have_the_same_effect() {
    const FOLDERS: [Folder; 4] = [Folder::Jobs, Folder::Locks, Folder::Runs, Folder::Workers];
    let server = Server::start();
    let mut both = Both::new(&server);
    let mut from = both.etcd.follow(&FOLDERS);
    let listed = timeout(PATIENCE, from.recv()).await.expect("a listing within a minute");
    assert_eq!(listed, Some(Follow::Listed(both.memory.revision())), "of an empty tree");
    let mut numbers = Numbers(7);
    // How many transactions took each branch, were refused, and what became of sessions.
    let (mut succeeded, mut failed, mut refused, mut opened) = (0, 0, 0, 0);
    for _ in 0..3000 {
        let sessions = both.sessions.len();
        match numbers.below(12) {
            0 => opened += usize::from(both.open(["n/0", "n/1"][numbers.below(2)]).await),
            1 if sessions > 0 => both.close(sessions - 1 - numbers.below(sessions.min(3))).await,
            2 if sessions > 0 => both.renew(sessions - 1 - numbers.below(sessions.min(3))).await,
            _ => {
                let when: Vec<_> = (0..numbers.below(3)).map(|_| numbers.compare(&both.memory)).collect();
                let mut ops =
                    || (0..numbers.below(5)).map(|_| numbers.op(&both.memory, sessions)).collect::<Vec<_>>();
                let (then, otherwise) = (ops(), ops());
                let outcome = both
                    .commit(|lease| Txn {
                        when: when.clone(),
                        then: with_leases(&then, lease),
                        otherwise: with_leases(&otherwise, lease),
                    })
                    .await;
                *match outcome {
                    Some(true) => &mut succeeded,
                    Some(false) => &mut failed,
                    None => &mut refused,
                } += 1;
            }
        }
    }
    assert!(
        succeeded > 300 && failed > 300 && refused > 300 && opened > 10,
        "{succeeded} {failed} {refused} {opened}"
    );
    for folder in FOLDERS {
        let listed = both.etcd.list(Range::Folder(folder)).await.expect("etcd answers");
        assert_eq!(listed, both.memory.list_folders(&[folder]).1);
    }
    let (last, changes) = both.memory.changes_since(Revision(1), &FOLDERS).expect("nothing was compacted");
    let changes: Vec<Change> = changes.into_iter().flatten().collect();
    let mut seen = Vec::new();
    while seen.len() < changes.len() {
        match timeout(PATIENCE, from.recv()).await.expect("changes within a minute") {
            Some(Follow::Changed(more)) => seen.extend(more),
            Some(Follow::Current(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(last > Revision(500), "{last:?}");
    assert_eq!(seen, changes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_transactions_are_the_same() {
    let server = Server::start();
    let mut both = Both::new(&server);
    for (puts, deletions, fits) in
        [(128, 0, true), (129, 0, false), (126, 1, true), (127, 1, false), (0, 128, false)]
    {
        let mut ops: Vec<_> =
            (0..puts).map(|i| Op::Put(Key::Job(name(&i.to_string())), Vec::new())).collect();
        ops.extend((0..deletions).map(|_| Op::DeleteIf(Key::Lock(name("a")), Revision(1))));
        for then in [true, false] {
            let ops = ops.clone();
            let txn = if then {
                Txn { then: ops, ..Txn::default() }
            } else {
                Txn { otherwise: ops, ..Txn::default() }
            };
            assert_eq!(both.commit(|_| txn.clone()).await.is_some(), fits, "{puts} and {deletions}");
        }
    }
    for (count, fits) in [(128, true), (129, false)] {
        let when = vec![Compare::Modified(Key::Lock(name("a")), Revision::NONE); count];
        let txn = Txn { when, ..Txn::default() };
        assert_eq!(both.commit(|_| txn.clone()).await.is_some(), fits, "{count} comparisons");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_space_the_same_is_refused() {
    let arguments = vec!["--quota-backend-bytes=2000000".to_owned()];
    let server = Server::start_with(EtcdOptions { arguments, ..EtcdOptions::default() });
    let mut both = Both::new(&server);
    assert!(both.open("n/1").await);
    let put = |text: &str, value: Vec<u8>| Op::Put(Key::Job(name(text)), value);
    let large = Txn { then: vec![put("large", vec![b'x'; 100_000])], ..Txn::default() };
    for i in 0.. {
        // etcd looks at what its file has at its last commit, which it makes ten times a second.
        assert!(i < 2000, "it has a quota");
        match both.etcd.commit(large.clone()).await {
            Ok(reply) => assert_eq!(Ok(reply), both.memory.commit(NOW, &large)),
            Err(why) => {
                assert!(matches!(why, TreeError::NoSpace(_)), "{why:?}");
                break;
            }
        }
    }
    // Whether the last one was done after all is etcd's affair.
    let delete = Txn { then: vec![Op::Delete(Key::Job(name("large")))], ..Txn::default() };
    let there = both.etcd.get(Key::Job(name("large"))).await.expect("etcd answers").expect("it was put");
    if Some(&there) != both.memory.get(&Key::Job(name("large"))) {
        both.memory.commit(NOW, &large).expect("as in etcd");
    }
    // The alarm that refuses small puts too comes a moment after the first refusal.
    let small = Txn { then: vec![put("small", b"0".to_vec())], ..Txn::default() };
    while let Ok(reply) = both.etcd.commit(small.clone()).await {
        assert_eq!(Ok(reply), both.memory.commit(NOW, &small));
    }
    both.memory.set_no_space(true);
    assert!(!both.open("n/2").await, "a session is a put");
    both.renew(0).await;
    for (ops, passes) in [
        (vec![put("small", b"1".to_vec())], false),
        (vec![Op::Delete(Key::Job(name("large"))), put("small", b"1".to_vec())], false),
        (
            vec![Op::DeleteIf(Key::Job(name("large")), Revision(1)), Op::List(Range::Folder(Folder::Jobs))],
            true,
        ),
        (delete.then, true),
        (Vec::new(), true),
    ] {
        let txn = Txn { then: ops.clone(), ..Txn::default() };
        assert_eq!(both.commit(|_| txn.clone()).await.is_some(), passes, "{ops:?}");
        let txn = Txn { otherwise: ops.clone(), ..Txn::default() };
        assert_eq!(both.commit(|_| txn.clone()).await.is_some(), passes, "not taken: {ops:?}");
    }
    both.close(0).await;
    let end = Txn { then: vec![Op::List(Range::Folder(Folder::Workers))], ..Txn::default() };
    assert_eq!(both.commit(|_| end.clone()).await, Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_compaction_the_same_changes_are_left() {
    let server = Server::start();
    let mut both = Both::new(&server);
    let [a, b] = ["a", "b"].map(|text| Key::Job(name(text)));
    for ops in [
        vec![Op::Put(a.clone(), b"2".to_vec()), Op::Put(b.clone(), b"2".to_vec())],
        vec![Op::Put(a.clone(), b"3".to_vec())],
        vec![Op::Delete(a.clone()), Op::Put(b.clone(), b"4".to_vec())],
        vec![Op::Put(a.clone(), b"5".to_vec())],
        vec![Op::Delete(a.clone())],
    ] {
        assert_eq!(both.commit(|_| Txn { then: ops.clone(), ..Txn::default() }).await, Some(true));
    }
    for compacted in [None, Some(3), Some(4), Some(6)] {
        if let Some(revision) = compacted {
            server.ctl(&["compact", "--physical", &revision.to_string()]);
            both.memory.compact(Revision(revision));
        }
        for after in 1..6 {
            let memory = both.memory.changes_since(Revision(after), &[Folder::Jobs]);
            let memory = memory.map(|(_, groups)| groups.concat()).map_err(|why| why.0);
            assert_eq!(watched(&server, after).await, memory, "after {after}, compacted at {compacted:?}");
        }
    }
}

/// What a watch that begins after a revision tells first, or the revision of the compaction that it was too late for.
async fn watched(server: &Server, after: i64) -> Result<Vec<Change>, Revision> {
    let mut client = Client::connect([server.endpoint()], None).await.expect("etcd answers");
    let options = WatchOptions::new().with_prefix().with_start_revision(after + 1);
    let mut watch = client.watch("/cron/jobs/", Some(options)).await.expect("etcd answers");
    loop {
        let answer = timeout(PATIENCE, watch.message()).await.expect("an answer within a minute");
        let answer = answer.expect("etcd answers").expect("the stream goes on");
        if answer.canceled() {
            return Err(Revision(answer.compact_revision()));
        }
        if answer.events().is_empty() {
            continue;
        }
        let changes = answer.events().iter().map(|event| {
            let pair = event.kv().expect("every event has its key");
            let key = pair.key_str().expect("a key of ours").to_owned();
            let modified = Revision(pair.mod_revision());
            match event.event_type() {
                EventType::Put => Change::Put(store::KeyValue {
                    key,
                    value: pair.value().to_vec(),
                    created: Revision(pair.create_revision()),
                    modified,
                }),
                EventType::Delete => Change::Deleted { key, revision: modified },
            }
        });
        return Ok(changes.collect());
    }
}
