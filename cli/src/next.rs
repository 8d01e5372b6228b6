//! `cronctl next`: what a cron expression means, in words and as its next slots. It reads nothing but its arguments and
//! the clock.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use anyhow::Context;
use clap::ValueEnum;
use model::schedule::{ScheduleError, TimeZone, tz_data_version};
use model::{Dialect, JobName, Schedule, UnixMillis};
use serde_json::json;

use crate::up::UsageError;

/// Say in words what a cron expression means, and print its next times
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The expression, as one argument: '30 2 * * MON-FRI'
    expression: String,
    /// The zone whose clock it follows, an IANA name such as Europe/Paris
    #[arg(long, default_value = "UTC")]
    zone: String,
    /// How many times to print
    #[arg(long, short = 'n', default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    count: u16,
    /// How it is read: as a resource's schedule, or as a cronExpr that the legacy page saved
    #[arg(long, value_enum, default_value_t)]
    dialect: Reading,
    /// Print the times after this one, such as 2026-03-29T00:00:00Z; now unless given
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// The job, as namespace/name: H and @every depend on it
    #[arg(long)]
    job: Option<String>,
    /// As text for people, or as JSON
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Reading {
    /// 5 fields, 6 with the second first, 7 with the year last
    #[default]
    Standard,
    /// 5 fields, 6 with the year last, 7 with the second first
    Legacy,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    let usage = |message: String| UsageError(message);
    let zone = TimeZone::parse(&arguments.zone).map_err(|why| usage(why.to_string()))?;
    let from = match &arguments.from {
        Some(text) => text.parse().map_err(|why| usage(format!("--from: {why}")))?,
        None => worker::now(),
    };
    let job = JobName::new(arguments.job.as_deref().unwrap_or("default/job"))
        .map_err(|why| usage(format!("--job: {why}")))?;
    let dialect = match arguments.dialect {
        Reading::Standard => Dialect::Standard,
        Reading::Legacy => Dialect::Legacy,
    };
    let expression = &arguments.expression;
    let schedule = Schedule::parse(expression, dialect, zone, &job)
        .map_err(|why| usage(pointed_at(expression, &why)))?;
    let next = schedule.next_after(from);
    let slots: Vec<UnixMillis> =
        std::iter::successors(next, |slot| schedule.next_after(*slot)).take(arguments.count.into()).collect();

    let mut warnings = Vec::new();
    if schedule.has_both_days() {
        warnings.push("day of month and day of week are both given: a day that either names counts");
    }
    if schedule.depends_on_name() && arguments.job.is_none() {
        warnings.push("the times depend on the job's name; give it with --job namespace/name");
    }
    if slots.is_empty() {
        warnings.push("there is no time after that one");
    }
    let text = match arguments.output {
        Output::Text => as_text(&schedule, &slots, &warnings),
        Output::Json => as_json(&schedule, &slots, &warnings),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads has seen enough, such as head.
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output can't be written"),
    }
}

/// The expression with a line of carets under the mistake, and what is wrong.
fn pointed_at(expression: &str, why: &ScheduleError) -> String {
    // What is not printed as one character each can't be pointed at.
    if expression.chars().any(char::is_control) || expression.trim().is_empty() {
        return why.to_string();
    }
    let carets = " ".repeat(why.offset()) + &"^".repeat(why.length().max(1));
    format!("{why}\n\n  {expression}\n  {carets}")
}

fn as_text(schedule: &Schedule, slots: &[UnixMillis], warnings: &[&str]) -> String {
    let mut text = format!("{}\n", schedule.describe());
    for warning in warnings {
        writeln!(text, "note: {warning}").expect("writing to a string succeeds");
    }
    for slot in slots {
        let time = schedule.zone().time(*slot).format("%a %F %T %:z");
        let moved = if schedule.is_moved(*slot) { "  moved here: the clock skips its time" } else { "" };
        writeln!(text, "{time}{moved}").expect("writing to a string succeeds");
    }
    text
}

fn as_json(schedule: &Schedule, slots: &[UnixMillis], warnings: &[&str]) -> String {
    let slots: Vec<_> = slots
        .iter()
        .map(|slot| {
            json!({ "time": schedule.zone().time(*slot).to_rfc3339(), "moved": schedule.is_moved(*slot) })
        })
        .collect();
    let value = json!({
        "schedule": schedule.text(),
        "dialect": schedule.dialect(),
        "timeZone": schedule.zone().name(),
        "tzData": tz_data_version(),
        "description": schedule.describe(),
        "notes": warnings,
        "slots": slots,
    });
    format!("{value:#}\n")
}
