//! The tree on etcd, for any number of workers.
//!
//! An **endpoint** is the address of one member of the cluster. One of them is used at a time; when it fails, the next
//! that answers is. Whatever waiting can mend is [`TreeError::Unavailable`], whose source says what is
//! wrong and what to do; the caller tries again for as long as it likes.
//!
//! Reads are linearizable: they show everything that was acknowledged before, through whichever member.
//!
//! Not here: the records of runs, which are too many for etcd.

mod config;
mod connection;
mod error;
mod follow;
mod txn;

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, Error, GetOptions};
use model::keys::{Folder, Key, KeyPrefix};
use model::run::{Revision, SessionId};
use model::values::WorkerInfo;
use tokio::sync::mpsc;

pub use config::{ConfigError, EtcdConfig, Tls};
use connection::Connection;
use follow::Follower;

use crate::tree::{
    Compare, Follow, KeyValue, LeaseId, Op, Range, Renewed, Session, Tree, TreeError, Txn, TxnReply,
};

/// How long a request is waited for.
const REQUEST: Duration = Duration::from_secs(5);

/// How many messages a follower's channel holds.
const CHANNEL: usize = 16;

/// How many keys make one page of a listing.
const PAGE_KEYS: i64 = 500;

/// The largest message taken from etcd. It sends what was asked for in one piece: a page of the largest values (1.5 MiB
/// each, unless its own limit was raised) or all that a watch has to catch up with.
const MESSAGE_BYTES: usize = 1 << 30;

/// A tree on etcd. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Etcd {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    prefix: KeyPrefix,
    lease: Duration,
    connection: Connection,
}

impl Etcd {
    /// Checks the configuration. Nothing is connected before the first request, so a cluster that is away is no error
    /// here.
    pub fn new(config: EtcdConfig) -> Result<Self, ConfigError> {
        let connection = Connection::new(&config)?;
        let EtcdConfig { prefix, lease, .. } = config;
        Ok(Self { shared: Arc::new(Shared { prefix, lease, connection }) })
    }

    /// One request, bounded in time.
    async fn request<A, F>(&self, ask: impl FnOnce(Client) -> F) -> Result<A, TreeError>
    where
        F: Future<Output = Result<A, Error>>,
    {
        self.shared.connection.request(REQUEST, ask).await
    }

    /// A page of keys from `from` up to the end of a range, as of one revision; 0 is the present one.
    async fn page(
        &self,
        from: Vec<u8>,
        end: Vec<u8>,
        revision: i64,
    ) -> Result<(Vec<etcd_client::KeyValue>, i64, bool), TreeError> {
        let options = GetOptions::new().with_range(end).with_limit(PAGE_KEYS).with_revision(revision);
        let mut reply = self
            .request(|client| async move {
                let mut kv = client.kv_client().max_decoding_message_size(MESSAGE_BYTES);
                kv.get(from, Some(options)).await
            })
            .await?;
        let header = reply.header().map_or(0, etcd_client::ResponseHeader::revision);
        let revision = if revision == 0 { header } else { revision };
        let more = reply.more();
        Ok((reply.take_kvs(), revision, more))
    }
}

/// The first key after all those that begin with `prefix`, which ends with a slash.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// Nothing sorts between a key and the same with a NUL after it.
fn after(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}

impl Tree for Etcd {
    fn prefix(&self) -> &KeyPrefix {
        &self.shared.prefix
    }

    async fn commit(&self, txn: Txn) -> Result<TxnReply, TreeError> {
        let request = txn::request(&self.shared.prefix, &txn);
        let reply = self
            .request(|client| async move {
                let mut kv = client.kv_client().max_decoding_message_size(MESSAGE_BYTES);
                kv.txn(request).await
            })
            .await?;
        Ok(txn::reply(&reply))
    }

    async fn list(&self, range: Range) -> Result<Vec<KeyValue>, TreeError> {
        let prefix = range.prefix(&self.shared.prefix);
        let end = end_of(&prefix);
        let mut pairs = Vec::new();
        let mut next = (prefix.into_bytes(), 0);
        loop {
            let (page, revision, more) = self.page(next.0, end.clone(), next.1).await?;
            let last = page.last().map(|pair| after(pair.key()));
            pairs.extend(page.into_iter().filter_map(txn::key_value));
            match last {
                Some(last) if more => next = (last, revision),
                _ => return Ok(pairs),
            }
        }
    }

    async fn get(&self, key: Key) -> Result<Option<KeyValue>, TreeError> {
        let key = self.shared.prefix.encode(&key);
        let mut reply = self.request(|mut client| async move { client.get(key, None).await }).await?;
        Ok(reply.take_kvs().into_iter().find_map(txn::key_value))
    }

    fn follow(&self, folders: &[Folder]) -> mpsc::Receiver<Follow> {
        let (to, follow) = mpsc::channel(CHANNEL);
        tokio::spawn(Follower::new(self.clone(), folders, to).run());
        follow
    }

    async fn open_session(&self, id: SessionId, info: &WorkerInfo) -> Result<Session, TreeError> {
        let seconds = i64::try_from(self.shared.lease.as_secs()).unwrap_or(i64::MAX);
        let granted =
            self.request(|mut client| async move { client.lease_grant(seconds, None).await }).await?;
        let lease = LeaseId(granted.id());
        let key = Key::Worker(id.clone());
        let value = serde_json::to_vec(info).expect("our values always make JSON");
        let register = Txn {
            when: vec![Compare::Created(key.clone(), Revision::NONE)],
            then: vec![Op::PutLeased(key, value, lease)],
            otherwise: Vec::new(),
        };
        let registered = match self.commit(register).await {
            Ok(reply) if reply.succeeded => reply.revision,
            refused => {
                // Where this fails too, the lease ends by itself, and what it may hold with it.
                let _ = self.request(|mut client| async move { client.lease_revoke(lease.0).await }).await;
                refused?;
                return Err(error::unavailable(format!("the session id {id} is already registered")));
            }
        };
        let lasts = Duration::from_secs(u64::try_from(granted.ttl()).unwrap_or(0));
        Ok(Session { id, registered, lease, lasts: Some(lasts) })
    }

    async fn renew_session(&self, session: &Session) -> Result<Renewed, TreeError> {
        let lease = session.lease.0;
        let renewed = self
            .request(|mut client| async move {
                match client.lease_keep_alive(lease).await {
                    Ok(_) => Ok(Renewed::Lives),
                    Err(why) if error::is_no_lease(&why) => Ok(Renewed::Ended),
                    Err(why) => Err(why),
                }
            })
            .await?;
        if renewed == Renewed::Ended {
            return Ok(renewed);
        }
        // The lease outlives a registration that somebody deletes, and the others act on that.
        let here = self.get(Key::Worker(session.id.clone())).await?;
        let registered = here.is_some_and(|pair| pair.created == session.registered);
        Ok(if registered { Renewed::Lives } else { Renewed::Ended })
    }

    async fn close_session(&self, session: &Session) -> Result<(), TreeError> {
        let lease = session.lease.0;
        self.request(|mut client| async move {
            match client.lease_revoke(lease).await {
                Err(why) if !error::is_no_lease(&why) => Err(why),
                _ => Ok(()),
            }
        })
        .await
    }
}
