//! The executor: a child process of the worker that spawns and owns the commands.
//!
//! A **run** here is one command and its process group, from the request to start it until the group is gone. The
//! **fence** is an instant of the boot-time clock from which on the worker's session may have ended: nothing starts after
//! it, and exclusive runs are ended at it. The worker moves it on each time it renews its session.
//!
//! The executor is a process of its own so that neither a paused nor a dead worker leaves commands behind: it keeps the
//! fence by itself, and when its pipe from the worker closes it kills every group at once and ends. A small process also
//! spawns faster than a large one.
//!
//! Not here: which commands run and when (the core decides), and what an end means (its records say).

mod child;
mod escapees;
mod handle;
mod protocol;

use std::path::PathBuf;
use std::time::Duration;

use model::UnixMillis;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use escapees::kill_escapees;
pub use handle::Executor;

/// The first argument that makes a program an executor.
const ARGUMENT: &str = "__executor";

/// The variable by which [`kill_escapees`] knows the commands of a session; the worker gives it to each of them.
pub const SESSION_VARIABLE: &str = "CRON_SESSION";

/// Turns this process into an executor, if it was started as one; it then never returns.
///
/// Every binary that embeds a worker calls it first in `main`, before it reads its arguments or starts a thread.
pub fn become_executor_if_asked() {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT) {
        child::main()
    }
}

/// The worker's name for a run, not used again while the executor lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunKey(pub u64);

/// A command to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// Its name in all that follows.
    pub key: RunKey,
    /// The wall-clock instant before which it does not start. In the past, or in one to which the clock is then set,
    /// it starts at once. A clock that is then set back does not put it off.
    pub at: UnixMillis,
    /// The program and its arguments. A program without a slash is looked for in the `PATH` of `env`.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Where it starts; the worker's own working directory if there is none.
    pub working_dir: Option<String>,
    /// How many bytes of output are kept: one half from the beginning, the other from the end.
    pub output_limit: u64,
    /// How long after its start it is stopped.
    pub active_deadline: Option<Duration>,
    /// How long a stopped group has between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Whether it must have ended once the session has.
    pub exclusive: bool,
}

/// Why a run was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopReason {
    /// The worker asked for this run.
    Killed,
    /// Its active deadline passed.
    Deadline,
    /// The fence passed.
    Fence,
    /// The worker is shutting down.
    Shutdown,
}

/// An instant of `CLOCK_BOOTTIME`, which is the same in every process and goes on while the machine sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Boottime(pub Duration);

impl Boottime {
    /// Reads the clock.
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Self(Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0)))
    }
}

/// Until when the session is known to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// Nothing starts from here on, and exclusive runs get SIGTERM.
    pub deadline: Boottime,
    /// The longest that they then have until SIGKILL, however long their own grace.
    pub grace: Duration,
}

/// What happened to a run. For each run that was asked for, [`Event::Ended`] comes exactly once and last, unless
/// [`Event::Gone`] comes before it.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Its process exists.
    Started {
        /// The run.
        key: RunKey,
        /// When it was spawned.
        at: UnixMillis,
        /// The process, and its group.
        pid: u32,
    },
    /// It wrote, and the first half of its limit is not yet full.
    Output {
        /// The run.
        key: RunKey,
        /// Standard output and standard error, in the order in which they were written.
        bytes: Vec<u8>,
    },
    /// Its process group is gone, or it never came to be.
    Ended {
        /// The run.
        key: RunKey,
        /// How.
        ended: Ended,
    },
    /// The answer to an [`Executor::ping`].
    Alive,
    /// The executor has ended, and nothing follows. If it was killed, its commands may live on: see [`kill_escapees`].
    Gone {
        /// How it ended, as part of a sentence.
        why: String,
    },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When it was spawned, if it was.
    pub started: Option<UnixMillis>,
    /// When the last process of its group was gone.
    pub at: UnixMillis,
    /// How the command's own process ended.
    pub result: ExitResult,
    /// Why it was stopped, if that was before its own process ended.
    pub stopped: Option<StopReason>,
    /// How many bytes of output are missing between those sent as [`Event::Output`] and `tail`.
    pub cut: u64,
    /// The last output. With nothing cut it follows directly what was sent before.
    pub tail: Vec<u8>,
}

/// How a command's own process ended. What else was in its group does not change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitResult {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// It never ran; a sentence that says why and what to do.
    NotStarted(String),
}

/// The executor could not be started.
#[derive(Debug, Error)]
#[error("{} can't be started", program.display())]
pub struct ExecutorError {
    program: PathBuf,
    source: std::io::Error,
}

/// The name of a signal in parentheses, for those that commands commonly end by.
pub(crate) fn signal_name(signal: i32) -> &'static str {
    use rustix::process::Signal;
    match Signal::from_named_raw(signal) {
        Some(Signal::HUP) => " (SIGHUP)",
        Some(Signal::INT) => " (SIGINT)",
        Some(Signal::ABORT) => " (SIGABRT)",
        Some(Signal::BUS) => " (SIGBUS)",
        Some(Signal::FPE) => " (SIGFPE)",
        Some(Signal::ILL) => " (SIGILL)",
        Some(Signal::KILL) => " (SIGKILL)",
        Some(Signal::PIPE) => " (SIGPIPE)",
        Some(Signal::SEGV) => " (SIGSEGV)",
        Some(Signal::TERM) => " (SIGTERM)",
        Some(Signal::XCPU) => " (SIGXCPU)",
        _ => "",
    }
}
