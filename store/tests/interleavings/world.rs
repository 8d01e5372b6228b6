//! What there is: one job, its slots, and the values in the tree, each read once.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use model::decide::{self, Decision, Seen, SeenCursor};
use model::job::ConcurrencyPolicy;
use model::keys::{Key, KeyPrefix};
use model::run::{Revision, RunId, SessionId, Skipped, Slot};
use model::values::{ActiveRun, Cursor, JobStatus, LockValue, Timetable};
use model::{Job, JobName, TimeZone, UnixMillis};
use store::{KeyValue, protocol};

use crate::asks::Kind;
use crate::sabotage::{Part, Sabotage};

/// Slot 0 is where the cursor of the first incarnation is armed. The others follow each second.
const EPOCH: i64 = 1_764_000_000_000;

/// How long a session lasts. No time passes in here: whatever ends does so by a step.
pub(crate) const LASTS: Duration = Duration::from_secs(15);

pub(crate) fn slot(number: u8) -> Slot {
    Slot(UnixMillis(EPOCH + i64::from(number) * 1000))
}

pub(crate) fn number(slot: Slot) -> u8 {
    u8::try_from((slot.0.0 - EPOCH) / 1000).expect("a slot of this world")
}

/// The slots of a stretch.
pub(crate) fn slots(stretch: &Skipped) -> impl Iterator<Item = u8> + use<> {
    number(stretch.from)..=number(stretch.to)
}

/// A session id names its worker and counts that worker's sessions.
pub(crate) fn session_id(worker: u8, count: u8) -> SessionId {
    SessionId(format!("{worker}{count}"))
}

pub(crate) fn read_session(id: &SessionId) -> (u8, u8) {
    match id.0.as_bytes() {
        [worker, count] => (worker - b'0', count - b'0'),
        _ => panic!("{id} is no session of this world"),
    }
}

/// What may go wrong, besides what always may: stale views and replies that come late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A worker is told that its request failed, and it was committed, is never committed, or is committed later.
    Unknown,
    /// The tree ends a session while its worker lives, which learns of it later.
    Session,
    /// A session is not renewed in time. It may be renewed after all.
    Fence,
    /// A worker dies.
    Death,
    /// The job is edited, suspended or resumed.
    Edit,
    /// The job is deleted, or created again.
    Delete,
    /// Somebody asks for the end of what runs.
    Kill,
}

/// One search: the job, and which faults in which number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// How many slots there are.
    pub(crate) slots: u8,
    /// Whether the policy is `Forbid`; otherwise `Allow`.
    pub(crate) exclusive: bool,
    /// Whether the job's lock is reserved.
    pub(crate) reserved: bool,
    /// Which faults there may be.
    pub(crate) faults: &'static [Fault],
    /// How many of them, together.
    pub(crate) budget: u8,
}

/// The value of a key.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Job { suspended: bool },
    Cursor(Rc<Cursor>),
    Status(Rc<JobStatus>),
    Run(RunId, Rc<ActiveRun>),
    Worker(SessionId),
    Kill,
    Lock(Rc<LockValue>),
}

/// A key with its value and revisions.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) created: Revision,
    pub(crate) modified: Revision,
    pub(crate) body: Body,
}

type Decided = (u8, bool, Option<(u8, bool, Option<bool>)>, bool);

/// What all states of one search share.
pub(crate) struct Lab {
    pub(crate) config: Config,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) name: JobName,
    pub(crate) prefix: KeyPrefix,
    /// What was compared by what.
    pub(crate) compared: RefCell<BTreeSet<(Kind, Part)>>,
    plain: Job,
    suspended: Job,
    bodies: RefCell<HashMap<String, HashMap<Vec<u8>, Body>>>,
    decisions: RefCell<HashMap<Decided, Decision>>,
    waits: RefCell<HashMap<(u8, bool, u8), decide::Waiting>>,
    runs: RefCell<HashMap<RunId, (Revision, u8)>>,
}

impl Lab {
    pub(crate) fn new(config: Config, sabotage: Option<Sabotage>) -> Self {
        let name = JobName::new("a").expect("a valid name");
        let mut plain = Job::legacy(name.clone(), "true".to_owned(), "* * * * * * *", TimeZone::UTC)
            .expect("a valid job");
        if !config.exclusive {
            plain.concurrency = ConcurrencyPolicy::Allow;
        }
        let suspended = Job { suspend: true, ..plain.clone() };
        Self {
            config,
            sabotage,
            name,
            prefix: KeyPrefix::default(),
            compared: RefCell::default(),
            plain,
            suspended,
            bodies: RefCell::default(),
            decisions: RefCell::default(),
            waits: RefCell::default(),
            runs: RefCell::default(),
        }
    }

    pub(crate) fn breaks(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }

    pub(crate) fn may(&self, fault: Fault) -> bool {
        self.config.faults.contains(&fault)
    }

    pub(crate) fn job(&self, suspended: bool) -> &Job {
        if suspended { &self.suspended } else { &self.plain }
    }

    /// What is put at the job's key.
    pub(crate) fn definition(suspended: bool) -> Vec<u8> {
        if suspended { b"suspended".to_vec() } else { b"plain".to_vec() }
    }

    /// Reads what the tree told.
    pub(crate) fn read(&self, pair: &KeyValue) -> Fact {
        let mut bodies = self.bodies.borrow_mut();
        let known = bodies.get(&pair.key).and_then(|of_key| of_key.get(&pair.value));
        let body = known.cloned().unwrap_or_else(|| {
            let body = self.parse(pair);
            bodies.entry(pair.key.clone()).or_default().insert(pair.value.clone(), body.clone());
            body
        });
        Fact { created: pair.created, modified: pair.modified, body }
    }

    fn parse(&self, pair: &KeyValue) -> Body {
        let readable = "the transactions put values that can be read";
        match self.prefix.decode(&pair.key).expect("the transactions put keys of the tree") {
            Key::Job(_) => Body::Job { suspended: pair.value == Self::definition(true) },
            Key::Cursor(_) => Body::Cursor(Rc::new(protocol::read(pair).expect(readable))),
            Key::Status(_) => Body::Status(Rc::new(protocol::read(pair).expect(readable))),
            Key::Run(_, run) => Body::Run(run, Rc::new(protocol::read(pair).expect(readable))),
            Key::Worker(session) => Body::Worker(session),
            Key::Kill(_) => Body::Kill,
            Key::Lock(_) => Body::Lock(Rc::new(LockValue::from_bytes(&pair.value))),
            key => panic!("nothing here puts {key:?}"),
        }
    }

    /// Remembers what a run's id stands for: an incarnation and a slot.
    pub(crate) fn name_run(&self, id: &RunId, active: &ActiveRun) {
        self.runs.borrow_mut().insert(id.clone(), (active.job, number(active.slot)));
    }

    pub(crate) fn run(&self, id: &RunId) -> (Revision, u8) {
        self.runs.borrow()[id]
    }

    /// [`decide::decide`] when `now` is due, asked once for each question.
    pub(crate) fn decide(
        &self,
        now: u8,
        suspended: bool,
        created: Revision,
        cursor: Option<&Cursor>,
        busy: bool,
    ) -> Decision {
        let job = self.job(suspended);
        let armed_for = |cursor: &Cursor| !cursor.timetable.is_of(job);
        let key = cursor.map(|cursor| {
            let former = armed_for(cursor).then_some(cursor.timetable.suspended);
            (number(cursor.slot), cursor.job == created, former)
        });
        let decide = || {
            let former = |cursor: &Cursor| Timetable::of(self.job(cursor.timetable.suspended));
            let former = cursor.filter(|cursor| armed_for(cursor)).map(former);
            let cursor = cursor.map(|cursor| SeenCursor {
                slot: cursor.slot,
                job: cursor.job,
                armed_for: former.as_ref(),
            });
            decide::decide(slot(now).0, Duration::ZERO, job, &Seen { created, cursor, busy })
        };
        self.decisions.borrow_mut().entry((now, suspended, key, busy)).or_insert_with(decide).clone()
    }

    /// [`decide::waiting`] when `now` is due.
    pub(crate) fn waiting(&self, now: u8, suspended: bool, run: Slot) -> decide::Waiting {
        let waiting = || decide::waiting(slot(now).0, Duration::ZERO, self.job(suspended), run);
        *self.waits.borrow_mut().entry((now, suspended, number(run))).or_insert_with(waiting)
    }
}
