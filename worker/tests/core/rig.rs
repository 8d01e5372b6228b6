//! Cores on one tree, and a test that plays their shells.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::time::Duration;

use model::job::JobSpec;
use model::keys::{Key, KeyPrefix};
use model::legacy::JobValue;
use model::run::{Revision, SessionId};
use model::values::{ActiveRun, JobStatus};
use model::{Job, JobName, TimeZone, UnixMillis, Words};
use serde_json::{Value, json};
use store::memory::{LogState, TreeState};
use store::{Change, Follow, Op, Range, RunQuery, Session, TreeError, Txn, TxnReply, protocol};
use worker::core::{Act, AskId, Core, CoreConfig, Input, Now, Order};
use worker::executor::{Boottime, Ended, Event, ExitResult, RunKey, Start, StopReason};

/// 2026-01-01T00:00:00Z.
pub(crate) const DAY: i64 = 1_767_225_600_000;

/// How long a session lasts.
pub(crate) const LASTS: Duration = Duration::from_secs(15);

/// What becomes of the commits of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Link {
    #[default]
    Up,
    /// They wait, and are neither done nor answered.
    Held,
    /// They are done, and the worker is told that it is not known.
    RepliesLost,
    /// They are not done, and the worker is told that it is not known; they can be done later.
    Late,
}

pub(crate) struct Node {
    pub(crate) core: Core,
    pub(crate) link: Link,
    /// Whether the changes of the tree reach it.
    pub(crate) follows: bool,
    pub(crate) log_is_away: bool,
    /// How many appends were asked for.
    pub(crate) appends: usize,
    pub(crate) waiting: VecDeque<(AskId, Txn)>,
    pub(crate) replies: VecDeque<Input>,
    pub(crate) started: Vec<Start>,
    pub(crate) stopped: Vec<(RunKey, StopReason)>,
    pub(crate) notes: Vec<String>,
    followed: Option<Revision>,
    sessions: u32,
    name: String,
    /// Replies to commits are kept until the test delivers them.
    pub(crate) hold_replies: bool,
}

pub(crate) struct Rig {
    pub(crate) tree: TreeState,
    pub(crate) log: LogState,
    pub(crate) nodes: Vec<Node>,
    pub(crate) boot: Duration,
    /// By how much the wall clock is ahead of the test's.
    pub(crate) wall_ahead: i64,
    /// How long new sessions last.
    pub(crate) lasts: Duration,
}

pub(crate) fn name(text: &str) -> JobName {
    JobName::new(text).unwrap()
}

fn config(node: &str, max_runs: Option<usize>) -> CoreConfig {
    CoreConfig {
        prefix: KeyPrefix::default(),
        node: node.to_owned(),
        address: node.to_owned(),
        version: "1".to_owned(),
        labels: BTreeMap::new(),
        features: Words::default(),
        zone: TimeZone::UTC,
        max_runs: max_runs.and_then(NonZeroUsize::new),
        inherited: Vec::new(),
        #[cfg(feature = "broken-rules")]
        broken: None,
    }
}

impl Rig {
    /// One worker on an empty tree, at midnight.
    pub(crate) fn new() -> Self {
        Self::with(&["a"], None)
    }

    pub(crate) fn with(nodes: &[&str], max_runs: Option<usize>) -> Self {
        let mut rig = Self {
            tree: TreeState::new(KeyPrefix::default()),
            log: LogState::new(),
            nodes: Vec::new(),
            boot: Duration::from_secs(1000),
            wall_ahead: 0,
            lasts: LASTS,
        };
        for node in nodes {
            rig.add(node, max_runs);
        }
        rig.settle();
        rig
    }

    pub(crate) fn add(&mut self, node: &str, max_runs: Option<usize>) {
        self.add_with(node, config(node, max_runs));
    }

    /// A worker that understands these features.
    pub(crate) fn add_version(&mut self, node: &str, features: &[&str]) {
        let features = features.iter().copied().collect();
        self.add_with(node, CoreConfig { features, ..config(node, None) });
    }

    fn add_with(&mut self, node: &str, config: CoreConfig) {
        let now = self.now();
        let info = config.info(now.wall, now.wall);
        let id = SessionId(format!("{node}-0"));
        let session = self.tree.open_session(self.boot, id, &info, self.lasts).unwrap();
        self.nodes.push(Node {
            core: Core::new(config, session, now.boot, now),
            link: Link::Up,
            follows: true,
            log_is_away: false,
            appends: 0,
            waiting: VecDeque::new(),
            replies: VecDeque::new(),
            started: Vec::new(),
            stopped: Vec::new(),
            notes: Vec::new(),
            followed: None,
            sessions: 0,
            name: node.to_owned(),
            hold_replies: false,
        });
    }

    pub(crate) fn now(&self) -> Now {
        let since = i64::try_from(self.boot.as_millis()).unwrap() - 1_000_000;
        Now { wall: UnixMillis(DAY + since + self.wall_ahead), boot: Boottime(self.boot) }
    }

    /// A job of each minute that runs under `Forbid`, with further fields of its spec.
    pub(crate) fn job(&mut self, job: &str, fields: Value) {
        let mut spec = json!({"schedule": "* * * * *", "template": {"command": "true"}});
        let Value::Object(fields) = fields else { panic!("fields are an object") };
        for (key, value) in fields {
            spec[key] = value;
        }
        let spec: JobSpec = serde_json::from_value(spec).unwrap();
        let parsed = Job::new(name(job), spec.clone()).unwrap();
        let value = JobValue::of_spec(&parsed, spec, None).to_bytes();
        self.write(Op::Put(Key::Job(name(job)), value));
    }

    pub(crate) fn delete(&mut self, job: &str) {
        self.write(Op::Delete(Key::Job(name(job))));
    }

    pub(crate) fn write(&mut self, op: Op) {
        self.commit(&Txn { then: vec![op], ..Txn::default() });
    }

    pub(crate) fn commit(&mut self, txn: &Txn) -> TxnReply {
        self.tree.commit(self.boot, txn).unwrap()
    }

    pub(crate) fn runs(&self, job: &str) -> Vec<ActiveRun> {
        self.tree.list(&Range::RunsOf(name(job))).map(|pair| protocol::read(pair).unwrap()).collect()
    }

    pub(crate) fn status(&self, job: &str) -> JobStatus {
        let pair = self.tree.get(&Key::Status(name(job).into()));
        pair.map(|pair| protocol::read(pair).unwrap()).unwrap_or_default()
    }

    /// How the runs of a job ended, oldest first.
    pub(crate) fn outcomes(&self, job: &str) -> Vec<String> {
        let query = RunQuery { job: Some(name(job)), limit: 100, ..RunQuery::default() };
        let records = self.log.runs(&query);
        records.iter().rev().map(|record| record.outcome.to_string()).collect()
    }

    /// Lets time pass in steps of 50 ms.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.boot + time;
        while self.boot < until {
            self.boot += Duration::from_millis(50);
            self.tree.expire(self.boot);
            if self.boot.subsec_millis() == 0 {
                self.speak();
            }
            self.settle();
        }
    }

    /// Lets time pass until this second after midnight.
    pub(crate) fn pass_until(&mut self, second: u64) {
        let until = Duration::from_secs(1000 + second);
        self.pass(until.saturating_sub(self.boot));
    }

    /// Does everything that can be done at this instant.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1000 {
            let mut busy = false;
            for node in 0..self.nodes.len() {
                busy |= self.follow(node);
                if !self.nodes[node].hold_replies
                    && let Some(input) = self.nodes[node].replies.pop_front()
                {
                    self.take(node, input);
                    busy = true;
                }
                let now = self.now();
                if self.nodes[node].core.sleep(now).is_zero() {
                    self.take(node, Input::Tick);
                    busy = true;
                }
            }
            if !busy {
                return;
            }
        }
        // Something that is due waits for what the test holds back.
    }

    /// The tree says that it is there, although nothing changes.
    fn speak(&mut self) {
        for node in 0..self.nodes.len() {
            if let (true, Some(followed)) = (self.nodes[node].follows, self.nodes[node].followed) {
                self.take(node, Input::Tree(Follow::Current(followed)));
            }
        }
    }

    fn follow(&mut self, node: usize) -> bool {
        let me = &mut self.nodes[node];
        if !me.follows {
            return false;
        }
        let Some(followed) = me.followed else {
            let (revision, pairs) = self.tree.list_folders(&protocol::FOLLOWED);
            me.followed = Some(revision);
            self.take(node, Input::Tree(Follow::Page(pairs)));
            self.take(node, Input::Tree(Follow::Listed(revision)));
            return true;
        };
        let (revision, changes) = self.tree.changes_since(followed, &protocol::FOLLOWED).unwrap();
        me.followed = Some(revision);
        let changes: Vec<Change> = changes.into_iter().flatten().collect();
        if changes.is_empty() {
            if revision > followed {
                self.take(node, Input::Tree(Follow::Current(revision)));
            }
            return false;
        }
        self.take(node, Input::Tree(Follow::Changed(changes)));
        true
    }

    /// Has a node list the tree again, as after a broken watch.
    pub(crate) fn list_again(&mut self, node: usize) {
        self.take(node, Input::Tree(Follow::Again("the test says so".to_owned())));
        self.nodes[node].followed = None;
        self.nodes[node].follows = true;
        self.settle();
    }

    /// Gives an input to a core and does its acts.
    pub(crate) fn take(&mut self, node: usize, input: Input) {
        let now = self.now();
        let acts = self.nodes[node].core.take(now, input);
        for act in acts {
            self.perform(node, act);
        }
    }

    fn perform(&mut self, node: usize, act: Act) {
        let boot = self.boot;
        let me = &mut self.nodes[node];
        match act {
            Act::Commit(id, txn) => match me.link {
                Link::Held => me.waiting.push_back((id, txn)),
                Link::Up | Link::RepliesLost => {
                    let reply = self.tree.commit(boot, &txn);
                    let lost = me.link == Link::RepliesLost;
                    let reply = reply.map_err(|_| unknown());
                    me.replies.push_back(Input::Committed(id, if lost { Err(unknown()) } else { reply }));
                }
                Link::Late => {
                    me.waiting.push_back((id, txn));
                    me.replies.push_back(Input::Committed(id, Err(unknown())));
                }
            },
            Act::Append(id, entries) => {
                me.appends += 1;
                if me.log_is_away {
                    let away = store::LogError::Unavailable("away".into());
                    me.replies.push_back(Input::Appended(id, Err(away)));
                } else {
                    self.log.append(entries);
                    me.replies.push_back(Input::Appended(id, Ok(())));
                }
            }
            Act::Find(id, run, attempt) => {
                me.replies.push_back(Input::Found(id, Ok(self.log.find(&run, attempt))));
            }
            Act::Renew(id, session, _) => {
                let reply = match me.link {
                    Link::Up | Link::RepliesLost => Ok(self.tree.renew_session(boot, &session)),
                    Link::Held | Link::Late => Err(unknown()),
                };
                me.replies.push_back(Input::Renewed(id, reply));
            }
            Act::Open(id, info) => {
                me.sessions += 1;
                let session = SessionId(format!("{}-{}", me.name, me.sessions));
                let session: Session = self.tree.open_session(boot, session, &info, self.lasts).unwrap();
                me.replies.push_back(Input::Opened(id, Ok(session)));
            }
            Act::Order(Order::Start(start)) => me.started.push(*start),
            Act::Order(Order::Stop(key, reason)) => me.stopped.push((key, reason)),
            Act::Order(Order::Ping) => me.replies.push_back(Input::Executor(Event::Alive)),
            Act::Sweep(session) => me.replies.push_back(Input::Swept(session)),
            Act::Spawn => me.replies.push_back(Input::Spawned(Ok(()))),
            Act::Note(said) => me.notes.push(said.text),
            Act::Order(Order::StopAll(_) | Order::Fence(_)) | Act::Follow | Act::Tell(_) | Act::Count(_) => {}
        }
    }

    /// Does the transactions that a link held back. Nobody is told, unless `told`.
    pub(crate) fn do_waiting(&mut self, node: usize, told: bool) {
        while let Some((id, txn)) = self.nodes[node].waiting.pop_front() {
            let reply = self.tree.commit(self.boot, &txn).map_err(|_| unknown());
            if told {
                self.nodes[node].replies.push_back(Input::Committed(id, reply));
            }
        }
    }

    /// The executor of a node says that a run has ended.
    pub(crate) fn ended(
        &mut self,
        node: usize,
        key: RunKey,
        result: ExitResult,
        stopped: Option<StopReason>,
    ) {
        let started = (!matches!(result, ExitResult::NotStarted(_))).then_some(self.now().wall);
        let ended = Ended { started, at: self.now().wall, result, stopped, cut: 0, tail: Vec::new() };
        self.take(node, Input::Executor(Event::Ended { key, ended }));
        self.settle();
    }

    /// The commands that started on all nodes, as node and slot in seconds after midnight.
    pub(crate) fn starts(&self) -> Vec<(usize, i64)> {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .flat_map(|(i, node)| node.started.iter().map(move |start| (i, (start.at.0 - DAY) / 1000)))
            .collect()
    }
}

/// A variable of a command's environment.
pub(crate) fn variable<'s>(start: &'s Start, name: &str) -> &'s str {
    start.env.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str()).unwrap()
}

pub(crate) fn unknown() -> TreeError {
    TreeError::Unavailable("the test says so".into())
}
