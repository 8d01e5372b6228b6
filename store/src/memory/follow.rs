//! Following the tree: a listing, then the changes out of its history, as they are taken.
//!
//! A follower keeps nothing but the revision that it has told of. So one that is slow costs nothing, until the history
//! no longer goes back to that revision: then it lists again.

use std::time::Duration;

use model::keys::Folder;
use model::run::Revision;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::served::MemoryTree;
use crate::tree::Follow;

/// How many messages a follower's channel holds.
pub(super) const CHANNEL: usize = 16;

/// How many keys make one page of a listing.
const PAGE_KEYS: usize = 256;

/// How often a follower is told that it is current.
const PROGRESS: Duration = Duration::from_secs(4);

pub(super) struct Follower {
    tree: MemoryTree,
    folders: Vec<Folder>,
    to: mpsc::Sender<Follow>,
    /// Changes when there may be something to tell.
    news: watch::Receiver<()>,
}

/// Why a follower does not go on.
enum Stop {
    /// Nobody receives any more.
    Gone,
    /// It has to list again.
    Again(String),
}

impl Follower {
    pub(super) fn new(tree: MemoryTree, folders: Vec<Folder>, to: mpsc::Sender<Follow>) -> Self {
        let news = tree.subscribe();
        Self { tree, folders, to, news }
    }

    /// Follows until nobody receives any more.
    pub(super) async fn run(mut self) {
        loop {
            let stop = match self.list().await {
                Ok((outages, listed)) => self.pass_on(outages, listed).await,
                Err(stop) => stop,
            };
            let Stop::Again(why) = stop else { return };
            if self.send(Follow::Again(why)).await.is_err() {
                return;
            }
        }
    }

    /// Sends the pages of a listing, once the tree is not away. Returns how often it had been, and the revision listed.
    async fn list(&mut self) -> Result<(u64, Revision), Stop> {
        let (outages, revision, pairs) = loop {
            if let Some(listing) = self.tree.listing(&self.folders) {
                break listing;
            }
            self.wait(Duration::MAX).await?;
        };
        for page in pairs.chunks(PAGE_KEYS) {
            self.send(Follow::Page(page.to_vec())).await?;
        }
        self.send(Follow::Listed(revision)).await?;
        Ok((outages, revision))
    }

    /// Passes on what comes after `told`, one message for each revision.
    async fn pass_on(&mut self, outages: u64, mut told: Revision) -> Stop {
        let mut progress = interval(PROGRESS);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        progress.reset();
        loop {
            let news = match self.tree.news(told, outages, &self.folders) {
                Ok(news) => news,
                Err(why) => return Stop::Again(why),
            };
            for changes in news.groups {
                if self.send(Follow::Changed(changes)).await.is_err() {
                    return Stop::Gone;
                }
            }
            told = news.revision;
            tokio::select! {
                waited = self.wait(news.quiet.unwrap_or(Duration::MAX)) => {
                    if let Err(stop) = waited {
                        return stop;
                    }
                }
                _ = progress.tick() => {
                    // Where the channel is full there is enough to show that the tree is alive.
                    let _ = self.to.try_send(Follow::Current(told));
                }
            }
        }
    }

    /// Waits for news, for a time at most.
    async fn wait(&mut self, time: Duration) -> Result<(), Stop> {
        tokio::select! {
            changed = self.news.changed() => changed.map_err(|_| Stop::Gone),
            () = sleep(time) => Ok(()),
            () = self.to.closed() => Err(Stop::Gone),
        }
    }

    async fn send(&self, message: Follow) -> Result<(), Stop> {
        self.to.send(message).await.map_err(|_| Stop::Gone)
    }
}
