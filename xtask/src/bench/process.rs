//! The program under measurement, and what the kernel says of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// A running `cronctl up`. Dropping it kills it.
pub(super) struct Up {
    child: Child,
    /// From its start to its word that it is ready.
    pub(super) load: Duration,
}

/// Clock ticks in a second, as /proc counts CPU time; 100 on every Linux of today.
const TICKS: f64 = 100.0;

impl Up {
    pub(super) fn start(program: &Path, data: &Path, manifest: &Path) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let mut command = Command::new(program);
        command.args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(data).arg(manifest);
        let mut child = command.stdout(Stdio::piped()).spawn().context("cronctl could not be started")?;
        let out = child.stdout.take().context("cronctl has an output")?;
        let mut lines = BufReader::new(out).lines();
        loop {
            match lines.next() {
                Some(Ok(line)) if line.starts_with("cronctl is ready") => break,
                Some(Ok(_)) => {}
                Some(Err(why)) => bail!("the output of cronctl can't be read: {why}"),
                None => bail!("cronctl ended before it was ready"),
            }
        }
        let load = begun.elapsed();
        // It is read on, so that the program never waits for room in the pipe.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(Self { child, load })
    }

    /// The program's processes: itself and its children.
    fn processes(&self) -> Vec<u32> {
        let own = self.child.id();
        let children = format!("/proc/{own}/task/{own}/children");
        let listed = fs::read_to_string(children).unwrap_or_default();
        let mut all: Vec<u32> = listed.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        // Children of other threads are listed with those.
        for entry in fs::read_dir(format!("/proc/{own}/task")).into_iter().flatten().flatten() {
            let listed = fs::read_to_string(entry.path().join("children")).unwrap_or_default();
            all.extend(listed.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        all.push(own);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// A figure of /proc/PID/status in MiB, of all processes together.
    pub(super) fn memory(&self, figure: &str) -> f64 {
        let of = |pid: u32| -> Option<f64> {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'))?;
            line.split_ascii_whitespace().next()?.parse().ok()
        };
        self.processes().into_iter().filter_map(of).sum::<f64>() / 1024.0
    }

    /// CPU seconds used so far, of all processes together.
    pub(super) fn cpu(&self) -> f64 {
        let of = |pid: u32| -> Option<f64> {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
            Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
        };
        self.processes().into_iter().filter_map(of).sum::<f64>() / TICKS
    }

    /// Ends it as a service manager does.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        if !status.success() {
            bail!("cronctl had ended by itself");
        }
        let ended = self.child.wait()?;
        if !ended.success() {
            bail!("cronctl ended with {ended}");
        }
        Ok(())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
