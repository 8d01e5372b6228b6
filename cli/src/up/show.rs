//! What `up` prints: what it did with each document, and a line for each run as it ends.
//!
//! A thread of its own writes to standard output, so that a terminal that was stopped, or a slow pipe, holds up nothing
//! else. Text that comes from elsewhere (names, messages, output of commands) is printed with its control characters
//! made visible: none of it can steer the terminal.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crds::manifest::{OtherObject, Problem};
use model::record::{RunRecord, SkipRecord};
use model::run::Outcome;
use model::schedule::TimeZone;
use model::{Job, JobName, UnixMillis};
use tokio::sync::broadcast;
use worker::{Report, now};

use super::apply::{Applied, Change};
use crate::terminal::{lasted, visible};

/// How many lines of a run's output are printed; the page shows all that is kept.
const PRINTED_LINES: usize = 20;
/// How many lines may wait for a slow reader; later ones are dropped and counted.
const WAITING_LINES: usize = 10_000;

/// Prints. Cheap to clone; the lines of all clones come in order.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    lines: mpsc::SyncSender<Line>,
    zone: TimeZone,
    colours: bool,
}

enum Line {
    Text(String),
    /// Tells when everything before it is written.
    Flush(mpsc::Sender<()>),
}

impl Printer {
    pub(crate) fn start(zone: TimeZone) -> Self {
        let (lines, received) = mpsc::sync_channel(WAITING_LINES);
        thread::Builder::new()
            .name("printer".to_owned())
            .spawn(move || write_all(&received))
            .expect("a thread can be started when nothing runs yet");
        let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { lines, zone, colours }
    }

    /// Waits for room: only for what is printed before jobs run.
    fn say(&self, text: String) {
        // The thread only ends with the process.
        let _ = self.lines.send(Line::Text(text));
    }

    pub(crate) fn welcome(&self, data: &Path, node: &str, zone: TimeZone) {
        let folder = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
        self.say(format!(
            "cronctl {}: commands run on this machine ({}), as this user\nstate is kept in {}; times are of {zone}",
            env!("CARGO_PKG_VERSION"),
            visible(node),
            visible(&folder.display().to_string()),
        ));
    }

    pub(crate) fn applied(&self, place: &str, job: &Job, change: Change) {
        let change = match change {
            Change::Created => "created",
            Change::Changed => "changed",
            Change::Unchanged => "unchanged",
        };
        let now = now();
        let next = match job.schedule.next_after(now) {
            _ if job.suspend => "suspended".to_owned(),
            Some(next) => format!("next {} ({})", self.time(next, now), in_words(next.since(now))),
            None => "has no next time".to_owned(),
        };
        self.say(format!("{}: {} {change}: {}; {next}", visible(place), job.name, job.schedule.describe()));
    }

    pub(crate) fn passed_over(&self, place: &str, other: &OtherObject) {
        let name = other.name.as_deref().unwrap_or("without a name");
        let mut text = format!(
            "{}: passed over: a {} ({}), not a NodeCronJob",
            visible(place),
            visible(&other.kind),
            visible(name)
        );
        if let Some(hint) = other.hint {
            write!(text, "; {hint}").expect("writing to a string succeeds");
        }
        self.say(text);
    }

    pub(crate) fn refused(&self, place: &str, shown: &str, name: Option<&str>, problems: &[Problem]) {
        let name = name.map(|name| format!(" {}", visible(name))).unwrap_or_default();
        let mut text = format!("{}:{name} {}", visible(place), self.colour(RED, "refused"));
        for problem in problems {
            let place = match (problem.line, problem.column) {
                (Some(line), Some(column)) => format!("{}:{line}:{column}: ", visible(shown)),
                (Some(line), None) => format!("{}:{line}: ", visible(shown)),
                (None, _) => String::new(),
            };
            write!(text, "\n  {place}{}", visible(&problem.message)).expect("writing to a string succeeds");
        }
        self.say(text);
    }

    pub(crate) fn unreadable(&self, shown: &str, why: &str) {
        self.say(format!("{}: {}\n  {}", visible(shown), self.colour(RED, "refused"), visible(why)));
    }

    pub(crate) fn kept(&self, name: &JobName, path: &str) {
        self.say(format!("{name} goes on as it was: {} has mistakes", visible(path)));
    }

    pub(crate) fn removed(&self, name: &JobName) {
        self.say(format!("{name} removed: it stands in no manifest any more"));
    }

    pub(crate) fn ready(&self, address: SocketAddr, jobs: usize, applied: &Applied) {
        let Applied { jobs: _, refused, removed, from_earlier } = applied;
        let mut notes = vec![match jobs {
            0 => "no jobs yet: give it manifests, or make a job on the page".to_owned(),
            1 => "1 job".to_owned(),
            jobs => format!("{jobs} jobs"),
        }];
        for (count, what) in [(from_earlier, "from earlier"), (removed, "removed"), (refused, "refused")] {
            if *count > 0 {
                notes.push(format!("{count} {what}"));
            }
        }
        self.say(format!("cronctl is ready: http://{address}/ ({}); Ctrl-C ends it", notes.join(", ")));
    }

    pub(crate) fn ending(&self, signal: &str) {
        self.say(format!(
            "{signal}: ending; running commands get their grace period, again to kill them at once"
        ));
    }

    /// Returns once all that was printed is written, or after a moment if nobody reads it.
    pub(crate) fn ended(&self) {
        self.say("ended".to_owned());
        let (tell, told) = mpsc::channel();
        if self.lines.try_send(Line::Flush(tell)).is_ok() {
            let _ = told.recv_timeout(Duration::from_secs(1));
        }
    }

    /// Prints a worker's reports until it ends.
    pub(crate) fn follow(&self, mut reports: broadcast::Receiver<Report>) {
        let printer = self.clone();
        tokio::spawn(async move {
            let mut dropped = 0;
            loop {
                let text = match reports.recv().await {
                    Ok(report) => printer.report(&report),
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        dropped += missed;
                        continue;
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                };
                let text =
                    if dropped > 0 { format!("({dropped} lines were not printed)\n{text}") } else { text };
                match printer.lines.try_send(Line::Text(text)) {
                    Ok(()) => dropped = 0,
                    Err(_) => dropped += 1,
                }
            }
        });
    }

    fn report(&self, report: &Report) -> String {
        match report {
            Report::Ended(record) => self.run(record),
            Report::Skipped(record) => self.skipped(record),
            Report::Malformed(what) => {
                format!(
                    "{}: {}: {}",
                    visible(&what.key),
                    self.colour(RED, "can't be used"),
                    visible(&what.message)
                )
            }
            Report::Trouble(why) => {
                format!("{}: {}; trying again", self.colour(RED, "the store takes no writes"), visible(why))
            }
            Report::Recovered => "the store takes writes again".to_owned(),
        }
    }

    fn run(&self, record: &RunRecord) -> String {
        let RunRecord { job, started, ended, outcome, message, output, .. } = record;
        let (colour, outcome) = match outcome {
            Outcome::Succeeded => (GREEN, "succeeded"),
            Outcome::Failed => (RED, "failed"),
            Outcome::TimedOut => (RED, "timed out"),
            Outcome::Killed => (YELLOW, "killed"),
            Outcome::Lost => (RED, "lost"),
        };
        let mut text = format!("{} {job} {}", self.time(*ended, now()), self.colour(colour, outcome));
        if let Some(started) = started {
            write!(text, " after {}", lasted(ended.since(*started))).expect("writing to a string succeeds");
        }
        if !message.is_empty() {
            write!(text, ": {}", visible(message)).expect("writing to a string succeeds");
        }
        let output = output.to_text();
        let lines = output.lines().count();
        for line in output.lines().take(PRINTED_LINES) {
            write!(text, "\n  | {}", visible(line)).expect("writing to a string succeeds");
        }
        if lines > PRINTED_LINES {
            write!(text, "\n  | ({} more lines, on the page)", lines - PRINTED_LINES)
                .expect("writing to a string succeeds");
        }
        text
    }

    fn skipped(&self, record: &SkipRecord) -> String {
        let SkipRecord { job, decided, skipped, .. } = record;
        let slots = match skipped.count {
            Some(1) => "1 slot".to_owned(),
            Some(count) => format!("{count} slots"),
            None => "many slots".to_owned(),
        };
        let why = match skipped.reason {
            model::run::SkipReason::Overlap => "an earlier run had not ended",
            model::run::SkipReason::Deadline => "startingDeadlineSeconds had passed",
            model::run::SkipReason::Suspended => "the job was suspended",
            model::run::SkipReason::Missed => "nothing ran jobs then",
        };
        let until = if skipped.from == skipped.to {
            String::new()
        } else {
            format!(" to {}", self.time(skipped.to.0, *decided))
        };
        format!(
            "{}{until} {job} {} {slots}: {why}",
            self.time(skipped.from.0, *decided),
            self.colour(YELLOW, "skipped")
        )
    }

    /// The time of day in the machine's zone, with the date where that is not the one of `now`.
    fn time(&self, at: UnixMillis, now: UnixMillis) -> String {
        let (at, now) = (self.zone.local(at), self.zone.local(now));
        let format = if at.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
        at.format(format).to_string()
    }

    fn colour(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

fn write_all(lines: &mpsc::Receiver<Line>) {
    let mut out = io::stdout().lock();
    let mut closed = false;
    for line in lines {
        match line {
            // Whoever read the output is gone: the jobs go on without.
            Line::Text(text) => {
                closed = closed || writeln!(out, "{text}").and_then(|()| out.flush()).is_err();
            }
            Line::Flush(done) => drop(done),
        }
    }
}

/// A duration as people say it before something happens.
fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7200 => (seconds / 60, "min"),
        7200..172_800 => (seconds / 3600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    format!("in {count} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(in_words(Duration::from_millis(4900)), "in 4 s");
        assert_eq!(in_words(Duration::from_hours(72)), "in 3 days");
    }
}
