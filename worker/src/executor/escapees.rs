//! Commands that outlived their executor, found by what their environment says.

use std::collections::HashMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use super::SESSION_VARIABLE;

/// How often all processes are looked at anew, because those found may have forked meanwhile.
const MOST_PASSES: usize = 16;

/// How long a killed process may take to be gone. One that waits for a dead disk or file server takes longer.
const LONGEST_DEATH: Duration = Duration::from_secs(5);

/// Kills every process that a worker's session left behind, all that carry it in the environment they were started with
/// except this one, and waits until they are gone. Returns how many there were. This blocks its thread, for some seconds
/// if a process does not die.
///
/// Meant for sessions whose executor is dead. A process that took the variable out of its environment, or one that
/// belongs to a user whose processes this one may not read, is not found.
pub fn kill_escapees(session: &str) -> usize {
    let wanted = format!("{SESSION_VARIABLE}={session}");
    let mut killed = HashMap::new();
    for _ in 0..MOST_PASSES {
        let mut found = false;
        for pid in processes() {
            if let Some(process) = kill_if(pid, wanted.as_bytes()) {
                found |= killed.insert(pid, process).is_none();
            }
        }
        if !found {
            break;
        }
    }
    let begun = Instant::now();
    for (pid, process) in &killed {
        if !is_gone(process, LONGEST_DEATH.saturating_sub(begun.elapsed())) {
            tracing::error!(%pid, session, "a process of a dead session was killed and is still there");
        }
    }
    killed.len()
}

/// Every process but this one.
fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| *pid != getpid())
}

/// Kills a process that is one of the session's.
fn kill_if(pid: Pid, wanted: &[u8]) -> Option<OwnedFd> {
    // Opened before the environment is read: if the number is given to another process meanwhile, the signal fails.
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let ours = environment.split(|byte| *byte == 0).any(|variable| variable == wanted);
    (ours && pidfd_send_signal(&process, Signal::KILL).is_ok()).then_some(process)
}

/// Whether a process ends within this time.
fn is_gone(process: &OwnedFd, within: Duration) -> bool {
    let timeout = Timespec::try_from(within).ok();
    let mut ended = [PollFd::new(process, PollFlags::IN)];
    poll(&mut ended, timeout.as_ref()).is_ok_and(|ready| ready > 0)
}
