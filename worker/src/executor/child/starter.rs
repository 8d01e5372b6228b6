//! Starts commands at their instants, on a thread that does nothing else.
//!
//! It waits on a futex, which is precise to some ten microseconds where a timer of tokio is to a millisecond, and reads
//! the wall clock again each time.

use std::collections::BTreeMap;
use std::io::{self, PipeReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::UnixMillis;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use super::table::{Stop, Table};
use super::{refusal, run};
use crate::executor::Start;

/// How long it sleeps at most while something waits, so that a step of the wall clock is noticed.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// Added to an instant, it is still one.
const LONGEST_WAIT: Duration = Duration::from_hours(24 * 365);

/// What this thread is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    Start(Waiting),
    /// Say that it works.
    Ping,
}

/// A command to start, and the stops that were asked for since.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) start: Start,
    pub(super) control: UnboundedReceiver<Stop>,
}

/// A command that was started.
#[derive(Debug)]
pub(super) struct Spawned {
    pub(super) child: Child,
    /// The process, and its group.
    pub(super) pid: Pid,
    pub(super) output: PipeReader,
    pub(super) at: UnixMillis,
    pub(super) since: Instant,
}

/// Starts what is ordered, until the process ends. `files` is the limit of open files that commands get. While starts
/// are due, `burst` says since when.
pub(super) fn work(
    table: &Arc<Table>,
    orders: &Receiver<Order>,
    files: Rlimit,
    burst: &watch::Sender<Option<Instant>>,
) {
    // By instant, then in the order in which they came.
    let mut waiting: BTreeMap<(UnixMillis, u64), (Waiting, Instant)> = BTreeMap::new();
    let mut count = 0;
    loop {
        let sleep = match waiting.first_entry() {
            None => Duration::MAX,
            Some(next) => {
                let by = next.get().1.saturating_duration_since(Instant::now());
                let sleep = until(next.key().0).min(by);
                if sleep.is_zero() {
                    begin(burst);
                    start(next.remove().0, table, files);
                }
                sleep.min(LONGEST_SLEEP)
            }
        };
        if !sleep.is_zero() {
            burst.send_if_modified(|since| since.take().is_some());
        }
        match orders.recv_timeout(sleep) {
            Ok(Order::Start(order)) => {
                // The instant came even if the wall clock is then set back: the slot is claimed.
                let by = Instant::now() + until(order.start.at).min(LONGEST_WAIT);
                waiting.insert((order.start.at, count), (order, by));
                count += 1;
            }
            Ok(Order::Ping) => table.alive(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn begin(burst: &watch::Sender<Option<Instant>>) {
    burst.send_if_modified(|since| {
        let first = since.is_none();
        since.get_or_insert_with(Instant::now);
        first
    });
}

/// How long the wall clock says that it is until an instant.
fn until(at: UnixMillis) -> Duration {
    let at = Duration::from_millis(u64::try_from(at.0).unwrap_or(0));
    at.saturating_sub(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn start(Waiting { start, control }: Waiting, table: &Arc<Table>, files: Rlimit) {
    if !table.begin(start.key) {
        return;
    }
    match spawn(&start) {
        Ok(spawned) => {
            table.started(start.key, spawned.pid);
            // It inherited the executor's own. A process that is gone already needs none.
            let _ = prlimit(Some(spawned.pid), Resource::Nofile, files);
            table.follow(run::follow(start, spawned, control, Arc::clone(table)));
        }
        Err(why) => table.failed(start.key, why),
    }
}

/// Spawns a command in a process group of its own. The error is a sentence.
fn spawn(start: &Start) -> Result<Spawned, String> {
    let [name, arguments @ ..] = start.argv.as_slice() else {
        return Err("there is no command; write one".to_owned());
    };
    let working_dir = start.working_dir.as_deref().map(Path::new);
    let program = find(name, working_dir, start)?;
    let refused = |why: io::Error| refusal::explain(&why, &program, working_dir);
    let (output, writer) = io::pipe().map_err(refused)?;
    let mut command = Command::new(&program);
    command.arg0(name).args(arguments).env_clear().process_group(0).stdin(Stdio::null());
    command.envs(start.env.iter().map(|(name, value)| (name, value)));
    if let Some(working_dir) = working_dir {
        command.current_dir(working_dir);
    }
    command.stdout(writer.try_clone().map_err(refused)?).stderr(writer);
    let (at, since) = (crate::now(), Instant::now());
    let child = command.spawn().map_err(refused)?;
    let pid = Pid::from_child(&child);
    Ok(Spawned { child, pid, output, at, since })
}

/// The path of a program. The standard library would look for it too, but in this process's own `PATH`, or in a way that
/// forfeits its fast spawn.
fn find(name: &str, working_dir: Option<&Path>, start: &Start) -> Result<PathBuf, String> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let path =
        start.env.iter().rev().find(|(variable, _)| variable == "PATH").map(|(_, value)| value.as_str());
    let folders = path.map(std::env::split_paths).into_iter().flatten();
    // A relative folder counts from where the command starts.
    let from = |folder: PathBuf| working_dir.map_or(folder.clone(), |working_dir| working_dir.join(folder));
    folders
        .map(|folder| from(folder).join(name))
        .find(|candidate| is_program(candidate))
        .ok_or_else(|| refusal::not_found(name, path))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
