//! The connection to one member of the cluster, and the way to the next when that fails.
//!
//! A member is used once it has answered a read of the prefix: that shows that it is reached, that it has a leader, and
//! that the user may read. Until then no request is sent to it, so a request that fails for want of a connection was
//! never sent.
//!
//! A caller may drop a request before its answer, as a worker does with a renewal that takes too long. When a member has
//! kept such a request for [`DOUBT`], the next one goes elsewhere, as after a failure: a dead machine looks like silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use etcd_client::{Client, ConnectOptions, Error, GetOptions};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::config::{ConfigError, EtcdConfig};
use super::error::{in_words, is_answer, translate, unavailable};
use crate::tree::TreeError;

/// How long a member may take to show that it works.
const PROBE: Duration = Duration::from_secs(3);

/// How long a member may keep a request that is then dropped, before it counts as broken. Shorter than the wait for a
/// renewal of the shortest session.
const DOUBT: Duration = Duration::from_millis(500);

/// After all members failed, how long the same answer is given without asking them again.
const PAUSE: Duration = Duration::from_millis(250);

/// Where all members are.
pub(super) struct Connection {
    endpoints: Vec<String>,
    options: ConnectOptions,
    /// What all keys begin with, and itself the key to probe with.
    prefix: String,
    /// The member to try first.
    next: AtomicUsize,
    /// Whoever connects holds it; the others wait for the outcome.
    current: Mutex<Current>,
}

enum Current {
    None,
    Connected(Arc<Member>),
    Failed(Instant, String),
}

/// A member that has answered.
pub(super) struct Member {
    pub(super) endpoint: String,
    pub(super) client: Client,
    /// The next request goes to another one.
    broken: AtomicBool,
}

impl Member {
    /// It seems broken: the next request tries the one after it first.
    pub(super) fn leave(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }
}

/// A request that has no answer yet.
struct Unanswered<'m> {
    member: &'m Member,
    since: Instant,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if self.since.elapsed() >= DOUBT {
            self.member.leave();
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(config: &EtcdConfig) -> Result<Self, ConfigError> {
        let (endpoints, options) = config.check()?;
        Ok(Self {
            endpoints,
            options,
            prefix: config.prefix.as_str().to_owned(),
            next: AtomicUsize::new(0),
            current: Mutex::new(Current::None),
        })
    }

    /// One request, to a member that works as far as is known. Where it does not, the next request finds another.
    pub(super) async fn request<A, F>(
        &self,
        longest: Duration,
        ask: impl FnOnce(Client) -> F,
    ) -> Result<A, TreeError>
    where
        F: Future<Output = Result<A, Error>>,
    {
        let member = self.member().await?;
        let unanswered = Unanswered { member: &member, since: Instant::now() };
        let answer = timeout(longest, ask(member.client.clone())).await;
        std::mem::forget(unanswered);
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => {
                if !is_answer(&why) {
                    member.leave();
                }
                Err(translate(&why, &member.endpoint, &self.prefix))
            }
            Err(_) => {
                member.leave();
                let (endpoint, seconds) = (&member.endpoint, longest.as_secs());
                Err(unavailable(format!("etcd at {endpoint} did not answer within {seconds} s")))
            }
        }
    }

    /// A member that has answered, the present one if there is one.
    pub(super) async fn member(&self) -> Result<Arc<Member>, TreeError> {
        let mut current = self.current.lock().await;
        match &*current {
            Current::Connected(member) if !member.broken.load(Ordering::Relaxed) => {
                return Ok(Arc::clone(member));
            }
            Current::Failed(at, why) if at.elapsed() < PAUSE => return Err(unavailable(why.clone())),
            Current::None | Current::Connected(_) | Current::Failed(..) => {}
        }
        *current = Current::None;
        let first = self.next.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for index in (0..self.endpoints.len()).map(|i| (first + i) % self.endpoints.len()) {
            let endpoint = &self.endpoints[index];
            // Set before the outcome is known: whoever waits for it may give up meanwhile.
            self.next.store((index + 1) % self.endpoints.len(), Ordering::Relaxed);
            match timeout(PROBE, self.connect(endpoint)).await {
                Ok(Ok(client)) => {
                    let broken = AtomicBool::new(false);
                    let member = Arc::new(Member { endpoint: endpoint.clone(), client, broken });
                    *current = Current::Connected(Arc::clone(&member));
                    return Ok(member);
                }
                Ok(Err(why)) => failures.push(in_words(&why, endpoint, &self.prefix)),
                Err(_) => failures.push(format!(
                    "etcd at {endpoint} did not answer within {} s; is it reachable from here, and has it a leader?",
                    PROBE.as_secs()
                )),
            }
        }
        let why = failures.join("; ");
        *current = Current::Failed(Instant::now(), why.clone());
        Err(unavailable(why))
    }

    async fn connect(&self, endpoint: &str) -> Result<Client, Error> {
        let mut client = Client::connect([endpoint], Some(self.options.clone())).await?;
        let probe = GetOptions::new().with_keys_only();
        client.get(self.prefix.as_str(), Some(probe)).await?;
        Ok(client)
    }
}
