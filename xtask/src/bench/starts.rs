//! How late and how fast commands start.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;

use super::process::Up;
use super::{Scratch, manifest};

/// The first argument that makes this program a measured command.
const STAMP: &str = "stamp";

/// What every measured command is: this program as `stamp FILE LABEL`, which appends `LABEL SLOT NOW` (milliseconds,
/// microseconds) to a file and ends. The slot is the beginning of the run's id, which the bare loop gives in the same
/// form. To be called before anything else is done: hundreds of these start each second.
pub(crate) fn stamp_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != STAMP) {
        return;
    }
    let (file, label) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    if let Err(why) = stamp(Path::new(&file), &label.to_string_lossy()) {
        eprintln!("stamp: {why:#}");
        std::process::exit(1);
    }
    std::process::exit(0)
}

fn stamp(file: &Path, label: &str) -> anyhow::Result<()> {
    let now = since_epoch().as_micros();
    let run = std::env::var("CRON_RUN_ID").context("CRON_RUN_ID is not set")?;
    let slot = run.split('-').next().unwrap_or_default();
    let line = format!("{label} {slot} {now}\n");
    // One write to a file opened for appending: lines of many processes do not mix.
    Ok(OpenOptions::new().append(true).create(true).open(file)?.write_all(line.as_bytes())?)
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

pub(super) fn sleep_until(instant: Duration) {
    thread::sleep(instant.saturating_sub(since_epoch()));
}

/// The next whole second that is at least `ahead` away.
pub(super) fn whole_second(ahead: Duration) -> u64 {
    (since_epoch() + ahead).as_secs() + 1
}

/// The bare loop: at each second, spawns the commands one after the other.
pub(super) fn bare_loop(
    stamper: &Path,
    file: &Path,
    jobs: usize,
    first: u64,
    seconds: u64,
) -> anyhow::Result<()> {
    let mut children = Vec::new();
    for second in first..first + seconds {
        sleep_until(Duration::from_secs(second));
        for job in 0..jobs {
            let mut command = Command::new(stamper);
            command.arg("stamp").arg(file).arg(format!("job{job}")).env_clear();
            command.env("CRON_RUN_ID", format!("{}-", second * 1000)).stdin(Stdio::null());
            children.push(command.spawn()?);
        }
        children.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
    }
    for mut child in children {
        child.wait()?;
    }
    Ok(())
}

/// Starts of commands: how long after their slot, in microseconds, by slot.
#[derive(Default)]
pub(super) struct Starts {
    by_slot: BTreeMap<u64, Vec<(String, u64)>>,
}

impl Starts {
    /// Reads the slots from `first` on.
    pub(super) fn read(&mut self, file: &Path, first: u64, seconds: u64) -> anyhow::Result<()> {
        let text = fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()))?;
        for line in text.lines() {
            let mut words = line.split(' ');
            let label = words.next().unwrap_or_default().to_owned();
            let slot: u64 = words.next().unwrap_or_default().parse().context("a stamp without a slot")?;
            let now: u64 = words.next().unwrap_or_default().parse().context("a stamp without a time")?;
            if (first..first + seconds).contains(&(slot / 1000)) {
                self.by_slot.entry(slot).or_default().push((label, now.saturating_sub(slot * 1000)));
            }
        }
        Ok(())
    }

    pub(super) fn delays(&self) -> Vec<u64> {
        let mut delays: Vec<u64> = self.by_slot.values().flatten().map(|(_, delay)| *delay).collect();
        delays.sort_unstable();
        delays
    }

    /// Slots of jobs that never started, and those that started more than once.
    pub(super) fn missed_and_doubled(&self, expected: usize) -> (usize, usize) {
        let mut distinct = 0;
        let mut all = 0;
        for starts in self.by_slot.values() {
            let mut labels: Vec<&str> = starts.iter().map(|(label, _)| label.as_str()).collect();
            all += labels.len();
            labels.sort_unstable();
            labels.dedup();
            distinct += labels.len();
        }
        (expected.saturating_sub(distinct), all - distinct)
    }
}

pub(super) fn percentile(sorted: &[u64], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |micros| millis(*micros))
}

#[expect(clippy::cast_precision_loss, reason = "delays are far below 2^52 microseconds")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

pub(super) fn delay(program: &Path, jobs: usize, seconds: u64) -> anyhow::Result<()> {
    const ROUNDS: usize = 2;
    println!(
        "\nstart-delay: {jobs} jobs due each second, {ROUNDS} rounds of {seconds} s each, in turn with the bare loop"
    );
    let scratch = Scratch::new()?;
    let stamper = std::env::current_exe()?;
    let (mut bare, mut ours) = (Starts::default(), Starts::default());
    for round in 0..ROUNDS {
        let file = scratch.path().join(format!("bare{round}"));
        let first = whole_second(Duration::from_millis(200));
        bare_loop(&stamper, &file, jobs, first, seconds)?;
        bare.read(&file, first, seconds)?;

        let file = scratch.path().join(format!("ours{round}"));
        let yaml = scratch.path().join(format!("jobs{round}.yaml"));
        let words = [stamper.to_string_lossy(), "stamp".into(), file.to_string_lossy()];
        let job = |i: usize| {
            let label = format!("job{i}");
            manifest(&label, "* * * * * *", &[&words[0], &words[1], &words[2], &label])
        };
        fs::write(&yaml, (0..jobs).map(job).collect::<String>())?;
        let up = Up::start(program, &scratch.path().join(format!("data{round}")), &yaml)?;
        // The first slots after the start are no steady state.
        let first = whole_second(Duration::from_secs(2));
        sleep_until(Duration::from_secs(first + seconds + 1));
        up.stop()?;
        ours.read(&file, first, seconds)?;
    }
    let (bare_delays, our_delays) = (bare.delays(), ours.delays());
    println!("{:>12} {:>10} {:>10} {:>10} {:>7}", "ms", "bare loop", "cronctl", "difference", "ratio");
    for (name, percent, aim) in [
        ("p50", 50, "  (aim: within 1 ms)"),
        ("p90", 90, ""),
        ("p99", 99, "  (aim: within 5 ms)"),
        ("max", 100, ""),
    ] {
        let (a, b) = (percentile(&bare_delays, percent), percentile(&our_delays, percent));
        println!("{name:>12} {a:>10.2} {b:>10.2} {:>+10.2} {:>7.2}{aim}", b - a, b / a);
    }
    let expected = jobs * ROUNDS * usize::try_from(seconds)?;
    for (name, starts) in [("bare loop", &bare), ("cronctl", &ours)] {
        let (missed, doubled) = starts.missed_and_doubled(expected);
        println!("{name}: {expected} slots, {missed} missed, {doubled} doubled");
    }
    Ok(())
}

pub(super) fn spawns(program: &Path, jobs: usize) -> anyhow::Result<()> {
    const ROUNDS: usize = 2;
    println!("\nspawns: {jobs} jobs due at one instant, {ROUNDS} rounds in turn with the bare loop");
    for round in 1..=ROUNDS {
        spawns_once(program, jobs, round)?;
    }
    Ok(())
}

fn spawns_once(program: &Path, jobs: usize, round: usize) -> anyhow::Result<()> {
    let scratch = Scratch::new()?;
    let stamper = std::env::current_exe()?;
    let rate = |starts: &Starts| -> f64 {
        let delays = starts.delays();
        f64::from(u32::try_from(delays.len()).unwrap_or(u32::MAX)) / percentile(&delays, 100) * 1000.0
    };
    let file = scratch.path().join("bare");
    let first = whole_second(Duration::from_millis(200));
    bare_loop(&stamper, &file, jobs, first, 1)?;
    let mut bare = Starts::default();
    bare.read(&file, first, 1)?;

    let file = scratch.path().join("ours");
    let yaml = scratch.path().join("jobs.yaml");
    let at = whole_second(Duration::from_secs(15));
    let schedule = format!("{} {} {} * * *", at % 60, at / 60 % 60, at / 3600 % 24);
    let words = [stamper.to_string_lossy(), "stamp".into(), file.to_string_lossy()];
    let job = |i: usize| {
        let label = format!("job{i}");
        manifest(&label, &schedule, &[&words[0], &words[1], &words[2], &label])
    };
    fs::write(&yaml, (0..jobs).map(job).collect::<String>())?;
    let up = Up::start(program, &scratch.path().join("data"), &yaml)?;
    sleep_until(Duration::from_secs(at + 10));
    up.stop()?;
    let mut ours = Starts::default();
    ours.read(&file, at, 1)?;
    let (missed, doubled) = ours.missed_and_doubled(jobs);
    let (bare, ours) = (rate(&bare), rate(&ours));
    println!(
        "round {round}: bare loop {bare:.0}/s, cronctl {ours:.0}/s, ratio {:.2}; {missed} missed, {doubled} doubled",
        ours / bare
    );
    Ok(())
}
