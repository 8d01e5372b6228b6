//! Which of several controllers works: the one that holds a `Lease` of Kubernetes.
//!
//! The rules are those of Kubernetes' own controllers (client-go, `tools/leaderelection`): the holder renews, and stops
//! working when it could not for some time; another takes over when it has seen the same renewal for a longer time. Both
//! measure on their own clocks, so clocks need not agree. A holder that ends lets go, and is followed at once.
//!
//! It keeps two controllers from doing the same work. It is not what keeps the tree right: each write there compares
//! revisions.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Error};
use tokio::time::{sleep, timeout};

use crate::NAME;

/// When leadership ends and is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// For how long others leave a holder alone that they have seen renew.
    pub lease: Duration,
    /// After how long without a renewal the holder stops working. Shorter than `lease`.
    pub deadline: Duration,
    /// Between two attempts.
    pub retry: Duration,
}

impl Default for Times {
    /// client-go's.
    fn default() -> Self {
        let [lease, deadline, retry] = [15, 10, 2].map(Duration::from_secs);
        Self { lease, deadline, retry }
    }
}

/// One controller's part in the election.
pub struct Leadership {
    leases: Api<Lease>,
    identity: String,
    times: Times,
    /// The renewal that was seen last, and when it was first seen.
    seen: Option<(Renewal, Instant)>,
}

/// Who renewed, and when by their own clock: compared, never calculated with.
type Renewal = (Option<String>, Option<MicroTime>);

/// What an attempt found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Attempt {
    /// This process holds the lease; it asked at this moment.
    Held(Instant),
    /// Somebody else does.
    HeldBy(String),
}

/// A name for this process that no other has: the machine's, and a random part.
pub fn identity() -> String {
    format!("{}_{:016x}", runtime::host_name(), RandomState::new().build_hasher().finish())
}

impl Leadership {
    /// A part in the election of a namespace.
    pub fn new(client: Client, namespace: &str, identity: String, times: Times) -> Self {
        Self { leases: Api::namespaced(client, namespace), identity, times, seen: None }
    }

    /// Waits until this process holds the lease. `told` hears each outcome that is none: who holds it, or why that is not
    /// known.
    pub async fn acquire(&mut self, mut told: impl FnMut(Result<&str, &Error>)) -> Instant {
        loop {
            match self.attempt().await {
                Ok(Attempt::Held(asked)) => return asked,
                Ok(Attempt::HeldBy(holder)) => told(Ok(&holder)),
                Err(why) => told(Err(&why)),
            }
            sleep(self.times.retry).await;
        }
    }

    /// Renews from `held` on, the moment at which the lease was last asked for, and returns when this process has to stop
    /// working: the lease could not be renewed in time, or somebody else has it. Says why.
    pub async fn keep(&mut self, mut held: Instant) -> String {
        loop {
            sleep(self.times.retry).await;
            let left = self.times.deadline.saturating_sub(held.elapsed());
            match timeout(left, self.attempt()).await {
                Ok(Ok(Attempt::Held(asked))) => held = asked,
                Ok(Ok(Attempt::HeldBy(holder))) => return format!("{holder} has the lease"),
                Ok(Err(why)) if left.is_zero() => return format!("the lease could not be renewed: {why}"),
                Ok(Err(why)) => tracing::warn!(%why, "the lease could not be renewed; trying again"),
                Err(_) => {
                    return "the lease could not be renewed in time: the API server did not answer"
                        .to_owned();
                }
            }
        }
    }

    /// Lets go, so that another controller need not wait. Where that fails the others wait.
    pub async fn release(&mut self) {
        let released = async {
            let Some(mut lease) = self.leases.get_opt(NAME).await? else { return Ok(()) };
            let Some(spec) = &mut lease.spec else { return Ok(()) };
            if spec.holder_identity.as_deref() == Some(&self.identity) {
                spec.holder_identity = Some(String::new());
                self.leases.replace(NAME, &PostParams::default(), &lease).await?;
            }
            Ok::<_, Error>(())
        };
        match timeout(self.times.retry, released).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::debug!(%why, "the lease was not released"),
            Err(_) => tracing::debug!("the lease was not released in time"),
        }
    }

    /// Takes or renews the lease, if it is free or ours. Of several at once the API server lets one through.
    async fn attempt(&mut self) -> Result<Attempt, Error> {
        let asked = Instant::now();
        let Some(mut lease) = self.leases.get_opt(NAME).await? else {
            let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.spec(&LeaseSpec::default())) };
            return match self.leases.create(&PostParams::default(), &lease).await {
                Ok(_) => Ok(Attempt::Held(asked)),
                Err(why) => lost_race(why),
            };
        };
        let spec = lease.spec.take().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        let renewal = (spec.holder_identity.clone(), spec.renew_time.clone());
        let since = match &self.seen {
            Some((seen, since)) if *seen == renewal => *since,
            _ => asked,
        };
        self.seen = Some((renewal, since));
        if !holder.is_empty() && holder != self.identity {
            // As long as the holder says, which may be of another version.
            let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
            let lasts = seconds.map_or(self.times.lease, Duration::from_secs);
            if since.elapsed() < lasts {
                return Ok(Attempt::HeldBy(holder));
            }
        }
        lease.spec = Some(self.spec(&spec));
        match self.leases.replace(NAME, &PostParams::default(), &lease).await {
            Ok(_) => Ok(Attempt::Held(asked)),
            Err(why) => lost_race(why),
        }
    }

    /// The lease as this process holds it.
    fn spec(&self, before: &LeaseSpec) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let again = before.holder_identity.as_deref() == Some(&self.identity);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.times.lease.as_secs()).ok(),
            acquire_time: if again { before.acquire_time.clone() } else { now.clone() },
            renew_time: now,
            lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(!again)),
            ..LeaseSpec::default()
        }
    }
}

/// Somebody else was faster.
fn lost_race(why: Error) -> Result<Attempt, Error> {
    match &why {
        Error::Api(status) if status.code == 409 => Ok(Attempt::HeldBy("another controller".to_owned())),
        _ => Err(why),
    }
}
