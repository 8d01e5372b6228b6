//! The engine: the one task that owns the mirrors and decides what is written.
//!
//! It waits for the next input, takes it into its mirror, and marks what the input is about. What is marked is looked at
//! as soon as both mirrors are complete. Whatever needs waiting for is a future whose reply is one more input; of each
//! name at most one transaction, and of each resource at most one status, is under way at once.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crds::{NodeCronJob, NodeCronJobStatus};
use futures::StreamExt as _;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::events::Recorder;
use kube::runtime::watcher::Event;
use model::keys::{Folder, Key};
use model::run::Revision;
use model::{JobName, NodeName, UnixMillis};
use runtime::health::Health;
use store::{Compare, Follow, Op, Tree, TreeError, Txn, TxnReply, protocol};
use tokio::sync::mpsc;

use crate::inputs::{self, NodeStream, Source, Told};
use crate::nodes::Nodes;
use crate::pending::{Dirty, Statuses};
use crate::plan::{Holder, Plan, plan};
use crate::resources::{News, ObjectKey, Resources, key_of};
use crate::status::{self, Known, READY, Urgency, condition, difference, status};
use crate::view::{Subject, View};
use crate::write::{self, Written};
use crate::{Config, Metrics};

/// The folders that the controller follows.
const FOLLOWED: [Folder; 6] =
    [Folder::Jobs, Folder::Cursors, Folder::Runs, Folder::Statuses, Folder::Locks, Folder::Nodes];

/// How many transactions, and how many writes of statuses, are under way at once.
const TRANSACTIONS: usize = 64;
const WRITES: usize = 32;

/// How many events are under way at once; more are let go.
const EVENTS: usize = 64;

/// How many subjects are looked at before the next input has its turn.
const LOOKS: usize = 256;

/// Between two statuses of one resource: where somebody may wait for it, and otherwise.
const STATUS_SOON: Duration = Duration::from_secs(1);
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// Before a status that was not taken is written again.
const STATUS_AGAIN: Duration = Duration::from_secs(5);

/// After how long without the tree resources say so.
const TREE_AWAY: Duration = Duration::from_secs(10);

/// It sleeps no longer than this.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// What a future came back with.
enum Reply {
    Job { name: JobName, did: Did, outcome: Result<TxnReply, TreeError> },
    Node { name: NodeName, value: Option<Vec<u8>>, outcome: Result<TxnReply, TreeError> },
    Status(Box<StatusReply>),
    Event { taken: bool },
}

/// What a transaction about a job does.
#[derive(Clone, Debug)]
enum Did {
    Put { value: Vec<u8>, reserved: bool, back: Option<ObjectKey> },
    Reserved,
    Deleted,
}

struct StatusReply {
    key: ObjectKey,
    uid: String,
    /// The version that it was made for.
    version: String,
    before: NodeCronJobStatus,
    sent: NodeCronJobStatus,
    written: Written,
}

/// All state of a controller that works.
pub struct Engine<T> {
    tree: T,
    client: Client,
    config: Config,
    health: Health,
    metrics: Metrics,
    recorder: Recorder,
    sources: Vec<Source>,
    resources: Resources,
    nodes: Nodes,
    node_trouble: Option<String>,
    view: View,
    /// A listing of the tree that is not complete.
    listing: Option<View>,
    /// Whether `view` is the tree's, and since when not.
    known: Result<(), Instant>,
    /// Whether resources were let say that it is away.
    told_away: bool,
    dirty: Dirty,
    /// What a transaction is under way about.
    busy: HashSet<Subject>,
    statuses: Statuses,
    writing: HashSet<ObjectKey>,
    events: usize,
    in_flight: FuturesUnordered<BoxFuture<'static, Reply>>,
}

impl<T: Tree> Engine<T> {
    /// One that has seen nothing yet.
    pub fn new(tree: T, client: Client, config: Config, health: Health, metrics: Metrics) -> Self {
        let now = Instant::now();
        let view = View::new(tree.prefix().clone());
        let recorder = write::recorder(client.clone(), &config.identity);
        Self {
            tree,
            client,
            config,
            health,
            metrics,
            recorder,
            sources: Vec::new(),
            resources: Resources::default(),
            nodes: Nodes::default(),
            node_trouble: None,
            listing: Some(view.clone()),
            view,
            known: Err(now),
            told_away: false,
            dirty: Dirty::default(),
            busy: HashSet::new(),
            statuses: Statuses::new(now),
            writing: HashSet::new(),
            events: 0,
            in_flight: FuturesUnordered::new(),
        }
    }

    /// Reconciles until the store is closed, or until this future is dropped: when another controller takes over, and
    /// when the process ends. What is under way then is done or not; the next one to work finds out.
    pub async fn run(mut self) {
        let (sources, mut resources) = inputs::resources(&self.client, &self.config);
        self.sources = sources;
        let mut nodes: NodeStream = inputs::nodes(&self.client);
        let mut changes: mpsc::Receiver<Follow> = self.tree.follow(&FOLLOWED);
        loop {
            self.work();
            let sleep = self.until_next();
            tokio::select! {
                Some((source, told)) = resources.next() => self.take_resource(source, told),
                Some(told) = nodes.next() => self.take_node(told),
                change = changes.recv() => match change {
                    Some(change) => self.take_change(change),
                    None => return,
                },
                Some(reply) = self.in_flight.next() => self.take_reply(reply),
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    fn until_next(&self) -> Duration {
        let now = Instant::now();
        // What has no room now is woken for by a reply.
        let may_look = self.is_complete() && self.busy.len() < TRANSACTIONS;
        let looks = self.dirty.at(now).filter(|_| may_look);
        let writes = self.statuses.at().filter(|_| self.writing.len() < WRITES);
        let next = looks.into_iter().chain(writes).min();
        next.map_or(LONGEST_SLEEP, |at| at.saturating_duration_since(now).min(LONGEST_SLEEP))
    }

    /// Whether both mirrors show everything: before, a thing that is not there may only not have come yet.
    fn is_complete(&self) -> bool {
        self.known.is_ok() && self.sources.iter().all(|source| source.known)
    }

    fn work(&mut self) {
        let now = Instant::now();
        if self.is_complete() {
            for _ in 0..LOOKS {
                if self.busy.len() >= TRANSACTIONS {
                    break;
                }
                match self.dirty.next(now) {
                    Some(Subject::Job(name)) => self.look(&name),
                    Some(Subject::Node(name)) => self.look_at_node(&name),
                    None => break,
                }
            }
        } else if let Err(since) = self.known
            && since.elapsed() >= TREE_AWAY
            && !self.told_away
        {
            self.told_away = true;
            self.tell_that_the_tree_is_away();
        }
        while self.writing.len() < WRITES {
            let Some(key) = self.statuses.next(now) else { break };
            self.write_status(key);
        }
        self.metrics.waiting.set(i64::try_from(self.statuses.len()).unwrap_or(i64::MAX));
    }

    fn mark_all(&mut self) {
        let jobs: HashSet<_> = self.view.jobs().chain(self.resources.jobs()).cloned().collect();
        let nodes: HashSet<_> = self.view.nodes.keys().chain(self.nodes.names()).cloned().collect();
        for subject in jobs.into_iter().map(Subject::Job).chain(nodes.into_iter().map(Subject::Node)) {
            self.dirty.mark(subject);
        }
        let homeless: Vec<_> = self.resources.homeless().cloned().collect();
        for key in &homeless {
            self.consider(key);
        }
    }

    /// Compares a name's job with what is wanted there, and writes what differs.
    fn look(&mut self, name: &JobName) {
        let subject = Subject::Job(name.clone());
        if self.busy.contains(&subject) {
            // Its reply is looked at.
            return;
        }
        self.metrics.looks.inc();
        let (holder, plan) = self.plan(name);
        let seen = self.view.get(name).map_or(Revision::NONE, |entry| entry.job.modified);
        let (txn, did) = match plan {
            Plan::Nothing | Plan::Wait => {
                self.dirty.succeeded(&subject);
                for key in self.wanting(name) {
                    self.consider(&key);
                }
                self.view.forget_if_empty(name);
                return;
            }
            Plan::Put(seen, lock) => {
                let Holder::Resource(key) = &holder else { return };
                let Some(resource) = self.resources.get(key) else { return };
                let Ok(wanted) = &resource.wanted else { return };
                let value = wanted.value.clone();
                let was_there = resource.status.observed_generation == Some(resource.generation)
                    && condition(&resource.status, READY).is_some_and(|ready| ready.status == "True");
                let back = was_there.then(|| key.clone());
                let txn = match lock {
                    Some(lock) => protocol::put_reserved_job(name, value.clone(), seen, lock),
                    None => protocol::put_job(name, value.clone(), seen),
                };
                (txn, Did::Put { value, reserved: lock.is_some(), back })
            }
            Plan::Reserve(lock) => {
                // Only as long as the job is there: a lock without a job would keep a name reserved.
                let mut txn = protocol::reserve(name, lock);
                txn.when.push(Compare::Modified(Key::Job(name.clone()), seen));
                txn.otherwise.push(Op::Get(Key::Job(name.clone())));
                (txn, Did::Reserved)
            }
            Plan::Delete(seen) => (protocol::delete_job(name, seen), Did::Deleted),
        };
        self.busy.insert(subject);
        let (tree, name) = (self.tree.clone(), name.clone());
        self.in_flight.push(
            async move {
                let outcome = tree.commit(txn).await;
                Reply::Job { name, did, outcome }
            }
            .boxed(),
        );
        // Those that can't have the name need not wait.
        if let Holder::Resource(holder) = holder {
            for key in self.wanting_of(&holder) {
                self.consider(&key);
            }
        }
    }

    fn plan(&self, name: &JobName) -> (Holder, Plan) {
        let entry = self.view.get(name).cloned().unwrap_or_default();
        plan(&self.resources.wanting(name), &entry.job, entry.lock, &self.config)
    }

    fn wanting(&self, name: &JobName) -> Vec<ObjectKey> {
        self.resources.wanting(name).into_iter().map(|(key, _)| key.clone()).collect()
    }

    /// The others that want the name of a holder.
    fn wanting_of(&self, holder: &ObjectKey) -> Vec<ObjectKey> {
        let job = self.resources.get(holder).and_then(|resource| resource.job.clone());
        let mut keys = job.map(|job| self.wanting(&job)).unwrap_or_default();
        keys.retain(|key| key != holder);
        keys
    }

    fn look_at_node(&mut self, name: &NodeName) {
        let subject = Subject::Node(name.clone());
        if !self.nodes.known || self.busy.contains(&subject) {
            return;
        }
        let present = self.view.nodes.get(name);
        let Some(op) = self.nodes.plan(name, present) else {
            self.dirty.succeeded(&subject);
            return;
        };
        let value = if let Op::Put(_, value) = &op { Some(value.clone()) } else { None };
        let key = Key::Node(name.clone());
        let seen = present.map_or(Revision::NONE, |(modified, _)| *modified);
        let txn = Txn {
            when: vec![Compare::Modified(key.clone(), seen)],
            then: vec![op],
            otherwise: vec![Op::Get(key)],
        };
        self.busy.insert(subject);
        let (tree, name) = (self.tree.clone(), name.clone());
        self.in_flight.push(
            async move {
                let outcome = tree.commit(txn).await;
                Reply::Node { name, value, outcome }
            }
            .boxed(),
        );
    }

    /// What a resource should say, as far as that is certain: not while its job is being written, unless that fails.
    fn compose(&self, key: &ObjectKey) -> Option<NodeCronJobStatus> {
        let resource = self.resources.get(key)?;
        let Some(job) = &resource.job else { return Some(status(key, resource, None, now())) };
        if let Err(since) = self.known {
            let new = resource.status.observed_generation != Some(resource.generation);
            let away = since.elapsed() >= TREE_AWAY;
            return (new && away)
                .then(|| status::not_taken(resource, "the job tree can't be reached", now()));
        }
        let (holder, plan) = self.plan(job);
        let entry = self.view.get(job);
        let holds = matches!(&holder, Holder::Resource(holder) if holder == key);
        if holds && !matches!(plan, Plan::Nothing | Plan::Wait) {
            let why = self.dirty.failure(&Subject::Job(job.clone()))?;
            return Some(status::not_taken(resource, why, now()));
        }
        Some(status(key, resource, Some(Known { job, holder: &holder, plan: &plan, entry }), now()))
    }

    /// Gives a resource's status its place, if it should say anything else than it does.
    fn consider(&mut self, key: &ObjectKey) {
        if self.writing.contains(key) {
            // Its reply is looked at.
            return;
        }
        let (Some(resource), Some(wanted)) = (self.resources.get(key), self.compose(key)) else {
            self.statuses.remove(key);
            return;
        };
        let Some(urgency) = difference(&resource.status, &wanted) else {
            self.statuses.remove(key);
            return;
        };
        let (now, rest) = (Instant::now(), if urgency == Urgency::Now { STATUS_SOON } else { STATUS_EVERY });
        let at = resource.written.map_or(now, |written| now.max(written + rest));
        self.statuses.place(key, urgency, at);
    }

    fn write_status(&mut self, key: ObjectKey) {
        let (Some(resource), Some(wanted)) = (self.resources.get(&key), self.compose(&key)) else { return };
        if difference(&resource.status, &wanted).is_none() {
            return;
        }
        let (client, uid) = (self.client.clone(), resource.uid.clone());
        let (version, before) = (resource.version.clone(), resource.status.clone());
        self.writing.insert(key.clone());
        self.in_flight.push(
            async move {
                let written = write::status(client, key.clone(), version.clone(), wanted.clone()).await;
                let reply = StatusReply { key, uid, version, before, sent: wanted, written };
                Reply::Status(Box::new(reply))
            }
            .boxed(),
        );
    }

    /// Lets those speak that nobody has taken up yet.
    fn tell_that_the_tree_is_away(&mut self) {
        let jobs: Vec<_> = self.resources.jobs().cloned().collect();
        let waiting: Vec<_> = jobs.iter().flat_map(|job| self.wanting(job)).collect();
        for key in &waiting {
            self.consider(key);
        }
    }

    fn tell(&mut self, key: &ObjectKey, uid: &str, news: write::News) {
        if self.events >= EVENTS {
            self.metrics.wrote("event", "let_go");
            return;
        }
        self.events += 1;
        let event = write::event(self.recorder.clone(), key.clone(), uid.to_owned(), news);
        self.in_flight.push(async move { Reply::Event { taken: event.await } }.boxed());
    }

    fn take_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Job { name, did, outcome } => self.take_job_reply(&name, did, outcome),
            Reply::Node { name, value, outcome } => {
                let subject = Subject::Node(name.clone());
                self.busy.remove(&subject);
                match outcome {
                    Ok(reply) if reply.succeeded => {
                        match value {
                            Some(value) => drop(self.view.nodes.insert(name, (reply.revision, value))),
                            None => drop(self.view.nodes.remove(&name)),
                        }
                        self.metrics.wrote("tree", "ok");
                        self.dirty.mark(subject);
                    }
                    Ok(reply) => {
                        if reply.found.is_empty() {
                            self.view.nodes.remove(&name);
                        }
                        self.refused(&reply, subject);
                    }
                    Err(why) => self.not_committed(subject, &why),
                }
            }
            Reply::Status(reply) => self.take_status_reply(*reply),
            Reply::Event { taken } => {
                self.events -= 1;
                self.metrics.wrote("event", if taken { "ok" } else { "failed" });
            }
        }
    }

    fn take_job_reply(&mut self, name: &JobName, did: Did, outcome: Result<TxnReply, TreeError>) {
        let subject = Subject::Job(name.clone());
        self.busy.remove(&subject);
        let reply = match outcome {
            Ok(reply) => reply,
            Err(why) => return self.not_committed(subject, &why),
        };
        if !reply.succeeded {
            // What was not found does not exist as of then.
            let job = self.tree.prefix().encode(&Key::Job(name.clone()));
            if !reply.found.iter().any(|pair| pair.key == job) {
                self.view.wrote_job(name, None, reply.revision);
            }
            return self.refused(&reply, subject);
        }
        self.metrics.wrote("tree", "ok");
        match did {
            Did::Put { value, reserved, back } => {
                self.view.wrote_job(name, Some(&value), reply.revision);
                if reserved {
                    self.view.reserved(name, reply.revision);
                }
                tracing::info!(job = %name, revision = %reply.revision, "a job was put into the tree");
                let back = back.and_then(|key| Some((self.resources.get(&key)?.uid.clone(), key)));
                if let Some((uid, key)) = back {
                    self.tell(&key, &uid, write::News::put_back(name));
                }
            }
            Did::Reserved => self.view.reserved(name, reply.revision),
            Did::Deleted => {
                self.view.wrote_job(name, None, reply.revision);
                tracing::info!(job = %name, "a job was deleted from the tree: its resource is gone");
            }
        }
        self.dirty.succeeded(&subject);
        self.dirty.mark(subject);
    }

    /// The tree has moved on: what it has now was found, and is looked at.
    fn refused(&mut self, reply: &TxnReply, subject: Subject) {
        self.metrics.wrote("tree", "refused");
        for pair in &reply.found {
            self.view.put(pair);
        }
        self.dirty.mark(subject);
    }

    fn not_committed(&mut self, subject: Subject, why: &TreeError) {
        self.metrics.wrote("tree", why.kind());
        let text = in_words(why);
        if self.dirty.failure(&subject).is_none() {
            tracing::warn!(?subject, why = text, "a write to the job tree failed; it is tried again");
        }
        self.dirty.failed(subject.clone(), text, Instant::now());
        if let Subject::Job(name) = subject {
            for key in self.wanting(&name) {
                self.consider(&key);
            }
        }
    }

    fn take_status_reply(&mut self, reply: StatusReply) {
        let StatusReply { key, uid, version, before, sent, written } = reply;
        self.writing.remove(&key);
        let now = Instant::now();
        match written {
            Written::Done(new_version) => {
                self.metrics.wrote("status", "ok");
                let Some(resource) = self.resources.get_mut(&key).filter(|resource| resource.uid == uid)
                else {
                    return;
                };
                resource.written = Some(now);
                // The watch may have shown something newer already.
                if resource.version == version {
                    resource.version = new_version;
                    resource.status = sent.clone();
                }
                for news in write::News::of(&before, &sent) {
                    self.tell(&key, &uid, news);
                }
                self.consider(&key);
            }
            Written::Conflict => {
                self.metrics.wrote("status", "conflict");
                self.statuses.place(&key, Urgency::Now, now + STATUS_SOON);
            }
            Written::Gone => self.metrics.wrote("status", "gone"),
            Written::Failed(why) => {
                self.metrics.wrote("status", "failed");
                tracing::warn!(resource = %key, why, "a status was not taken; it is written again");
                self.statuses.place(&key, Urgency::Later, now + STATUS_AGAIN);
            }
        }
    }

    fn take_news(&mut self, news: News) {
        for job in news.jobs {
            self.dirty.mark(Subject::Job(job));
        }
        if let Some(key) = news.resource {
            self.consider(&key);
        }
        self.metrics.resources.set(i64::try_from(self.resources.len()).unwrap_or(i64::MAX));
    }

    fn take_resource(&mut self, number: usize, told: Told<DeserializeGuard<NodeCronJob>>) {
        let source = &mut self.sources[number];
        let event = match told {
            Ok(event) => event,
            Err(why) => {
                let why = inputs::in_words(&why);
                if source.trouble.as_ref() != Some(&why) {
                    tracing::warn!(why, "resources can't be watched; trying again");
                    source.trouble = Some(why);
                    self.tell_health();
                }
                return;
            }
        };
        let mended = source.trouble.take().is_some();
        match event {
            Event::Init => source.listing.clear(),
            Event::InitApply(object) => {
                source.listing.insert(key_of(&object));
                let news = self.resources.apply(object, &self.config);
                self.take_news(news);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut source.listing);
                let namespace = source.namespace.clone();
                source.known = true;
                let covered =
                    |present: &str| namespace.as_deref().is_none_or(|namespace| namespace == present);
                let news = self.resources.keep(&listed, covered);
                self.take_news(news);
                // A job whose resource was deleted while nobody looked is found in the tree alone.
                self.mark_all();
                self.tell_health();
            }
            Event::Apply(object) => {
                let news = self.resources.apply(object, &self.config);
                self.take_news(news);
            }
            Event::Delete(object) => {
                let news = self.resources.delete(&object);
                self.take_news(news);
            }
        }
        if mended {
            self.tell_health();
        }
    }

    fn take_node(&mut self, told: Told<PartialObjectMeta<Node>>) {
        let changed = match told {
            Ok(Event::Init) => return self.nodes.begin(),
            Ok(Event::InitApply(node)) => return self.nodes.listed(&node),
            Ok(Event::InitDone) => {
                self.nodes.end();
                return self.mark_all();
            }
            Ok(Event::Apply(node)) => self.nodes.apply(&node),
            Ok(Event::Delete(node)) => self.nodes.delete(&node),
            Err(why) => {
                let why = inputs::in_words(&why);
                if self.node_trouble.as_ref() != Some(&why) {
                    tracing::warn!(why, "nodes can't be watched, so changes of their labels are not seen");
                    self.node_trouble = Some(why);
                }
                return;
            }
        };
        self.node_trouble = None;
        if let Some(name) = changed {
            self.dirty.mark(Subject::Node(name));
        }
    }

    fn take_change(&mut self, change: Follow) {
        match change {
            Follow::Page(pairs) => {
                let view = self.listing.as_mut().unwrap_or(&mut self.view);
                for pair in &pairs {
                    view.put(pair);
                }
            }
            Follow::Listed(_) => {
                if let Some(view) = self.listing.take() {
                    self.view = view;
                }
                self.metrics.listings.inc();
                self.known = Ok(());
                self.told_away = false;
                self.mark_all();
                self.tell_health();
            }
            Follow::Changed(changes) => {
                for change in &changes {
                    if let Some(subject) = self.view.change(change) {
                        self.dirty.mark(subject);
                    }
                }
            }
            Follow::Current(_) => {}
            Follow::Again(why) => {
                tracing::warn!(why, "the job tree is read anew");
                self.listing = Some(View::new(self.tree.prefix().clone()));
                self.known = Err(Instant::now());
                self.tell_health();
            }
        }
    }

    fn tell_health(&self) {
        let trouble = self.sources.iter().find_map(|source| source.trouble.clone());
        let unknown =
            || self.sources.iter().any(|source| !source.known).then(|| "reading the resources".to_owned());
        self.health.set_ready("kubernetes", trouble.or_else(unknown).map_or(Ok(()), Err));
        let tree = self.known.map_err(|_| "the job tree has not been read; is etcd well?".to_owned());
        self.health.set_ready("tree", tree);
    }
}

fn in_words(why: &TreeError) -> String {
    let source = std::error::Error::source(why).map(ToString::to_string);
    source.map_or_else(|| why.to_string(), |source| format!("{why}: {source}"))
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
