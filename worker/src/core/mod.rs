//! The core: everything that a worker knows and decides, as one value.
//!
//! [`Core::take`] takes an [`Input`] and what the clocks read, and returns [`Act`]s. It never waits, and it has no clock,
//! no files and no sockets: the shell does the acts and brings their replies as further inputs, in any order. So the same
//! worker runs in a simulator, against every order of events.
//!
//! Three rules keep slots from running twice:
//!
//! 1. A command is started only upon the reply to this worker's own claim or retry, and only if that comes while the
//!    session that sent it lives. A run record that names a session of this worker, and that it neither holds nor has
//!    asked for, is **given back** (`strays`), however it is seen.
//! 2. No answer is believed that is older than what is known (`view`).
//! 3. The cursor of a lane only moves forward, within an epoch of its incarnation.
//!
//! The parts, each to be read alone: `view` (the mirror of the tree), `line` (which job to look at next), `look`
//! (what to do about it), `recover` (ends that nobody executes), `runs` (what this worker holds), `ends` (recording how a run ended), `session`,
//! `orphans` (runs of dead sessions), `capacity` (`--max-runs`).
//!
//! Not here: the rules of scheduling (`model::decide`) and the transactions (`store::protocol`).

mod api;
#[cfg(feature = "broken-rules")]
mod broken;
mod capacity;
mod ends;
mod environment;
mod executor;
mod keep;
mod line;
mod look;
mod orphans;
mod recover;
mod runs;
mod session;
mod skips;
mod standing;
mod strays;
mod take;
mod transactions;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::time::Duration;

use model::keys::KeyPrefix;
use model::run::{Revision, RunId};
use model::schedule::TimeZone;
use model::values::{NotClaiming, WorkerInfo};
use model::{JobName, Lane, UnixMillis, Words};
use store::{Session, Txn};

pub use api::{Act, AskId, Count, Input, Level, Note, Now, Order};
#[cfg(feature = "broken-rules")]
pub use broken::Broken;
pub use environment::is_inherited;
pub use view::Malformed;

use self::capacity::Capacity;
use self::ends::{End, EndId};
use self::executor::ExecutorState;
use self::line::Line;
use self::orphans::Orphans;
use self::runs::Runs;
use self::session::Sessions;
use self::skips::Skips;
use self::standing::Standing;
use self::strays::Strays;
use self::transactions::Ask;
use self::view::View;
use crate::State;
use crate::executor::{Boottime, RunKey};

/// How long before its instant a slot may be claimed, so that no round trip stands between the instant and the process.
pub const CLAIM_LEAD: Duration = Duration::from_millis(250);

/// How many keys are taken in, and how many jobs looked at, before the next input has its turn.
pub const AT_ONCE: usize = 64;

/// How long to wait before a request that failed is made again.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The core is called at least this often, so that a step of the wall clock is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// By how many milliseconds the wall clock has to be set for all jobs to be looked at again.
const CLOCK_STEP: i64 = 10_000;

/// How many requests wait for their replies at once. More jobs than these wait their turn in [`Line`].
const MOST_ASKED: usize = 1024;

/// How long after the last command's grace the worker waits for the stores to take the ends, before it gives up and
/// leaves them to the next start.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// What a worker knows about itself.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// What all keys of the tree begin with.
    pub prefix: KeyPrefix,
    /// The node it runs on; part of every record.
    pub node: String,
    /// The address people know it by, as the legacy calls list it.
    pub address: String,
    /// The version of its program.
    pub version: String,
    /// What it can be chosen by; part of its registration.
    pub labels: BTreeMap<String, String>,
    /// What it understands ([`model::features`]); part of its registration.
    pub features: Words,
    /// The zone of jobs in the legacy form.
    pub zone: TimeZone,
    /// How many runs it takes at once.
    pub max_runs: Option<NonZeroUsize>,
    /// What commands get of the worker's own environment ([`is_inherited`]).
    pub inherited: Vec<(String, String)>,
    /// A rule that is left out.
    #[cfg(feature = "broken-rules")]
    pub broken: Option<Broken>,
}

impl CoreConfig {
    /// What the others are told of a worker that registered first at `since`.
    pub fn info(&self, since: UnixMillis, now: UnixMillis) -> WorkerInfo {
        WorkerInfo {
            labels: self.labels.clone(),
            features: self.features.clone(),
            capacity: self.max_runs.and_then(|most| u32::try_from(most.get()).ok()),
            clock: Some(now),
            ..WorkerInfo::new(&self.address, &self.node, &self.version, since)
        }
    }
}

/// What is to be done at an instant of the boot clock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Start an executor.
    Spawn,
    /// Go on recording an end.
    End(EndId),
    /// Give a claim back.
    Stray(Lane, RunId),
    /// Move a run to the present session.
    Readopt(RunKey),
    /// Put the skipped stretches of a lane into the run log.
    Note(Lane),
}

/// The end was asked for.
#[derive(Clone, Copy, Debug)]
struct Ending {
    /// When to stop waiting for it.
    give_up: Boottime,
}

/// All state of a worker.
#[derive(Debug)]
pub struct Core {
    config: CoreConfig,
    /// What the clocks read when the present input came.
    now: Now,
    /// By how many milliseconds the wall clock was ahead of the boot-time clock when all jobs were last looked at for that.
    offset: i64,
    acts: Vec<Act>,
    sessions: Sessions,
    /// When this process registered first.
    since: UnixMillis,
    /// When there was news of the tree.
    heard: Boottime,
    /// When the executor last spoke.
    answered: Boottime,
    /// When it was last asked.
    pinged: Boottime,
    executor: ExecutorState,
    not_claiming: Option<NotClaiming>,
    announced: Boottime,
    announce_at: Boottime,
    view: View,
    line: Line,
    standing: Standing,
    /// The jobs that stand still because their cursors are ahead of the clock.
    ahead: HashSet<Lane>,
    /// The lanes of jobs that need what no live worker has, which has been told.
    unmet: HashSet<Lane>,
    runs: Runs,
    capacity: Capacity,
    orphans: Orphans,
    strays: Strays,
    skips: Skips,
    ends: BTreeMap<EndId, End>,
    last_end: u64,
    /// What was asked of the stores, and the latest revision that was known then.
    asked: HashMap<AskId, (Ask, Revision)>,
    last_ask: u64,
    timers: BTreeSet<(Boottime, Timer)>,
    /// Whether the tree has been read once.
    listed: bool,
    /// The keys of a repeated listing, while it comes in.
    listing: Option<HashSet<String>>,
    /// A store does not take requests, which has been told.
    troubled: bool,
    ending: Option<Ending>,
}

/// By how many milliseconds the wall clock is ahead of the boot-time clock.
fn offset(now: Now) -> i64 {
    now.wall.0 - i64::try_from(now.boot.0.as_millis()).unwrap_or(i64::MAX)
}

impl Core {
    /// A worker that has just registered; `asked` is when the session was asked for. Its executor runs.
    pub fn new(config: CoreConfig, session: Session, asked: Boottime, now: Now) -> Self {
        let view = View::new(config.prefix.clone(), session.id.clone(), config.zone, config.features.clone());
        let capacity = Capacity::new(config.max_runs);
        #[cfg(feature = "broken-rules")]
        let view = {
            let mut view = view;
            view.believes_older = config.broken == Some(Broken::OlderAnswerBelieved);
            view.ignores_needs = config.broken == Some(Broken::NeedsIgnored);
            view
        };
        let mut core = Self {
            config,
            now,
            offset: offset(now),
            acts: Vec::new(),
            sessions: Sessions::new(session, asked),
            since: now.wall,
            heard: now.boot,
            answered: now.boot,
            pinged: now.boot,
            executor: ExecutorState::Alive,
            not_claiming: None,
            announced: now.boot,
            announce_at: now.boot,
            view,
            line: Line::default(),
            standing: Standing::default(),
            ahead: HashSet::new(),
            unmet: HashSet::new(),
            runs: Runs::default(),
            capacity,
            orphans: Orphans::default(),
            strays: Strays::default(),
            skips: Skips::default(),
            ends: BTreeMap::new(),
            last_end: 0,
            asked: HashMap::new(),
            last_ask: 0,
            timers: BTreeSet::new(),
            listed: false,
            listing: None,
            troubled: false,
            ending: None,
        };
        core.count(Count::Session);
        core.send_fence();
        core
    }

    /// Takes an input in and says what is to be done. At most [`AT_ONCE`] jobs are looked at, so that no input is held up
    /// for long.
    pub fn take(&mut self, now: Now, input: Input) -> Vec<Act> {
        self.set_now(now);
        self.take_in(input);
        self.run_timers();
        self.keep_session();
        self.look_at_what_is_due();
        self.offer_places();
        std::mem::take(&mut self.acts)
    }

    /// How long nothing is to be done unless an input comes.
    pub fn sleep(&self, now: Now) -> Duration {
        let until = |at: Boottime| at.0.saturating_sub(now.boot.0);
        let times = [
            Some(LONGEST_SLEEP),
            self.line.sleep(now).filter(|_| self.may_look()),
            self.timers.first().map(|(at, _)| until(*at)),
            self.sessions.sleep(now.boot),
            self.ending.map(|ending| until(ending.give_up)),
        ];
        times.into_iter().flatten().min().unwrap_or_default()
    }

    /// Whether the end that was asked for has come: every run has ended and is recorded or given back, or the stores did
    /// not take that in time.
    pub fn is_over(&self, now: Now) -> bool {
        let Some(ending) = self.ending else { return false };
        let done = self.runs.is_empty() && self.ends.is_empty() && self.strays.is_empty();
        // A registration that is under way has to be removed too.
        (done && self.asked.is_empty() && !self.sessions.is_opening()) || now.boot >= ending.give_up
    }

    /// The session that is to be closed at the end.
    pub fn session(&self) -> &Session {
        self.sessions.present()
    }

    /// How many runs are not recorded yet.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// How many jobs there are.
    pub fn jobs(&self) -> usize {
        self.view.jobs()
    }

    /// How many of this worker's jobs stand still because slots were decided while a clock was ahead.
    pub fn jobs_ahead(&self) -> usize {
        self.ahead.len()
    }

    /// Whether the tree has been read and everything in it was looked at.
    pub fn is_settled(&self, now: Now) -> bool {
        self.listed && self.asked.is_empty() && !self.line.is_due(now)
    }

    /// Whether it is fit to work.
    pub fn state(&self, now: Now) -> State {
        let session = match self.sessions.missing(now.boot) {
            Some(why) => Err(format!("there is no session: {why}")),
            None => Ok(()),
        };
        let tree = if !self.listed || self.listing.is_some() {
            Err("the job tree is being read".to_owned())
        } else if self.is_tree_silent(now.boot) {
            Err("there is no news of the job tree".to_owned())
        } else {
            Ok(())
        };
        let executor = if self.executor.is_alive() && !self.is_executor_silent(now.boot) {
            Ok(())
        } else {
            Err("the process that runs the commands does not answer".to_owned())
        };
        State { session, tree, executor }
    }

    fn set_now(&mut self, now: Now) {
        self.now = now;
        let step = offset(now) - self.offset;
        if step.abs() >= CLOCK_STEP {
            // What was set for an instant of the former clock may be due, or may not be due for long.
            self.view.peers.clock_stepped(step);
            self.offset += step;
            self.look_at_all_again();
        }
    }

    /// Whether jobs are looked at now: only while something could be done about them.
    fn may_look(&self) -> bool {
        self.listed
            && self.ending.is_none()
            && self.executor.is_alive()
            && self.sessions.may_start(self.now.boot)
            && self.asked.len() < MOST_ASKED
    }

    fn act(&mut self, act: Act) {
        self.acts.push(act);
    }

    fn count(&mut self, count: Count) {
        self.acts.push(Act::Count(count));
    }

    fn note(&mut self, level: Level, job: Option<&JobName>, text: impl Into<String>) {
        self.acts.push(Act::Note(Note { level, job: job.cloned(), text: text.into() }));
    }

    fn ask_id(&mut self) -> AskId {
        self.last_ask += 1;
        AskId(self.last_ask)
    }

    /// Asks something of a store.
    fn ask(&mut self, ask: Ask) -> AskId {
        let id = self.ask_id();
        self.asked.insert(id, (ask, self.view.latest()));
        id
    }

    fn commit(&mut self, ask: Ask, txn: Txn) {
        let id = self.ask(ask);
        self.act(Act::Commit(id, txn));
    }

    fn after(&mut self, wait: Duration, timer: Timer) {
        self.timers.insert((Boottime(self.now.boot.0 + wait), timer));
    }

    fn run_timers(&mut self) {
        while let Some((at, _)) = self.timers.first()
            && *at <= self.now.boot
        {
            let Some((_, timer)) = self.timers.pop_first() else { return };
            match timer {
                Timer::Spawn => self.spawn_executor(),
                Timer::End(id) => self.go_on_with_end(id),
                Timer::Stray(lane, run) => self.give_back_again(&lane, &run),
                Timer::Readopt(key) => self.readopt(key),
                Timer::Note(lane) => self.note_skips_again(&lane),
            }
        }
    }

    #[cfg(feature = "broken-rules")]
    fn breaks(&self, rule: Broken) -> bool {
        self.config.broken == Some(rule)
    }
}
