//! Many jobs: how soon a worker has them, what they cost it, and how soon it acts on an edit.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use e2e::tool;

use super::Size;
use super::world::{World, job};
use crate::bench::figures::{cpu, memory};

/// How long memory may settle after the load.
const SETTLE: Duration = Duration::from_secs(5);
/// How long CPU use is measured.
const WATCH: Duration = Duration::from_secs(5);
/// How many edits are measured.
const EDITS: usize = 20;
/// How long an edit may take.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) fn load(world: &mut World, size: Size) -> anyhow::Result<()> {
    let jobs = size.jobs;
    println!("\netcd load: {jobs} jobs of which none is due, 1,000 distinct schedules");
    world.next_tree();
    let schedule = |i: usize| format!("0 {} {} 1 1 * 2090", i % 50, i / 50 % 20);
    let name = |i: usize| format!("job{i}");
    world.put_jobs((0..jobs).map(|i| (name(i), job(&name(i), &schedule(i), &["true"]))))?;

    let begun = Instant::now();
    let mut get = Command::new(tool("etcdctl"));
    get.arg(format!("--endpoints={}", world.etcd.endpoint()));
    get.args(["get", "--prefix", "--write-out=protobuf", &format!("{}/jobs/", world.prefix())]);
    if !get.stdout(Stdio::null()).status()?.success() {
        bail!("etcdctl did not get the jobs");
    }
    let bare = begun.elapsed();

    // The first start arms every job, which is a transaction for each; later ones find that done.
    let first = world.worker(1)?;
    let first_load = first.load;
    let armed = armed(world, jobs)?;
    first.stop()?;
    let worker = world.worker(2)?;
    thread::sleep(SETTLE);
    let before = cpu(worker.id());
    thread::sleep(WATCH);
    let busy = (cpu(worker.id()) - before) / WATCH.as_secs_f64() * 100.0;
    println!(
        "ready after {:.2} s on a tree that no worker has seen (every job armed {:.2} s later), {:.2} s on one that is armed; `etcdctl get` of the jobs alone takes {:.2} s, ratio {:.2}",
        first_load.as_secs_f64(),
        armed.as_secs_f64(),
        worker.load.as_secs_f64(),
        bare.as_secs_f64(),
        worker.load.as_secs_f64() / bare.as_secs_f64()
    );
    println!(
        "resident memory of the worker and its executor: {:.1} MiB, {:.1} at most; CPU at rest: {busy:.2} %",
        memory(worker.id(), "VmRSS"),
        memory(worker.id(), "VmHWM")
    );
    let mut delays = Vec::new();
    let watcher = Watcher::start(world)?;
    for i in 0..EDITS {
        let job = job(&name(i), &format!("30 {i} 12 1 1 * 2091"), &["true"]);
        world.put_jobs(std::iter::once((name(i), job)))?;
        delays.push(watcher.edit_to_effect(&name(i))?);
    }
    delays.sort_unstable();
    let millis = |delay: Duration| delay.as_secs_f64() * 1000.0;
    println!(
        "an edit takes effect (from etcd's event of the edit to its event of the re-armed cursor, as another client sees them): p50 {:.1} ms, max {:.1} ms of {EDITS}",
        millis(delays[EDITS / 2]),
        millis(delays[EDITS - 1])
    );
    worker.stop()
}

/// Waits until every job has a cursor.
fn armed(world: &World, jobs: usize) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let cursors = format!("{}/cursor/", world.prefix());
    loop {
        let count = usize::try_from(field(world, &cursors, "Count")?)?;
        if count >= jobs {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > PATIENCE * 5 {
            bail!("only {count} of {jobs} jobs are armed after {:?}", begun.elapsed());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// A number of what etcd answers to a count of the keys that begin so.
fn field(world: &World, prefix: &str, name: &str) -> anyhow::Result<u64> {
    let answer = world.etcd.ctl(&["get", "--prefix", prefix, "--count-only", "--write-out=fields"]);
    let begins = format!("\"{name}\" : ");
    let value = answer.lines().find_map(|line| line.strip_prefix(&begins));
    Ok(value.with_context(|| format!("etcdctl gives no {name}: {answer}"))?.trim().parse()?)
}

/// A watch of the whole tree, from its start on. Dropping it ends it.
struct Watcher {
    child: Child,
    /// Keys, and when the event of each arrived.
    events: Receiver<(String, Instant)>,
    prefix: String,
}

impl Watcher {
    fn start(world: &World) -> anyhow::Result<Self> {
        // With a revision it misses nothing, however long it takes to begin.
        let from = field(world, &world.prefix(), "Revision")? + 1;
        let mut watch = Command::new(tool("etcdctl"));
        watch.arg(format!("--endpoints={}", world.etcd.endpoint()));
        watch.args(["watch", "--prefix", &world.prefix(), &format!("--rev={from}")]);
        let mut child = watch.stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("it has a pipe")?).lines();
        let (sender, events) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line.starts_with('/') && sender.send((line, Instant::now())).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, events, prefix: world.prefix() })
    }

    fn edit_to_effect(&self, name: &str) -> anyhow::Result<Duration> {
        let edited = self.event(&format!("{}/jobs/{name}", self.prefix))?;
        let armed = self.event(&format!("{}/cursor/{name}", self.prefix))?;
        Ok(armed.saturating_duration_since(edited))
    }

    fn event(&self, wanted: &str) -> anyhow::Result<Instant> {
        loop {
            let (key, at) =
                self.events.recv_timeout(PATIENCE).with_context(|| format!("no event of {wanted}"))?;
            if key == wanted {
                return Ok(at);
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
