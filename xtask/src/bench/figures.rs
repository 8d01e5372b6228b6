//! What the kernel says of a process and its children, all of them together.

use std::fs;

/// Clock ticks in a second, as /proc counts CPU time; 100 on every Linux of today.
const TICKS: f64 = 100.0;

/// A figure of /proc/PID/status in MiB.
pub(super) fn memory(id: u32, figure: &str) -> f64 {
    let of = |pid: u32| -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    with_children(id).into_iter().filter_map(of).sum::<f64>() / 1024.0
}

/// CPU seconds used so far.
pub(super) fn cpu(id: u32) -> f64 {
    let of = |pid: u32| -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
    };
    with_children(id).into_iter().filter_map(of).sum::<f64>() / TICKS
}

fn with_children(id: u32) -> Vec<u32> {
    let mut all = vec![id];
    // The children of each thread are listed with it.
    for entry in fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten() {
        let listed = fs::read_to_string(entry.path().join("children")).unwrap_or_default();
        all.extend(listed.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    all
}
