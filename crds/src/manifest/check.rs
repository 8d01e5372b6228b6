//! Checks a document against the schema of the resource, as an API server would, and reads it into plain data.
//!
//! The rules come from the generated schema itself, so a new field is checked here without another line. What only the
//! schema's CEL rules say is the business of [`model::job::Job::new`], which knows the same rules.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use super::tree::{Entry, Node, Place, Value, duplicates};
use super::{MAX_PROBLEMS, Problem};
use crate::definition::schema;

/// Reads `node` by `schema`. What breaks a rule is reported and left out of the answer, or replaced by a stand-in where it
/// is required; `None` is nothing usable at all.
pub(crate) fn read(node: &Node, schema: &Json, path: &str, problems: &mut Vec<Problem>) -> Option<Json> {
    let mut wrong = |message: String| {
        problems.push(Problem::at(Some(node.place), path.to_owned(), message));
        None
    };
    match (schema["type"].as_str().unwrap_or_default(), &node.value) {
        ("boolean", Value::Bool(value)) => Some((*value).into()),
        ("boolean", _) => wrong(format!("{path} must be true or false, not {}", quoted(node))),
        ("integer", Value::Int(value)) => match out_of_range(*value, schema) {
            None => Some((*value).into()),
            Some(rule) => wrong(format!("{path} must be {rule}, not {value}")),
        },
        ("integer", Value::Text(text)) if text.parse::<i64>().is_ok() => {
            wrong(format!("{path} must be a number; write it without quotes: {text}"))
        }
        ("integer", _) => {
            wrong(format!("{path} must be a whole number in decimal digits, not {}", quoted(node)))
        }
        ("string", Value::Text(text)) => match text_problem(text, schema) {
            None => Some(text.as_str().into()),
            Some(rule) => wrong(format!("{path} {rule}")),
        },
        ("string", Value::Odd { text, kubectl_reads }) => wrong(format!(
            "{path} must be text, but kubectl reads {text} as {kubectl_reads}; put it in quotes: \"{text}\""
        )),
        ("string", Value::Bool(_) | Value::Int(_)) => {
            let shown = node.shown();
            wrong(format!("{path} must be text, not {shown}; put it in quotes: \"{shown}\""))
        }
        ("string", Value::List(_)) if path.ends_with(".command") => wrong(format!(
            "{path} must be one line of text, not a list; write exec: for a program and its arguments"
        )),
        ("string", _) => wrong(format!("{path} must be text, not {}", node.shown())),
        ("array", Value::List(items)) => list(node, items, schema, path, problems),
        ("array", _) => wrong(format!("{path} must be a list such as [a, b], not {}", quoted(node))),
        ("object", Value::Map(_)) => Some(object(node, schema, path, problems)),
        ("object", _) => wrong(format!("{path} must be a mapping of fields, not {}", quoted(node))),
        (other, _) => unreachable!("the schema has no type {other:?}"),
    }
}

fn list(
    node: &Node,
    items: &[Rc<Node>],
    schema: &Json,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Option<Json> {
    let (min, max) =
        (schema["minItems"].as_u64().unwrap_or(0), schema["maxItems"].as_u64().unwrap_or(u64::MAX));
    let count = items.len() as u64;
    if count < min || count > max {
        let message = match count {
            0 => format!("{path} is empty; leave it out, or give it at least {min}"),
            _ => format!("{path} has {count} entries; {max} are allowed at most"),
        };
        problems.push(Problem::at(Some(node.place), path.to_owned(), message));
        return None;
    }
    let items = items.iter().enumerate().map(|(i, item)| {
        // A hole would move the others to another index.
        read(item, &schema["items"], &format!("{path}[{i}]"), problems)
            .unwrap_or_else(|| stand_in(&schema["items"]))
    });
    Some(Json::Array(items.collect()))
}

/// Something in the place of what was refused, so that the rest can be judged.
fn stand_in(schema: &Json) -> Json {
    if schema["type"] == "string" { "_".into() } else { Json::Object(Map::new()) }
}

fn object(node: &Node, schema: &Json, path: &str, problems: &mut Vec<Problem>) -> Json {
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let mut read_fields = Map::new();
    for entry in node.entries() {
        let field = join(path, &entry.key);
        let Some(property) = properties.get(&entry.key) else {
            problems.push(unknown(path, &entry.key, entry.place));
            continue;
        };
        // An API server drops a null where there is a default, and refuses it elsewhere.
        let null = matches!(entry.value.value, Value::Null);
        if read_fields.contains_key(&entry.key) || (null && property.get("default").is_some()) {
            continue;
        }
        if null {
            let message = format!("{field} has no value; write one, or leave the field out");
            problems.push(Problem::at(Some(entry.place), field, message));
            continue;
        }
        if let Some(value) = read(&entry.value, property, &field, problems) {
            read_fields.insert(entry.key.clone(), value);
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        if node.get(name).is_none() {
            problems.push(missing(node, &join(path, name)));
        }
        read_fields.entry(name).or_insert_with(|| stand_in(&properties[name]));
    }
    Json::Object(read_fields)
}

/// The problem of a field that `node` lacks.
pub(crate) fn missing(node: &Node, field: &str) -> Problem {
    Problem::at(Some(node.place), field.to_owned(), missing_message(field))
}

pub(crate) fn missing_message(field: &str) -> String {
    let instead = match field {
        "metadata.name" => "write metadata: {name: backup}",
        "spec" => "write spec: with schedule and template below it",
        "spec.schedule" => "write one such as schedule: \"*/5 * * * *\"",
        "spec.template" => "write template: with command or exec below it",
        _ => "add it",
    };
    format!("{field} is missing; {instead}")
}

/// Reports every field that stands twice in a mapping, at any depth.
pub(crate) fn report_duplicates(node: &Node, problems: &mut Vec<Problem>) {
    let mut found = Vec::new();
    find_duplicates(node, &mut found);
    problems.extend(found.into_iter().map(|Repeated { key, mut steps, place }| {
        steps.reverse();
        let field = steps.concat();
        let message = format!("key {:?} already set in map: {field} stands twice; keep one", short(key));
        Problem::at(Some(place), field, message)
    }));
}

/// A field that stands twice; `steps` lead to it, the last one first.
struct Repeated<'n> {
    key: &'n str,
    steps: Vec<String>,
    place: Place,
}

fn find_duplicates<'n>(node: &'n Node, found: &mut Vec<Repeated<'n>>) {
    if found.len() >= MAX_PROBLEMS {
        return;
    }
    for entry in duplicates(node.entries()) {
        found.push(Repeated {
            key: &entry.key,
            steps: vec![short(&entry.key).into_owned()],
            place: entry.place,
        });
    }
    // Paths are put together on the way back, since nearly every value has none to show.
    for Entry { key, value, .. } in node.entries() {
        let before = found.len();
        find_duplicates(value, found);
        let dot = if matches!(value.value, Value::List(_)) { "" } else { "." };
        found[before..].iter_mut().for_each(|repeated| repeated.steps.push(format!("{}{dot}", short(key))));
    }
    for (i, item) in node.items().iter().enumerate() {
        let before = found.len();
        find_duplicates(item, found);
        found[before..].iter_mut().for_each(|repeated| repeated.steps.push(format!("[{i}].")));
    }
}

/// The problem of a field that does not exist: the nearest name beside it, or the place where one of that name belongs.
pub(crate) fn unknown(path: &str, key: &str, place: Place) -> Problem {
    let mut known = Vec::new();
    collect(schema(), "", &mut known);
    known.extend(["apiVersion", "kind", "metadata"].map(str::to_owned));
    let siblings =
        known.iter().filter(|field| parent(field) == without_indices(path)).map(|field| last(field));
    let mut problem = unknown_of(path, key, place, siblings);
    if let (true, Some(elsewhere)) =
        (problem.message.ends_with(REMOVE), known.iter().find(|field| last(field) == key))
    {
        problem.message = format!("unknown field {:?}; {key} belongs to {elsewhere}", problem.field);
    }
    problem
}

const REMOVE: &str = "; remove it";

/// The same where the known fields are given.
pub(crate) fn unknown_of<'n>(
    path: &str,
    key: &str,
    place: Place,
    known: impl Iterator<Item = &'n str>,
) -> Problem {
    let hint = match nearest(key, known) {
        Some(near) => format!("; did you mean {near}?"),
        None if key == "jobTemplate" => {
            "; it is a CronJob's, so write template with command or exec below it".to_owned()
        }
        None => REMOVE.to_owned(),
    };
    let field = join(path, &short(key));
    Problem::at(Some(place), field.clone(), format!("unknown field {field:?}{hint}"))
}

/// The paths of all fields that a manifest may have, lists without an index.
fn collect(schema: &Json, path: &str, into: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let field = join(path, name);
        if field != "status" {
            collect(if property["items"].is_object() { &property["items"] } else { property }, &field, into);
            into.push(field);
        }
    }
}

/// The one of `names` that `wrong` most likely stands for: equal but for case, or a slip of the keyboard away.
pub(crate) fn nearest<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if wrong.len() > 100 {
        return None;
    }
    let wrong = wrong.to_lowercase();
    let allowed = 1 + wrong.chars().count() / 5;
    names
        .map(|name| (strsim::damerau_levenshtein(&wrong, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A name as it is put into a message.
fn short(key: &str) -> Cow<'_, str> {
    match key.char_indices().nth(100) {
        Some((end, _)) => Cow::Owned(format!("{}…", &key[..end])),
        None => Cow::Borrowed(key),
    }
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn parent(field: &str) -> &str {
    field.rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn last(field: &str) -> &str {
    field.rsplit_once('.').map_or(field, |(_, last)| last)
}

fn without_indices(path: &str) -> String {
    path.split('.')
        .map(|step| step.split_once('[').map_or(step, |(name, _)| name))
        .collect::<Vec<_>>()
        .join(".")
}

fn out_of_range(value: i64, schema: &Json) -> Option<String> {
    // The keywords are floating-point numbers in the definition's type.
    let bound = |keyword: &str| schema[keyword].as_f64();
    #[expect(
        clippy::cast_precision_loss,
        reason = "bounds are far below 2^52, and what is far above one is above it"
    )]
    let number = value as f64;
    match (bound("minimum"), bound("maximum")) {
        (Some(min), _) if number < min => Some(format!("at least {min}")),
        (_, Some(max)) if number > max => Some(format!("at most {max}")),
        _ => None,
    }
}

fn text_problem(text: &str, schema: &Json) -> Option<String> {
    let chars = text.chars().count() as u64;
    if let Some(allowed) = schema["enum"].as_array() {
        let allowed: Vec<_> = allowed.iter().filter_map(Json::as_str).collect();
        if allowed.contains(&text) {
            return None;
        }
        let hint = nearest(text, allowed.iter().copied())
            .map_or(String::new(), |near| format!("; did you mean {near}?"));
        return Some(format!("must be {}, not {text:?}{hint}", allowed.join(" or ")));
    }
    if chars < schema["minLength"].as_u64().unwrap_or(0) {
        return Some("is empty; write a value, or leave the field out".to_owned());
    }
    match schema["maxLength"].as_u64() {
        Some(max) if chars > max => Some(format!("has {chars} characters; at most {max} are allowed")),
        _ => None,
    }
}

/// What a reader sees, in quotes even where YAML needs none.
fn quoted(node: &Node) -> String {
    if let Value::Odd { text, .. } = &node.value { format!("{text:?}") } else { node.shown() }
}
