//! The names of all jobs, in memory, so that a page of a list costs the page and not the tree.
//!
//! The index follows the tree's `jobs/` folder and keeps what comes after the prefix, nothing else: of 100,000 jobs that
//! is a few megabytes. Everything shown of a job is read when its page is asked for.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use model::keys::Folder;
use model::run::Revision;
use store::{Change, Follow, Tree};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

/// How long a request waits for the first listing of the tree.
const FIRST_LISTING: Duration = Duration::from_secs(5);

/// How long a write waits until the index shows it.
const OWN_WRITE: Duration = Duration::from_secs(2);

/// The names of all jobs. Ends its task when dropped.
pub(crate) struct Index {
    names: Arc<Names>,
    follower: AbortHandle,
}

/// What the follower writes and requests read.
struct Names {
    names: RwLock<BTreeSet<Box<str>>>,
    /// The revision they are of; `None` before the first listing is complete.
    seen: watch::Sender<Option<Revision>>,
}

/// A part of the list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// How many jobs there are.
    pub(crate) total: usize,
    /// How many of them match the search.
    pub(crate) matched: usize,
    /// The names asked for.
    pub(crate) names: Vec<Box<str>>,
    /// Whether more follow.
    pub(crate) more: bool,
}

impl Index {
    /// Begins to follow.
    pub(crate) fn follow<T: Tree>(tree: &T) -> Self {
        let names = Arc::new(Names { names: RwLock::default(), seen: watch::Sender::new(None) });
        let follower = Follower {
            prefix: tree.prefix().folder(Folder::Jobs),
            changes: tree.follow(&[Folder::Jobs]),
            names: Arc::clone(&names),
        };
        Self { names, follower: tokio::spawn(follower.run()).abort_handle() }
    }

    /// Waits for the first listing; false where it takes too long.
    pub(crate) async fn ready(&self) -> bool {
        self.wait(FIRST_LISTING, Option::is_some).await
    }

    /// Waits until the index shows what was written at a revision, so that who wrote it finds it in the next list. When
    /// that takes too long the write is no less done.
    pub(crate) async fn shows(&self, revision: Revision) {
        self.wait(OWN_WRITE, |seen| *seen >= Some(revision)).await;
    }

    /// Waits until the index does not show a name, as [`Self::shows`] does.
    pub(crate) async fn lacks(&self, name: &str) {
        let names = &self.names.names;
        let gone =
            |_: &Option<Revision>| !names.read().unwrap_or_else(PoisonError::into_inner).contains(name);
        self.wait(OWN_WRITE, gone).await;
    }

    async fn wait(&self, limit: Duration, until: impl FnMut(&Option<Revision>) -> bool) -> bool {
        let mut seen = self.names.seen.subscribe();
        matches!(tokio::time::timeout(limit, seen.wait_for(until)).await, Ok(Ok(_)))
    }

    /// The first `limit` names after `after` that contain `search`, whatever its case.
    pub(crate) fn page(&self, search: &str, after: Option<&str>, limit: usize) -> Page {
        let names = self.names.names.read().unwrap_or_else(PoisonError::into_inner);
        let search = search.to_lowercase();
        let wanted = |name: &str| search.is_empty() || name.to_lowercase().contains(&search);
        let matched =
            if search.is_empty() { names.len() } else { names.iter().filter(|name| wanted(name)).count() };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = names.range::<str, _>((from, Bound::Unbounded)).filter(|name| wanted(name));
        let page = rest.by_ref().take(limit).cloned().collect();
        Page { total: names.len(), matched, names: page, more: rest.next().is_some() }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

struct Follower {
    prefix: String,
    changes: mpsc::Receiver<Follow>,
    names: Arc<Names>,
}

impl Follower {
    /// Runs until the store is closed; the names stay as they were then.
    async fn run(mut self) {
        let mut listing = BTreeSet::new();
        while let Some(message) = self.changes.recv().await {
            let revision = match message {
                Follow::Page(pairs) => {
                    listing.extend(pairs.iter().filter_map(|pair| self.name(&pair.key)).map(Box::from));
                    continue;
                }
                Follow::Again(why) => {
                    tracing::info!(why, "the job tree is listed again");
                    listing.clear();
                    continue;
                }
                Follow::Listed(revision) => {
                    let listed = std::mem::take(&mut listing);
                    *self.names.names.write().unwrap_or_else(PoisonError::into_inner) = listed;
                    Some(revision)
                }
                Follow::Changed(changes) => self.apply(&changes),
                Follow::Current(_) => continue,
            };
            self.names.seen.send_if_modified(|seen| {
                let newer = revision > *seen;
                *seen = revision.max(*seen);
                newer
            });
        }
    }

    /// Returns the revision of the last change.
    fn apply(&self, changes: &[Change]) -> Option<Revision> {
        let mut names = self.names.names.write().unwrap_or_else(PoisonError::into_inner);
        let mut last = None;
        for change in changes {
            match change {
                Change::Put(pair) => {
                    last = Some(pair.modified);
                    if let Some(name) = self.name(&pair.key).filter(|name| !names.contains(*name)) {
                        names.insert(name.into());
                    }
                }
                Change::Deleted { key, revision } => {
                    last = Some(*revision);
                    if let Some(name) = self.name(key) {
                        names.remove(name);
                    }
                }
            }
        }
        last
    }

    fn name<'k>(&self, key: &'k str) -> Option<&'k str> {
        key.strip_prefix(&self.prefix)
    }
}
