//! How late commands start: by the executor, and by a bare loop that sleeps and spawns.
//!
//! `cargo run --release -p crontab-worker --example start_precision [STARTS_AT_ONE_INSTANT [ROUNDS]]`
//!
//! Each command says by itself when it began.

use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::UnixMillis;
use tokio::sync::mpsc;
use worker::executor::{Event, Executor, RunKey, Start};

const PROGRAM: &str = "/bin/date";
const ARGUMENT: &str = "+%s%N";

#[tokio::main(flavor = "current_thread")]
async fn run(starts: u64, rounds: u64) -> anyhow::Result<()> {
    let (executor, mut events) = Executor::spawn(&std::env::current_exe()?)?;
    let (mut bare, mut executed) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        bare.push(bare_loop(starts, next_instant())?);
        let keys = round * starts..(round + 1) * starts;
        executed.push(by_executor(&executor, &mut events, keys, next_instant()).await?);
    }
    report("bare loop", bare);
    report("executor", executed);
    Ok(())
}

fn main() -> anyhow::Result<()> {
    worker::become_executor_if_asked();
    let mut arguments = std::env::args().skip(1);
    let starts = arguments.next().map_or(Ok(100), |text| text.parse())?;
    let rounds = arguments.next().map_or(Ok(20), |text| text.parse())?;
    run(starts, rounds)
}

/// As far ahead as a claim is made at most.
fn next_instant() -> UnixMillis {
    worker::now() + worker::CLAIM_LEAD
}

fn since_epoch(at: UnixMillis) -> Duration {
    Duration::from_millis(at.0.unsigned_abs())
}

fn lateness(said: &[u8], at: UnixMillis) -> anyhow::Result<Duration> {
    let began = Duration::from_nanos(std::str::from_utf8(said)?.trim().parse()?);
    Ok(began.saturating_sub(since_epoch(at)))
}

fn bare_loop(starts: u64, at: UnixMillis) -> anyhow::Result<Vec<Duration>> {
    std::thread::sleep(since_epoch(at).saturating_sub(SystemTime::now().duration_since(UNIX_EPOCH)?));
    let spawn = |_| {
        Command::new(PROGRAM).arg(ARGUMENT).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).spawn()
    };
    let children = (0..starts).map(spawn).collect::<Result<Vec<_>, _>>()?;
    children.into_iter().map(|child| lateness(&child.wait_with_output()?.stdout, at)).collect()
}

async fn by_executor(
    executor: &Executor,
    events: &mut mpsc::Receiver<Event>,
    keys: std::ops::Range<u64>,
    at: UnixMillis,
) -> anyhow::Result<Vec<Duration>> {
    for key in keys.clone() {
        executor.start(Start {
            key: RunKey(key),
            at,
            argv: vec![PROGRAM.to_owned(), ARGUMENT.to_owned()],
            env: Vec::new(),
            working_dir: None,
            output_limit: 1000,
            active_deadline: None,
            grace: Duration::ZERO,
            exclusive: false,
        });
    }
    let (mut late, mut ended) = (Vec::new(), 0);
    while ended < keys.end - keys.start {
        match events.recv().await {
            Some(Event::Output { bytes, .. }) => late.push(lateness(&bytes, at)?),
            Some(Event::Ended { .. }) => ended += 1,
            Some(Event::Started { .. } | Event::Alive) => {}
            Some(Event::Gone { why }) => anyhow::bail!("the executor ended: {why}"),
            None => anyhow::bail!("the executor ended"),
        }
    }
    Ok(late)
}

/// Prints the medians over all rounds, so that a busy moment of the machine does not decide.
fn report(what: &str, mut rounds: Vec<Vec<Duration>>) {
    for late in &mut rounds {
        late.sort_unstable();
    }
    let median_of = |per_mille: usize| {
        let mut those: Vec<Duration> =
            rounds.iter().map(|late| late[(late.len() - 1) * per_mille / 1000]).collect();
        those.sort_unstable();
        those[those.len() / 2]
    };
    let [first, half, most, last] = [0, 500, 990, 1000].map(median_of);
    println!("{what}: first {first:?}, p50 {half:?}, p99 {most:?}, last {last:?}");
}
