//! The processes of the lab.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// The variable that marks a member; its value is the lab's folder.
const MARK: &str = "CRONTAB_LAB_MEMBER";

/// How much of a log is shown.
const SHOWN_BYTES: usize = 1500;

/// How long killed processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a member. It outlives us; what it writes goes to `logs/<name>` of the lab's folder.
pub(super) fn start(lab: &Path, name: &str, command: &mut Command) -> anyhow::Result<()> {
    let file = lab.join("logs").join(name);
    let log = File::options().create(true).append(true).open(&file);
    let log = log.with_context(|| format!("{} can't be opened", file.display()))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).env(MARK, lab);
    let child = command.spawn().with_context(|| format!("{name} can't be started"))?;
    let started = lab.join("started");
    fs::create_dir_all(&started)
        .and_then(|()| fs::write(started.join(name), child.id().to_string()))
        .context("the lab's folder can't be written")
}

/// Fails, with the end of its log, if a member has ended.
pub(super) fn none_ended(lab: &Path) -> anyhow::Result<()> {
    let alive = find(lab);
    for entry in fs::read_dir(lab.join("started")).context("the lab's folder can't be read")? {
        let entry = entry?;
        let pid = fs::read_to_string(entry.path())?.parse().ok();
        if !pid.is_some_and(|pid| alive.contains(&pid)) {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            bail!("{name} ended; the end of its log:\n{}", end_of(&lab.join("logs").join(&*name)));
        }
    }
    Ok(())
}

/// The process ids of all members, what they have started included.
pub(super) fn find(lab: &Path) -> Vec<i32> {
    let mark = format!("{MARK}={}", lab.display());
    let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // One that has ended meanwhile, or that only waits to be taken note of, has no environment.
    ids.filter(|id: &i32| {
        fs::read(format!("/proc/{id}/environ"))
            .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|line| line == mark.as_bytes()))
    })
    .collect()
}

/// Kills all members and waits until they are gone; returns how many there were.
pub(super) fn end_all(lab: &Path) -> anyhow::Result<usize> {
    let begun = Instant::now();
    let mut most = 0;
    loop {
        let members = find(lab);
        if members.is_empty() {
            return Ok(most);
        }
        most = most.max(members.len());
        for member in &members {
            kill(*member);
        }
        if begun.elapsed() > PATIENCE {
            bail!("the processes {members:?} of the lab do not end, although they are killed");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Kills a process that may have ended already.
pub(super) fn kill(process: i32) {
    if let Some(process) = Pid::from_raw(process) {
        let _ = kill_process(process, Signal::KILL);
    }
}

/// The ends of all logs.
pub(super) fn ends_of_logs(logs: &Path) -> String {
    let Ok(all) = fs::read_dir(logs) else { return String::new() };
    let mut files: Vec<_> = all.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let ends = files.iter().map(|file| format!("--- {}\n{}", file.display(), end_of(file)));
    ends.collect::<Vec<_>>().join("\n")
}

fn end_of(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&text[text.len().saturating_sub(SHOWN_BYTES)..]).into_owned()
}
