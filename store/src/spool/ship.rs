//! The task that takes entries from the file to the log.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::entry;
use super::file::Requests;
use super::status::State;
use crate::log::{LogEntry, LogError, RunLog};

/// The pause after a failure doubles from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// When an ending spool stops shipping; `None` while it is open.
pub(super) type Closing = watch::Receiver<Option<Instant>>;

pub(super) struct Shipper<L> {
    pub(super) inner: L,
    pub(super) requests: Requests,
    pub(super) state: Arc<State>,
    /// Told of every append.
    pub(super) filled: Arc<Notify>,
    pub(super) closing: Closing,
}

impl<L: RunLog> Shipper<L> {
    /// Ships until the spool was closed and is empty, or its time is over. What is on its way then stays in the file.
    pub(super) async fn run(self) {
        let over = over(self.closing.clone());
        tokio::select! {
            () = self.ship() => (),
            () = over => (),
        }
    }

    async fn ship(&self) {
        let mut closing = self.closing.clone();
        let mut pause = FIRST_PAUSE;
        // After a refusal entries go one by one until the one that is refused was found.
        let mut most = usize::MAX;
        loop {
            match self.ship_some(most).await {
                Ok(0) if closing.borrow_and_update().is_some() => return,
                Ok(0) => {
                    most = usize::MAX;
                    tokio::select! {
                        () = self.filled.notified() => (),
                        _ = closing.changed() => (),
                    }
                }
                Ok(_) => pause = FIRST_PAUSE,
                Err(LogError::Refused(_)) if most > 1 => most = 1,
                Err(error) => {
                    self.state.failed(&error);
                    sleep(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        }
    }

    /// Ships the oldest entries; returns how many left the line.
    async fn ship_some(&self, most: usize) -> Result<usize, LogError> {
        let batch = self.requests.run(move |file| entry::oldest(file, most)).await?;
        let (ids, entries): (Vec<i64>, Vec<LogEntry>) = batch.into_iter().unzip();
        let shipped = ids.len();
        if shipped == 0 {
            return Ok(0);
        }
        match self.inner.append(entries).await {
            Ok(()) => {
                self.requests.free(move |file| entry::remove(file, &ids)).await?;
                self.state.shipped(shipped);
            }
            Err(LogError::Refused(why)) if shipped == 1 => {
                tracing::error!(
                    error = &*why as &dyn std::error::Error,
                    "the log refuses an entry; it stays in the spool and is tried again when that is next opened"
                );
                self.requests.run(move |file| entry::refuse(file, ids[0])).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(shipped)
    }
}

/// Ends at the deadline of the closing spool, or when the spool was dropped.
async fn over(mut closing: Closing) {
    if let Ok(deadline) = closing.wait_for(Option::is_some).await.map(|deadline| *deadline)
        && let Some(deadline) = deadline
    {
        sleep_until(deadline).await;
    }
}
