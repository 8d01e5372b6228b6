//! What the executor's threads share: which runs there are, how far each is, and the fence.
//!
//! The lock is never held while a process is spawned or a message waits for room, so nobody waits for it long.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::groups::{self, Living};
use crate::executor::protocol::Message;
use crate::executor::{Boottime, ExitResult, Fence, RunKey, StopReason};

/// How long the thread of the fence sleeps at most. The boot-time clock goes on while the machine sleeps, the clock that
/// a sleeping thread waits by does not.
const LONGEST_SLEEP: Duration = Duration::from_millis(250);

/// How long, when the pipe has closed, a spawn that is under way may take before the executor ends without it.
const LAST_SPAWN: Duration = Duration::from_secs(2);

/// Asks a run to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) reason: StopReason,
    /// The longest between SIGTERM and SIGKILL.
    pub(super) grace: Duration,
}

#[derive(Debug)]
pub(super) struct Table {
    state: Mutex<State>,
    fence_set: Condvar,
    runtime: Handle,
    pub(super) messages: mpsc::Sender<Message>,
    living: Mutex<Living>,
}

#[derive(Debug, Default)]
struct State {
    runs: HashMap<RunKey, Entry>,
    fence: Option<Fence>,
    /// What was done about the present fence.
    fenced: Fenced,
    /// Nothing starts any more.
    stopping: bool,
    /// The pipe is closed.
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    exclusive: bool,
    stage: Stage,
    control: mpsc::UnboundedSender<Stop>,
}

#[derive(Debug, PartialEq)]
enum Stage {
    /// Its instant has not come.
    Waiting,
    /// It is being spawned.
    Starting,
    /// Its group exists.
    Running(Pid),
}

#[derive(Debug, Default, PartialEq)]
enum Fenced {
    #[default]
    No,
    Stopped,
    Killed,
}

impl State {
    fn is_past_fence(&self) -> bool {
        self.fence.is_some_and(|fence| Boottime::now() >= fence.deadline)
    }
}

impl Entry {
    fn stop(&self, reason: StopReason, grace: Duration) {
        // Without a receiver it has just ended.
        let _ = self.control.send(Stop { reason, grace });
    }

    fn kill(&self) {
        if let Stage::Running(group) = self.stage {
            groups::signal(group, Signal::KILL);
        }
    }
}

impl Table {
    pub(super) fn new(runtime: Handle, messages: mpsc::Sender<Message>) -> Self {
        Self {
            state: Mutex::default(),
            fence_set: Condvar::new(),
            runtime,
            messages,
            living: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a panic ends the process")
    }

    /// Notes a run that is to start, unless nothing may start any more. Whoever follows the run gets its stops.
    pub(super) fn expect(&self, key: RunKey, exclusive: bool) -> Option<mpsc::UnboundedReceiver<Stop>> {
        let mut state = self.lock();
        if state.stopping {
            self.refuse(key, stopped_before(StopReason::Shutdown), Some(StopReason::Shutdown));
            return None;
        }
        let (control, stops) = mpsc::unbounded_channel();
        state.runs.insert(key, Entry { exclusive, stage: Stage::Waiting, control });
        Some(stops)
    }

    /// The instant of a run has come. Says whether it is to be spawned now: not if it was stopped, or is past the fence.
    pub(super) fn begin(&self, key: RunKey) -> bool {
        let mut state = self.lock();
        let fenced = state.is_past_fence();
        let Some(entry) = state.runs.get_mut(&key) else { return false };
        if fenced {
            self.refuse(key, stopped_before(StopReason::Fence), Some(StopReason::Fence));
            state.runs.remove(&key);
        } else {
            entry.stage = Stage::Starting;
        }
        !fenced
    }

    /// It was spawned. What happened meanwhile, and could not reach its group, happens now.
    pub(super) fn started(&self, key: RunKey, group: Pid) {
        let mut state = self.lock();
        let (closed, fenced) = (state.closed, state.is_past_fence());
        let Some(entry) = state.runs.get_mut(&key) else { return };
        entry.stage = Stage::Running(group);
        if closed {
            entry.kill();
        } else if entry.exclusive && fenced {
            entry.stop(StopReason::Fence, Duration::ZERO);
        }
    }

    /// It could not be spawned.
    pub(super) fn failed(&self, key: RunKey, why: String) {
        self.forget(key);
        self.refuse(key, why, None);
    }

    /// Its group is gone.
    pub(super) fn forget(&self, key: RunKey) {
        self.lock().runs.remove(&key);
    }

    /// Whether nothing in a group lives, by a look since then; see [`Living`].
    pub(super) fn nothing_lives_in(&self, group: Pid, since: Instant) -> bool {
        self.living.lock().expect("a panic ends the process").none_in(group, since)
    }

    /// Follows a run in the runtime.
    pub(super) fn follow(&self, run: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(run);
    }

    pub(super) fn stop(&self, key: RunKey, reason: StopReason) {
        let mut state = self.lock();
        if let Some(entry) = state.runs.get(&key)
            && !self.stop_one(key, entry, reason, Duration::MAX)
        {
            state.runs.remove(&key);
        }
    }

    pub(super) fn stop_all(&self, grace: Duration) {
        let mut state = self.lock();
        state.stopping = true;
        state.runs.retain(|key, entry| self.stop_one(*key, entry, StopReason::Shutdown, grace));
    }

    /// Says whether it is to be kept: one that waits is over at once.
    fn stop_one(&self, key: RunKey, entry: &Entry, reason: StopReason, grace: Duration) -> bool {
        if entry.stage == Stage::Waiting {
            self.refuse(key, stopped_before(reason), Some(reason));
            return false;
        }
        entry.stop(reason, grace);
        true
    }

    /// Answers a ping. That the lock is to be had is part of the answer.
    pub(super) fn alive(&self) {
        drop(self.lock());
        self.say(Message::Alive);
    }

    /// Reports a run that never was.
    fn refuse(&self, key: RunKey, why: String, stopped: Option<StopReason>) {
        let result = ExitResult::NotStarted(why);
        self.say(Message::Ended { key, started: None, at: crate::now(), result, stopped, cut: 0 });
    }

    /// Sends a message from the runtime, because there may be no room for it yet.
    fn say(&self, message: Message) {
        let messages = self.messages.clone();
        self.runtime.spawn(async move {
            // Without a receiver the process is about to end.
            let _ = messages.send(message).await;
        });
    }

    pub(super) fn set_fence(&self, fence: Option<Fence>) {
        let mut state = self.lock();
        state.fence = fence;
        state.fenced = Fenced::No;
        self.fence_set.notify_one();
    }

    /// Ends the exclusive runs whenever the fence passes.
    pub(super) fn keep_fence(&self) -> ! {
        let mut state = self.lock();
        loop {
            let Some(Fence { deadline, grace }) = state.fence else {
                state = self.fence_set.wait(state).expect("a panic ends the process");
                continue;
            };
            let kill_at = Boottime(deadline.0.saturating_add(grace));
            let now = Boottime::now();
            let sleep = match state.fenced {
                Fenced::No if now >= deadline => {
                    state.fenced = Fenced::Stopped;
                    state.runs.retain(|key, entry| {
                        !entry.exclusive || self.stop_one(*key, entry, StopReason::Fence, grace)
                    });
                    continue;
                }
                Fenced::No => deadline.0.saturating_sub(now.0),
                Fenced::Stopped if now >= kill_at => {
                    state.fenced = Fenced::Killed;
                    state.runs.values().filter(|entry| entry.exclusive).for_each(Entry::kill);
                    continue;
                }
                Fenced::Stopped => kill_at.0.saturating_sub(now.0),
                Fenced::Killed => Duration::MAX,
            };
            let waited = self.fence_set.wait_timeout(state, sleep.min(LONGEST_SLEEP));
            (state, _) = waited.expect("a panic ends the process");
        }
    }

    /// Kills every group and ends the process.
    pub(super) fn end(&self) -> ! {
        let begun = Instant::now();
        let mut state = self.lock();
        state.closed = true;
        state.stopping = true;
        state.runs.retain(|_, entry| entry.stage != Stage::Waiting);
        state.runs.values().for_each(Entry::kill);
        drop(state);
        // What is just being spawned is killed by whoever spawns it.
        let starting = || self.lock().runs.values().any(|entry| entry.stage == Stage::Starting);
        while starting() && begun.elapsed() < LAST_SPAWN {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::process::exit(0)
    }
}

fn stopped_before(reason: StopReason) -> String {
    let why = match reason {
        StopReason::Killed => "it was killed",
        StopReason::Deadline => "its deadline passed",
        StopReason::Fence => "the worker's session may have ended (look at its connection to the store)",
        StopReason::Shutdown => "the worker was stopped",
    };
    format!("{why} before the command started")
}
