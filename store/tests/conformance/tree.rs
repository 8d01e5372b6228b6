//! Transactions, revisions and values.

use model::keys::{Folder, Key};
use model::run::{Revision, SessionId};
use model::values::WorkerInfo;
use store::protocol;
use store::{Compare, Op, Range, Tree, Txn};

use super::world::{commit, delete, exists, holds, job, look, name, put, register};

fn key(text: &str) -> Key {
    Key::Job(name(text))
}

pub(crate) async fn a_transaction_does_one_branch_whole<S: Tree>(store: &S) {
    put(store, key("there"), b"1").await;
    let branches = |when| Txn {
        when,
        then: vec![
            Op::Put(key("then-1"), b"x".to_vec()),
            Op::Put(key("then-2"), b"x".to_vec()),
            Op::Delete(key("there")),
        ],
        otherwise: vec![Op::Put(key("else"), b"x".to_vec()), Op::Get(key("there")), Op::Get(key("nowhere"))],
    };
    let missing = Compare::Created(key("there"), Revision::NONE);
    let empty = Compare::Empty(Range::Folder(Folder::Runs));
    let reply = commit(store, branches(vec![empty.clone(), missing])).await;
    assert!(!reply.succeeded);
    assert_eq!(reply.found.iter().map(|pair| &pair.value[..]).collect::<Vec<_>>(), [b"1"]);
    for (text, there) in [("then-1", false), ("then-2", false), ("there", true), ("else", true)] {
        assert_eq!(exists(store, key(text)).await, there, "{text}");
    }
    let reply = commit(store, branches(vec![empty])).await;
    assert!(reply.succeeded);
    for (text, there) in [("then-1", true), ("then-2", true), ("there", false)] {
        assert_eq!(exists(store, key(text)).await, there, "{text}");
    }
}

pub(crate) async fn comparisons_tell_missing_keys_from_present_ones<S: Tree>(store: &S) {
    let created = put(store, key("a"), b"1").await;
    let modified = put(store, key("a"), b"2").await;
    for (compare, expected) in [
        (Compare::Created(key("a"), created), true),
        (Compare::Created(key("a"), modified), false),
        (Compare::Created(key("a"), Revision::NONE), false),
        (Compare::Created(key("b"), Revision::NONE), true),
        (Compare::Created(key("b"), created), false),
        (Compare::Modified(key("a"), modified), true),
        (Compare::Modified(key("a"), created), false),
        (Compare::Modified(key("a"), Revision::NONE), false),
        (Compare::Modified(key("b"), Revision::NONE), true),
        (Compare::Modified(key("b"), modified), false),
        (Compare::Empty(Range::Folder(Folder::Jobs)), false),
        (Compare::Empty(Range::Folder(Folder::Kills)), true),
        (Compare::Empty(Range::RunsOf(name("a"))), true),
    ] {
        assert_eq!(holds(store, compare.clone()).await, expected, "{compare:?}");
    }
}

pub(crate) async fn revisions_grow_with_every_writing_transaction<S: Tree>(store: &S) {
    let first = put(store, key("a"), b"1").await;
    let both = Txn { then: vec![Op::Put(key("b"), vec![]), Op::Put(key("c"), vec![])], ..Txn::default() };
    let second = commit(store, both).await.revision;
    let third = delete(store, key("b")).await;
    let fourth = put(store, key("a"), b"2").await;
    assert!(Revision::NONE < first && first < second && second < third && third < fourth);
    let pairs = store.list(Range::Folder(Folder::Jobs)).await.unwrap();
    let revisions: Vec<_> = pairs.iter().map(|pair| (pair.created, pair.modified)).collect();
    assert_eq!(
        revisions,
        [(first, fourth), (second, second)],
        "all puts of one transaction have its revision"
    );
}

pub(crate) async fn a_transaction_that_writes_nothing_moves_no_revision<S: Tree>(store: &S) {
    let before = put(store, key("a"), b"1").await;
    assert_eq!(delete(store, key("nowhere")).await, before);
    assert_eq!(commit(store, Txn { then: vec![Op::Get(key("a"))], ..Txn::default() }).await.revision, before);
    assert_eq!(commit(store, Txn::default()).await.revision, before);
    assert_eq!(store.get(key("a")).await.unwrap().unwrap().modified, before);
}

pub(crate) async fn a_recreated_key_has_a_new_create_revision<S: Tree>(store: &S) {
    let first = put(store, key("a"), b"1").await;
    delete(store, key("a")).await;
    assert_eq!(store.get(key("a")).await.unwrap(), None);
    let second = put(store, key("a"), b"1").await;
    let pair = store.get(key("a")).await.unwrap().unwrap();
    assert!(second > first);
    assert_eq!((pair.created, pair.modified), (second, second));
}

pub(crate) async fn a_transaction_reads_what_it_wrote<S: Tree>(store: &S) {
    put(store, key("b"), b"old").await;
    let reply = commit(
        store,
        Txn {
            then: vec![
                Op::Get(key("a")),
                Op::Put(key("a"), b"new".to_vec()),
                Op::Delete(key("b")),
                Op::List(Range::Folder(Folder::Jobs)),
            ],
            ..Txn::default()
        },
    )
    .await;
    let found: Vec<_> =
        reply.found.iter().map(|pair| (&pair.key[..], &pair.value[..], pair.modified)).collect();
    assert_eq!(found, [(&store.prefix().encode(&key("a"))[..], &b"new"[..], reply.revision)]);
}

pub(crate) async fn values_come_back_as_they_were<S: Tree>(store: &S) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = (0..1 << 20).map(|i: u32| i.to_le_bytes()[i as usize % 4]).collect();
    for value in [Vec::new(), b"\0".to_vec(), every_byte, b"\xff\xfe".to_vec(), large] {
        put(store, key("a"), &value).await;
        let got = store.get(key("a")).await.unwrap().expect("just put");
        assert!(got.value == value, "{} bytes came back as {}", value.len(), got.value.len());
        let listed = store.list(Range::Folder(Folder::Jobs)).await.unwrap();
        assert!(listed == [got], "{} bytes in a list", value.len());
    }
}

pub(crate) async fn a_list_is_whole_and_sorted<S: Tree>(store: &S) {
    // A permutation of 0..500, so that they are not put in order.
    let names: Vec<String> = (0..500).map(|i| format!("job-{}", i * 7 % 500)).collect();
    for text in &names {
        put(store, key(text), text.as_bytes()).await;
        put(store, Key::Status(name(text).into()), b"other folder").await;
    }
    let listed = store.list(Range::Folder(Folder::Jobs)).await.unwrap();
    let mut expected: Vec<String> = names.iter().map(|text| store.prefix().encode(&key(text))).collect();
    expected.sort();
    assert_eq!(listed.iter().map(|pair| pair.key.clone()).collect::<Vec<_>>(), expected);
    assert!(listed.iter().all(|pair| pair.key.ends_with(std::str::from_utf8(&pair.value).unwrap())));
}

pub(crate) async fn a_job_is_put_and_deleted_only_as_it_was_seen<S: Tree>(store: &S) {
    let job = job("a").name;
    let put = |value: &[u8], seen| protocol::put_job(&job, value.to_vec(), seen);
    let first = commit(store, put(b"1", Revision::NONE)).await;
    assert!(first.succeeded);
    let refused = commit(store, put(b"2", Revision::NONE)).await;
    assert!(!refused.succeeded);
    assert_eq!(refused.found[0].value, b"1");
    assert!(commit(store, put(b"2", first.revision)).await.succeeded);
    let refused = commit(store, protocol::delete_job(&job, first.revision)).await;
    assert!(!refused.succeeded);
    assert_eq!(refused.found[0].value, b"2");
    let seen = look(store, &job).await.definition;
    assert!(commit(store, protocol::delete_job(&job, seen)).await.succeeded);
    assert!(!exists(store, Key::Job(job.clone())).await);
}

pub(crate) async fn a_registration_lasts_until_its_session_is_closed<S: Tree>(store: &S) {
    let first = register(store, "n/1").await;
    let pairs = store.list(Range::Folder(Folder::Workers)).await.unwrap();
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0].created, first.registered);
    let info: WorkerInfo = protocol::read(&pairs[0]).unwrap();
    assert_eq!(info.node, "node-1");
    assert!(store.open_session(SessionId("n/1".to_owned()), &info).await.is_err(), "an id is used once");

    store.close_session(&first).await.unwrap();
    assert_eq!(store.list(Range::Folder(Folder::Workers)).await.unwrap(), []);
    store.close_session(&first).await.expect("once more is no error");
    let second = register(store, "n/1").await;
    store.close_session(&first).await.expect("the former life is over");
    assert!(holds(store, Compare::Created(Key::Worker(second.id), second.registered)).await);
}
