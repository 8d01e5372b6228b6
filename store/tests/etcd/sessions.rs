//! Sessions whose lease ends.

use std::time::Duration;

use e2e::Etcd as Server;
use model::UnixMillis;
use model::keys::{Folder, Key};
use model::run::SessionId;
use model::values::WorkerInfo;
use store::etcd::{Etcd, EtcdConfig};
use store::{Op, Range, Renewed, Tree, Txn};
use tokio::time::timeout;

use crate::mirror::PATIENCE;
use crate::open::{config, in_words};

fn info() -> WorkerInfo {
    WorkerInfo::new("10.0.0.1", "node-1", "1", UnixMillis(0))
}

fn short(server: &Server) -> Etcd {
    let lease = Duration::from_secs(2);
    Etcd::new(EtcdConfig { lease, ..config(&server.endpoint()) }).expect("a usable endpoint")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_not_renewed_ends_with_its_keys() {
    let server = Server::start();
    let tree = short(&server);
    let session = tree.open_session(SessionId("n-1".to_owned()), &info()).await.expect("a new session");
    assert_eq!(session.lasts, Some(Duration::from_secs(2)));
    let lock = Key::Lock(model::JobName::new("a").expect("a name"));
    let put = Op::PutLeased(lock.clone(), b"mine".to_vec(), session.lease);
    tree.commit(Txn { then: vec![put], ..Txn::default() }).await.expect("etcd answers");
    assert_eq!(tree.renew_session(&session).await.expect("etcd answers"), Renewed::Lives);
    let ended = async {
        while !tree.list(Range::Folder(Folder::Workers)).await.expect("etcd answers").is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, ended).await.expect("the registration ends");
    assert_eq!(tree.get(lock).await.expect("etcd answers"), None);
    assert_eq!(tree.renew_session(&session).await.expect("etcd answers"), Renewed::Ended);
    tree.close_session(&session).await.expect("an ended session can be closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_id_is_taken_once_and_its_loser_leaves_no_lease() {
    let server = Server::start();
    let tree = short(&server);
    let id = || SessionId("n-1".to_owned());
    let session = tree.open_session(id(), &info()).await.expect("a new session");
    let why = in_words(&tree.open_session(id(), &info()).await.expect_err("it is taken"));
    assert!(why.contains("already registered"), "{why}");
    let leases = server.ctl(&["lease", "list"]);
    assert!(leases.starts_with("found 1 leases"), "{leases}");
    tree.close_session(&session).await.expect("etcd answers");
    assert!(server.ctl(&["lease", "list"]).starts_with("found 0 leases"));
}
