//! Why a text is not a schedule, where, and what to write instead.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

/// Why a text is not a schedule. `Display` is one sentence that ends with what to write instead; the accessors let a
/// caller draw the text with a caret line under the mistake.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct ScheduleError {
    problem: String,
    field: Option<&'static str>,
    offset: usize,
    length: usize,
    suggestion: Option<String>,
}

impl ScheduleError {
    /// A problem with the bytes `span` of `text`.
    pub(super) fn new(text: &str, span: Range<usize>, problem: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            field: None,
            offset: text[..span.start].chars().count(),
            length: text[span].chars().count(),
            suggestion: None,
        }
    }

    /// The same, in one of the fields.
    pub(super) fn in_field(mut self, name: &'static str) -> Self {
        self.field = Some(name);
        self
    }

    /// The same, with a text to write in the place of the marked one.
    pub(super) fn suggest(mut self, instead: Option<impl Into<String>>) -> Self {
        self.suggestion = instead.map(Into::into);
        self
    }

    /// The field the mistake is in, such as `day of month`; `None` when it concerns the text as a whole.
    pub fn field(&self) -> Option<&'static str> {
        self.field
    }

    /// Where the mistake begins: characters (not bytes) before it. `Display` counts from one.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// How many characters the mistake spans; zero where something is missing.
    pub fn length(&self) -> usize {
        self.length
    }

    /// What was probably meant, to be put in the place of the marked characters.
    pub fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean {suggestion}?"),
            None => Ok(()),
        }
    }
}

/// The one of `words` that `wrong` most likely stands for: equal but for case, or a slip of the keyboard away.
pub(super) fn closest<'w>(wrong: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let wrong = wrong.to_lowercase();
    let allowed = 1 + wrong.chars().count() / 6;
    words
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&wrong, &word.to_lowercase()), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}
