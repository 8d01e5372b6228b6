//! What a follower of the jobs believes, beside what is true.

use std::collections::BTreeMap;
use std::time::Duration;

use model::JobName;
use model::keys::{Folder, Key};
use store::etcd::Etcd;
use store::{Change, Follow, KeyValue, Op, Range, Tree, Txn};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn key(job: &str) -> Key {
    Key::Job(JobName::new(job).expect("a name"))
}

pub(crate) fn put(job: &str, value: &str) -> Txn {
    Txn { then: vec![Op::Put(key(job), value.as_bytes().to_vec())], ..Txn::default() }
}

/// Commits again and again until it passes: for transactions that may be done twice.
pub(crate) async fn insist(tree: &Etcd, txn: Txn) {
    let passed = async {
        while tree.commit(txn.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, passed).await.expect("the tree takes writes again");
}

/// A follower.
pub(crate) struct Mirror {
    from: Receiver<Follow>,
    keys: BTreeMap<String, KeyValue>,
    /// Why it had to list again.
    pub(crate) again: Vec<String>,
}

impl Mirror {
    /// Follows, and has seen a first listing.
    pub(crate) async fn start(tree: &Etcd) -> Self {
        let mut mirror =
            Self { from: tree.follow(&[Folder::Jobs]), keys: BTreeMap::new(), again: Vec::new() };
        while !mirror.take().await {}
        mirror
    }

    /// Takes one message; says whether it was the end of a listing.
    async fn take(&mut self) -> bool {
        let next = timeout(PATIENCE, self.from.recv()).await.expect("something comes within a minute");
        match next.expect("the follower lives") {
            Follow::Page(pairs) => self.keys.extend(pairs.into_iter().map(|pair| (pair.key.clone(), pair))),
            Follow::Listed(_) => return true,
            Follow::Changed(changes) => {
                for change in changes {
                    match change {
                        Change::Put(pair) => drop(self.keys.insert(pair.key.clone(), pair)),
                        Change::Deleted { key, .. } => drop(self.keys.remove(&key)),
                    }
                }
            }
            Follow::Current(_) => {}
            Follow::Again(why) => {
                self.again.push(why);
                self.keys.clear();
            }
        }
        false
    }

    /// Waits until it believes what a listing through `tree` says.
    pub(crate) async fn until_true(&mut self, tree: &Etcd) {
        let truth = tree.list(Range::Folder(Folder::Jobs)).await.expect("the tree answers");
        while !self.keys.values().eq(&truth) {
            self.take().await;
        }
    }

    /// Waits until it had to list again, and returns why.
    pub(crate) async fn until_again(&mut self) -> String {
        let before = self.again.len();
        while self.again.len() == before {
            self.take().await;
        }
        self.again[before].clone()
    }
}
