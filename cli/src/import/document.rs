//! One document that is printed: a manifest with the comments above it.

use std::fmt::Write as _;

use crds::NodeCronJobSpec;
use crds::manifest::{self, Content};
use serde_json::json;
use serde_yaml::{Mapping, Value};

use super::yaml;

/// The longest comment, in characters. What is longer is cut.
const LONGEST: usize = 300;

/// A job to be printed.
#[derive(Debug)]
pub(super) struct Document {
    place: String,
    source: String,
    notes: Vec<String>,
    namespace: Option<String>,
    name: String,
    /// What is printed, without what has its default.
    pub(super) spec: NodeCronJobSpec,
}

impl Document {
    /// A job that came from `place` and is written there as `source`.
    pub(super) fn new(place: String, source: &str, namespace: Option<&str>, name: String) -> Self {
        let spec = default_spec();
        let namespace = namespace.map(str::to_owned);
        Self { place, source: source.to_owned(), notes: Vec::new(), namespace, name, spec }
    }

    /// Where it came from.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Says something that could mean something else here.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(super) fn has_notes(&self) -> bool {
        !self.notes.is_empty()
    }

    /// The document with its comments, or why the job can't be one.
    pub(super) fn to_yaml(&self) -> Result<String, String> {
        let mut text = "---\n".to_owned();
        let line = if self.source.is_empty() {
            self.place.clone()
        } else {
            format!("{}: {}", self.place, self.source)
        };
        writeln!(text, "# {}", one_line(&line)).expect("writing to a string succeeds");
        for note in &self.notes {
            writeln!(text, "# note: {}", one_line(note)).expect("writing to a string succeeds");
        }
        text.push_str(&self.manifest()?);
        check(&text)?;
        Ok(text)
    }

    fn manifest(&self) -> Result<String, String> {
        let mut metadata = json!({ "name": self.name });
        if let Some(namespace) = &self.namespace {
            metadata["namespace"] = namespace.as_str().into();
        }
        let yaml = || {
            let mut manifest = Mapping::new();
            manifest.insert("apiVersion".into(), "crontab.dev/v1alpha1".into());
            manifest.insert("kind".into(), "NodeCronJob".into());
            manifest.insert("metadata".into(), serde_yaml::to_value(&metadata)?);
            let defaults = serde_yaml::to_value(default_spec())?;
            manifest.insert("spec".into(), without(serde_yaml::to_value(&self.spec)?, &defaults));
            Ok::<_, serde_yaml::Error>(yaml::emit(&Value::Mapping(manifest)))
        };
        yaml().map_err(|why| format!("it can't be written as YAML: {why}"))
    }
}

/// What a spec has that says nothing.
fn default_spec() -> NodeCronJobSpec {
    serde_json::from_value(json!({ "schedule": "", "template": {} })).expect("all other fields have defaults")
}

/// The fields that are not as in `defaults`. The zone is always said, since other systems have another default.
fn without(value: Value, defaults: &Value) -> Value {
    let Value::Mapping(fields) = value else { return value };
    let mut kept = Mapping::new();
    for (key, value) in fields {
        let default = defaults.get(&key);
        if key == "timeZone" || default != Some(&value) {
            let value = if key == "template" {
                default.map(|default| without(value.clone(), default)).unwrap_or(value)
            } else {
                value
            };
            kept.insert(key, value);
        }
    }
    Value::Mapping(kept)
}

/// Reads a document back, as an API server would.
fn check(text: &str) -> Result<(), String> {
    let problems = |content| match content {
        Content::Job(_) => None,
        Content::Refused(refusal) => Some(refusal.problems),
        Content::Empty | Content::Other(_) => Some(Vec::new()),
    };
    let problems: Vec<_> = manifest::read(text).filter_map(|document| problems(document.content)).collect();
    if problems.is_empty() {
        return Ok(());
    }
    let said: Vec<_> = problems.into_iter().flatten().map(|problem| problem.message).collect();
    Err(said.join("; "))
}

/// A text as it can stand in a comment: one line, and not too long a one.
pub(super) fn one_line(text: &str) -> String {
    let mut line = harmless(text.trim());
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// A text in which nothing ends the line, steers a terminal or hides.
pub(super) fn harmless(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().fold(String::new(), |mut line, c| {
        match c {
            '\t' => line.push(' '),
            c if hidden(c) => line.extend(c.escape_default()),
            c => line.push(c),
        }
        line
    })
}
