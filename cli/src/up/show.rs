//! What `up` prints: what it did with each document, and a line for each run as it ends.
//!
//! A thread of its own writes to standard output, so that a terminal that was stopped, or a slow pipe, holds up nothing
//! else. Text that comes from elsewhere (names, messages, output of commands) is printed with its control characters
//! made visible: none of it can steer the terminal.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crds::manifest::{OtherObject, Problem};
use model::next::next_slot;
use model::record::{RunRecord, SkipRecord};
use model::run::{Outcome, Slot};
use model::schedule::TimeZone;
use model::{Job, JobName, UnixMillis};
use tokio::sync::broadcast;
use worker::{Report, now};

use super::apply::{Applied, Change};
use super::lines::Lines;
use crate::terminal::{lasted, visible};

/// How many lines of a run's output are printed; the page shows all that is kept.
const PRINTED_LINES: usize = 20;

/// Prints. Cheap to clone; the lines of all clones come in order.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    lines: Arc<Lines>,
    zone: TimeZone,
    colours: bool,
}

impl Printer {
    pub(crate) fn start(zone: TimeZone) -> Self {
        let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colours, ..Self::to(io::stdout(), zone) }
    }

    /// One that prints without colours to whatever takes text.
    pub(super) fn to(out: impl io::Write + Send + 'static, zone: TimeZone) -> Self {
        Self { lines: Lines::start(out), zone, colours: false }
    }

    /// Waits for room: only for what is printed before jobs run.
    fn say(&self, text: String) {
        self.lines.wait(text);
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

    /// `decided` is the last slot of the job that was decided.
    pub(crate) fn applied(&self, place: &str, job: &Job, change: Change, decided: Option<Slot>) {
        let change = match change {
            Change::Created => "created",
            Change::Changed => "changed",
            Change::Unchanged => "unchanged",
        };
        let now = now();
        let next = match next_slot(&job.schedule, decided, now) {
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
        self.lines.push(format!(
            "{signal}: ending; running commands get their grace period, again to kill them at once"
        ));
    }

    /// Returns once all that was printed is written, or after a moment if nobody reads it.
    pub(crate) fn ended(&self) {
        self.lines.push("ended".to_owned());
        self.lines.flush(Duration::from_secs(1));
    }

    /// Prints a worker's reports until it ends.
    pub(crate) fn follow(&self, mut reports: broadcast::Receiver<Report>) {
        let printer = self.clone();
        tokio::spawn(async move {
            loop {
                match reports.recv().await {
                    Ok(report) => printer.lines.offer(printer.report(&report)),
                    Err(broadcast::error::RecvError::Lagged(missed)) => printer.lines.missed(missed),
                    Err(broadcast::error::RecvError::Closed) => return,
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
            Outcome::Other(word) => (YELLOW, word.as_str()),
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
            model::run::SkipReason::ClockSet => "the clock was set back, and the job goes on from now",
            model::run::SkipReason::Other(word) => word.as_str(),
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
    use std::sync::{Mutex, mpsc};
    use std::time::Instant;

    use super::*;

    /// A terminal that takes nothing until its `stopped` is dropped.
    struct Terminal {
        stopped: mpsc::Receiver<()>,
        taken: Arc<Mutex<String>>,
    }

    impl io::Write for Terminal {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let _ = self.stopped.recv();
            self.taken.lock().unwrap().push_str(str::from_utf8(text).unwrap());
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A printer to a stopped terminal, what lets it go on, and what it has taken.
    fn stopped() -> (Printer, mpsc::Sender<()>, Arc<Mutex<String>>) {
        let (go_on, stopped) = mpsc::channel();
        let taken = Arc::default();
        let terminal = Terminal { stopped, taken: Arc::clone(&taken) };
        (Printer::to(terminal, TimeZone::UTC), go_on, taken)
    }

    /// Waits for a condition.
    async fn until(what: &str, met: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !met() {
            assert!(Instant::now() < deadline, "waited a minute for {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Reports so many troubles of so many bytes each.
    async fn report(printer: &Printer, count: usize, bytes: usize) {
        let (reports, received) = broadcast::channel(count);
        printer.follow(received);
        for n in 0..count {
            reports.send(Report::Trouble(format!("{n} {}", "x".repeat(bytes)))).unwrap();
        }
        until("the reports to be taken", || reports.is_empty()).await;
    }

    #[tokio::test]
    async fn a_stopped_terminal_keeps_some_mebibytes_waiting_and_is_told_what_it_missed() {
        let (printer, go_on, taken) = stopped();
        report(&printer, 64, 1 << 20).await;
        drop(go_on);
        until("the terminal to be told", || taken.lock().unwrap().contains("were not shown")).await;
        printer.ended();
        let taken = taken.lock().unwrap();
        assert!(taken.len() < 8 << 20, "{} bytes waited", taken.len());
        let shown = taken.lines().filter(|line| line.contains("takes no writes")).count();
        assert!(taken.contains(&format!("({} messages were not shown", 64 - shown)), "{shown} were shown");
        assert!(taken.ends_with("\nended\n"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_end_does_not_wait_for_a_stopped_terminal() {
        let (printer, _stopped, _) = stopped();
        report(&printer, 20_000, 1 << 10).await;
        let ends = tokio::task::spawn_blocking(move || {
            printer.ending("SIGINT");
            printer.ended();
        });
        tokio::time::timeout(Duration::from_mins(1), ends).await.expect("it ends").unwrap();
    }

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(in_words(Duration::from_millis(4900)), "in 4 s");
        assert_eq!(in_words(Duration::from_hours(72)), "in 3 days");
    }
}
