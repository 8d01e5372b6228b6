//! Following the tree: a listing as of one revision, then a watch from the next one on.
//!
//! One watch covers the whole prefix, so that the changes of one transaction come together; what was not asked for is
//! left out here. etcd's client does not mend a broken stream, and a dead peer looks like silence. So progress is asked
//! for all the time, and a stream that says nothing for [`SILENCE`] counts as broken. After any break the tree is listed
//! again, through a fresh connection.
//!
//! A follower that is slower than the changes holds up its stream, and etcd then sends the rest in larger pieces from its
//! history, without keeping a copy for it; when that history has been compacted, the tree is listed again.

use std::time::Duration;

use etcd_client::{EventType, WatchOptions, WatchResponse};
use model::keys::Folder;
use model::run::Revision;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use super::{Etcd, MESSAGE_BYTES, REQUEST, after, end_of, txn};
use crate::tree::{Change, Follow, Tree, TreeError};

/// How often progress is asked for.
const PROGRESS: Duration = Duration::from_secs(4);

/// How long a stream may say nothing.
const SILENCE: Duration = Duration::from_secs(12);

/// How long to wait before etcd is asked again.
const PAUSE: Duration = Duration::from_millis(250);

pub(super) struct Follower {
    tree: Etcd,
    /// What the keys of the followed folders begin with.
    folders: Vec<String>,
    to: mpsc::Sender<Follow>,
}

/// Why a follower does not go on.
enum Stop {
    /// Nobody receives any more.
    Gone,
    /// It has to list again.
    Again(String),
}

impl Follower {
    pub(super) fn new(tree: Etcd, folders: &[Folder], to: mpsc::Sender<Follow>) -> Self {
        let folders = folders.iter().map(|folder| tree.prefix().folder(*folder)).collect();
        Self { tree, folders, to }
    }

    /// Follows until nobody receives any more.
    pub(super) async fn run(self) {
        loop {
            let stop = match self.list().await {
                Ok(revision) => self.watch(revision).await,
                Err(stop) => stop,
            };
            let Stop::Again(why) = stop else { return };
            if self.send(Follow::Again(why)).await.is_err() || self.pause().await.is_err() {
                return;
            }
        }
    }

    /// Sends the pages of a listing, and returns the revision it shows. Until etcd answers nothing is sent.
    async fn list(&self) -> Result<Revision, Stop> {
        // The revision of all pages; none while there is no page yet.
        let mut revision = 0;
        for folder in &self.folders {
            let mut from = folder.clone().into_bytes();
            loop {
                let (page, at, more) = match self.tree.page(from.clone(), end_of(folder), revision).await {
                    Ok(page) => page,
                    // Perhaps that revision was compacted meanwhile, or is of a tree before a restore.
                    Err(why) if revision != 0 => return Err(Stop::Again(in_words(&why))),
                    Err(why) => {
                        tracing::debug!(why = in_words(&why), "the job tree could not be listed");
                        self.pause().await?;
                        continue;
                    }
                };
                revision = at;
                let last = page.last().map(|pair| after(pair.key()));
                let pairs: Vec<_> = page.into_iter().filter_map(txn::key_value).collect();
                if !pairs.is_empty() {
                    self.send(Follow::Page(pairs)).await?;
                }
                match last {
                    Some(last) if more => from = last,
                    _ => break,
                }
            }
        }
        self.send(Follow::Listed(Revision(revision))).await?;
        Ok(Revision(revision))
    }

    /// Passes on what comes after `listed`.
    async fn watch(&self, listed: Revision) -> Stop {
        let connection = &self.tree.shared.connection;
        let member = match connection.member().await {
            Ok(member) => member,
            Err(why) => return Stop::Again(in_words(&why)),
        };
        let prefix = self.tree.prefix().as_str();
        let options = WatchOptions::new()
            .with_range(end_of(prefix))
            .with_start_revision(listed.0 + 1)
            .with_progress_notify();
        let in_stream = |why: &etcd_client::Error| super::error::in_words(why, &member.endpoint, prefix);
        let mut watch = member.client.watch_client().max_decoding_message_size(MESSAGE_BYTES);
        let opened = tokio::time::timeout(REQUEST, watch.watch(prefix, Some(options))).await;
        let stop = match opened {
            Ok(Ok(stream)) => {
                let (mut ask, mut answers) = stream.split();
                let mut progress = interval(PROGRESS);
                progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
                let mut heard = Instant::now();
                loop {
                    tokio::select! {
                        () = self.to.closed() => return Stop::Gone,
                        _ = progress.tick() => {
                            if ask.request_progress().await.is_err() {
                                break Stop::Again("the stream of changes was closed".to_owned());
                            }
                        }
                        answer = timeout_at(heard + SILENCE, answers.message()) => {
                            let answer = match answer {
                                Ok(Ok(Some(answer))) => answer,
                                Ok(Ok(None)) => break Stop::Again("etcd ended the stream of changes".to_owned()),
                                Ok(Err(why)) => break Stop::Again(in_stream(&why)),
                                Err(_) => break Stop::Again(format!("etcd said nothing for {} s", SILENCE.as_secs())),
                            };
                            if let Err(stop) = self.take(answer).await {
                                break stop;
                            }
                            heard = Instant::now();
                        }
                    }
                }
            }
            Ok(Err(why)) => Stop::Again(in_stream(&why)),
            Err(_) => Stop::Again("etcd opened no stream of changes".to_owned()),
        };
        // Whether it was the stream or the connection is not known.
        member.leave();
        stop
    }

    /// Passes on one answer of the watch.
    async fn take(&self, answer: WatchResponse) -> Result<(), Stop> {
        if answer.canceled() {
            let why = if answer.compact_revision() > 0 {
                format!("changes before revision {} were compacted away", answer.compact_revision())
            } else {
                format!("etcd cancelled the stream of changes: {}", answer.cancel_reason())
            };
            return Err(Stop::Again(why));
        }
        if answer.events().is_empty() {
            let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
            return if answer.created() {
                Ok(())
            } else {
                self.send(Follow::Current(Revision(revision))).await
            };
        }
        let changes: Vec<Change> = answer.events().iter().filter_map(|event| self.change(event)).collect();
        if changes.is_empty() { Ok(()) } else { self.send(Follow::Changed(changes)).await }
    }

    fn change(&self, event: &etcd_client::Event) -> Option<Change> {
        let pair = event.kv()?;
        if !self.folders.iter().any(|folder| pair.key().starts_with(folder.as_bytes())) {
            return None;
        }
        let pair = txn::key_value(pair.clone())?;
        Some(match event.event_type() {
            EventType::Put => Change::Put(pair),
            EventType::Delete => Change::Deleted { key: pair.key, revision: pair.modified },
        })
    }

    async fn pause(&self) -> Result<(), Stop> {
        tokio::select! {
            () = sleep(PAUSE) => Ok(()),
            () = self.to.closed() => Err(Stop::Gone),
        }
    }

    async fn send(&self, message: Follow) -> Result<(), Stop> {
        self.to.send(message).await.map_err(|_| Stop::Gone)
    }
}

fn in_words(why: &TreeError) -> String {
    std::error::Error::source(why).map_or_else(|| why.to_string(), ToString::to_string)
}
