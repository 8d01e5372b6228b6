//! `metadata`: the rules of Kubernetes for names, namespaces, labels and annotations.

use super::tree::{Node, Value};
use super::{Problem, check};
use crate::convert::DEFAULT_NAMESPACE;

/// The fields of `metadata`. All but the first few are set by the API server, and stand in what kubectl printed.
const FIELDS: [&str; 15] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "generateName",
    "finalizers",
    "ownerReferences",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                         must start and end with an alphanumeric character, and has at most 253 of them";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', must start and \
                     end with an alphanumeric character, and has at most 63 of them";

/// The name, right or wrong, for messages.
pub(crate) fn name_as_written(node: &Node) -> Option<String> {
    node.get("metadata")?.get("name")?.text().map(str::to_owned)
}

/// The namespace and the name. `None` when one of them was refused.
pub(crate) fn read(node: &Node, problems: &mut Vec<Problem>) -> Option<(String, String)> {
    let metadata = match node.get("metadata") {
        Some(metadata) if matches!(metadata.value, Value::Map(_)) => metadata,
        Some(other) if !matches!(other.value, Value::Null) => {
            let message = format!(
                "metadata must be a mapping with a name, not {}; write metadata: {{name: backup}}",
                other.shown()
            );
            problems.push(Problem::at(Some(other.place), "metadata".to_owned(), message));
            return None;
        }
        _ => {
            problems.push(check::missing(node, "metadata.name"));
            return None;
        }
    };
    for entry in metadata.entries() {
        match entry.key.as_str() {
            "labels" | "annotations" => pairs(&entry.value, &entry.key, problems),
            key if !FIELDS.contains(&key) => {
                problems.push(check::unknown_of("metadata", key, entry.place, FIELDS.into_iter()));
            }
            _ => {}
        }
    }
    let mut text = |field: &str, valid: fn(&str) -> bool, rule: &str| {
        let value = metadata.get(field).filter(|value| !matches!(value.value, Value::Null))?;
        let wrong = match value.text() {
            Some(text) if valid(text) => return Some(Ok(text.to_owned())),
            Some(text) => format!("metadata.{field} {text:?} can't be used: {rule}"),
            None => format!("metadata.{field} must be text, not {}; put it in quotes", value.shown()),
        };
        problems.push(Problem::at(Some(value.place), format!("metadata.{field}"), wrong));
        Some(Err(()))
    };
    let namespace = text("namespace", is_label, LABEL).unwrap_or(Ok(DEFAULT_NAMESPACE.to_owned()));
    let Some(name) = text("name", is_subdomain, SUBDOMAIN) else {
        problems.push(check::missing(metadata, "metadata.name"));
        return None;
    };
    Some((namespace.ok()?, name.ok()?))
}

/// Checks labels or annotations: text under qualified names.
fn pairs(node: &Node, which: &str, problems: &mut Vec<Problem>) {
    let field = format!("metadata.{which}");
    if !matches!(node.value, Value::Map(_) | Value::Null) {
        let message = format!("{field} must be a mapping of names to texts, not {}", node.shown());
        problems.push(Problem::at(Some(node.place), field, message));
        return;
    }
    for entry in node.entries() {
        let (place, wrong) = match &entry.value.value {
            _ if !is_qualified(&entry.key) => (
                entry.place,
                "is no valid name; use letters, digits, '-', '_' and '.', at most 63 of them".to_owned(),
            ),
            Value::Text(text) if which == "labels" && !text.is_empty() && !is_label_text(text) => {
                let rule =
                    "use letters, digits, '-', '_' and '.', at most 63 of them, or put it into an annotation";
                (entry.value.place, format!("can't be {text:?}; {rule}"))
            }
            Value::Text(_) | Value::Null => continue,
            _ => {
                let shown = entry.value.shown();
                (entry.value.place, format!("must be text, not {shown}; put it in quotes: \"{shown}\""))
            }
        };
        let field = format!("{field}.{}", entry.key);
        let message = format!("{field} {wrong}");
        problems.push(Problem::at(Some(place), field, message));
    }
}

/// RFC 1123, a label: the rule of namespaces.
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// RFC 1123, a subdomain: the rule of names. Unlike in a namespace, a part may have more than 63 characters.
fn is_subdomain(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// The value of a label, or the name part of a key.
fn is_label_text(text: &str) -> bool {
    let end = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && end(bytes.first())
        && end(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// A key of a label or an annotation: a name, with or without a domain before it.
fn is_qualified(key: &str) -> bool {
    match key.split_once('/') {
        Some((domain, name)) => is_subdomain(domain) && is_label_text(name),
        None => is_label_text(key),
    }
}
