//! An executor, and all that it said.

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use model::UnixMillis;
use tokio::sync::mpsc;
use worker::executor::{Ended, Event, Executor, RunKey, Start};

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

pub(crate) struct Host {
    pub(crate) executor: Executor,
    events: mpsc::Receiver<Event>,
    pub(crate) seen: HashMap<RunKey, Seen>,
    pub(crate) gone: Option<String>,
    /// How many pings were answered.
    pub(crate) answers: usize,
}

/// What was said of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) started: Option<(UnixMillis, u32)>,
    pub(crate) output: Vec<u8>,
    pub(crate) ended: Option<Ended>,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::of(Path::new(env!("CARGO_BIN_EXE_crontab-worker")))
    }

    pub(crate) fn of(program: &Path) -> Self {
        let (executor, events) = Executor::spawn(program).unwrap();
        Self { executor, events, seen: HashMap::new(), gone: None, answers: 0 }
    }

    /// Takes events until that is so.
    pub(crate) async fn until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !so(self) {
            let Ok(event) = tokio::time::timeout_at(deadline, self.events.recv()).await else {
                panic!("gave up waiting for {what}: {:#?}", self.seen)
            };
            let Some(event) = event else {
                panic!("no more events while waiting for {what}: {:#?}", self.seen)
            };
            self.take(event);
        }
    }

    /// Whether nothing is said for that long.
    pub(crate) async fn is_silent_for(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.events.recv()).await.is_err()
    }

    fn take(&mut self, event: Event) {
        assert_eq!(self.gone, None, "nothing follows the end: {event:?}");
        match event {
            Event::Started { key, at, pid } => {
                let seen = self.seen.entry(key).or_default();
                assert!(seen.started.is_none() && seen.output.is_empty(), "{seen:?}");
                seen.started = Some((at, pid));
            }
            Event::Output { key, bytes } => {
                let seen = self.seen.entry(key).or_default();
                assert!(seen.started.is_some() && seen.ended.is_none(), "{seen:?}");
                seen.output.extend(bytes);
            }
            Event::Ended { key, ended } => {
                let seen = self.seen.entry(key).or_default();
                assert_eq!(seen.ended, None);
                seen.ended = Some(ended);
            }
            Event::Alive => self.answers += 1,
            Event::Gone { why } => self.gone = Some(why),
        }
    }

    /// Starts a command and waits until it has ended.
    pub(crate) async fn run(&mut self, start: Start) -> (Seen, Ended) {
        let key = start.key;
        self.executor.start(start);
        self.ended(key).await
    }

    pub(crate) async fn ended(&mut self, key: RunKey) -> (Seen, Ended) {
        self.until("the end", |host| host.seen.get(&key).is_some_and(|seen| seen.ended.is_some())).await;
        let seen = self.seen[&key].clone();
        let ended = seen.ended.clone().unwrap();
        (seen, ended)
    }

    /// Waits until a command has written that much, and returns its process.
    pub(crate) async fn wrote(&mut self, key: RunKey, output: &str) -> u32 {
        let written = |host: &Self| host.seen.get(&key).is_some_and(|seen| seen.output == output.as_bytes());
        self.until(&format!("{key:?} to write {output:?}"), written).await;
        self.seen[&key].started.unwrap().1
    }

    /// The executor's own process.
    pub(crate) async fn pid(&mut self) -> u32 {
        let (seen, _) = self.run(sh(u64::MAX, "echo $PPID")).await;
        seen.text().trim().parse().unwrap()
    }
}

impl Seen {
    /// The whole output.
    pub(crate) fn text(&self) -> String {
        let ended = self.ended.as_ref().unwrap();
        assert_eq!(ended.cut, 0);
        String::from_utf8([&self.output[..], &ended.tail].concat()).unwrap()
    }
}

/// A shell command, to start now.
pub(crate) fn sh(key: u64, script: &str) -> Start {
    exec(key, &["/bin/sh", "-c", script])
}

/// A command without a shell, to start now.
pub(crate) fn exec(key: u64, argv: &[&str]) -> Start {
    Start {
        key: RunKey(key),
        at: worker::now(),
        argv: argv.iter().map(ToString::to_string).collect(),
        env: vec![("PATH".to_owned(), PATH.to_owned())],
        working_dir: None,
        output_limit: 1 << 20,
        active_deadline: None,
        grace: Duration::from_mins(10),
        exclusive: false,
    }
}

/// Whether a process lives; one that is dead but not waited for does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The process ids that a command wrote to a file, once there are that many.
pub(crate) async fn pids(file: &Path, count: usize) -> Vec<u32> {
    eventually("pids", || async {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let lines: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if lines.len() >= count && text.ends_with('\n') { Ok(lines) } else { Err(text) }
    })
    .await
}

pub(crate) async fn all_dead(pids: &[u32]) {
    eventually("the processes' ends", || async {
        let alive: Vec<&u32> = pids.iter().filter(|pid| is_alive(**pid)).collect();
        if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?} live")) }
    })
    .await;
}

/// Asks until the answer is there; panics with the last state if it does not come.
pub(crate) async fn eventually<T, F, Fut>(what: &str, mut ask: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, String>>,
{
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(state) if begun.elapsed() > PATIENCE => panic!("gave up waiting for {what}: {state}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
