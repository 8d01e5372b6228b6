//! Every key of the tree. This is the only place that builds or reads one.
//!
//! All keys begin with a prefix, `/cron` unless configured otherwise, so that several systems can share one etcd. `n`
//! is a job's name as it is; `E(n)` is the same percent-encoded into `[A-Za-z0-9._~%-]`, used wherever something
//! follows the name, so that the keys of a job `ops` never contain those of `ops/rotate`.
//!
//! | key | value | written by | lease |
//! | --- | --- | --- | --- |
//! | `jobs/n` | a job ([`crate::legacy::JobValue`]) | the controller, `up`, master, people | – |
//! | `cursor/n` | [`crate::values::Cursor`] | workers | – |
//! | `runs/E(n)/-/<run id>` | [`crate::values::ActiveRun`]; its mod revision is the fencing token | workers | – |
//! | `status/n` | [`crate::values::JobStatus`] | workers | – |
//! | `workers/<session>` | [`crate::values::WorkerInfo`] | workers | the session's |
//! | `kill/E(n)` | the instant of the request; kills every run created before it, by revision | master | – |
//! | `lock/n` | [`crate::values::LockValue`]: the exclusion towards workers of the replaced system, which hold it while a job runs | workers; `reserved` by the job's writer | the session's; `reserved`: – |
//! | `killer/n` | nothing: the replaced system's kill signal; the put is the signal, its expiry means nothing | people, its master | 1 s |
//! | `nodes/<name>` | a node's labels, an object of texts | the controller | – |
//! | `cluster` | [`crate::values::ClusterInfo`]: whose resources' jobs are here | the first controller | – |
//!
//! The layout of these is fixed, and nothing writes them yet:
//!
//! | key | for |
//! | --- | --- |
//! | `cursor-on/<node>/n`, `status-on/<node>/n`, `runs/E(n)/<node>/<run id>` | jobs that run on each node |
//! | `expect/E(n)/<slot>` | the nodes that such a job's slot is for |
//! | `queue/E(n)/<slot>` | slots that wait for an earlier run |
//! | `triggers/E(n)/<id>` | runs that were asked for |
//! | `paused` | nothing is claimed while it exists |
//!
//! `<slot>` is milliseconds since the epoch in 13 digits, so that slots sort by time; `<id>` is 16 hexadecimal digits.
//! `jobs/`, `workers/`, `lock/` and `killer/` mean what they mean to the replaced system. A key below `workers/` whose
//! value is not ours is one of its workers.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use thiserror::Error;

use crate::UnixMillis;
use crate::name::{JobName, NameError};
use crate::run::{RunId, SessionId, Slot};

/// What stays as it is in `E(n)`; `%` and `/` never do.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The scope of runs of which one at a time exists in the whole cluster.
const ANY_NODE: &str = "-";

/// One key of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A job.
    Job(JobName),
    /// The last decided slot of a job.
    Cursor(JobName),
    /// A claimed slot.
    Run(JobName, RunId),
    /// What became of a job's slots.
    Status(JobName),
    /// A live worker.
    Worker(SessionId),
    /// A request to end what runs of a job.
    Kill(JobName),
    /// The last decided slot of a job on one node.
    CursorOn(NodeName, JobName),
    /// A claimed slot of a job on one node.
    RunOn(JobName, NodeName, RunId),
    /// What became of a job's slots on one node.
    StatusOn(NodeName, JobName),
    /// The nodes that a slot is for.
    Expect(JobName, Slot),
    /// A slot that waits.
    Queue(JobName, Slot),
    /// A run that was asked for.
    Trigger(JobName, TriggerId),
    /// The replaced system's exclusion.
    Lock(JobName),
    /// The replaced system's kill signal.
    Killer(JobName),
    /// A node.
    Node(NodeName),
    /// Nothing is claimed.
    Paused,
    /// Whose resources' jobs are in the tree.
    Cluster,
}

/// The name of a node, as Kubernetes allows it: 1 to 253 letters, digits, `-`, `_` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Box<str>);

impl NodeName {
    /// Checks a text and makes it a name.
    pub fn new(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        // `-` alone is the scope of runs that are for any node.
        let usable = (1..=253).contains(&text.len()) && text.chars().all(plain) && text != ANY_NODE;
        usable.then(|| Self(text.into()))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identifies a request to run a job: the same request always has the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TriggerId(pub u64);

/// The folders of the tree, for listing and following.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Folder {
    /// All jobs.
    Jobs,
    /// All cursors.
    Cursors,
    /// All claimed slots.
    Runs,
    /// All statuses.
    Statuses,
    /// All live workers.
    Workers,
    /// All kill requests.
    Kills,
    /// All locks.
    Locks,
    /// All kill signals of the replaced system.
    Killers,
    /// The labels of all nodes.
    Nodes,
}

impl Folder {
    fn name(self) -> &'static str {
        match self {
            Self::Jobs => "jobs/",
            Self::Cursors => "cursor/",
            Self::Runs => "runs/",
            Self::Statuses => "status/",
            Self::Workers => "workers/",
            Self::Kills => "kill/",
            Self::Locks => "lock/",
            Self::Killers => "killer/",
            Self::Nodes => "nodes/",
        }
    }
}

/// What all keys of one system begin with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyPrefix(String);

/// A text that can't be a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the key prefix {0:?} can't be used; write one such as /cron: it begins with a slash, does not end with one, and has no control characters"
)]
pub struct PrefixError(String);

/// Why a key is not one of ours.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Another system's key, or one of a newer version.
    #[error("this is not a key of the tree")]
    Unknown,
    /// The folder is ours, the name is none.
    #[error("the key's name can't be used")]
    Name(#[from] NameError),
}

impl Default for KeyPrefix {
    fn default() -> Self {
        Self("/cron/".to_owned())
    }
}

impl KeyPrefix {
    /// Checks a prefix such as `/cron`.
    pub fn new(text: &str) -> Result<Self, PrefixError> {
        let inner = text.strip_prefix('/').filter(|rest| !rest.is_empty() && !rest.ends_with('/'));
        match inner {
            Some(rest) if !rest.chars().any(char::is_control) && !text.contains("//") => {
                Ok(Self(format!("{text}/")))
            }
            _ => Err(PrefixError(text.to_owned())),
        }
    }

    /// What every key below it begins with; ends with a slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as stored.
    pub fn encode(&self, key: &Key) -> String {
        let p = &self.0;
        match key {
            Key::Job(name) => format!("{p}jobs/{name}"),
            Key::Cursor(name) => format!("{p}cursor/{name}"),
            Key::Run(name, run) => format!("{p}runs/{}/{ANY_NODE}/{run}", Encoded(name)),
            Key::Status(name) => format!("{p}status/{name}"),
            Key::Worker(session) => format!("{p}workers/{session}"),
            Key::Kill(name) => format!("{p}kill/{}", Encoded(name)),
            Key::CursorOn(node, name) => format!("{p}cursor-on/{node}/{name}"),
            Key::RunOn(name, node, run) => format!("{p}runs/{}/{node}/{run}", Encoded(name)),
            Key::StatusOn(node, name) => format!("{p}status-on/{node}/{name}"),
            Key::Expect(name, slot) => format!("{p}expect/{}/{:013}", Encoded(name), slot.0.0),
            Key::Queue(name, slot) => format!("{p}queue/{}/{:013}", Encoded(name), slot.0.0),
            Key::Trigger(name, id) => format!("{p}triggers/{}/{:016x}", Encoded(name), id.0),
            Key::Lock(name) => format!("{p}lock/{name}"),
            Key::Killer(name) => format!("{p}killer/{name}"),
            Key::Node(node) => format!("{p}nodes/{node}"),
            Key::Paused => format!("{p}paused"),
            Key::Cluster => format!("{p}cluster"),
        }
    }

    /// What every key of a folder begins with.
    pub fn folder(&self, folder: Folder) -> String {
        format!("{}{}", self.0, folder.name())
    }

    /// What the keys of all runs of one job begin with, and those of no other job.
    pub fn runs_of(&self, job: &JobName) -> String {
        format!("{}runs/{}/", self.0, Encoded(job))
    }

    /// Reads a stored key back.
    pub fn decode(&self, text: &str) -> Result<Key, KeyError> {
        let rest = text.strip_prefix(&self.0).ok_or(KeyError::Unknown)?;
        match rest {
            "paused" => return Ok(Key::Paused),
            "cluster" => return Ok(Key::Cluster),
            _ => {}
        }
        let (folder, rest) = rest.split_once('/').ok_or(KeyError::Unknown)?;
        match folder {
            "jobs" => Ok(Key::Job(JobName::new(rest)?)),
            "cursor" => Ok(Key::Cursor(JobName::new(rest)?)),
            "status" => Ok(Key::Status(JobName::new(rest)?)),
            "workers" if !rest.is_empty() => Ok(Key::Worker(SessionId(rest.to_owned()))),
            "kill" => Ok(Key::Kill(decode_name(rest)?)),
            "runs" => {
                let [name, scope, run] = rest.split('/').collect::<Vec<_>>()[..] else {
                    return Err(KeyError::Unknown);
                };
                let (name, run) = (decode_name(name)?, run.parse().map_err(|_| KeyError::Unknown)?);
                if scope == ANY_NODE {
                    Ok(Key::Run(name, run))
                } else {
                    Ok(Key::RunOn(name, node(scope)?, run))
                }
            }
            "cursor-on" => on_node(rest).map(|(node, name)| Key::CursorOn(node, name)),
            "status-on" => on_node(rest).map(|(node, name)| Key::StatusOn(node, name)),
            "expect" => of_job(rest, slot).map(|(name, slot)| Key::Expect(name, slot)),
            "queue" => of_job(rest, slot).map(|(name, slot)| Key::Queue(name, slot)),
            "triggers" => of_job(rest, trigger).map(|(name, id)| Key::Trigger(name, id)),
            "lock" => Ok(Key::Lock(JobName::new(rest)?)),
            "killer" => Ok(Key::Killer(JobName::new(rest)?)),
            "nodes" => node(rest).map(Key::Node),
            _ => Err(KeyError::Unknown),
        }
    }
}

struct Encoded<'a>(&'a JobName);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        utf8_percent_encode(self.0.as_str(), ENCODED).fmt(f)
    }
}

/// Only what [`Encoded`] writes is read, so that no two keys stand for one name.
fn decode_name(text: &str) -> Result<JobName, KeyError> {
    let name = percent_decode_str(text).decode_utf8().map_err(|_| KeyError::Unknown)?;
    let name = JobName::new(&name)?;
    if Encoded(&name).to_string() == text { Ok(name) } else { Err(KeyError::Unknown) }
}

fn node(text: &str) -> Result<NodeName, KeyError> {
    NodeName::new(text).ok_or(KeyError::Unknown)
}

/// `<node>/n`.
fn on_node(text: &str) -> Result<(NodeName, JobName), KeyError> {
    let (on, name) = text.split_once('/').ok_or(KeyError::Unknown)?;
    Ok((node(on)?, JobName::new(name)?))
}

/// `E(n)/<what>`.
fn of_job<T>(text: &str, read: fn(&str) -> Option<T>) -> Result<(JobName, T), KeyError> {
    let (name, what) = text.split_once('/').ok_or(KeyError::Unknown)?;
    Ok((decode_name(name)?, read(what).ok_or(KeyError::Unknown)?))
}

fn slot(text: &str) -> Option<Slot> {
    let digits = text.len() == 13 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok().map(|millis| Slot(UnixMillis(millis)))).flatten()
}

fn trigger(text: &str) -> Option<TriggerId> {
    let hex = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    hex.then(|| u64::from_str_radix(text, 16).ok().map(TriggerId)).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::run::Revision;

    fn name() -> impl Strategy<Value = JobName> {
        ".{1,40}".prop_filter_map("not a name", |text| JobName::new(&text).ok())
    }

    fn key() -> impl Strategy<Value = Key> {
        (name(), "[a-zA-Z0-9._][a-zA-Z0-9._-]{0,20}", 0..9_999_999_999_999_i64, 0..17).prop_map(
            |(name, node, ms, kind)| {
                let slot = Slot(UnixMillis(ms));
                let run = RunId::of_slot(&name, Revision(ms), slot);
                let node = NodeName::new(&node).unwrap();
                match kind {
                    0 => Key::Job(name),
                    1 => Key::Cursor(name),
                    2 => Key::Run(name, run),
                    3 => Key::Status(name),
                    4 => Key::Worker(SessionId(format!("node/{ms}"))),
                    5 => Key::Kill(name),
                    6 => Key::CursorOn(node, name),
                    7 => Key::RunOn(name, node, run),
                    8 => Key::StatusOn(node, name),
                    9 => Key::Expect(name, slot),
                    10 => Key::Queue(name, slot),
                    11 => Key::Trigger(name, TriggerId(ms.unsigned_abs())),
                    12 => Key::Lock(name),
                    13 => Key::Killer(name),
                    14 => Key::Node(node),
                    15 => Key::Cluster,
                    _ => Key::Paused,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn every_key_reads_back(key in key(), prefix in "/[a-z]{1,5}(/[a-z]{1,5})?") {
            let prefix = KeyPrefix::new(&prefix).unwrap();
            prop_assert_eq!(prefix.decode(&prefix.encode(&key)), Ok(key));
        }

        #[test]
        fn different_keys_are_stored_apart(a in key(), b in key()) {
            let prefix = KeyPrefix::default();
            prop_assert_eq!(a == b, prefix.encode(&a) == prefix.encode(&b));
        }

        #[test]
        fn the_runs_of_one_job_are_not_under_another(a in name(), b in name()) {
            let prefix = KeyPrefix::default();
            let run = RunId::of_slot(&b, Revision(1), Slot(UnixMillis(1)));
            let under = prefix.encode(&Key::Run(b.clone(), run)).starts_with(&prefix.runs_of(&a));
            prop_assert_eq!(under, a == b);
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = KeyPrefix::default().decode(&text);
            let _ = KeyPrefix::default().decode(&format!("/cron/runs/{text}"));
        }
    }

    #[test]
    fn keys_look_as_documented() {
        let prefix = KeyPrefix::default();
        let name = JobName::new("ops/rotate logs").unwrap();
        let run: RunId = "1764000000000-00000000000000ff".parse().unwrap();
        let node = NodeName::new("n-1.lan").unwrap();
        let slot = Slot(UnixMillis(60_000));
        for (key, text) in [
            (Key::CursorOn(node.clone(), name.clone()), "/cron/cursor-on/n-1.lan/ops/rotate logs"),
            (Key::StatusOn(node.clone(), name.clone()), "/cron/status-on/n-1.lan/ops/rotate logs"),
            (
                Key::RunOn(name.clone(), node.clone(), run.clone()),
                "/cron/runs/ops%2Frotate%20logs/n-1.lan/1764000000000-00000000000000ff",
            ),
            (Key::Expect(name.clone(), slot), "/cron/expect/ops%2Frotate%20logs/0000000060000"),
            (Key::Queue(name.clone(), slot), "/cron/queue/ops%2Frotate%20logs/0000000060000"),
            (
                Key::Trigger(name.clone(), TriggerId(255)),
                "/cron/triggers/ops%2Frotate%20logs/00000000000000ff",
            ),
            (Key::Lock(name.clone()), "/cron/lock/ops/rotate logs"),
            (Key::Killer(name.clone()), "/cron/killer/ops/rotate logs"),
            (Key::Node(node), "/cron/nodes/n-1.lan"),
            (Key::Paused, "/cron/paused"),
            (Key::Cluster, "/cron/cluster"),
            (Key::Job(name.clone()), "/cron/jobs/ops/rotate logs"),
            (Key::Cursor(name.clone()), "/cron/cursor/ops/rotate logs"),
            (Key::Run(name.clone(), run), "/cron/runs/ops%2Frotate%20logs/-/1764000000000-00000000000000ff"),
            (Key::Status(name.clone()), "/cron/status/ops/rotate logs"),
            (Key::Worker(SessionId("10.0.0.7".to_owned())), "/cron/workers/10.0.0.7"),
            (Key::Kill(name), "/cron/kill/ops%2Frotate%20logs"),
        ] {
            assert_eq!(prefix.encode(&key), text);
            assert_eq!(prefix.decode(text), Ok(key));
        }
    }

    #[test]
    fn keys_of_others_are_not_ours() {
        let prefix = KeyPrefix::default();
        for text in [
            "/cron",
            "/cron/",
            "/cronjobs/a",
            "/other/jobs/a",
            "/cron/unknown/a",
            "/cron/runs/a/-/x",
            "/cron/workers/",
        ] {
            assert_eq!(prefix.decode(text), Err(KeyError::Unknown), "{text}");
        }
        assert_eq!(prefix.decode("/cron/jobs/"), Err(KeyError::Name(NameError::Empty)));
        assert_eq!(prefix.decode("/cron/jobs/../x"), Err(KeyError::Name(NameError::Part)));
    }

    #[test]
    fn prefixes_that_would_mix_systems_are_refused() {
        for text in ["", "/", "cron", "/cron/", "//cron", "/a//b", "/a\n"] {
            assert!(KeyPrefix::new(text).is_err(), "{text:?}");
        }
    }
}
