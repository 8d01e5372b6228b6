//! `cronctl history`: what became of a job's slots, newest first. Records outlive their job.

use std::cmp::Reverse;

use anyhow::bail;
use model::UnixMillis;
use serde::Serialize;

use crate::names::unknown;
use crate::output::Format;
use crate::target::{Pages, RestError, SEARCHED, Session, TargetArgs};
use crate::terminal::{lasted, print, table, visible};
use crate::view::{Active, Records, Run, Skipped};

/// Show the runs of a job, and the slots that were skipped, newest first
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The job, as namespace/name or, within the namespace, name
    name: String,
    /// How many of the newest to show at most: ended runs and stretches of skipped slots, counted together
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How to print them
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    target: TargetArgs,
}

/// What programs get.
#[derive(Serialize)]
struct History {
    job: String,
    /// Runs that have not ended.
    active: Vec<Active>,
    runs: Vec<Run>,
    skipped: Vec<Skipped>,
}

pub(crate) async fn main(arguments: Arguments) -> anyhow::Result<()> {
    let session = arguments.target.open_for_runs("history").await?.session().await?;
    let history = read(&session, &arguments).await;
    session.close().await;
    let history = history?;
    if arguments.output.is_data() {
        print(&arguments.output.data(&history)?)?;
    } else if history.active.is_empty() && history.runs.is_empty() && history.skipped.is_empty() {
        eprintln!("{} has no runs yet.", visible(&history.job));
    } else {
        print(&as_table(&history, arguments.output == Format::Wide))?;
    }
    Ok(())
}

async fn read(session: &Session, arguments: &Arguments) -> anyhow::Result<History> {
    let named = named(session, &arguments.name, arguments.target.namespace()).await?;
    let mut runs: Vec<Run> = Vec::new();
    let limit = arguments.limit as usize;
    let mut pages = Pages::new(session, &named.job);
    while runs.len() < limit {
        let page = pages.next(u32::try_from(limit - runs.len())?).await?;
        if page.is_empty() {
            break;
        }
        runs.extend(page);
    }
    // Those that ended meanwhile were found among older ones.
    runs.sort_by_key(|run| Reverse(run.began()));
    let skipped = pages.skipped.unwrap_or_default();
    let Named { job, active } = named;
    let mut history = History { job, active, runs, skipped };
    history.keep_newest(limit);
    Ok(history)
}

impl History {
    /// Keeps so many of runs and skipped stretches together. Beside runs that reach back an hour, a stretch of yesterday
    /// would look as if nothing had run in between.
    fn keep_newest(&mut self, limit: usize) {
        let slots = self.runs.iter().map(|run| &run.slot).chain(self.skipped.iter().map(|skip| &skip.from));
        let mut slots: Vec<Option<UnixMillis>> = slots.map(|slot| slot.parse().ok()).collect();
        slots.sort_unstable_by_key(|slot| Reverse(*slot));
        let Some(oldest) = limit.checked_sub(1).and_then(|last| slots.get(last).copied()) else { return };
        self.runs.retain(|run| run.slot.parse().ok() >= oldest);
        self.skipped.retain(|skip| skip.from.parse().ok() >= oldest);
    }
}

/// A job, or what is left of one that was deleted.
pub(crate) struct Named {
    pub(crate) job: String,
    pub(crate) active: Vec<Active>,
}

/// Finds a job by its name as people write it, or records under that name.
pub(crate) async fn named(session: &Session, name: &str, namespace: &str) -> anyhow::Result<Named> {
    if let Some(job) = session.find(name, namespace).await? {
        return Ok(Named { job: job.name, active: job.active });
    }
    let in_namespace = format!("{namespace}/{name}");
    let candidates = if name.contains('/') { vec![name] } else { vec![name, &in_namespace] };
    for candidate in candidates {
        match session.records(candidate, 0, 1).await {
            Ok(Records { runs, skipped }) if runs.is_empty() && skipped.is_empty() => {}
            Ok(_) => return Ok(Named { job: candidate.to_owned(), active: Vec::new() }),
            Err(RestError::Refused { status, .. }) if status.is_client_error() => {}
            Err(why) => return Err(why.into()),
        }
    }
    let known = session.jobs("", SEARCHED).await.unwrap_or_default();
    let known: Vec<String> = known.into_iter().map(|job| job.name).collect();
    bail!(unknown(name, &known))
}

fn as_table(history: &History, wide: bool) -> String {
    let mut rows: Vec<(Option<UnixMillis>, Vec<String>)> = Vec::new();
    let dash = || "-".to_owned();
    for Active { run, node, slot, .. } in &history.active {
        let row = [slot.clone(), dash(), dash(), "Running".to_owned(), node.clone(), run.clone()];
        rows.push((slot.parse().ok(), row.into()));
    }
    for run in &history.runs {
        let started = run.started.as_deref();
        let took =
            started.and_then(|from| Some(run.ended.parse::<UnixMillis>().ok()?.since(from.parse().ok()?)));
        let row = [
            run.slot.clone(),
            started.map_or_else(dash, str::to_owned),
            took.map_or_else(dash, lasted),
            run.outcome.clone(),
            run.node.clone(),
            run.run.clone(),
            run.message.clone(),
        ];
        let mut row = Vec::from(row);
        if wide {
            row.insert(6, run.exit_status.map_or_else(dash, |status| status.to_string()));
            row.insert(7, run.attempt.to_string());
        }
        rows.push((run.slot.parse().ok(), row));
    }
    for skipped in &history.skipped {
        let Skipped { from, to, count, reason } = skipped;
        let slots = match count {
            Some(1) => "1 slot".to_owned(),
            Some(count) => format!("{count} slots until {to}"),
            None => format!("many slots until {to}"),
        };
        let mut row = vec![from.clone(), dash(), dash(), "Skipped".to_owned(), dash(), dash()];
        if wide {
            row.extend([dash(), dash()]);
        }
        row.push(format!("{slots}: {}", why(reason)));
        rows.push((from.parse().ok(), row));
    }
    // Stable: of one slot a run that goes on comes first, as it does above.
    rows.sort_by_key(|(slot, _)| Reverse(*slot));
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(_, row)| row).collect();
    let mut heading = vec!["SLOT", "STARTED", "TOOK", "OUTCOME", "NODE", "RUN"];
    if wide {
        heading.extend(["STATUS", "ATTEMPT"]);
    }
    heading.push("MESSAGE");
    table(&heading, &rows)
}

fn why(reason: &str) -> &str {
    match reason {
        "Overlap" => "an earlier run had not ended",
        "Deadline" => "startingDeadlineSeconds had passed",
        "Suspended" => "the job was suspended",
        "Missed" => "nothing ran jobs then",
        "ClockSet" => "the clock was set back, and the job went on from there",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use model::job;
    use model::run::Outcome;
    use serde_json::json;

    use super::*;
    use crate::target::world::{KEEP_ALL, World, id};

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// The ids of the runs that the command shows.
    async fn shown(world: &World, limit: u32) -> Vec<String> {
        let limit = limit.to_string();
        let command =
            Command::parse_from(["history", "a", "--limit", &limit, "--master", "http://127.0.0.1/"]);
        let history = read(&world.session().await, &command.arguments).await.unwrap();
        history.runs.into_iter().map(|run| run.run).collect()
    }

    #[tokio::test]
    async fn runs_that_end_meanwhile_are_shown_once_at_most_and_hide_none() {
        let world = World::new().await;
        world.end(0..250, Outcome::Succeeded, KEEP_ALL).await;
        let mut ends = 250..;
        world.meanwhile(move |world| {
            let end = ends.next().expect("there is no last one");
            async move { world.end([end], Outcome::Succeeded, KEEP_ALL).await }
        });
        let newest: Vec<String> = (0..250).rev().map(id).collect();
        assert_eq!(shown(&world, 1000).await, newest);
    }

    #[tokio::test]
    async fn runs_that_are_removed_meanwhile_hide_no_others() {
        let world = World::new().await;
        world.end(0..150, Outcome::Failed, KEEP_ALL).await;
        world.end(150..250, Outcome::Succeeded, KEEP_ALL).await;
        let keep = job::History { succeeded: 10, ..KEEP_ALL };
        world.meanwhile(move |world| async move { world.end([250], Outcome::Succeeded, keep).await });
        let newest: Vec<String> = (0..250).rev().map(id).collect();
        let mut shown = shown(&world, 1000).await;
        // The one that ended meanwhile may be there or not.
        shown.retain(|run| *run != id(250));
        assert_eq!(shown, newest);
    }

    #[test]
    fn the_limit_counts_runs_and_skipped_stretches_together() {
        let time = |minute: &&str| format!("2026-01-01T00:{minute}:00Z");
        let run = |slot: &&str| {
            let (run, slot) = (format!("of {slot}"), time(slot));
            serde_json::from_value(json!({
                "run": run, "attempt": 0, "node": "n", "slot": slot, "claimed": slot, "started": slot,
                "ended": slot, "outcome": "Succeeded", "exitStatus": 0, "signal": null, "message": "",
                "command": "true",
            }))
            .unwrap()
        };
        let skip = |from: &&str| Skipped {
            from: time(from),
            to: time(from),
            count: Some(1),
            reason: "Overlap".to_owned(),
        };
        for (limit, runs, skipped) in [
            (1, &["50"][..], &[][..]),
            (2, &["50"], &["40"]),
            (4, &["50", "20"], &["40", "30"]),
            (5, &["50", "20"], &["40", "30", "10"]),
            (9, &["50", "20"], &["40", "30", "10"]),
        ] {
            let mut history = History {
                job: "a".to_owned(),
                active: Vec::new(),
                runs: ["50", "20"].iter().map(run).collect(),
                skipped: ["40", "30", "10"].iter().map(skip).collect(),
            };
            history.keep_newest(limit);
            let times = |minutes: &[&str]| minutes.iter().map(time).collect::<Vec<_>>();
            let slots: Vec<String> = history.runs.into_iter().map(|run| run.slot).collect();
            let stretches: Vec<String> = history.skipped.into_iter().map(|skip| skip.from).collect();
            assert_eq!((slots, stretches), (times(runs), times(skipped)), "{limit}");
        }
    }
}
