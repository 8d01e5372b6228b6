//! Reads manifests: the text people write, into jobs and into messages about what is wrong.
//!
//! A **document** is what stands between two `---` lines, or one item of a `List`. Each is read by itself, so a broken one
//! hurts no other. What is refused here is what kubectl and an API server refuse, and besides that what only our parser
//! sees, such as a schedule that never matches; a refused document names every problem that could be found, each with its
//! place in the file. JSON is read as the YAML it is. Not here: opening files, and what becomes of a job.

mod check;
mod foreign;
mod metadata;
mod object;
mod split;
mod tree;

use std::fmt;

use model::job::{Job, JobSpec};

use tree::Place;

pub use foreign::{Object, objects};

/// The longest document that is read, in bytes. An API server takes objects of about the same size.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;

/// The most problems that are told of one document.
pub const MAX_PROBLEMS: usize = 100;

/// One document of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// How many `---`-separated documents stand before it, silent ones included. The items of a `List` share its index.
    pub index: usize,
    /// The 1-based line of its first content; of its first comment when it has no content.
    pub line: usize,
    /// What it turned out to be.
    pub content: Content,
}

/// What a document turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Nothing but comments and white space, or a `List` of nothing.
    Empty,
    /// An object of some other kind, which is not ours to judge.
    Other(OtherObject),
    /// A job.
    Job(Box<JobObject>),
    /// A job, or something that can't be told from one, that is not as it should be.
    Refused(Refusal),
}

/// An object of another kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherObject {
    /// As written, such as `apps/v1`.
    pub api_version: String,
    /// As written, such as `Deployment`.
    pub kind: String,
    /// `metadata.name`, where there is one.
    pub name: Option<String>,
    /// What to write where it looks as if a job was meant.
    pub hint: Option<&'static str>,
}

/// A valid `NodeCronJob`.
#[derive(Clone, Debug, PartialEq)]
pub struct JobObject {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`, or [`crate::DEFAULT_NAMESPACE`].
    pub namespace: String,
    /// The spec with its defaults: what is stored in the tree.
    pub spec: JobSpec,
    /// The same, checked; its name is `namespace/name`.
    pub job: Job,
}

/// Why a document was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `metadata.name`, where one could be read.
    pub name: Option<String>,
    /// At least one, in the order of the file, and at most [`MAX_PROBLEMS`].
    pub problems: Vec<Problem>,
}

/// One thing that is wrong. `Display` is the message alone; where it stands is for the caller to put before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The 1-based line in the file. A field that is missing is shown where the mapping begins that lacks it.
    pub line: Option<usize>,
    /// The 1-based column in that line, in characters.
    pub column: Option<usize>,
    /// The field's path, such as `spec.template.env[0].name`; empty where the document as a whole is meant.
    pub field: String,
    /// One sentence: what is wrong, and what to write instead.
    pub message: String,
}

impl Problem {
    pub(crate) fn at(place: Option<Place>, field: String, message: String) -> Self {
        Self { line: place.map(|p| p.line), column: place.map(|p| p.column), field, message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Reads all documents of a text, in order, each when it is asked for. No text makes it panic, and its work grows with the
/// text's length alone.
pub fn read(text: &str) -> impl Iterator<Item = Document> {
    split::split(text).into_iter().enumerate().flat_map(|(index, piece)| documents(index, piece))
}

/// The documents of one piece: one, or the items of a `List`.
fn documents(index: usize, piece: split::Piece<'_>) -> Vec<Document> {
    let document = |line, content| Document { index, line, content };
    let refused = |problem| Content::Refused(Refusal { name: None, problems: vec![problem] });
    let Some(line) = piece.content_line else { return vec![document(piece.line, Content::Empty)] };
    if piece.text.len() > MAX_DOCUMENT_BYTES {
        let message = format!(
            "the document has {} bytes; at most {MAX_DOCUMENT_BYTES} are read: split it with --- lines",
            piece.text.len()
        );
        return vec![document(
            line,
            refused(Problem::at(Some(Place { line, column: 1 }), String::new(), message)),
        )];
    }
    match tree::parse(piece) {
        Ok(None) => vec![document(line, Content::Empty)],
        Ok(Some(node)) => {
            let mut documents = Vec::new();
            object::read(&node, &split::Lines::of(piece), &mut |place, content| {
                documents.push(document(place.map_or(line, |place| place.line), content));
            });
            documents
        }
        Err(problem) => vec![document(line, refused(problem))],
    }
}
