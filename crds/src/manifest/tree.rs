//! One document as a tree of values that know where they stand in the file.
//!
//! Scalars are read as kubectl reads them. Where YAML 1.1 (kubectl) and YAML 1.2 read one differently, such as `yes` or
//! `010`, it becomes [`Value::Odd`], so that nobody gets a meaning he did not write.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::Problem;
use super::split::{Lines, Piece};

/// How deep lists and mappings may be nested. A manifest of ours needs six levels.
const MAX_DEPTH: usize = 64;
/// How many values a document may have, those that aliases repeat included: about six times what fits into one without.
const MAX_NODES: usize = 200_000;

/// A place in the file, both counted from one; the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A value and where its text begins. What an alias stands for stands where the anchor is.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
    /// The number of values in it, itself included.
    size: usize,
}

#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// A plain scalar that is no text for kubectl, but neither a plain decimal number nor `true` or `false`.
    Odd {
        text: String,
        kubectl_reads: &'static str,
    },
    Text(String),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

/// One field of a mapping. A mapping keeps the duplicates of a key; the first one counts.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Rc<Node>,
    /// It came by `<<`, so an entry written out is no duplicate of it.
    merged: bool,
}

impl Node {
    /// The value of a field; `None` where the node is no mapping or has no such field.
    pub(crate) fn get(&self, key: &str) -> Option<&Rc<Node>> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The fields; none where the node is no mapping.
    pub(crate) fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The entries; none where the node is no list.
    pub(crate) fn items(&self) -> &[Rc<Node>] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The text, where it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// The value at a path such as `template.env[2].name`, or the one nearest to it on the way there.
    pub(crate) fn nearest(&self, path: &str) -> &Node {
        let mut node = self;
        for step in path.split(['.', '[']) {
            let next =
                match (&node.value, step.strip_suffix(']').and_then(|index| index.parse::<usize>().ok())) {
                    (Value::List(items), Some(index)) => items.get(index),
                    _ => node.get(step),
                };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node
    }

    /// What a reader sees, for "must be …, not X".
    pub(crate) fn shown(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Odd { text, .. } => text.clone(),
            Value::Text(text) if text.chars().count() > 40 => {
                format!("{:?}…", text.chars().take(40).collect::<String>())
            }
            Value::Text(text) => format!("{text:?}"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Parses one document; `None` when there is nothing in it.
pub(crate) fn parse(piece: Piece<'_>) -> Result<Option<Rc<Node>>, Problem> {
    let mut builder = Builder {
        parser: Parser::new_from_str(piece.text),
        line_before: piece.line - 1,
        anchors: HashMap::new(),
        nodes: 0,
    };
    let found = builder.document().map_err(|problem| explain(piece, problem))?;
    Ok(found.filter(|node| !matches!(node.value, Value::Null)))
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    line_before: usize,
    anchors: HashMap<usize, Rc<Node>>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Option<Rc<Node>>, Problem> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
                (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(None),
                (event, place) => {
                    let node = self.node(event, place, 0)?;
                    // What the markers did not end goes on: a second value without a marker before it is an error.
                    return match self.next()? {
                        (Event::DocumentEnd, _) => match self.next()? {
                            (Event::StreamEnd, _) => Ok(Some(node)),
                            (_, place) => {
                                Err(self.problem(place, "a second document begins here; write --- before it"))
                            }
                        },
                        (_, place) => {
                            Err(self
                                .problem(place, "the document should end here; write --- before the next"))
                        }
                    };
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Place), Problem> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.place(span.start))),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, Place { line: self.line_before + 1, column: 1 })),
        }
    }

    /// The value that `event` begins.
    fn node(&mut self, event: Event<'a>, place: Place, depth: usize) -> Result<Rc<Node>, Problem> {
        if depth > MAX_DEPTH {
            return Err(
                self.problem(place, &format!("this is nested more than {MAX_DEPTH} levels deep; flatten it"))
            );
        }
        let (anchor, value) = match event {
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    return Err(
                        self.problem(place, "this alias stands inside of what it names; write the value out")
                    );
                };
                self.count(node.size, place)?;
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => (anchor, scalar(&text, style, tag.as_deref())),
            Event::SequenceStart(anchor, _) => (anchor, self.list(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(depth)?),
            _ => return Err(self.problem(place, "a value is missing here")),
        };
        self.count(1, place)?;
        let size = 1 + match &value {
            Value::List(items) => items.iter().map(|item| item.size).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.value.size).sum(),
            _ => 0,
        };
        let node = Rc::new(Node { place, value, size });
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, place) => items.push(self.node(event, place, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut entries = Vec::new();
        let mut merges = Vec::new();
        loop {
            let (event, place) = match self.next()? {
                (Event::MappingEnd, _) => break,
                other => other,
            };
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.node(event, place, depth + 1)?;
            let (event, value_place) = self.next()?;
            let value = self.node(event, value_place, depth + 1)?;
            if merge {
                merges.push((place, value));
                continue;
            }
            let key = match &key.value {
                Value::Text(key) => key.clone(),
                Value::Null => "null".to_owned(),
                Value::Bool(_) | Value::Int(_) | Value::Odd { .. } => key.shown(),
                Value::List(_) | Value::Map(_) => {
                    return Err(self.problem(place, "a field's name must be text, not a list or a mapping"));
                }
            };
            entries.push(Entry { key, place, value, merged: false });
        }
        for (place, value) in merges {
            self.merge(&mut entries, place, &value)?;
        }
        Ok(Value::Map(entries))
    }

    /// Adds the fields of `<<` that the mapping does not have itself.
    fn merge(&mut self, entries: &mut Vec<Entry>, place: Place, value: &Rc<Node>) -> Result<(), Problem> {
        let sources = match &value.value {
            Value::Map(_) => std::slice::from_ref(value),
            Value::List(sources) => sources.as_slice(),
            _ => &[],
        };
        if sources.is_empty() || sources.iter().any(|source| !matches!(source.value, Value::Map(_))) {
            return Err(
                self.problem(place, "<< takes a mapping; write the alias of one, such as <<: *defaults")
            );
        }
        let mut known: std::collections::HashSet<_> = entries.iter().map(|entry| entry.key.clone()).collect();
        for source in sources {
            for entry in source.entries() {
                if known.insert(entry.key.clone()) {
                    self.count(entry.value.size, place)?;
                    entries.push(Entry { merged: true, ..entry.clone() });
                }
            }
        }
        Ok(())
    }

    /// Keeps a few lines of aliases from standing for a billion values.
    fn count(&mut self, more: usize, place: Place) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let message = format!(
            "the document has more than {MAX_NODES} values, aliases counted as what they stand for; split it"
        );
        Err(self.problem(place, &message))
    }

    fn place(&self, mark: Marker) -> Place {
        Place { line: self.line_before + mark.line(), column: mark.col() + 1 }
    }

    fn syntax(&self, error: &ScanError) -> Problem {
        self.problem(self.place(*error.marker()), &format!("this is not YAML: {}", error.info()))
    }

    #[expect(clippy::unused_self, reason = "reads as the other constructors do")]
    fn problem(&self, place: Place, message: &str) -> Problem {
        Problem::at(Some(place), String::new(), message.to_owned())
    }
}

/// Adds what a parser's own words don't explain: tabs, and characters that mean something to YAML.
fn explain(piece: Piece<'_>, mut problem: Problem) -> Problem {
    let number = problem.line.unwrap_or(piece.line);
    let lines = Lines::of(piece);
    let line = lines.get(number).unwrap_or_default();
    let indented_by_tab = |line: &str| line.trim_start_matches(' ').starts_with('\t');
    let value = line.split_once(": ").map_or("", |(_, value)| value.trim());
    if problem.message.contains(" tab") {
        // The parser shows where the value before the tab began.
        let tab = |number: &usize| lines.get(*number).is_some_and(indented_by_tab);
        if let (false, Some(number)) = (indented_by_tab(line), (number..number + 100).find(tab)) {
            (problem.line, problem.column) = (Some(number), Some(1));
        }
        problem.message.push_str("; indent with spaces, not with tabs");
    } else if value.starts_with(['*', '@', '%', '`', '&', '!', '|', '>', '?']) {
        let hint = format!("; put a value that begins with {:?} in quotes: {value:?}", &value[..1]);
        problem.message.push_str(&hint);
    }
    problem
}

/// What a scalar means.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let text_tag = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    if style != ScalarStyle::Plain || text_tag {
        return Value::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let odd = |kubectl_reads| Value::Odd { text: text.to_owned(), kubectl_reads };
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return odd("true"),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return odd("false"),
        ".nan" | ".NaN" | ".NAN" => return odd("a number"),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if decimal && (digits.len() == 1 || !digits.starts_with('0')) {
        return text.parse().map_or_else(|_| odd("a number"), Value::Int);
    }
    let compact = digits.replace('_', "");
    let radix = ["0x", "0o", "0b"].iter().any(|prefix| {
        compact
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    let number = compact.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && (compact.parse::<f64>().is_ok() || matches!(&*compact, ".inf" | ".Inf" | ".INF"));
    if radix || number { odd("a number") } else { Value::Text(text.to_owned()) }
}

/// The fields that stand more than once in one mapping, with the place of each repetition.
pub(crate) fn duplicates(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    let mut seen = std::collections::HashSet::new();
    entries.iter().filter(move |entry| !entry.merged && !seen.insert(entry.key.as_str()))
}
