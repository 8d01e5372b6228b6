//! One object of a document: whose it is, and whether it is a job.

use model::JobName;
use model::job::{Job, JobError, JobSpec};

use super::split::Lines;
use super::tree::{Node, Place, Value};
use super::{Content, JobObject, MAX_PROBLEMS, OtherObject, Problem, Refusal, check, metadata};
use crate::convert::{ConvertError, tree_name};
use crate::definition::schema;
use crate::resource::NodeCronJobSpec;

const API_VERSION: &str = "crontab.dev/v1alpha1";
const KIND: &str = "NodeCronJob";

/// Reads the object, or each object of a list, and tells `found` of it. The place is given for the items of a list.
pub(crate) fn read(node: &Node, lines: &Lines<'_>, found: &mut dyn FnMut(Option<Place>, Content)) {
    let text = |field| node.get(field).and_then(|value| value.text());
    let is_list = matches!(
        (text("apiVersion"), text("kind")),
        (Some("v1"), Some("List")) | (Some(API_VERSION), Some("NodeCronJobList"))
    );
    match node.get("items").map(|items| &items.value) {
        Some(Value::List(items)) if is_list && !items.is_empty() => {
            for item in items {
                read(item, lines, &mut |place, content| found(place.or(Some(item.place)), content));
            }
        }
        Some(Value::Null | Value::List(_)) | None if is_list => found(None, Content::Empty),
        _ => found(None, object(node, lines)),
    }
}

fn object(node: &Node, lines: &Lines<'_>) -> Content {
    let name = metadata::name_as_written(node);
    let mut problems = Vec::new();
    let Some((api_version, kind)) = type_of(node, &mut problems) else {
        return Content::Refused(Refusal { name, problems });
    };
    if !(api_version.starts_with("crontab.dev/") || kind.eq_ignore_ascii_case(KIND)) {
        let hint = (kind == "CronJob").then_some(
            "a CronJob starts pods and is run by Kubernetes; for a job here write apiVersion: crontab.dev/v1alpha1, \
             kind: NodeCronJob, and spec.template with command or exec instead of spec.jobTemplate",
        );
        return Content::Other(OtherObject {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            name,
            hint,
        });
    }
    if let Some(problem) = unsupported(node, api_version, kind) {
        return Content::Refused(Refusal { name, problems: vec![problem] });
    }

    check::report_duplicates(node, &mut problems);
    let identity = metadata::read(node, &mut problems);
    let job = read_fields(
        node,
        identity.as_ref().map(|(namespace, name)| (&**namespace, &**name)),
        lines,
        &mut problems,
    );
    drop_echoes(&mut problems);
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems.truncate(MAX_PROBLEMS);
    match (identity, job) {
        (Some((namespace, name)), Some((spec, job))) if problems.is_empty() => {
            Content::Job(Box::new(JobObject { name, namespace, spec, job }))
        }
        _ => Content::Refused(Refusal { name, problems }),
    }
}

/// `apiVersion` and `kind`; without both of them nothing can be said about the rest.
fn type_of<'n>(node: &'n Node, problems: &mut Vec<Problem>) -> Option<(&'n str, &'n str)> {
    if !matches!(node.value, Value::Map(_)) {
        let message = format!(
            "an object must begin with apiVersion: {API_VERSION} and kind: {KIND}; this is {}",
            node.shown()
        );
        problems.push(Problem::at(Some(node.place), String::new(), message));
        return None;
    }
    let mut field = |name: &str, instead: &str| {
        let (place, wrong) = match node.get(name) {
            None => (node.place, "is missing".to_owned()),
            Some(value) => match value.text() {
                Some(text) => return Some(text),
                None => (value.place, format!("must be text, not {}", value.shown())),
            },
        };
        problems.push(Problem::at(
            Some(place),
            name.to_owned(),
            format!("{name} {wrong}; write {name}: {instead}"),
        ));
        None
    };
    let (api_version, kind) = (field("apiVersion", API_VERSION), field("kind", KIND));
    Some((api_version?, kind?))
}

/// Why an object of our group, or of a kind that looks like ours, is none that this version knows.
fn unsupported(node: &Node, api_version: &str, kind: &str) -> Option<Problem> {
    let at = |field: &str, message| {
        Some(Problem::at(node.get(field).map(|value| value.place), field.to_owned(), message))
    };
    if kind == "NodeJob" {
        return at("kind", format!("kind {kind:?} is not supported by this version; it knows {KIND} alone"));
    }
    if kind != KIND {
        let hint = check::nearest(kind, [KIND].into_iter())
            .map_or(format!("write {KIND}"), |near| format!("did you mean {near}?"));
        return at("kind", format!("there is no kind {kind:?} here; {hint}"));
    }
    if api_version != API_VERSION {
        return at(
            "apiVersion",
            format!("there is no {KIND} in version {api_version:?}; write apiVersion: {API_VERSION}"),
        );
    }
    None
}

/// Reads everything but `metadata`. The answer can be used only if no problem was reported.
fn read_fields(
    node: &Node,
    identity: Option<(&str, &str)>,
    lines: &Lines<'_>,
    problems: &mut Vec<Problem>,
) -> Option<(JobSpec, Job)> {
    for entry in node.entries() {
        // An API server takes no status from a manifest; what kubectl printed has one.
        if !["apiVersion", "kind", "metadata", "spec", "status"].contains(&&*entry.key) {
            problems.push(check::unknown("", &entry.key, entry.place));
        }
    }
    let Some(spec_node) = node.get("spec").filter(|spec| !matches!(spec.value, Value::Null)) else {
        problems.push(check::missing(node, "spec"));
        return None;
    };
    let spec = check::read(spec_node, &schema()["properties"]["spec"], "spec", problems)?;
    let spec = match serde_json::from_value::<NodeCronJobSpec>(spec) {
        Ok(spec) => spec,
        Err(error) => {
            let message = format!("spec can't be read: {error}; compare it with docs/reference.md");
            problems.push(Problem::at(Some(spec_node.place), "spec".to_owned(), message));
            return None;
        }
    };
    let wanted = spec.job_name.as_deref();
    let name = identity.map(|(namespace, name)| tree_name(namespace, name, wanted));
    if let (Some(Err(ConvertError::JobName(why))), Some(node)) = (&name, spec_node.get("jobName")) {
        problems.push(Problem::at(Some(node.place), "spec.jobName".to_owned(), why.to_string()));
    }
    let name = name.and_then(Result::ok).unwrap_or_else(stand_in_name);
    judge(spec.into(), spec_node, &name, lines, problems)
}

/// Where the name was refused, `H` in a schedule still needs one to be judged.
fn stand_in_name() -> JobName {
    JobName::new("default/unnamed").expect("it is a plain name")
}

/// Makes the spec a job. The domain stops at the first mistake, so each one found is taken out and the rest judged again.
fn judge(
    spec: JobSpec,
    spec_node: &Node,
    name: &JobName,
    lines: &Lines<'_>,
    problems: &mut Vec<Problem>,
) -> Option<(JobSpec, Job)> {
    let mut rest = spec.clone();
    loop {
        let error = match Job::new(name.clone(), rest.clone()) {
            Ok(job) => return Some((spec, job)),
            Err(error) => error,
        };
        let field = format!("spec.{}", error.field());
        if !problems.iter().any(|problem| explains(problem, &field)) {
            problems.push(problem(&error, field, spec_node, lines));
        }
        if !take_out(&mut rest, error.field()) {
            return None;
        }
    }
}

/// Whether a mistake that was reported before is the likely cause of one in `field`.
fn explains(problem: &Problem, field: &str) -> bool {
    // The limit is missing because it was refused and left out.
    if field == "spec.missedRunPolicy" && problem.field == "spec.missedRunLimit" {
        return true;
    }
    if field != "spec.template" {
        return problem.field == field || field.starts_with(&format!("{}.", problem.field));
    }
    // The command is missing: it was refused and left out, or written under a name that does not exist.
    let Some(place) = problem.field.strip_prefix("spec.template") else { return false };
    matches!(place, "" | ".command")
        || place.starts_with(".exec")
        || problem.message.starts_with("unknown field")
}

/// Drops what is said to be missing where a misspelt field beside it was probably meant to be it.
fn drop_echoes(problems: &mut Vec<Problem>) {
    let parent = |field: &str| field.rsplit_once('.').map_or(String::new(), |(parent, _)| parent.to_owned());
    let meant: Vec<_> = problems
        .iter()
        .filter_map(|problem| {
            let name = problem.message.strip_prefix("unknown field")?.strip_suffix('?')?.rsplit_once(' ')?.1;
            Some(check::join(&parent(&problem.field), name))
        })
        .collect();
    problems.retain(|problem| {
        !(meant.contains(&problem.field) && problem.message == check::missing_message(&problem.field))
    });
}

fn problem(error: &JobError, field: String, spec_node: &Node, lines: &Lines<'_>) -> Problem {
    let node = spec_node.nearest(error.field());
    let place = match error {
        JobError::Schedule(error) => Place { column: column_in(node, error.offset(), lines), ..node.place },
        JobError::Zone(_) | JobError::Field { .. } => node.place,
    };
    let message = format!("{field}: {}", error.explain());
    Problem::at(Some(place), field, message)
}

/// The column of the character `offset` of a text, where the text stands in the file as it is, in one line of usual
/// length; else the column where the value begins.
fn column_in(node: &Node, offset: usize, lines: &Lines<'_>) -> usize {
    const USUAL_BYTES: usize = 4096;
    let begin = node.place.column;
    let (Some(text), Some(line)) = (node.text(), lines.get(node.place.line)) else { return begin };
    if line.len() > USUAL_BYTES {
        return begin;
    }
    let source: String = line.chars().skip(begin - 1).collect();
    let quote = ['"', '\''].into_iter().find(|quote| source.starts_with(*quote));
    let verbatim = match quote {
        Some(quote) => source[1..].strip_prefix(text).is_some_and(|rest| rest.starts_with(quote)),
        None => source.starts_with(text),
    };
    if verbatim { begin + usize::from(quote.is_some()) + offset } else { begin }
}

/// Replaces what a mistake is about by something valid. `false` where that can't be done, or was done before.
fn take_out(spec: &mut JobSpec, field: &str) -> bool {
    let before = spec.clone();
    let template = &mut spec.template;
    match field {
        "schedule" => "@daily".clone_into(&mut spec.schedule),
        "timeZone" => "UTC".clone_into(&mut spec.time_zone),
        "startingDeadlineSeconds" => spec.starting_deadline_seconds = None,
        "missedRunPolicy" | "missedRunLimit" => {
            spec.missed_run_policy = model::job::MissedRunPolicy::default();
            spec.missed_run_limit = None;
        }
        "template.activeDeadlineSeconds" => template.active_deadline_seconds = None,
        "template.workingDir" => template.working_dir = None,
        "template.output.limitBytes" => template.output = model::job::OutputLimit::default(),
        "template.env" => template.env.clear(),
        _ => match field
            .strip_prefix("template.env[")
            .and_then(|rest| rest.split_once(']')?.0.parse::<usize>().ok())
        {
            Some(index) if index < template.env.len() => {
                // The others keep their index.
                template.env[index] = model::job::EnvVar { name: format!("_{index}_"), value: String::new() };
            }
            _ => {
                template.command = Some("true".to_owned());
                template.exec.clear();
                template.shell.clear();
            }
        },
    }
    *spec != before
}
