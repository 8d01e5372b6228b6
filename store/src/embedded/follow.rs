//! Following the tree: a listing, then every change.
//!
//! A follower is a task that copies from two places into its channel. The listing comes from a connection of its own in
//! one long read transaction, page by page as the follower takes them. Changes come from the writing thread through a
//! queue that begins before that transaction does; those up to its revision are passed over, so nothing is missed and
//! nothing comes twice. When the queue holds too much, or the write-ahead log has grown too long under the listing
//! ([`Hub::end_listings`]), the follower starts again. A follower without news costs nothing.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::run::Revision;
use rusqlite::Connection;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;

use super::schema::{self, Use};
use super::txn::{self, Event, Span};
use crate::tree::{Change, Follow, KeyValue};

/// How many messages a follower's channel holds.
pub(super) const CHANNEL: usize = 16;

/// Where a page of a listing ends, in keys and in bytes, and also how many changes make one message.
const PAGE_KEYS: usize = 256;
const PAGE_BYTES: usize = 256 << 10;

/// How many bytes of changes wait for a slow follower before it has to list again.
const BACKLOG_BYTES: usize = 16 << 20;

/// How long a follower waits after a listing that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Where the writing thread and the followers meet.
pub(super) struct Hub {
    /// `None` once the store is closed.
    queues: Mutex<Option<Vec<Queue>>>,
    /// Held while a listing begins, and while none may.
    begin: Mutex<()>,
    /// Changes when all listings have to end.
    ended: watch::Sender<()>,
}

/// The writing thread's end of a follower's queue.
struct Queue {
    spans: Arc<[Span]>,
    events: mpsc::UnboundedSender<Event>,
    bytes: Arc<AtomicUsize>,
}

/// The follower's end.
struct Events {
    events: mpsc::UnboundedReceiver<Event>,
    bytes: Arc<AtomicUsize>,
}

impl Hub {
    pub(super) fn new() -> Self {
        Self { queues: Mutex::new(Some(Vec::new())), begin: Mutex::new(()), ended: watch::Sender::new(()) }
    }

    /// Hands committed events to those who follow something in them. Never waits.
    pub(super) fn publish(&self, events: &[Event]) {
        let mut queues = locked(&self.queues);
        let Some(queues) = queues.as_mut() else { return };
        for event in events {
            queues.retain(|queue| queue.add(event));
        }
    }

    /// Makes all listings begin anew; none begins while the guard lives.
    pub(super) fn end_listings(&self) -> MutexGuard<'_, ()> {
        let guard = locked(&self.begin);
        self.ended.send_replace(());
        guard
    }

    /// Ends all followers.
    pub(super) fn close(&self) {
        locked(&self.queues).take();
        self.ended.send_replace(());
    }

    fn subscribe(&self, spans: &Arc<[Span]>) -> Option<Events> {
        let (sender, events) = mpsc::unbounded_channel();
        let bytes = Arc::new(AtomicUsize::new(0));
        let queue = Queue { spans: Arc::clone(spans), events: sender, bytes: Arc::clone(&bytes) };
        locked(&self.queues).as_mut()?.push(queue);
        Some(Events { events, bytes })
    }
}

/// Nothing is left half-done under these locks, so a panic elsewhere is no reason for another one here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    /// Adds what is followed of an event; `false` ends the queue.
    fn add(&self, event: &Event) -> bool {
        let followed = |change: &&Change| self.spans.iter().any(|span| span.contains(key(change)));
        let changes: Vec<Change> = event.changes.iter().filter(followed).cloned().collect();
        if changes.is_empty() {
            return !self.events.is_closed();
        }
        let event = Event { revision: event.revision, changes };
        let more = event.bytes();
        self.bytes.fetch_add(more, Ordering::Relaxed) + more <= BACKLOG_BYTES
            && self.events.send(event).is_ok()
    }
}

impl Events {
    /// The next event; `None` when the queue held too much, or the store is closed.
    async fn next(&mut self) -> Option<Event> {
        let event = self.events.recv().await?;
        self.bytes.fetch_sub(event.bytes(), Ordering::Relaxed);
        Some(event)
    }

    /// The next event if it is there already.
    fn next_now(&mut self) -> Option<Event> {
        let event = self.events.try_recv().ok()?;
        self.bytes.fetch_sub(event.bytes(), Ordering::Relaxed);
        Some(event)
    }
}

impl Event {
    fn bytes(&self) -> usize {
        let of = |change: &Change| match change {
            Change::Put(pair) => pair.value.len(),
            Change::Deleted { .. } => 0,
        };
        self.changes.iter().map(|change| size_of::<Change>() + key(change).len() + of(change)).sum()
    }
}

fn key(change: &Change) -> &str {
    match change {
        Change::Put(pair) => &pair.key,
        Change::Deleted { key, .. } => key,
    }
}

/// A follower.
pub(super) struct Follower {
    pub(super) hub: Arc<Hub>,
    pub(super) file: PathBuf,
    pub(super) spans: Arc<[Span]>,
    pub(super) to: mpsc::Sender<Follow>,
}

/// Why a follower does not go on.
enum Stop {
    /// Nobody receives any more.
    Gone,
    /// It has to list again.
    Again(String),
}

impl Follower {
    /// Follows until nobody receives any more or the store is closed.
    pub(super) async fn run(self) {
        let mut why = None;
        while let Some(mut events) = self.hub.subscribe(&self.spans) {
            if let Some(text) = why.take()
                && self.send(Follow::Again(text)).await.is_err()
            {
                return;
            }
            match self.follow(&mut events).await {
                Stop::Gone => return,
                Stop::Again(text) => why = Some(text),
            }
        }
    }

    /// Lists, then follows, until it has to stop.
    async fn follow(&self, events: &mut Events) -> Stop {
        match self.list().await {
            Ok(listed) => self.pass_on(events, listed).await,
            Err(stop) => stop,
        }
    }

    /// Passes on what comes after the revision that was listed.
    async fn pass_on(&self, events: &mut Events, listed: Revision) -> Stop {
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = self.to.closed() => return Stop::Gone,
            };
            let Some(event) = event else {
                return Stop::Again("changes came faster than they were taken".to_owned());
            };
            if event.revision <= listed {
                continue;
            }
            let mut changes = event.changes;
            while changes.len() < PAGE_KEYS
                && let Some(more) = events.next_now()
            {
                changes.extend(more.changes);
            }
            if self.send(Follow::Changed(changes)).await.is_err() {
                return Stop::Gone;
            }
        }
    }

    /// Sends the pages of a listing, and returns the revision it shows.
    async fn list(&self) -> Result<Revision, Stop> {
        let mut ended = self.hub.ended.subscribe();
        let (hub, file, spans) = (Arc::clone(&self.hub), self.file.clone(), Arc::clone(&self.spans));
        let begun = in_background(move || Listing::begin(&hub, &file, spans)).await?;
        let mut listing = match begun {
            Ok(listing) => listing,
            Err(error) => return Err(self.pause(&error).await),
        };
        loop {
            let (kept, page) = in_background(move || {
                let page = listing.next_page();
                (listing, page)
            })
            .await?;
            listing = kept;
            match page {
                Ok(page) if page.is_empty() => break,
                Ok(page) => tokio::select! {
                    biased;
                    sent = self.send(Follow::Page(page)) => sent?,
                    _ = ended.changed() => return Err(Stop::Again("the listing took too long".to_owned())),
                },
                Err(error) => return Err(self.pause(&error).await),
            }
        }
        let revision = listing.revision;
        drop(listing);
        self.send(Follow::Listed(revision)).await?;
        Ok(revision)
    }

    async fn pause(&self, error: &rusqlite::Error) -> Stop {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => Stop::Again(format!("the tree could not be listed: {error}")),
            () = self.to.closed() => Stop::Gone,
        }
    }

    async fn send(&self, message: Follow) -> Result<(), Stop> {
        self.to.send(message).await.map_err(|_| Stop::Gone)
    }
}

/// Runs what reads the disk off the threads that serve everybody. That only fails while the runtime ends.
async fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stop> {
    spawn_blocking(work).await.map_err(|_| Stop::Gone)
}

/// A listing as of one revision.
struct Listing {
    connection: Connection,
    revision: Revision,
    spans: Arc<[Span]>,
    /// The spans that were listed whole.
    done: usize,
    /// Where the present one goes on, if not at its beginning.
    next: Option<String>,
}

impl Listing {
    fn begin(hub: &Hub, file: &std::path::Path, spans: Arc<[Span]>) -> rusqlite::Result<Self> {
        let _open = locked(&hub.begin);
        let connection = schema::connect(file, Use::Listing)?;
        connection.execute_batch("BEGIN")?;
        // The first read fixes what the transaction sees.
        let revision = txn::revision(&connection)?;
        Ok(Self { connection, revision, spans, done: 0, next: None })
    }

    /// The next keys; none once all were listed.
    fn next_page(&mut self) -> rusqlite::Result<Vec<KeyValue>> {
        let mut page = Vec::new();
        let mut bytes = 0;
        while let Some(span) = self.spans.get(self.done) {
            let from = self.next.as_ref().unwrap_or(&span.from);
            let mut query = self.connection.prepare_cached(txn::LIST)?;
            let mut rows = query.query([from, &span.to])?;
            while let Some(row) = rows.next()? {
                let pair = txn::key_value(row)?;
                bytes += pair.key.len() + pair.value.len();
                page.push(pair);
                if page.len() == PAGE_KEYS || bytes >= PAGE_BYTES {
                    // Nothing sorts between a key and the same with a NUL after it.
                    self.next = page.last().map(|pair| format!("{}\0", pair.key));
                    return Ok(page);
                }
            }
            self.done += 1;
            self.next = None;
        }
        Ok(page)
    }
}
