//! One entry of a field's comma-separated list: `5`, `MON-FRI`, `*/15`, `H(0-29)/10`, `L-2`, `15W`, `5#3`.

use std::ops::Range;

use super::Dialect;
use super::error::ScheduleError;
use super::field::{Field, WideSet};
use crate::hash::stable_hash;
use crate::name::JobName;

/// A piece of the text and where it begins, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}

impl Word<'_> {
    pub(super) fn span(&self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }

    fn part(self, range: Range<usize>) -> Self {
        Self { text: &self.text[range.clone()], at: self.at + range.start }
    }

    fn split_once(self, separator: char) -> Option<(Self, Self)> {
        let at = self.text.find(separator)?;
        Some((self.part(0..at), self.part(at + separator.len_utf8()..self.text.len())))
    }

    fn split_list(self) -> impl Iterator<Item = Self> {
        let start = self.text.as_ptr().addr();
        self.text.split(',').map(move |text| Self { text, at: self.at + text.as_ptr().addr() - start })
    }

    fn strip_suffix_char(self, suffix: char) -> Option<Self> {
        let last = self.text.chars().last()?;
        last.eq_ignore_ascii_case(&suffix).then(|| self.part(0..self.text.len() - last.len_utf8()))
    }

    fn is(self, text: &str) -> bool {
        self.text.eq_ignore_ascii_case(text)
    }
}

/// What an entry names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry {
    /// `*` or `?`: the field is open.
    Any,
    /// Values of the field; whether they come of the job's name.
    Values { set: WideSet, by_name: bool },
    /// `L` (0) or `L-n`.
    BeforeLast(u32),
    /// `LW`.
    LastWorkday,
    /// `nW`.
    Nearest(u32),
    /// `5L`.
    LastOn(u32),
    /// `5#3`.
    NthOn(u32, u32),
}

/// Where an entry stands, and what it is read with.
pub(super) struct Context<'a> {
    pub(super) text: &'a str,
    pub(super) field: Field,
    /// Its place in the text, from 1.
    pub(super) number: usize,
    /// How many fields the text has.
    pub(super) of: usize,
    pub(super) dialect: Dialect,
    pub(super) name: &'a JobName,
}

impl Context<'_> {
    /// The entries of a field.
    pub(super) fn entries(&self, word: Word<'_>) -> Result<Vec<Entry>, ScheduleError> {
        word.split_list().map(|entry| self.entry(entry)).collect()
    }

    /// An error about a word: `help` says what may be written in its place.
    fn fail(&self, word: Word<'_>, help: &str) -> ScheduleError {
        let place = format!("field {} ({})", self.number, self.field.name());
        let character = self.text[..word.at].chars().count() + 1;
        // Where the sixth field goes is what dialects disagree about.
        let first = match (self.of, self.dialect) {
            (6, Dialect::Standard) => " (with 6 fields the first is the second)",
            (6, Dialect::Legacy) => " (with 6 fields the last is the year)",
            _ => "",
        };
        let problem = if word.text.is_empty() {
            format!("{place} lacks a value at character {character}; {help}{first}")
        } else {
            format!("{place} says {} at character {character}; {help}{first}", word.text)
        };
        ScheduleError::new(self.text, word.span(), problem).in_field(self.field.name())
    }

    fn entry(&self, word: Word<'_>) -> Result<Entry, ScheduleError> {
        let (base, step) = match word.split_once('/') {
            Some((base, step)) => (base, Some(step)),
            None => (word, None),
        };
        if let Some(special) = self.special(base)? {
            return match step {
                None => Ok(special),
                Some(_) => Err(self.fail(word, "a step needs a range before it, such as 1-15/2")),
            };
        }
        let hashed = base.text.starts_with(['H', 'h']);
        if hashed && self.dialect == Dialect::Legacy {
            return Err(self.fail(word, "the legacy dialect has no H; write a number"));
        }
        let step = step.map(|step| self.step(step, word)).transpose()?;
        if hashed {
            return self.hashed(base, step);
        }
        let (min, max) = (self.field.min(), self.field.max());
        match (base.text, step) {
            ("*" | "?", None) => Ok(Entry::Any),
            ("*" | "?", Some(1)) if self.dialect == Dialect::Standard => Ok(Entry::Any),
            ("?", Some(step)) if self.dialect == Dialect::Legacy => {
                let help = "in the legacy dialect ? takes no step";
                Err(self.fail(word, help).suggest(Some(format!("*/{step}"))))
            }
            ("*" | "?", Some(step)) => Ok(self.values(min, max, step, false)),
            _ => {
                if let Some(ends) = base.split_once('-') {
                    return self.range(base, ends, step.unwrap_or(1));
                }
                let value = self.value(base)?;
                Ok(match step {
                    None => self.values(value, value, 1, false),
                    Some(step) => self.values(self.field.wrap(value), max, step, false),
                })
            }
        }
    }

    /// A range, which may pass the end of the field in the standard dialect.
    fn range(&self, base: Word<'_>, ends: (Word<'_>, Word<'_>), step: u32) -> Result<Entry, ScheduleError> {
        let from = self.value(ends.0)?;
        let to = self.value(ends.1).map_err(|error| match error.suggestion() {
            // Who ends a range with 24 or 60 doesn't mean it to wrap.
            Some("0") => error.suggest(Some(self.field.max().to_string())),
            _ => error,
        })?;
        let backwards = from > to;
        if backwards && self.field == Field::Year {
            let turned = format!("{}-{}", ends.1.text, ends.0.text);
            return Err(self.fail(base, "a range of years ascends").suggest(Some(turned)));
        }
        let values = if backwards && self.field.wrap(from) <= to {
            self.values(self.field.wrap(from), to, step, false)
        } else {
            self.values(from, to, step, false)
        };
        // The library of the system being replaced stops the process on 22-2, and reads 5-7 as no day at all.
        let misread = backwards || (to > self.field.max() && from < to);
        if let (Dialect::Legacy, true, Entry::Values { set, .. }) = (self.dialect, misread, values) {
            let help = "in the legacy dialect a range ascends and Sunday is 0";
            return Err(self.fail(base, help).suggest(Some(set.text(self.field))));
        }
        Ok(values)
    }

    /// The values from `from` to `to`, on past the end of the field where `to` is before `from`.
    fn values(&self, from: u32, to: u32, step: u32, by_name: bool) -> Entry {
        let to = if from > to { to + self.field.size() } else { to };
        let values = (from..=to).step_by(step as usize);
        let set = values.map(|value| (self.field, self.field.wrap(value))).collect();
        Entry::Values { set, by_name }
    }

    /// `H`, `H(a-b)`, with a step or not.
    fn hashed(&self, base: Word<'_>, step: Option<u32>) -> Result<Entry, ScheduleError> {
        if self.field == Field::Year {
            return Err(self.fail(base, "a year can't be left to H; write * or years such as 2026-2030"));
        }
        let shape = "H is written H, H(a-b), H/n or H(a-b)/n";
        let (from, to) = match base.part(1..base.text.len()) {
            all if all.text.is_empty() => {
                // As in Jenkins, only days that every month has.
                let to = if self.field == Field::DayOfMonth { 28 } else { self.field.max() };
                (self.field.min(), to)
            }
            range => {
                let inside = range.text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
                let inside = inside.map(|text| Word { text, at: range.at + 1 });
                let (from, to) =
                    inside.and_then(|inside| inside.split_once('-')).ok_or_else(|| self.fail(base, shape))?;
                (self.value(from)?, self.value(to)?)
            }
        };
        let from = if from > to { self.field.wrap(from) } else { from };
        let size = if from > to { to + self.field.size() - from } else { to - from } + 1;
        let hash = stable_hash(&[self.name.as_str(), self.field.seed()]);
        let within = |size: u32| u32::try_from(hash % u64::from(size)).unwrap_or(0);
        Ok(match step {
            None => {
                let value = self.field.wrap(from + within(size));
                self.values(value, value, 1, true)
            }
            Some(step) => {
                let start = within(step.min(size));
                self.values(from + start, from + size - 1, step, true)
            }
        })
    }

    /// The forms with `L`, `W` and `#`.
    fn special(&self, word: Word<'_>) -> Result<Option<Entry>, ScheduleError> {
        if word.text.contains('#') {
            return self.nth(word).map(Some);
        }
        let bare_last = word.is("L") || word.text.starts_with(['L', 'l']) && word.text[1..].starts_with('-');
        if word.is("LW") || word.is("WL") || bare_last {
            return self.last(word).map(Some);
        }
        let number = |word: &Word<'_>| !word.text.is_empty() && word.text.bytes().all(|b| b.is_ascii_digit());
        if let Some(day) = word.strip_suffix_char('W').filter(number) {
            if self.field != Field::DayOfMonth {
                return Err(self.fail(word, "W belongs in the day of month; write a plain value here"));
            }
            return Ok(Some(Entry::Nearest(self.value(day)?)));
        }
        // April ends with an L as well, so a name of a month stays what it is.
        let last = word.strip_suffix_char('L').filter(|_| self.field.named(word.text).is_none());
        if let Some(day) = last.filter(|day| number(day) || self.field == Field::DayOfWeek) {
            if self.field != Field::DayOfWeek {
                let help = "the last of a weekday belongs in the day of week, such as 5L for the last Friday";
                return Err(self.fail(word, help));
            }
            return Ok(Some(Entry::LastOn(self.field.wrap(self.value(day)?))));
        }
        Ok(None)
    }

    /// `L`, `L-n` and `LW`, all of them days of the month.
    fn last(&self, word: Word<'_>) -> Result<Entry, ScheduleError> {
        match self.field {
            Field::DayOfMonth => {}
            Field::DayOfWeek => {
                return Err(self.fail(word, "L needs its weekday here, such as 5L for the last Friday"));
            }
            _ => return Err(self.fail(word, "L belongs in the day of month; write a plain value here")),
        }
        if word.is("L") {
            return Ok(Entry::BeforeLast(0));
        }
        if word.is("LW") {
            return Ok(Entry::LastWorkday);
        }
        if word.is("WL") {
            return Err(self.fail(word, "the last Monday to Friday of a month is LW").suggest(Some("LW")));
        }
        if self.dialect == Dialect::Legacy {
            return Err(self.fail(word, "the legacy dialect has no L-n; write L or a number"));
        }
        match word.text[2..].parse() {
            Ok(n @ 0..=30) => Ok(Entry::BeforeLast(n)),
            _ => Err(self.fail(word, "L-n is L-1 to L-30, so many days before the last")),
        }
    }

    /// `5#3`.
    fn nth(&self, word: Word<'_>) -> Result<Entry, ScheduleError> {
        if self.field != Field::DayOfWeek {
            return Err(self.fail(word, "# belongs in the day of week; write a plain value here"));
        }
        let Some((day, nth)) = word.split_once('#') else {
            return Err(self.fail(word, "write such as 5#3 for the third Friday"));
        };
        let day = self.field.wrap(self.value(day)?);
        let single = nth.text.len() == 1;
        match nth.text.parse() {
            Ok(nth @ 1..=5) if single => Ok(Entry::NthOn(day, nth)),
            _ if nth.is("L") => {
                let help = "the last of a weekday is written with L alone";
                Err(self.fail(word, help).suggest(Some(format!("{day}L"))))
            }
            _ => {
                Err(self.fail(word, "a weekday comes at most 5 times in a month, so # is followed by 1 to 5"))
            }
        }
    }

    /// A step. One that reaches past the field's end would name its first value alone, which is rarely meant.
    fn step(&self, word: Word<'_>, entry: Word<'_>) -> Result<u32, ScheduleError> {
        let max = self.field.max_step();
        match word.text.parse() {
            Ok(step) if (1..=max).contains(&step) && word.text.bytes().all(|b| b.is_ascii_digit()) => {
                if self.dialect == Dialect::Legacy && word.text.len() > 2 {
                    let help = "in the legacy dialect a step has at most two digits";
                    return Err(self.fail(word, help).suggest(Some(step.to_string())));
                }
                Ok(step)
            }
            Ok(step) if step >= self.field.size() && entry.text.starts_with("*/") => {
                let first = self.field.min();
                let help =
                    format!("a step in this field is 1 to {max}, and a greater one would give {first} alone");
                Err(self.fail(entry, &help).suggest(Some(first.to_string())))
            }
            _ => Err(self.fail(word, &format!("after / comes a step of 1 to {max}"))),
        }
    }

    /// A number or a name, as written: Sunday may be 7.
    fn value(&self, word: Word<'_>) -> Result<u32, ScheduleError> {
        let allowed = self.field.allowed();
        if !word.text.is_empty() && word.text.bytes().all(|b| b.is_ascii_digit()) {
            return match word.text.parse() {
                Ok(value) if (self.field.min()..=self.field.max_written()).contains(&value) => {
                    self.spelt(word, value)
                }
                Ok(value) => Err(self.fail(word, allowed).suggest(self.likely_value(value))),
                Err(_) => Err(self.fail(word, allowed)),
            };
        }
        match self.field.named(word.text) {
            Some(value) => Ok(value),
            None if self.dialect == Dialect::Standard && word.text.contains('~') => {
                let help = "a value by chance, which stays the same, is written with H";
                let (from, to) = word.text.split_once('~').unwrap_or_default();
                let plain =
                    |end: &str| (self.field.min()..=self.field.max_written()).any(|n| n.to_string() == end);
                let range = (plain(from) && plain(to)).then(|| format!("H({from}-{to})"));
                Err(self.fail(word, help).suggest(range))
            }
            None => Err(self.fail(word, allowed).suggest(self.field.likely_name(word.text))),
        }
    }

    /// A number, spelt so that the legacy library reads it as well: it takes month 01 for month 0, Friday 05 for Sunday.
    fn spelt(&self, word: Word<'_>, value: u32) -> Result<u32, ScheduleError> {
        let padded = matches!(self.field, Field::Second | Field::Minute | Field::Hour | Field::DayOfMonth);
        let plain = value.to_string();
        if self.dialect == Dialect::Standard || word.text == plain || (padded && word.text.len() == 2) {
            return Ok(value);
        }
        let help = "in the legacy dialect this number has no such zeros before it";
        Err(self.fail(word, help).suggest(Some(plain)))
    }

    /// What somebody meant who counted from the wrong end or left the century out.
    fn likely_value(&self, value: u32) -> Option<String> {
        let meant = match (self.field, value) {
            (Field::Second | Field::Minute, 60) | (Field::Hour, 24) => 0,
            (Field::DayOfMonth | Field::Month, 0) => 1,
            (Field::Year, 0..=99) => 2000 + value,
            _ => return None,
        };
        Some(meant.to_string())
    }
}
