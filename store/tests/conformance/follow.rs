//! Followers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::keys::{Folder, Key};
use model::run::Revision;
use store::{Change, Follow, KeyValue, Op, Range, Tree, Txn};
use tokio::sync::mpsc::Receiver;

use super::world::{claim_now, commit, delete, job, name, put, put_job, register, slot};

/// What a follower makes of what it is told, checking the order of messages.
#[derive(Default)]
pub(crate) struct Mirror {
    pub(crate) keys: BTreeMap<String, KeyValue>,
    /// The revision of the listing, once it is complete.
    pub(crate) listed: Option<Revision>,
    /// The revisions of all changes since.
    pub(crate) changes: Vec<Revision>,
    pub(crate) pages: usize,
    pub(crate) again: usize,
}

impl Mirror {
    pub(crate) async fn receive(&mut self, from: &mut Receiver<Follow>) {
        match next(from).await {
            Follow::Page(pairs) => {
                assert_eq!(self.listed, None, "a page after the end of the listing");
                self.pages += 1;
                for pair in pairs {
                    assert_eq!(self.keys.insert(pair.key.clone(), pair), None, "listed twice");
                }
            }
            Follow::Listed(revision) => {
                assert_eq!(self.listed.replace(revision), None, "a listing ends once");
                assert!(self.keys.values().all(|pair| pair.modified <= revision), "listed from the future");
            }
            Follow::Changed(changes) => {
                let listed = self.listed.expect("changes come after the listing");
                for change in changes {
                    let revision = self.apply(change);
                    assert!(revision > listed && self.changes.last().is_none_or(|last| revision >= *last));
                    self.changes.push(revision);
                }
            }
            Follow::Current(_) => {}
            Follow::Again(_) => *self = Self { again: self.again + 1, ..Self::default() },
        }
    }

    fn apply(&mut self, change: Change) -> Revision {
        match change {
            Change::Put(pair) => {
                let revision = pair.modified;
                self.keys.insert(pair.key.clone(), pair);
                revision
            }
            Change::Deleted { key, revision } => {
                assert!(self.keys.remove(&key).is_some(), "{key} was deleted and is unknown");
                revision
            }
        }
    }

    /// Receives until the listing is complete.
    pub(crate) async fn list(from: &mut Receiver<Follow>) -> Self {
        let mut mirror = Self::default();
        while mirror.listed.is_none() {
            mirror.receive(from).await;
        }
        mirror
    }

    /// Receives until a revision was listed or told.
    pub(crate) async fn reach(&mut self, revision: Revision, from: &mut Receiver<Follow>) {
        while self.listed.is_none_or(|listed| listed < revision)
            && self.changes.last().is_none_or(|last| *last < revision)
        {
            self.receive(from).await;
        }
    }
}

pub(crate) async fn next(from: &mut Receiver<Follow>) -> Follow {
    let next = tokio::time::timeout(Duration::from_secs(30), from.recv()).await;
    next.expect("a message within 30 seconds").expect("the store is open")
}

async fn listed<S: Tree>(store: &S, folder: Folder) -> BTreeMap<String, KeyValue> {
    let pairs = store.list(Range::Folder(folder)).await.unwrap();
    pairs.into_iter().map(|pair| (pair.key.clone(), pair)).collect()
}

pub(crate) async fn a_follower_sees_every_change_once_and_in_order<S: Tree>(store: &S) {
    const WRITERS: usize = 8;
    for round in 0..5 {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut revisions = Vec::new();
                    for i in 0..60 {
                        let key = Key::Job(name(&format!("{writer}/{}", i % 7)));
                        revisions.push(put(&store, key.clone(), format!("{round} {i}").as_bytes()).await);
                        if i % 3 == 0 {
                            revisions.push(delete(&store, key).await);
                        }
                        put(&store, Key::Status(name("not/followed").into()), b"").await;
                    }
                    revisions
                })
            })
            .collect();
        // In the middle of it, not before.
        while store.list(Range::Folder(Folder::Jobs)).await.unwrap().len() < WRITERS {
            tokio::task::yield_now().await;
        }
        let mut from = store.follow(&[Folder::Jobs]);
        let mut mirror = Mirror::list(&mut from).await;
        let start = mirror.listed.unwrap();
        let mut acknowledged = BTreeSet::new();
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        let last = *acknowledged.last().unwrap();
        mirror.reach(last, &mut from).await;

        assert_eq!(mirror.again, 0, "so few changes are no reason to list again");
        let expected: Vec<_> = acknowledged.into_iter().filter(|revision| *revision > start).collect();
        assert_eq!(mirror.changes, expected);
        assert_eq!(mirror.keys, listed(store, Folder::Jobs).await);
    }
}

pub(crate) async fn a_follower_of_an_empty_folder_is_told_so<S: Tree>(store: &S) {
    let revision = put(store, Key::Status(name("a").into()), b"").await;
    let mut from = store.follow(&[Folder::Jobs, Folder::Kills]);
    assert_eq!(next(&mut from).await, Follow::Listed(revision));
}

pub(crate) async fn changes_of_one_transaction_come_together<S: Tree>(store: &S) {
    let (job, session) = (job("a"), register(store, "n/1").await);
    put_job(store, &job).await;
    let mut from = store.follow(&store::protocol::FOLLOWED);
    Mirror::list(&mut from).await;
    let claimed = claim_now(store, &job, &session, slot(1)).await;
    let Follow::Changed(changes) = next(&mut from).await else { panic!("the claim comes next") };
    let keys: BTreeSet<_> = changes
        .iter()
        .map(|change| match change {
            Change::Put(pair) if pair.modified == claimed.token => pair.key.clone(),
            other => panic!("not of the claim: {other:?}"),
        })
        .collect();
    let expected = [
        Key::Cursor(job.name.clone().into()),
        Key::Run(job.name.clone().into(), claimed.run),
        Key::Lock(job.name),
    ];
    assert_eq!(keys, expected.map(|key| store.prefix().encode(&key)).into());
}

pub(crate) async fn only_followed_folders_are_seen<S: Tree>(store: &S) {
    let a = || name("a");
    for key in [Key::Job(a()), Key::Status(a().into()), Key::Kill(a())] {
        put(store, key, b"before").await;
    }
    let mut from = store.follow(&[Folder::Statuses, Folder::Kills]);
    let mut mirror = Mirror::list(&mut from).await;
    let mut both = vec![Op::Put(Key::Job(a()), b"after".to_vec())];
    both.push(Op::Put(Key::Kill(a()), b"after".to_vec()));
    let last = commit(store, Txn { then: both, ..Txn::default() }).await.revision;
    mirror.reach(last, &mut from).await;
    let seen: Vec<_> = mirror.keys.values().map(|pair| (pair.key.clone(), &pair.value[..])).collect();
    let prefix = store.prefix();
    assert_eq!(
        seen,
        [
            (prefix.encode(&Key::Kill(a())), &b"after"[..]),
            (prefix.encode(&Key::Status(a().into())), &b"before"[..])
        ]
    );
    assert_eq!(mirror.changes, [last]);
}

pub(crate) async fn deletions_carry_their_revision<S: Tree>(store: &S) {
    let key = Key::Job(name("a"));
    put(store, key.clone(), b"").await;
    let mut from = store.follow(&[Folder::Jobs]);
    Mirror::list(&mut from).await;
    let revision = delete(store, key.clone()).await;
    let key = store.prefix().encode(&key);
    assert_eq!(next(&mut from).await, Follow::Changed(vec![Change::Deleted { key, revision }]));
}

pub(crate) async fn the_end_of_a_session_is_a_deletion<S: Tree>(store: &S) {
    let session = register(store, "n/1").await;
    let mut from = store.follow(&[Folder::Workers]);
    let mirror = Mirror::list(&mut from).await;
    assert_eq!(mirror.keys.len(), 1);
    store.close_session(&session).await.unwrap();
    let gone = store.prefix().encode(&Key::Worker(session.id));
    match next(&mut from).await {
        Follow::Changed(changes) => match &changes[..] {
            [Change::Deleted { key, revision }] => assert!(*key == gone && *revision > session.registered),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn a_long_listing_comes_in_pages<S: Tree>(store: &S) {
    for i in 0..20 {
        let then = (0..100).map(|j| Op::Put(Key::Job(name(&format!("{i}-{j}"))), vec![b'x'; 500])).collect();
        commit(store, Txn { then, ..Txn::default() }).await;
    }
    put(store, Key::Status(name("a").into()), &vec![b'x'; 1 << 20]).await;
    let mut from = store.follow(&[Folder::Jobs, Folder::Statuses]);
    let mirror = Mirror::list(&mut from).await;
    assert!(mirror.pages > 2, "1 MB in {} pages", mirror.pages);
    let mut expected = listed(store, Folder::Jobs).await;
    expected.extend(listed(store, Folder::Statuses).await);
    assert!(mirror.keys == expected, "{} of {} keys", mirror.keys.len(), expected.len());
}

pub(crate) async fn a_slow_follower_ends_with_the_present_state<S: Tree>(store: &S) {
    let mut from = store.follow(&[Folder::Jobs]);
    let mut mirror = Mirror::list(&mut from).await;
    // 40 MB of changes that nobody takes.
    let mut last = Revision::NONE;
    for i in 0..640_u32 {
        last =
            put(store, Key::Job(name(&format!("job-{}", i % 10))), &i.to_le_bytes().repeat(16 << 10)).await;
        if i % 10 == 9 {
            last = delete(store, Key::Job(name("job-3"))).await;
        }
    }
    mirror.reach(last, &mut from).await;
    assert!(mirror.keys == listed(store, Folder::Jobs).await);
    let next = put(store, Key::Job(name("later")), b"x").await;
    mirror.reach(next, &mut from).await;
    assert_eq!(mirror.changes.last(), Some(&next), "it follows on");
}
