//! Connections and servers that break.

use std::time::Duration;

use e2e::Etcd as Server;
use model::run::Revision;
use rustix::process::Signal;
use store::etcd::{Etcd, EtcdConfig};
use store::{Op, Renewed, Tree, Txn};
use tokio::time::timeout;

use crate::conformance::world::register;
use crate::mirror::{Mirror, PATIENCE, insist, key, put};
use crate::open::{config, in_words, tree};
use crate::proxy::{Mode, Proxy};

fn delete(job: &str) -> Txn {
    Txn { then: vec![Op::Delete(key(job))], ..Txn::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_started_again_is_followed_on() {
    let mut server = Server::start();
    let tree = tree(&server.endpoint());
    insist(&tree, put("stays", "1")).await;
    let mut mirror = Mirror::start(&tree).await;
    for round in 0..3 {
        server.kill();
        assert!(!mirror.until_again().await.is_empty());
        let mut why = String::new();
        // The first requests may still find the connection as it breaks.
        while !why.contains("nobody listens there") {
            why = in_words(&tree.commit(put("away", "1")).await.expect_err("nobody is there"));
        }
        server.start_again();
        insist(&tree, put("changes", &round.to_string())).await;
        insist(&tree, if round == 1 { delete("stays") } else { put("stays", "again") }).await;
        mirror.until_true(&tree).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_compacted_away_while_the_connection_was_cut_is_listed_again() {
    let server = Server::start();
    let proxy = Proxy::start(&server.endpoint()).await;
    let (direct, through) = (tree(&server.endpoint()), tree(&proxy.endpoint()));
    insist(&direct, put("gone", "1")).await;
    let mut mirror = Mirror::start(&through).await;
    proxy.set(Mode::Cut);
    mirror.until_again().await;
    for i in 0..50 {
        insist(&direct, put("changes", &i.to_string())).await;
    }
    insist(&direct, delete("gone")).await;
    let revision = direct.commit(put("last", "1")).await.expect("etcd answers").revision;
    server.ctl(&["compact", "--physical", &revision.to_string()]);
    proxy.set(Mode::Open);
    mirror.until_true(&direct).await;
    insist(&through, put("more", "1")).await;
    mirror.until_true(&direct).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_swallows_everything_is_noticed_and_left() {
    let server = Server::start();
    let proxy = Proxy::start(&server.endpoint()).await;
    let (direct, through) = (tree(&server.endpoint()), tree(&proxy.endpoint()));
    let mut mirror = Mirror::start(&through).await;
    proxy.set(Mode::Silent);
    insist(&direct, put("unheard", "1")).await;
    let asked = timeout(PATIENCE, through.commit(put("unsent", "1"))).await.expect("no request hangs");
    let why = in_words(&asked.expect_err("it was swallowed"));
    assert!(why.contains("did not answer within"), "{why}");
    mirror.until_again().await;
    proxy.set(Mode::Open);
    mirror.until_true(&direct).await;
    insist(&through, put("heard", "1")).await;
    mirror.until_true(&direct).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_fails_requests_and_not_for_ever() {
    let server = Server::start();
    let tree = tree(&server.endpoint());
    let mut mirror = Mirror::start(&tree).await;
    server.process().signal(Signal::STOP);
    // It takes a moment to stand still.
    while timeout(PATIENCE, tree.commit(put("a", "1"))).await.expect("no request hangs").is_ok() {}
    server.process().signal(Signal::CONT);
    insist(&tree, put("b", "1")).await;
    mirror.until_true(&tree).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_whose_leader_dies_goes_on() {
    let mut members = Server::start_cluster(3);
    let endpoints = members.iter().map(Server::endpoint).collect();
    let tree = Etcd::new(EtcdConfig { endpoints, ..config("") }).expect("usable endpoints");
    let mut mirror = Mirror::start(&tree).await;
    for round in 0..2 {
        insist(&tree, put("before", &round.to_string())).await;
        let leader = e2e::until("a leader", || members.iter().position(Server::leads));
        members[leader].kill();
        insist(&tree, put("after", &round.to_string())).await;
        mirror.until_true(&tree).await;
        members[leader].start_again();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_are_down_or_silent_are_passed_over() {
    let server = Server::start();
    let silent = Proxy::start(&server.endpoint()).await;
    silent.set(Mode::Silent);
    let down = format!("http://127.0.0.1:{}", e2e::free_port());
    let endpoints = vec![down, silent.endpoint(), server.endpoint()];
    let tree = Etcd::new(EtcdConfig { endpoints, ..config("") }).expect("usable endpoints");
    tree.commit(put("a", "1")).await.expect("the third member answers");
    let mut mirror = Mirror::start(&tree).await;
    insist(&tree, put("b", "1")).await;
    mirror.until_true(&tree).await;
}

/// Renews as a worker does: what takes too long is dropped and asked for again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_outlives_members_that_fall_silent() {
    let server = Server::start();
    let (first, second) = (Proxy::start(&server.endpoint()).await, Proxy::start(&server.endpoint()).await);
    // Silent from the start, so that connecting is dropped, too.
    second.set(Mode::Silent);
    let endpoints = vec![first.endpoint(), second.endpoint(), server.endpoint()];
    let tree = Etcd::new(EtcdConfig { endpoints, ..config("") }).expect("usable endpoints");
    let session = register(&tree, "n/1").await;
    first.set(Mode::Silent);
    let renewed = async {
        loop {
            let renewal = timeout(Duration::from_millis(900), tree.renew_session(&session));
            if let Ok(Ok(renewed)) = renewal.await {
                return renewed;
            }
        }
    };
    let renewed = timeout(PATIENCE, renewed).await.expect("a member that answers is found");
    assert_eq!(renewed, Renewed::Lives, "and in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_were_compacted_before_they_were_taken_are_listed() {
    let server = Server::start();
    let tree = tree(&server.endpoint());
    let mut mirror = Mirror::start(&tree).await;
    // 64 MiB that nobody takes: more than fits on the way.
    let mut last = Revision::NONE;
    for i in 0..256_u32 {
        let value = format!("{i:08}").repeat(32 << 10);
        last = tree.commit(put(&format!("job-{}", i % 8), &value)).await.expect("etcd answers").revision;
    }
    server.ctl(&["compact", &last.0.to_string()]);
    mirror.until_true(&tree).await;
    assert!(!mirror.again.is_empty(), "the changes in between are gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_the_message_says_so() {
    let mut members = Server::start_cluster(3);
    let tree = tree(&members[0].endpoint());
    insist(&tree, put("a", "1")).await;
    members.truncate(1);
    let told = async {
        loop {
            let why = tree.commit(put("a", "2")).await.expect_err("no majority, no commit");
            if in_words(&why).contains("leader") {
                return in_words(&why);
            }
        }
    };
    let why = timeout(PATIENCE, told).await.expect("it says so");
    assert!(why.contains(&members[0].endpoint()), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_follower_ends_its_watch() {
    let server = Server::start();
    let tree = tree(&server.endpoint());
    let mirror = Mirror::start(&tree).await;
    let watchers = |count: &str| {
        let metrics = server.metrics();
        let line = metrics.lines().find(|line| line.starts_with("etcd_debugging_mvcc_watcher_total "));
        line.and_then(|line| line.ends_with(&format!(" {count}")).then_some(()))
    };
    e2e::until("the watch to be there", || watchers("1"));
    drop(mirror);
    e2e::until("the watch to end", || watchers("0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_keys_and_large_values_are_listed_and_followed() {
    let server = Server::start();
    let tree = tree(&server.endpoint());
    let large = "x".repeat(1 << 20);
    for i in 0..8 {
        insist(&tree, put(&format!("large-{i}"), &large)).await;
    }
    for block in 0..200 {
        let puts = (0..100).map(|i| Op::Put(key(&format!("small-{block}-{i}")), b"{}".to_vec()));
        insist(&tree, Txn { then: puts.collect(), ..Txn::default() }).await;
    }
    let mut mirror = Mirror::start(&tree).await;
    mirror.until_true(&tree).await;
    insist(&tree, put("large-0", &large.replace('x', "y"))).await;
    mirror.until_true(&tree).await;
    assert!(mirror.again.is_empty(), "{:?}", mirror.again);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_not_text_harms_nothing() {
    use std::os::unix::ffi::OsStrExt;
    let server = Server::start();
    let tree = tree(&server.endpoint());
    let put_by_hand = |value: &str| {
        let key = std::ffi::OsStr::from_bytes(b"/cron/jobs/x\xff\xfey");
        let mut command = std::process::Command::new(e2e::tool("etcdctl"));
        command.arg(format!("--endpoints={}", server.endpoint())).arg("put").arg(key).arg(value);
        assert!(command.output().expect("etcdctl starts").status.success());
    };
    put_by_hand("1");
    let mut mirror = Mirror::start(&tree).await;
    put_by_hand("2");
    insist(&tree, put("neighbour", "1")).await;
    mirror.until_true(&tree).await;
    assert!(mirror.again.is_empty(), "{:?}", mirror.again);
}
