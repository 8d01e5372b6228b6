//! `cronctl get`: jobs as a table, as kubectl has them, or as data.

use model::UnixMillis;
use serde::Serialize;

use crate::names::{Partly, unknown};
use crate::output::Format;
use crate::target::{Jobs, TargetArgs};
use crate::terminal::{age, print, table};
use crate::view::{Job, State};

/// How much of a command and of its description a wide table shows, in characters.
const SHOWN_TEXT: usize = 50;

/// List jobs: schedule, last and next time, what runs
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The jobs to show, each as namespace/name or, within the namespace, name; all unless given
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The jobs of all namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,
    /// How to print them
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    target: TargetArgs,
}

/// What programs get: always a list.
#[derive(Serialize)]
struct List {
    jobs: Vec<Job>,
}

pub(crate) async fn main(arguments: Arguments) -> anyhow::Result<()> {
    let target = arguments.target.open().await?;
    let jobs = target.jobs(&arguments.target).await?;
    let shown = show(&arguments, &jobs).await;
    jobs.close().await;
    shown
}

async fn show(arguments: &Arguments, jobs: &Jobs<'_>) -> anyhow::Result<()> {
    let mut found = Vec::new();
    let mut missing = 0;
    for name in &arguments.names {
        if let Some(job) = jobs.find(name).await? {
            found.push(job);
        } else {
            eprintln!("cronctl: {}", unknown(name, &jobs.names().await));
            missing += 1;
        }
    }
    if arguments.names.is_empty() {
        found = jobs.list(arguments.all_namespaces).await?;
    }
    if arguments.output.is_data() {
        for job in found.iter_mut().filter(|job| job.command_cut) {
            // One that was deleted since stays as it was listed.
            if let Some(whole) = jobs.find(&job.name).await? {
                *job = whole;
            }
        }
        print(&arguments.output.data(&List { jobs: found })?)?;
    } else if !found.is_empty() {
        print(&as_table(&found, arguments.output == Format::Wide, worker::now()))?;
    } else if missing == 0 {
        eprintln!("No jobs.");
    }
    if let Some(why) = jobs.nothing_runs() {
        eprintln!("note: {why} until one is started");
    }
    if missing > 0 { Err(Partly(missing).into()) } else { Ok(()) }
}

fn as_table(jobs: &[Job], wide: bool, now: UnixMillis) -> String {
    let mut heading =
        vec!["NAME", "SCHEDULE", "ZONE", "SUSPEND", "ACTIVE", "LAST", "RESULT", "NEXT", "STATE"];
    if wide {
        heading.extend(["NODES", "MEANING", "COMMAND"]);
    }
    let rows: Vec<Vec<String>> = jobs.iter().map(|job| row(job, wide, now)).collect();
    table(&heading, &rows)
}

fn row(job: &Job, wide: bool, now: UnixMillis) -> Vec<String> {
    let dash = || "-".to_owned();
    let next = job.next.as_deref().and_then(|next| next.parse::<UnixMillis>().ok());
    // The status tells of ended runs and skipped slots alone.
    let slots = job.active.iter().map(|run| &run.slot).chain(&job.status.last_schedule_time);
    let last = slots.filter_map(|slot| slot.parse::<UnixMillis>().ok()).max();
    let state = match job.state {
        State::Idle => "Idle",
        State::Running => "Running",
        State::Pending => "Pending",
        State::Invalid => "Invalid",
    };
    let mut row = vec![
        job.name.clone(),
        job.schedule.as_ref().map_or_else(dash, |schedule| schedule.text.clone()),
        job.schedule.as_ref().map_or_else(dash, |schedule| schedule.time_zone.clone()),
        job.suspended.to_string(),
        job.active_count.to_string(),
        last.map_or_else(dash, |last| age(now.since(last))),
        job.status.last_outcome.clone().unwrap_or_else(dash),
        next.map_or_else(dash, |next| format!("in {}", age(next.since(now)))),
        match &job.message {
            // A wide table has it instead of the meaning.
            Some(message) if !wide && matches!(job.state, State::Idle | State::Running) => {
                format!("{state}: {message}")
            }
            _ => state.to_owned(),
        },
    ];
    if wide {
        let mut nodes: Vec<&str> = job.active.iter().map(|run| run.node.as_str()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let meaning = job.schedule.as_ref().map(|schedule| schedule.description.clone());
        let meaning = job.message.clone().or(meaning).unwrap_or_default();
        let command = cut(&job.command, SHOWN_TEXT);
        row.extend([if nodes.is_empty() { dash() } else { nodes.join(",") }, meaning, command]);
    }
    row
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_that_stands_still_says_so_beside_its_state() {
        let message = "the clock was set back: no run before 2026-01-01T02:00:00Z";
        let job = serde_json::from_value(json!({
            "name": "a", "state": "idle", "message": message, "suspended": false, "schedule": null,
            "command": "true", "owner": null, "next": "2026-01-01T02:00:00Z",
            "activeCount": 0, "active": [], "status": {},
        }));
        let shown = as_table(&[job.unwrap()], false, UnixMillis(1_767_225_600_000));
        assert!(shown.ends_with(&format!("   in 2h   Idle: {message}\n")), "{shown}");
    }
}
