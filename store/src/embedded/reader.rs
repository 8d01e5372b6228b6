//! The reading thread: a second connection, so that a listing of 100,000 jobs holds up no claim.
//!
//! Each query is one statement and so sees one state of the file, of everything that was acknowledged before it.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::error::Failure;

/// How many queries wait at most before their callers do.
const QUEUED: usize = 256;

/// Asks and answers, given the connection and the data folder.
type Query = Box<dyn FnOnce(&Connection, &Path) + Send>;

enum Message {
    Query(Query),
    Close,
}

/// The way to the reading thread. The thread ends when the last one is dropped, or after [`Queries::close`].
pub(super) struct Queries(mpsc::Sender<Message>);

impl Queries {
    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let query: Query = Box::new(move |connection, folder| {
            // Nobody listens any more when the caller's future was dropped.
            let _ = reply.send(query(connection).map_err(|error| Failure::of(error, folder)));
        });
        self.0.send(Message::Query(query)).await.map_err(|_| Failure::Closed)?;
        answer.await.map_err(|_| Failure::Closed)?
    }

    /// Lets the thread end once it has answered what was asked so far.
    pub(super) async fn close(&self) {
        // An error means that it has ended.
        let _ = self.0.send(Message::Close).await;
    }
}

/// The reading thread's state.
pub(super) struct Reader {
    connection: Connection,
    queue: mpsc::Receiver<Message>,
    folder: PathBuf,
}

impl Reader {
    pub(super) fn new(connection: Connection, folder: &Path) -> (Queries, Self) {
        let (queries, queue) = mpsc::channel(QUEUED);
        (Queries(queries), Self { connection, queue, folder: folder.to_owned() })
    }

    /// Answers queries until nobody can ask any.
    pub(super) fn run(mut self) {
        while let Some(message) = self.queue.blocking_recv() {
            match message {
                Message::Query(query) => query(&self.connection, &self.folder),
                Message::Close => self.queue.close(),
            }
        }
    }
}
