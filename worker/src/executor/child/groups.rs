//! Process groups: signals to them, and whether anything in them lives.

use std::collections::HashSet;
use std::fs;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

/// How often all processes are looked through at most.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Sends a signal to every process of a group. A group that is gone, or that may not be signalled, gets none.
pub(super) fn signal(group: Pid, signal: Signal) {
    let _ = kill_process_group(group, signal);
}

/// Whether no process is left in a group, dead ones that nobody has waited for included.
pub(super) fn is_empty(group: Pid) -> bool {
    test_kill_process_group(group) == Err(Errno::SRCH)
}

/// The groups in which something lives, as of some moment.
///
/// A dead process stays in its group until its parent waits for it. That may be never: in a container the first process
/// often is no init. So an empty group is known at once by [`is_empty`], and one of only dead processes by a look through
/// `/proc`, which all runs share.
#[derive(Debug, Default)]
pub(super) struct Living {
    seen: HashSet<i32>,
    at: Option<Instant>,
}

impl Living {
    /// Whether nothing in a group lives; `false` if there was no look since `since`.
    pub(super) fn none_in(&mut self, group: Pid, since: Instant) -> bool {
        if self.at.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.at = Some(Instant::now());
            self.seen = look();
        }
        self.at.is_some_and(|at| at > since) && !self.seen.contains(&group.as_raw_nonzero().get())
    }
}

fn look() -> HashSet<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes =
        entries.filter(|entry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit));
    let stats = processes.filter_map(|entry| fs::read(entry.path().join("stat")).ok());
    stats.filter_map(|stat| group_if_alive(&stat)).collect()
}

/// The group in a line of `/proc/PID/stat`: `PID (NAME) STATE PARENT GROUP …`, where the name may hold anything.
fn group_if_alive(stat: &[u8]) -> Option<i32> {
    let name_ends = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[name_ends + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (state != "Z" && state != "X").then_some(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_a_process_is_read_whatever_its_name_is() {
        for (stat, group) in [
            ("7 (sh) S 1 5 5 0 -1", Some(5)),
            ("7 (a) Z 1 9 9) R 1 6 6 0 -1", Some(6)),
            ("7 (sh) Z 1 5 5 0 -1", None),
            ("7 (sh) X 1 5 5 0 -1", None),
            ("7 (sh", None),
            ("", None),
        ] {
            assert_eq!(group_if_alive(stat.as_bytes()), group, "{stat}");
        }
    }

    #[test]
    fn this_process_lives() {
        let since = Instant::now();
        let own = rustix::process::getpgrp();
        let mut living = Living::default();
        assert!(!living.none_in(own, since));
        assert!(!is_empty(own));
    }
}
