//! `cronctl up` under measurement.

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

    pub(super) fn id(&self) -> u32 {
        self.child.id()
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
