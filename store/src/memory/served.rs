//! The tree and the log, shared between tasks.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::JobName;
use model::keys::{Folder, Key, KeyPrefix};
use model::record::{Output, RunRecord, SkipRecord};
use model::run::{Revision, RunId, SessionId};
use model::values::WorkerInfo;
use tokio::sync::{mpsc, watch};
use tokio::task::coop::consume_budget;
use tokio::time::Instant;

use super::follow::{self, Follower};
use super::{LogState, Refused, TreeState};
use crate::log::{LogEntry, LogError, RunLog, RunQuery};
use crate::tree::{Change, Follow, KeyValue, Range, Renewed, Session, Tree, TreeError, Txn, TxnReply};

/// How many revisions the history goes back. A follower that is further behind has to list again.
const HISTORY: i64 = 10_000;

/// What is made of a transaction ([`MemoryTree::on_commit`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It is done, and its caller gets the reply.
    #[default]
    Done,
    /// It is done, and its caller is told [`TreeError::Unavailable`].
    ReplyLost,
    /// Its caller is told [`TreeError::Unavailable`] at once; it is done by [`MemoryTree::commit_late`].
    Late,
    /// Its caller is told [`TreeError::Unavailable`], and it is never done.
    Lost,
}

/// Says what is made of each transaction.
type Hook = Box<dyn FnMut(&Txn) -> Fate + Send>;

/// A tree in memory. Clones share it.
///
/// A lease ends at its time, by tokio's clock. Followers and later calls find it ended; no task of its own runs for
/// that.
#[derive(Clone)]
pub struct MemoryTree {
    shared: Arc<Shared>,
}

struct Shared {
    prefix: KeyPrefix,
    lasts: Duration,
    begun: Instant,
    inner: Mutex<Inner>,
    /// Changes after every change of the tree, and when the tree goes away or comes back.
    news: watch::Sender<()>,
}

struct Inner {
    tree: TreeState,
    away: bool,
    /// How often it went away.
    outages: u64,
    hook: Option<Hook>,
    late: Vec<Txn>,
}

impl Default for MemoryTree {
    /// One under the usual prefix, whose sessions last 10 s.
    fn default() -> Self {
        Self::new(KeyPrefix::default(), Duration::from_secs(10))
    }
}

impl MemoryTree {
    /// An empty tree whose sessions last for `lasts` when they are not renewed.
    pub fn new(prefix: KeyPrefix, lasts: Duration) -> Self {
        let tree = TreeState::new(prefix.clone());
        let inner = Mutex::new(Inner { tree, away: false, outages: 0, hook: None, late: Vec::new() });
        let (begun, news) = (Instant::now(), watch::Sender::new(()));
        Self { shared: Arc::new(Shared { prefix, lasts, begun, inner, news }) }
    }

    /// Does something to the tree itself, also while it is away: [`TreeState::compact`], [`TreeState::set_no_space`],
    /// [`TreeState::leader_change`]. The given time is the one to pass on to its methods. Leases that are over were
    /// ended before.
    pub fn with_state<T>(&self, work: impl FnOnce(&mut TreeState, Duration) -> T) -> T {
        self.on_tree(&mut locked(&self.shared.inner), work)
    }

    /// While this is set, every call fails with [`TreeError::Unavailable`] and does nothing, and followers are told
    /// [`Follow::Again`]; they list again when it is back. Leases end meanwhile.
    pub fn set_away(&self, away: bool) {
        let mut inner = locked(&self.shared.inner);
        inner.outages += u64::from(away && !inner.away);
        inner.away = away;
        self.shared.news.send_replace(());
    }

    /// From now on `fate` says what is made of each call of [`Tree::commit`] while the tree is not away. It must not call
    /// the tree. Sessions are opened, renewed and closed without it.
    pub fn on_commit(&self, fate: impl FnMut(&Txn) -> Fate + Send + 'static) {
        locked(&self.shared.inner).hook = Some(Box::new(fate));
    }

    /// Does the transactions whose fate was [`Fate::Late`], in the order in which they were asked for, also while the
    /// tree is away. Returns what became of each.
    pub fn commit_late(&self) -> Vec<Result<TxnReply, Refused>> {
        let mut inner = locked(&self.shared.inner);
        let late = std::mem::take(&mut inner.late);
        self.on_tree(&mut inner, |tree, now| late.iter().map(|txn| tree.commit(now, txn)).collect())
    }

    /// What a follower has to be told that has seen `after`. An error says why it has to list again, such as that the tree
    /// has gone away since it had been away `outages` times.
    pub(super) fn news(&self, after: Revision, outages: u64, folders: &[Folder]) -> Result<News, String> {
        let mut inner = locked(&self.shared.inner);
        if inner.outages != outages {
            return Err("the tree in memory was away".to_owned());
        }
        self.on_tree(&mut inner, |tree, now| {
            let (revision, groups) = tree.changes_since(after, folders).map_err(|why| why.to_string())?;
            let quiet = tree.next_expiry().map(|at| at.saturating_sub(now));
            Ok(News { revision, groups, quiet })
        })
    }

    /// A listing for a follower, and how often the tree had been away before it; nothing while it is away.
    pub(super) fn listing(&self, folders: &[Folder]) -> Option<(u64, Revision, Vec<KeyValue>)> {
        let mut inner = locked(&self.shared.inner);
        if inner.away {
            return None;
        }
        let (revision, pairs) = self.on_tree(&mut inner, |tree, _| tree.list_folders(folders));
        Some((inner.outages, revision, pairs))
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.shared.news.subscribe()
    }

    /// One call of the trait.
    async fn call<T>(
        &self,
        work: impl FnOnce(&mut TreeState, Duration) -> Result<T, Refused>,
    ) -> Result<T, TreeError> {
        // Lets other tasks run now and then, so that a loop of calls does not keep its thread to itself.
        consume_budget().await;
        let mut inner = locked(&self.shared.inner);
        if inner.away {
            return Err(unavailable());
        }
        Ok(self.on_tree(&mut inner, work)?)
    }

    /// Ends the leases that are over, does `work`, and tells followers if the tree changed.
    fn on_tree<T>(&self, inner: &mut Inner, work: impl FnOnce(&mut TreeState, Duration) -> T) -> T {
        let now = self.shared.begun.elapsed();
        let before = inner.tree.revision();
        inner.tree.expire(now);
        let done = work(&mut inner.tree, now);
        let revision = inner.tree.revision();
        if revision != before {
            inner.tree.compact(Revision(revision.0 - HISTORY));
            self.shared.news.send_replace(());
        }
        done
    }
}

/// What a follower has to be told ([`MemoryTree::news`]).
pub(super) struct News {
    /// The tree's revision.
    pub(super) revision: Revision,
    /// The changes up to it.
    pub(super) groups: Vec<Vec<Change>>,
    /// How long until the next lease ends, if there is a lease.
    pub(super) quiet: Option<Duration>,
}

impl fmt::Debug for MemoryTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = locked(&self.shared.inner);
        let Inner { tree, away, outages, hook: _, late } = &*inner;
        let mut text = f.debug_struct("MemoryTree");
        text.field("tree", tree).field("away", away).field("outages", outages).field("late", late);
        text.finish_non_exhaustive()
    }
}

/// A panic in a hook or in [`MemoryTree::with_state`] fails its own test; others go on.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unavailable() -> TreeError {
    TreeError::Unavailable("the tree in memory is away".into())
}

impl Tree for MemoryTree {
    fn prefix(&self) -> &KeyPrefix {
        &self.shared.prefix
    }

    async fn commit(&self, txn: Txn) -> Result<TxnReply, TreeError> {
        consume_budget().await;
        let mut inner = locked(&self.shared.inner);
        if inner.away {
            return Err(unavailable());
        }
        let fate = inner.hook.as_mut().map_or(Fate::Done, |hook| hook(&txn));
        match fate {
            Fate::Done => Ok(self.on_tree(&mut inner, |tree, now| tree.commit(now, &txn))?),
            Fate::ReplyLost => {
                // Whether it was refused is lost with the reply.
                let _ = self.on_tree(&mut inner, |tree, now| tree.commit(now, &txn));
                Err(unavailable())
            }
            Fate::Late => {
                inner.late.push(txn);
                Err(unavailable())
            }
            Fate::Lost => Err(unavailable()),
        }
    }

    async fn list(&self, range: Range) -> Result<Vec<KeyValue>, TreeError> {
        self.call(|tree, _| Ok(tree.list(&range).cloned().collect())).await
    }

    async fn get(&self, key: Key) -> Result<Option<KeyValue>, TreeError> {
        self.call(|tree, _| Ok(tree.get(&key).cloned())).await
    }

    fn follow(&self, folders: &[Folder]) -> mpsc::Receiver<Follow> {
        let (to, follow) = mpsc::channel(follow::CHANNEL);
        tokio::spawn(Follower::new(self.clone(), folders.to_vec(), to).run());
        follow
    }

    async fn open_session(&self, id: SessionId, info: &WorkerInfo) -> Result<Session, TreeError> {
        let lasts = self.shared.lasts;
        self.call(|tree, now| tree.open_session(now, id, info, lasts)).await
    }

    async fn renew_session(&self, session: &Session) -> Result<Renewed, TreeError> {
        self.call(|tree, now| Ok(tree.renew_session(now, session))).await
    }

    async fn close_session(&self, session: &Session) -> Result<(), TreeError> {
        self.call(|tree, now| {
            tree.close_session(now, session);
            Ok(())
        })
        .await
    }
}

/// A run log in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    shared: Arc<Mutex<(LogState, bool)>>,
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// While this is set, every call fails with [`LogError::Unavailable`] and does nothing.
    pub fn set_away(&self, away: bool) {
        locked(&self.shared).1 = away;
    }

    /// Does something with the log itself, also while it is away.
    pub fn with_state<T>(&self, work: impl FnOnce(&mut LogState) -> T) -> T {
        work(&mut locked(&self.shared).0)
    }

    async fn call<T>(&self, work: impl FnOnce(&mut LogState) -> T) -> Result<T, LogError> {
        consume_budget().await;
        match &mut *locked(&self.shared) {
            (_, true) => Err(LogError::Unavailable("the run log in memory is away".into())),
            (log, false) => Ok(work(log)),
        }
    }
}

impl RunLog for MemoryLog {
    async fn append(&self, entries: Vec<LogEntry>) -> Result<(), LogError> {
        self.call(|log| log.append(entries)).await
    }

    async fn runs(&self, query: RunQuery) -> Result<Vec<RunRecord>, LogError> {
        self.call(|log| log.runs(&query)).await
    }

    async fn find(&self, run: &RunId, attempt: u32) -> Result<Option<RunRecord>, LogError> {
        self.call(|log| log.find(run, attempt)).await
    }

    async fn output(&self, run: &RunId, attempt: u32) -> Result<Option<Output>, LogError> {
        self.call(|log| log.output(run, attempt)).await
    }

    async fn skipped(&self, job: &JobName, limit: u32) -> Result<Vec<SkipRecord>, LogError> {
        self.call(|log| log.skipped(job, limit)).await
    }
}
