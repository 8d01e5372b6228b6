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
//! The layout of these is fixed, and nothing puts them yet:
//!
//! | key | for |
//! | --- | --- |
//! | `cursor-on/<node>/n`, `status-on/<node>/n`, `runs/E(n)/<node>/<run id>` | the lanes ([`Lane`]) of jobs that run on each node |
//! | `triggers/E(n)/<id>` | runs that were asked for |
//!
//! `<id>` is 16 hexadecimal digits. `jobs/`, `workers/`, `lock/` and `killer/` mean what they mean to the replaced system.
//! A key below `workers/` whose value is not ours is one of its workers.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use thiserror::Error;

use crate::lane::{ANY_NODE, Lane, NodeName};
use crate::name::{JobName, NameError};
use crate::run::{RunId, SessionId};

/// What stays as it is in `E(n)`; `%` and `/` never do.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One key of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A job.
    Job(JobName),
    /// The last decided slot of a lane.
    Cursor(Lane),
    /// A claimed slot.
    Run(Lane, RunId),
    /// What became of a lane's slots.
    Status(Lane),
    /// A live worker.
    Worker(SessionId),
    /// A request to end what runs of a job.
    Kill(JobName),
    /// A run that was asked for.
    Trigger(JobName, TriggerId),
    /// The replaced system's exclusion.
    Lock(JobName),
    /// The replaced system's kill signal.
    Killer(JobName),
    /// A node.
    Node(NodeName),
    /// Whose resources' jobs are in the tree.
    Cluster,
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
            Key::Cursor(lane) => of_lane(p, "cursor", lane),
            Key::Run(lane, run) => format!("{p}runs/{}/{}/{run}", Encoded(&lane.job), lane.scope()),
            Key::Status(lane) => of_lane(p, "status", lane),
            Key::Worker(session) => format!("{p}workers/{session}"),
            Key::Kill(name) => format!("{p}kill/{}", Encoded(name)),
            Key::Trigger(name, id) => format!("{p}triggers/{}/{:016x}", Encoded(name), id.0),
            Key::Lock(name) => format!("{p}lock/{name}"),
            Key::Killer(name) => format!("{p}killer/{name}"),
            Key::Node(node) => format!("{p}nodes/{node}"),
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

    /// What the keys of all runs in one lane begin with, and those in no other lane.
    pub fn runs_in(&self, lane: &Lane) -> String {
        format!("{}runs/{}/{}/", self.0, Encoded(&lane.job), lane.scope())
    }

    /// Reads a stored key back.
    pub fn decode(&self, text: &str) -> Result<Key, KeyError> {
        let rest = text.strip_prefix(&self.0).ok_or(KeyError::Unknown)?;
        if rest == "cluster" {
            return Ok(Key::Cluster);
        }
        let (folder, rest) = rest.split_once('/').ok_or(KeyError::Unknown)?;
        match folder {
            "jobs" => Ok(Key::Job(JobName::new(rest)?)),
            "cursor" => Ok(Key::Cursor(JobName::new(rest)?.into())),
            "cursor-on" => on_node(rest).map(Key::Cursor),
            "status" => Ok(Key::Status(JobName::new(rest)?.into())),
            "status-on" => on_node(rest).map(Key::Status),
            "workers" if !rest.is_empty() => Ok(Key::Worker(SessionId(rest.to_owned()))),
            "kill" => Ok(Key::Kill(decode_name(rest)?)),
            "runs" => {
                let [name, scope, run] = rest.split('/').collect::<Vec<_>>()[..] else {
                    return Err(KeyError::Unknown);
                };
                let node = if scope == ANY_NODE { None } else { Some(node(scope)?) };
                let lane = Lane { job: decode_name(name)?, node };
                Ok(Key::Run(lane, run.parse().map_err(|_| KeyError::Unknown)?))
            }
            "triggers" => of_job(rest, trigger).map(|(name, id)| Key::Trigger(name, id)),
            "lock" => Ok(Key::Lock(JobName::new(rest)?)),
            "killer" => Ok(Key::Killer(JobName::new(rest)?)),
            "nodes" => node(rest).map(Key::Node),
            _ => Err(KeyError::Unknown),
        }
    }
}

/// `cursor/n`, or `cursor-on/<node>/n`.
fn of_lane(prefix: &str, folder: &str, lane: &Lane) -> String {
    match &lane.node {
        None => format!("{prefix}{folder}/{}", lane.job),
        Some(node) => format!("{prefix}{folder}-on/{node}/{}", lane.job),
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
fn on_node(text: &str) -> Result<Lane, KeyError> {
    let (on, name) = text.split_once('/').ok_or(KeyError::Unknown)?;
    Ok(Lane { job: JobName::new(name)?, node: Some(node(on)?) })
}

/// `E(n)/<what>`.
fn of_job<T>(text: &str, read: fn(&str) -> Option<T>) -> Result<(JobName, T), KeyError> {
    let (name, what) = text.split_once('/').ok_or(KeyError::Unknown)?;
    Ok((decode_name(name)?, read(what).ok_or(KeyError::Unknown)?))
}

fn trigger(text: &str) -> Option<TriggerId> {
    let hex = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    hex.then(|| u64::from_str_radix(text, 16).ok().map(TriggerId)).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::UnixMillis;
    use crate::run::{Revision, Slot};

    fn name() -> impl Strategy<Value = JobName> {
        ".{1,40}".prop_filter_map("not a name", |text| JobName::new(&text).ok())
    }

    fn lane() -> impl Strategy<Value = Lane> {
        let node = "[a-zA-Z0-9._][a-zA-Z0-9._-]{0,20}".prop_map(|text| NodeName::new(&text).unwrap());
        (name(), prop::option::of(node)).prop_map(|(job, node)| Lane { job, node })
    }

    fn key() -> impl Strategy<Value = Key> {
        (lane(), 0..9_999_999_999_999_i64, 0..11).prop_map(|(lane, ms, kind)| {
            let name = lane.job.clone();
            match kind {
                0 => Key::Job(name),
                1 => Key::Cursor(lane),
                2 => Key::Run(lane.clone(), RunId::of_slot(lane, Revision(ms), Slot(UnixMillis(ms)))),
                3 => Key::Status(lane),
                4 => Key::Worker(SessionId(format!("node/{ms}"))),
                5 => Key::Kill(name),
                6 => Key::Trigger(name, TriggerId(ms.unsigned_abs())),
                7 => Key::Lock(name),
                8 => Key::Killer(name),
                9 => lane.node.map_or(Key::Cluster, Key::Node),
                _ => Key::Cluster,
            }
        })
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
            let under = prefix.encode(&Key::Run(b.clone().into(), run)).starts_with(&prefix.runs_of(&a));
            prop_assert_eq!(under, a == b);
        }

        #[test]
        fn the_runs_of_one_lane_are_not_under_another(a in lane(), b in lane()) {
            let prefix = KeyPrefix::default();
            let run = RunId::of_slot(&b, Revision(1), Slot(UnixMillis(1)));
            let key = prefix.encode(&Key::Run(b.clone(), run));
            prop_assert_eq!(key.starts_with(&prefix.runs_in(&a)), a == b);
            prop_assert_eq!(key.starts_with(&prefix.runs_of(&a.job)), a.job == b.job);
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
        let everywhere = Lane::from(&name);
        let there = Lane { node: Some(node.clone()), ..everywhere.clone() };
        for (key, text) in [
            (Key::Cursor(there.clone()), "/cron/cursor-on/n-1.lan/ops/rotate logs"),
            (Key::Status(there.clone()), "/cron/status-on/n-1.lan/ops/rotate logs"),
            (
                Key::Run(there, run.clone()),
                "/cron/runs/ops%2Frotate%20logs/n-1.lan/1764000000000-00000000000000ff",
            ),
            (
                Key::Trigger(name.clone(), TriggerId(255)),
                "/cron/triggers/ops%2Frotate%20logs/00000000000000ff",
            ),
            (Key::Lock(name.clone()), "/cron/lock/ops/rotate logs"),
            (Key::Killer(name.clone()), "/cron/killer/ops/rotate logs"),
            (Key::Node(node), "/cron/nodes/n-1.lan"),
            (Key::Cluster, "/cron/cluster"),
            (Key::Job(name.clone()), "/cron/jobs/ops/rotate logs"),
            (Key::Cursor(everywhere.clone()), "/cron/cursor/ops/rotate logs"),
            (
                Key::Run(everywhere.clone(), run),
                "/cron/runs/ops%2Frotate%20logs/-/1764000000000-00000000000000ff",
            ),
            (Key::Status(everywhere), "/cron/status/ops/rotate logs"),
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
            "/cron/paused",
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
