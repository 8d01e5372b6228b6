//! Words that another version may have written: names of a closed set that this version knows only in part, and the
//! features that a value needs.

use std::cmp::Ordering;
use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// How many different [`Word`]s a process keeps.
const MOST_WORDS: usize = 1024;

/// The longest [`Word`], in bytes.
const MAX_WORD_BYTES: usize = 63;

/// The words seen so far, without a gap. They stay for the life of the process, so that a [`Word`] is as small and as
/// cheap to copy as a variant without content.
static WORDS: [OnceLock<Box<str>>; MOST_WORDS] = [const { OnceLock::new() }; MOST_WORDS];

/// A name that this version has no variant for, such as an outcome of a newer version.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word(u16);

impl Word {
    /// The word of this text. `None` for an empty one, for one of more than 63 bytes, and where the process has met too
    /// many different ones (1024): what holds such a word is unreadable.
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > MAX_WORD_BYTES {
            return None;
        }
        // The first free place is taken, so one text never has two.
        let place = WORDS.iter().position(|place| **place.get_or_init(|| text.into()) == *text)?;
        u16::try_from(place).ok().map(Self)
    }

    /// The text.
    pub fn as_str(self) -> &'static str {
        WORDS[usize::from(self.0)].get().expect("a word is in the table before it is made")
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Ord for Word {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for Word {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Serde for an enum of names with a variant `Other(Word)`: as text, in both directions.
macro_rules! named {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Name;
                impl serde::de::Visitor<'_> for Name {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a name of 1 to 63 bytes")
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        <$type>::named(text)
                            .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
                    }
                }
                from.deserialize_str(Name)
            }
        }
    };
}
pub(crate) use named;

/// A set of words: what a value needs of its reader, or what a worker understands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Box<str>>")]
pub struct Words(Box<[Box<str>]>);

impl Words {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The words, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|word| &**word)
    }

    /// Whether every word of `needs` is among these.
    pub fn hold(&self, needs: &Self) -> bool {
        needs.iter().all(|need| self.has(need))
    }

    /// The words of `needs` that are not among these.
    #[must_use]
    pub fn lacking(&self, needs: &Self) -> Self {
        needs.iter().filter(|need| !self.has(need)).collect()
    }

    /// The words of both.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        self.iter().chain(others.iter()).collect()
    }

    fn has(&self, word: &str) -> bool {
        self.0.binary_search_by(|known| (**known).cmp(word)).is_ok()
    }
}

impl From<Vec<Box<str>>> for Words {
    fn from(mut words: Vec<Box<str>>) -> Self {
        words.sort_unstable();
        words.dedup();
        Self(words.into())
    }
}

impl<'a> FromIterator<&'a str> for Words {
    fn from_iter<I: IntoIterator<Item = &'a str>>(words: I) -> Self {
        words.into_iter().map(Box::from).collect::<Vec<_>>().into()
    }
}

impl fmt::Display for Words {
    /// `one, two`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, word) in self.iter().enumerate() {
            write!(f, "{}{word}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_kept_once() {
        let words = ["Postponed", "Abandoned"].map(|text| Word::new(text).unwrap());
        assert_eq!(Word::new("Postponed"), Some(words[0]));
        assert_ne!(words[0], words[1]);
        assert_eq!(words[0].as_str(), "Postponed");
        assert!(words[1] < words[0], "by their texts");
        assert_eq!(Word::new(""), None);
        assert_eq!(Word::new(&"x".repeat(64)), None);
    }

    #[test]
    fn a_set_has_each_word_once_in_any_order() {
        let set: Words = serde_json::from_str(r#"["b", "a", "b"]"#).unwrap();
        assert_eq!(set, ["a", "b"].into_iter().collect());
        assert_eq!(serde_json::to_string(&set).unwrap(), r#"["a","b"]"#);
        let c: Words = ["c", "a"].into_iter().collect();
        assert!(set.hold(&Words::default()) && set.hold(&set) && !set.hold(&c));
        assert_eq!(set.lacking(&c).to_string(), "c");
        assert_eq!(set.and(&c).to_string(), "a, b, c");
    }
}
