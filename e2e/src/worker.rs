//! Our worker, as people run it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Process, free_port, until};
use crate::programs::program;
use crate::{Etcd, Mongo};

/// How a worker is started.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Where etcd is; commas between several.
    pub etcd: String,
    /// Where the log goes.
    pub mongodb: String,
    /// The address that it is listed by.
    pub id: String,
    /// The node that records name.
    pub node: String,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// How many seconds its clock is ahead of this machine's.
    pub clock_ahead: i64,
}

impl WorkerOptions {
    /// A worker of these servers, whose address and node have one name.
    pub fn new(etcd: &Etcd, mongo: &Mongo, name: &str) -> Self {
        Self {
            etcd: etcd.endpoint(),
            mongodb: mongo.uri(),
            id: name.to_owned(),
            node: name.to_owned(),
            arguments: Vec::new(),
            clock_ahead: 0,
        }
    }
}

/// A `crontab-worker` with a spool of its own, in the zone UTC, on the prefix `/cron`. It can be killed and started
/// again.
#[derive(Debug)]
pub struct Worker {
    // Before the folder, so that the end of the log can be shown when a test fails.
    process: Option<Process>,
    folder: TempDir,
    health: u16,
    options: WorkerOptions,
}

impl Worker {
    /// Starts a worker and waits until it is ready.
    pub fn start(options: WorkerOptions) -> Self {
        let worker = Self::start_unready(options);
        worker.until_ready();
        worker
    }

    /// Starts a worker.
    pub fn start_unready(options: WorkerOptions) -> Self {
        let folder = tempfile::Builder::new().prefix("worker-").tempdir().expect("a temporary folder");
        let mut worker = Self { folder, health: free_port(), options, process: None };
        worker.start_again();
        worker
    }

    /// Starts it on the spool that it had.
    pub fn start_again(&mut self) {
        let mut command = Command::new(program("crontab-worker"));
        // The servers of whoever runs the tests are not for this worker.
        command.env_clear().env("TZ", "UTC");
        command.envs(["PATH", "HOME"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
            .args(["--etcd-prefix", "/cron", "--log-format", "json"])
            .args(["--etcd-endpoints", &self.options.etcd])
            .args(["--mongodb-uri", &self.options.mongodb])
            .args(["--id", &self.options.id])
            .args(["--node-name", &self.options.node])
            .args(["--health-listen", &format!("127.0.0.1:{}", self.health)])
            .arg("--spool-dir")
            .arg(self.folder.path().join("spool"))
            .args(&self.options.arguments);
        if self.options.clock_ahead != 0 {
            command.env("LD_PRELOAD", self.clock()).env("CLOCK_AHEAD", self.options.clock_ahead.to_string());
        }
        let name = format!("the worker {}", self.options.id);
        self.process = Some(Process::start(&name, &mut command, &self.folder.path().join("log")));
    }

    /// The library that sets its clock. One machine has one clock, so a worker with another one has to be lied to.
    fn clock(&self) -> PathBuf {
        let (source, library) = (self.folder.path().join("clock.c"), self.folder.path().join("clock.so"));
        fs::write(&source, include_str!("clock.c")).expect("the folder can be written");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source);
        assert!(compile.status().expect("a C compiler is there").success(), "clock.c does not compile");
        library
    }

    /// Waits until `/readyz` says so.
    pub fn until_ready(&self) {
        until(&format!("{} to be ready", self.options.id), || self.is_ready().then_some(()));
    }

    /// Whether `/readyz` says so.
    pub fn is_ready(&self) -> bool {
        self.get("/readyz").is_some_and(|(status, _)| status == 200)
    }

    /// What it counts, as Prometheus reads it.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn metrics(&self) -> String {
        let (status, text) = self.get("/metrics").expect("the worker answers");
        assert_eq!(status, 200, "{text}");
        text
    }

    /// Everything it has logged, a value for each line. What is no JSON, such as the message of a panic, is a text.
    pub fn log(&self) -> Vec<Value> {
        let text = self.process().log();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| line.into())).collect()
    }

    /// The running process.
    ///
    /// # Panics
    /// If it was killed.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// As [`Self::process`].
    pub fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    /// Ends it with SIGKILL; its spool stays.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// The status and the body of an answer, if one comes.
    fn get(&self, path: &str) -> Option<(u16, String)> {
        crate::http::get(self.health, path)
    }
}

/// The largest amount of memory that a process has had at once, in KiB.
///
/// # Panics
/// If there is no such process.
pub fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The processes that a process has started, and that run.
pub fn children(process: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let of_task = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    of_task
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Whether a process runs: one that has ended and that nobody has taken note of does not.
pub fn is_alive(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
