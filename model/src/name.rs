//! Names of jobs.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The name of a job: what follows `jobs/` in the tree.
///
/// A job of a resource is `namespace/name`; one put by hand or by the legacy page may carry any text that is safe to
/// print and to address: 1 to 512 bytes of UTF-8 without control characters, without white space at either end, and
/// whose `/`-separated parts are neither empty nor `.` nor `..`. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobName(Arc<str>);

/// Why a text is not the name of a job, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a job needs a name; write one such as backup")]
    Empty,
    /// The limit that keeps keys short and status lines readable.
    #[error("the name has {0} bytes; at most {max} are allowed", max = JobName::MAX_BYTES)]
    TooLong(usize),
    /// A NUL, a line break or another invisible character.
    #[error("the name contains the control character {0:?}; remove it")]
    Control(char),
    /// White space that nobody sees in a list.
    #[error("the name begins or ends with a space; remove it")]
    Padded,
    /// `a//b`, `/a`, `a/`, `../a`.
    #[error("the name has an empty, '.' or '..' part between slashes; write it as name or namespace/name")]
    Part,
}

impl JobName {
    /// The longest name, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 512;

    /// Checks a text and makes it a name.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(NameError::TooLong(text.len()));
        }
        if let Some(c) = text.chars().find(|c| c.is_control() || is_format(*c)) {
            return Err(NameError::Control(c));
        }
        if text.trim() != text {
            return Err(NameError::Padded);
        }
        if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(NameError::Part);
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Marks that change how the text around them is shown: zero-width characters and direction overrides.
fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for JobName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for JobName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl std::str::FromStr for JobName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<JobName> for String {
    fn from(name: JobName) -> Self {
        name.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_people_use_are_accepted() {
        for name in ["backup", "ops/rotate", "夜间备份", "nightly backup", "a.b", "x/y/z", "..."] {
            assert_eq!(JobName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_would_mislead_are_refused() {
        for (name, why) in [
            ("", NameError::Empty),
            ("a\0b", NameError::Control('\0')),
            ("a\nb", NameError::Control('\n')),
            ("a\u{202e}b", NameError::Control('\u{202e}')),
            (" a", NameError::Padded),
            ("..", NameError::Part),
            ("../a", NameError::Part),
            ("a//b", NameError::Part),
            ("a/", NameError::Part),
        ] {
            assert_eq!(JobName::new(name), Err(why), "{name:?}");
        }
        assert_eq!(JobName::new(&"x".repeat(513)), Err(NameError::TooLong(513)));
    }
}
