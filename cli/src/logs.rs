//! `cronctl logs`: what runs wrote.
//!
//! A run's output is stored when it ends, not while it runs. So following shows whole runs as they end, and standard
//! output carries nothing but what the job wrote; which run that was goes to standard error.

mod follower;

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use model::UnixMillis;

use crate::history::{Named, named};
use crate::target::{Pages, Rest, RestError, Session, TargetArgs};
use crate::terminal::{lasted, visible};
use crate::view::Run;
use follower::{Follower, PAGE};

/// How often a follower asks.
const ASK: Duration = Duration::from_secs(1);

/// Print what the latest run of a job wrote, or another run, or each run as it ends
///
/// Output is stored when a run ends, so a run that goes on has nothing to print yet. Standard output has only what the
/// job wrote, byte for byte but for what is not UTF-8; which run it was, and how it ended, goes to standard error.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The job, as namespace/name or, within the namespace, name
    name: String,
    /// Go on with each run as it ends, until Ctrl-C; with --run, wait for that run to end
    #[arg(long, short)]
    follow: bool,
    /// The run, by its id (see `cronctl history`), instead of the latest
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Print the last lines of a run alone, at most so many
    #[arg(long, value_name = "N")]
    tail: Option<usize>,
    #[command(flatten)]
    target: TargetArgs,
}

pub(crate) async fn main(arguments: Arguments) -> anyhow::Result<()> {
    let rest = arguments.target.open_for_runs("logs").await?;
    let session = rest.session().await?;
    let begun = begin(&session, &arguments).await;
    session.close().await;
    match begun? {
        Begun::Done => Ok(()),
        Begun::Waits { job, run } => until_ended(&rest, &job, &run, &arguments).await,
        Begun::Follows(follower) => follow(&rest, follower, &arguments).await,
    }
}

/// What is left to do after the first look.
enum Begun {
    Done,
    /// For the end of a run.
    Waits {
        job: String,
        run: String,
    },
    /// Runs that end, other than those shown.
    Follows(Follower),
}

async fn begin(session: &Session, arguments: &Arguments) -> anyhow::Result<Begun> {
    let Named { job, active } = named(session, &arguments.name, arguments.target.namespace()).await?;
    if let Some(run) = &arguments.run {
        if let Some(record) = record(session, &job, run).await? {
            show(session, &record, arguments).await?;
            return Ok(Begun::Done);
        }
        let Some(active) = active.iter().find(|active| active.run == *run) else {
            bail!(
                "{} has no run {}; `cronctl history {}` lists them",
                visible(&job),
                visible(run),
                visible(&job)
            );
        };
        eprintln!("{run} runs on {}; what it wrote is stored when it ends", visible(&active.node));
        let run = run.clone();
        return Ok(if arguments.follow { Begun::Waits { job, run } } else { Begun::Done });
    }
    let page = session.records(&job, 0, if arguments.follow { PAGE } else { 1 }).await?;
    if let Some(latest) = page.runs.first() {
        show(session, latest, arguments).await?;
    } else if active.is_empty() {
        eprintln!("{} has not run yet", visible(&job));
    }
    for active in &active {
        eprintln!("{} runs on {}; what it wrote is stored when it ends", active.run, visible(&active.node));
    }
    if !arguments.follow {
        return Ok(Begun::Done);
    }
    Ok(Begun::Follows(Follower::new(job, &active, &page.runs)))
}

/// The last attempt of a run that has ended.
async fn record(session: &Session, job: &str, run: &str) -> Result<Option<Run>, RestError> {
    let mut pages = Pages::new(session, job);
    loop {
        let page = pages.next(PAGE).await?;
        if page.is_empty() {
            return Ok(None);
        }
        let attempts = page.into_iter().filter(|record| record.run == run);
        if let Some(last) = attempts.max_by_key(|record| record.attempt) {
            return Ok(Some(last));
        }
    }
}

async fn until_ended(rest: &Rest, job: &str, run: &str, arguments: &Arguments) -> anyhow::Result<()> {
    let mut trouble = Trouble::default();
    loop {
        tokio::time::sleep(ASK).await;
        let Some(session) = trouble.passed(rest.session().await)? else { continue };
        let found = trouble.passed(record(&session, job, run).await);
        let shown = match found {
            Ok(Some(Some(record))) => show(&session, &record, arguments).await.map(|()| true),
            Ok(_) => Ok(false),
            Err(why) => Err(why),
        };
        session.close().await;
        if shown? {
            return Ok(());
        }
    }
}

async fn follow(rest: &Rest, mut follower: Follower, arguments: &Arguments) -> anyhow::Result<()> {
    let mut trouble = Trouble::default();
    loop {
        tokio::time::sleep(ASK).await;
        let Some(session) = trouble.passed(rest.session().await)? else { continue };
        let looked = look(&session, &mut follower, arguments).await;
        session.close().await;
        match looked {
            Ok(()) => trouble = Trouble::default(),
            Err(why) => match why.downcast::<RestError>() {
                Ok(why) => drop(trouble.passed(Err::<(), _>(why))?),
                Err(why) => return Err(why),
            },
        }
    }
}

/// Prints the runs that have ended since.
async fn look(session: &Session, follower: &mut Follower, arguments: &Arguments) -> anyhow::Result<()> {
    for run in follower.ended(session).await? {
        show(session, &run, arguments).await?;
        follower.shown(&run);
    }
    Ok(())
}

/// Says once that something is wrong, and that it is tried again.
#[derive(Default)]
struct Trouble {
    told: bool,
}

impl Trouble {
    /// Nothing where another try may succeed.
    fn passed<T>(&mut self, outcome: Result<T, RestError>) -> anyhow::Result<Option<T>> {
        match outcome {
            Ok(done) => Ok(Some(done)),
            Err(why) if why.may_pass() => {
                if !self.told {
                    eprintln!("cronctl: {:#}; trying again", anyhow::Error::new(why));
                }
                self.told = true;
                Ok(None)
            }
            Err(why) => Err(why.into()),
        }
    }
}

async fn show(session: &Session, run: &Run, arguments: &Arguments) -> anyhow::Result<()> {
    let output = match session.output(run).await {
        Ok(output) => output,
        // Removed since it was listed, to keep no more than the job's history limit.
        Err(RestError::Refused { status, .. }) if status == axum::http::StatusCode::NOT_FOUND => {
            return Ok(());
        }
        Err(why) => return Err(why.into()),
    };
    eprintln!("==> {}", said(run));
    let mut out = io::stdout().lock();
    let shown = arguments.tail.map_or(output.as_slice(), |lines| tail(&output, lines));
    out.write_all(shown)?;
    out.flush().context("standard output can't be written")
}

/// Which run it was, and how it ended.
fn said(run: &Run) -> String {
    let started = run.started.as_deref().and_then(|time| time.parse().ok());
    let ended: Option<UnixMillis> = run.ended.parse().ok();
    let took = ended.zip(started).map(|(ended, started)| format!(" after {}", lasted(ended.since(started))));
    let why = if run.message.is_empty() { String::new() } else { format!(": {}", visible(&run.message)) };
    format!(
        "slot {} on {}: {}{}{why} (run {})",
        run.slot,
        visible(&run.node),
        run.outcome,
        took.unwrap_or_default(),
        visible(&run.run)
    )
}

/// The last lines of a text; a line break at its end ends the last of them.
fn tail(text: &[u8], lines: usize) -> &[u8] {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let mut breaks = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    match lines.checked_sub(1).map(|before| breaks.nth(before)) {
        None => &text[text.len()..],
        Some(None) => text,
        Some(Some((at, _))) => &text[at + 1..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_whole_lines() {
        for (text, lines, wanted) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\nc\n", 0, ""),
            ("a\nb\nc\n", 3, "a\nb\nc\n"),
            ("a\n\n", 1, "\n"),
            ("", 1, ""),
        ] {
            assert_eq!(tail(text.as_bytes(), lines), wanted.as_bytes(), "{text:?} {lines}");
        }
    }
}
