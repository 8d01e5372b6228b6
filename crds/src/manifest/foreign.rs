//! Objects of other kinds, as plain data that knows where it stands in the file.

use std::rc::Rc;

use serde_json::{Map, Value as Json};

use super::tree::{Node, Value};
use super::{MAX_DOCUMENT_BYTES, Problem, split, tree};

/// An object of any kind.
#[derive(Debug)]
pub struct Object {
    node: Rc<Node>,
    line: usize,
}

/// Reads the objects of all documents of a text, and of the lists in them, in order. A document that can't be read is a
/// problem in its place; one with nothing in it is passed over.
pub fn objects(text: &str) -> Vec<Result<Object, Problem>> {
    let mut found = Vec::new();
    for piece in split::split(text) {
        let Some(line) = piece.content_line else { continue };
        if piece.text.len() > MAX_DOCUMENT_BYTES {
            let message =
                format!("the document has more than {MAX_DOCUMENT_BYTES} bytes; split it with --- lines");
            found.push(Err(Problem { line: Some(line), column: None, field: String::new(), message }));
            continue;
        }
        match tree::parse(piece) {
            Ok(None) => {}
            Ok(Some(node)) => collect(node, line, &mut found),
            Err(problem) => found.push(Err(problem)),
        }
    }
    found
}

/// An object, or those that are items of a list.
fn collect(node: Rc<Node>, line: usize, into: &mut Vec<Result<Object, Problem>>) {
    let kind = node.get("kind").and_then(|kind| kind.text()).unwrap_or_default();
    match node.get("items").map(|items| &items.value) {
        Some(Value::List(items)) if kind.ends_with("List") => {
            for item in items {
                collect(Rc::clone(item), item.place.line, into);
            }
        }
        _ => into.push(Ok(Object { node, line })),
    }
}

impl Object {
    /// The 1-based line where it begins.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The 1-based line of the value at a path such as `spec.containers[0].image`, or of the one nearest to it on the way
    /// there.
    pub fn line_of(&self, path: &str) -> usize {
        let nearest = self.node.nearest(path);
        if std::ptr::eq(nearest, &raw const *self.node) { self.line } else { nearest.place.line }
    }

    /// The object as kubectl reads it; of a field that stands twice, the first.
    pub fn to_json(&self) -> Json {
        json(&self.node)
    }
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Odd { kubectl_reads: "true", .. } => true.into(),
        Value::Odd { kubectl_reads: "false", .. } => false.into(),
        Value::Odd { text, .. } => text.parse::<f64>().map_or_else(|_| text.as_str().into(), Into::into),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(|item| json(item)).collect(),
        Value::Map(entries) => {
            let mut map = Map::new();
            for entry in entries {
                map.entry(entry.key.as_str()).or_insert_with(|| json(&entry.value));
            }
            Json::Object(map)
        }
    }
}
