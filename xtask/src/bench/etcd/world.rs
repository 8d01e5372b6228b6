//! The servers, the workers and the jobs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use e2e::{Etcd, EtcdOptions, Mongo, Process, free_port, tool};

use super::http;
use crate::bench::Scratch;

/// How long a worker may take to be ready.
const PATIENCE: Duration = Duration::from_mins(5);

/// How many jobs are put in one transaction.
const AT_ONCE: usize = 1000;

/// An etcd and a MongoDB server of the benchmark's own. Each measurement has its own prefix.
pub(super) struct World {
    pub(super) scratch: Scratch,
    pub(super) etcd: Etcd,
    pub(super) mongo: Mongo,
    program: PathBuf,
    prefix: usize,
}

/// A job's value: it runs `exec` when `schedule` says.
pub(super) fn job(name: &str, schedule: &str, exec: &[&str]) -> serde_json::Value {
    serde_json::json!({
        "name": name, "command": exec.join(" "), "cronExpr": "0 0 1 1 *",
        "spec": { "schedule": schedule, "template": { "exec": exec } },
    })
}

impl World {
    pub(super) fn start(program: &Path) -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        let etcd = Etcd::start_with(EtcdOptions {
            arguments: vec![format!("--max-txn-ops={}", 2 * AT_ONCE)],
            ..EtcdOptions::default()
        });
        Ok(Self { scratch, etcd, mongo: Mongo::start(), program: program.to_owned(), prefix: 0 })
    }

    /// An empty tree.
    pub(super) fn next_tree(&mut self) {
        self.prefix += 1;
    }

    pub(super) fn prefix(&self) -> String {
        format!("/bench{}", self.prefix)
    }

    fn etcd_address(&self) -> String {
        self.etcd.endpoint().replace("http://", "")
    }

    pub(super) fn etcd_version(&self) -> anyhow::Result<String> {
        let (_, body) = http::get(&self.etcd_address(), "/version")?;
        let version: serde_json::Value = serde_json::from_str(&body)?;
        Ok(version["etcdserver"].as_str().unwrap_or("of an unknown version").to_owned())
    }

    /// What etcd has counted so far.
    pub(super) fn counters(&self) -> anyhow::Result<Counters> {
        Ok(Counters(http::get(&self.etcd_address(), "/metrics")?.1))
    }

    /// Puts jobs into the tree, many in a transaction.
    pub(super) fn put_jobs(
        &self,
        jobs: impl Iterator<Item = (String, serde_json::Value)>,
    ) -> anyhow::Result<()> {
        let jobs: Vec<_> = jobs.collect();
        for some in jobs.chunks(AT_ONCE) {
            // What etcdctl takes: comparisons, what to do, what else to do, each ended by an empty line. No value has a
            // single quote in it.
            let mut text = "\n".to_owned();
            for (name, value) in some {
                writeln!(text, "put {}/jobs/{name} '{value}'", self.prefix())?;
            }
            text += "\n\n";
            let mut etcdctl = Command::new(tool("etcdctl"));
            etcdctl.arg(format!("--endpoints={}", self.etcd.endpoint())).arg("txn");
            let mut child = etcdctl.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
            child.stdin.take().context("it has a pipe")?.write_all(text.as_bytes())?;
            if !child.wait()?.success() {
                bail!("etcdctl did not put the jobs");
            }
        }
        Ok(())
    }

    /// Starts a worker and waits until it says that it is ready.
    pub(super) fn worker(&self, number: usize) -> anyhow::Result<Worker> {
        let health = format!("127.0.0.1:{}", free_port());
        let name = format!("worker{number}-of-{}", self.prefix);
        let spool = self.scratch.path().join(&name);
        std::fs::create_dir(&spool)?;
        let mut command = Command::new(&self.program);
        command
            .args(["--etcd-endpoints", &self.etcd.endpoint(), "--etcd-prefix", &self.prefix()])
            .args(["--mongodb-uri", &self.mongo.uri(), "--id", &format!("10.0.0.{number}")])
            .args(["--node-name", &name, "--health-listen", &health, "--log", "warn"])
            .arg("--spool-dir")
            .arg(&spool);
        let begun = Instant::now();
        let mut process =
            Process::start(&name, &mut command, &self.scratch.path().join(format!("{name}.log")));
        loop {
            if let Some(status) = process.ended() {
                bail!("crontab-worker ended with {status}: {}", process.log());
            }
            if matches!(http::get(&health, "/readyz"), Ok((200, _))) {
                return Ok(Worker { process, health, load: begun.elapsed() });
            }
            if begun.elapsed() > PATIENCE {
                bail!("crontab-worker is not ready after {PATIENCE:?}: {}", process.log());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A running worker. Dropping it kills it.
pub(super) struct Worker {
    process: Process,
    health: String,
    /// From its start to its word that it is ready.
    pub(super) load: Duration,
}

impl Worker {
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has counted so far.
    pub(super) fn counters(&self) -> anyhow::Result<Counters> {
        Ok(Counters(http::get(&self.health, "/metrics")?.1))
    }

    /// Ends it as Kubernetes does.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        let status = self.process.stop();
        if !status.success() {
            bail!("crontab-worker ended with {status}: {}", self.process.log());
        }
        Ok(())
    }
}

/// A server's own metrics at one moment.
pub(super) struct Counters(String);

impl Counters {
    /// The sum of a counter over all its label sets that have this in them.
    pub(super) fn sum(&self, name: &str, with: &str) -> f64 {
        let lines = self.0.lines().filter_map(|line| line.strip_prefix(name));
        let values = lines.filter_map(|rest| {
            let (labels, value) = rest.rsplit_once(' ')?;
            let whole_name = labels.is_empty() || labels.starts_with('{');
            if whole_name && labels.contains(with) { value.parse::<f64>().ok() } else { None }
        });
        values.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_summed_over_the_label_sets_that_are_wanted() {
        let text = "# TYPE a_total counter\na_total{m=\"Txn\",c=\"OK\"} 3\na_total{m=\"Txn\",c=\"Aborted\"} 1\n\
                    a_total{m=\"Range\",c=\"OK\"} 1e+02\na_total_more{m=\"Txn\"} 7\nb_total 5\n";
        let counters = Counters(text.to_owned());
        assert!((counters.sum("a_total", "m=\"Txn\"") - 4.0).abs() < 0.1);
        assert!((counters.sum("a_total", "") - 104.0).abs() < 0.1);
        assert!((counters.sum("b_total", "") - 5.0).abs() < 0.1);
    }
}
