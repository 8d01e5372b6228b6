//! Kubernetes' `CronJob` resources whose pod runs one command.
//!
//! Every field of an object is taken for something, dropped as saying nothing, or named in a note: what is in nobody's
//! list can't be lost silently.

mod expand;
mod fields;
mod pod;

use std::path::PathBuf;

use crds::ConcurrencyPolicy;
use crds::manifest::{self, Object};
use model::TimeZone;

use super::{Document, Entry, Found};
use crate::up::{UsageError, sources};
use fields::Fields;

/// Resources of Kubernetes whose pod runs one command
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Files with manifests, YAML or JSON, lists too; - is standard input, as in `kubectl get cronjobs -A -o yaml |
    /// cronctl import cronjobs -`
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// What holds for every object.
const GENERAL: [&str; 3] = [
    "Imported from CronJobs. A command runs as a process on a node and not in a container: the node must have the program,",
    "and it runs with the worker's rights and files. A failed run is not tried again (backoffLimit). Suspend each CronJob",
    "before its NodeCronJob is applied, or both will run.",
];

const TEMPLATE: &str = "spec.jobTemplate.spec.template";

pub(super) fn find(arguments: &Arguments) -> Result<Found, UsageError> {
    let mut found = Found { general: GENERAL.to_vec(), entries: Vec::new() };
    for file in &arguments.files {
        let (shown, text) = sources::text(file)?;
        let mut others = 0;
        for object in manifest::objects(&text) {
            match object {
                Err(problem) => {
                    let place = format!("{shown}:{}", problem.line.unwrap_or(1));
                    found.entries.push(Entry::left_out(place, problem.message));
                }
                Ok(object) if object.to_json()["kind"] != "CronJob" => others += 1,
                Ok(object) => found.entries.push(entry(&shown, &object)),
            }
        }
        if others > 0 {
            let what = format!("objects of other kinds are passed over: {others}");
            found.entries.push(Entry::Said { place: shown, what });
        }
    }
    Ok(found)
}

fn entry(shown: &str, object: &Object) -> Entry {
    read(shown, object).map_or_else(
        |Refused { path, why }| {
            let place = format!("{shown}:{}", object.line_of(&path));
            let path = if path.is_empty() { path } else { format!("{path}: ") };
            let json = object.to_json();
            let name = json["metadata"]["name"].as_str().unwrap_or("without a name");
            Entry::left_out(place, format!("CronJob {name}: {path}{why}"))
        },
        |document| Entry::Job(Box::new(document)),
    )
}

/// Why an object is left out, and which field says so.
struct Refused {
    path: String,
    why: String,
}

fn refused(path: impl Into<String>, why: impl Into<String>) -> Refused {
    Refused { path: path.into(), why: why.into() }
}

fn read(shown: &str, object: &Object) -> Result<Document, Refused> {
    let mut fields = Fields::new(object.to_json());
    let version = fields.text("apiVersion")?.unwrap_or_default();
    if !["batch/v1", "batch/v1beta1"].contains(&version.as_str()) {
        return Err(refused("apiVersion", format!("there is no CronJob in {version:?}; write batch/v1")));
    }
    let name =
        fields.text("metadata.name")?.ok_or_else(|| refused("metadata", "it has no name; write one"))?;
    let namespace = fields.text("metadata.namespace")?;
    let place = format!("{shown}:{}", object.line());
    let mut document = Document::new(place, &format!("CronJob {name}"), namespace.as_deref(), name);
    schedule(&mut fields, &mut document)?;
    rules(&mut fields, &mut document)?;
    pod::read(&mut fields, &mut document)?;
    for dropped in fields::SAY_NOTHING {
        fields.drop(dropped);
    }
    fields.drop_annotation("kubectl.kubernetes.io/last-applied-configuration");
    let rest = fields.rest();
    if !rest.is_empty() {
        document.note(format!("not carried over: {}", rest.join(", ")));
    }
    Ok(document)
}

fn schedule(fields: &mut Fields, document: &mut Document) -> Result<(), Refused> {
    let text =
        fields.text("spec.schedule")?.ok_or_else(|| refused("spec", "it has no schedule; write one"))?;
    let zone = fields.text("spec.timeZone")?;
    let inside = text.trim().strip_prefix("CRON_TZ=").or_else(|| text.trim().strip_prefix("TZ="));
    let (zone, text) = match inside.and_then(|rest| rest.split_once(char::is_whitespace)) {
        Some(_) if zone.is_some() => {
            return Err(refused(
                "spec.schedule",
                "it has a zone inside, and timeZone beside it; keep timeZone",
            ));
        }
        Some((zone, rest)) => {
            document.note("the zone stood inside of the schedule");
            (Some(zone.to_owned()), rest.trim().to_owned())
        }
        None => (zone, text),
    };
    if zone.is_none() {
        document.note(
            "there is no timeZone, which in Kubernetes is the zone of its controller manager, mostly UTC",
        );
    }
    if text.trim_start().starts_with("@every") {
        document
            .note("@every counts from the epoch and the job's name, and not from when the object was made");
    }
    let zone = zone.as_deref().unwrap_or("UTC");
    let zone = TimeZone::parse(zone).map_err(|why| refused("spec.timeZone", why.to_string()))?;
    document.spec.schedule = text;
    zone.name().clone_into(&mut document.spec.time_zone);
    Ok(())
}

fn rules(fields: &mut Fields, document: &mut Document) -> Result<(), Refused> {
    let spec = &mut document.spec;
    spec.suspend = fields.boolean("spec.suspend")?.unwrap_or_default();
    let path = "spec.concurrencyPolicy";
    spec.concurrency_policy = match fields.text(path)?.as_deref() {
        None | Some("Allow") => ConcurrencyPolicy::Allow,
        Some("Forbid") => ConcurrencyPolicy::Forbid,
        Some(other) => {
            let why = format!("{other} is not supported; write Forbid (the slot is skipped) or Allow");
            return Err(refused(path, why));
        }
    };
    let forbids = spec.concurrency_policy == ConcurrencyPolicy::Forbid;
    spec.starting_deadline_seconds = fields.number("spec.startingDeadlineSeconds")?;
    if let Some(limit) = fields.number("spec.successfulJobsHistoryLimit")? {
        spec.successful_runs_history_limit = limit;
    }
    if let Some(limit) = fields.number("spec.failedJobsHistoryLimit")? {
        spec.failed_runs_history_limit = limit;
    }
    if forbids {
        document.note(
            "Forbid skips a slot that comes while a run lasts; Kubernetes starts it when the run has ended",
        );
    }
    let job = "spec.jobTemplate.spec";
    for field in ["parallelism", "completions"] {
        let path = format!("{job}.{field}");
        if fields.number(&path)?.is_some_and(|count| count != 1) {
            return Err(refused(
                path,
                "a run here is one process; write 1, or a command that starts several",
            ));
        }
    }
    let tries = fields.number(&format!("{job}.backoffLimit"))?;
    let restarts = fields.text(&format!("{TEMPLATE}.spec.restartPolicy"))?.as_deref() == Some("OnFailure");
    if tries.is_some_and(|tries| tries > 0) || tries.is_none() && restarts {
        let tries = tries.unwrap_or(6);
        document.note(format!("a failed run is tried again up to {tries} times there, and not here"));
    }
    let limits = [format!("{job}.activeDeadlineSeconds"), format!("{TEMPLATE}.spec.activeDeadlineSeconds")];
    let mut shortest = None;
    for path in limits {
        let limit = fields.number(&path)?;
        shortest = shortest.into_iter().chain(limit).min();
    }
    let template = &mut document.spec.template;
    template.active_deadline_seconds = shortest;
    if let Some(grace) = fields.number(&format!("{TEMPLATE}.spec.terminationGracePeriodSeconds"))? {
        template.termination_grace_period_seconds = grace;
    }
    Ok(())
}
