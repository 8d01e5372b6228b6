//! Commands that outlived their executor, found by what their environment says.

use std::collections::HashSet;
use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

use super::SESSION_VARIABLE;

/// How often all processes are looked at anew, because those found may have forked meanwhile.
const MOST_PASSES: usize = 16;

/// Kills every process that a worker's session left behind: all that carry it in the environment they were started with,
/// except this one. Returns how many.
///
/// Meant for sessions whose executor is dead. A process that took the variable out of its environment, or one that
/// belongs to a user whose processes this one may not read, is not found.
pub fn kill_escapees(session: &str) -> usize {
    let wanted = format!("{SESSION_VARIABLE}={session}");
    let mut killed = HashSet::new();
    for _ in 0..MOST_PASSES {
        let mut found = false;
        for pid in processes() {
            if kill_if(pid, wanted.as_bytes()) {
                found |= killed.insert(pid);
            }
        }
        if !found {
            break;
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

fn kill_if(pid: Pid, wanted: &[u8]) -> bool {
    // Opened before the environment is read: if the number is given to another process meanwhile, the signal fails.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    let ours = environment.split(|byte| *byte == 0).any(|variable| variable == wanted);
    ours && pidfd_send_signal(process, Signal::KILL).is_ok()
}
