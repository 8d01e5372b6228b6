//! The seven fields of an expression: their bounds, their names, and sets of their values.

use super::error::closest;

/// The first and the last year that expressions can name, and between which slots exist.
pub(super) const YEARS: std::ops::RangeInclusive<u32> = 1970..=2099;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// One of the seven fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Second,
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
    Year,
}

impl Field {
    /// All of them, in the order of a 7-field text.
    pub(super) const ALL: [Self; 7] =
        [Self::Second, Self::Minute, Self::Hour, Self::DayOfMonth, Self::Month, Self::DayOfWeek, Self::Year];

    /// How messages call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
            Self::Year => "year",
        }
    }

    /// What is hashed beside the job's name for `H`. Frozen: see the published vectors.
    pub(super) fn seed(self) -> &'static str {
        match self {
            Self::DayOfMonth => "day-of-month",
            Self::DayOfWeek => "day-of-week",
            other => other.name(),
        }
    }

    pub(super) fn min(self) -> u32 {
        match self {
            Self::Second | Self::Minute | Self::Hour | Self::DayOfWeek => 0,
            Self::DayOfMonth | Self::Month => 1,
            Self::Year => *YEARS.start(),
        }
    }

    /// The greatest value of its own; Sunday's second number, 7, is not one.
    pub(super) fn max(self) -> u32 {
        match self {
            Self::Second | Self::Minute => 59,
            Self::Hour => 23,
            Self::DayOfMonth => 31,
            Self::Month => 12,
            Self::DayOfWeek => 6,
            Self::Year => *YEARS.end(),
        }
    }

    /// How many values it has.
    pub(super) fn size(self) -> u32 {
        self.max() - self.min() + 1
    }

    /// The greatest number that may be written: 7 is Sunday, too.
    pub(super) fn max_written(self) -> u32 {
        if self == Self::DayOfWeek { 7 } else { self.max() }
    }

    /// The greatest step. The legacy library reads no greater one in a field of years.
    pub(super) fn max_step(self) -> u32 {
        self.max().min(59)
    }

    /// The values that may be written, as a clause.
    pub(super) fn allowed(self) -> &'static str {
        match self {
            Self::Second => "seconds are 0 to 59",
            Self::Minute => "minutes are 0 to 59",
            Self::Hour => "hours are 0 to 23",
            Self::DayOfMonth => "days of the month are 1 to 31",
            Self::Month => "months are 1 to 12 or JAN to DEC",
            Self::DayOfWeek => "days of the week are 0 to 7 (0 and 7 are Sunday) or SUN to SAT",
            Self::Year => "years are 1970 to 2099",
        }
    }

    /// The full names of its values, the first for [`Self::min`]; empty for a field of numbers.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Month => &MONTHS,
            Self::DayOfWeek => &WEEKDAYS,
            _ => &[],
        }
    }

    /// The value of a name in any case, full or its first three letters.
    pub(super) fn named(self, text: &str) -> Option<u32> {
        let is_name = |name: &&str| text.eq_ignore_ascii_case(name) || text.eq_ignore_ascii_case(&name[..3]);
        (self.min()..).zip(self.names()).find(|(_, name)| is_name(name)).map(|(value, _)| value)
    }

    /// The name, as it is usually written, that a misspelt one stands for.
    pub(super) fn likely_name(self, text: &str) -> Option<String> {
        let upper = text.to_ascii_uppercase();
        let abbreviated = || self.names().iter().map(|name| &name[..3]);
        abbreviated()
            .find(|name| upper.starts_with(&name.to_ascii_uppercase()))
            .or_else(|| closest(text, abbreviated()))
            .or_else(|| closest(text, self.names().iter().copied()))
            .map(|name| name[..3].to_ascii_uppercase())
    }

    /// A value brought back into the field: Sunday's 7 becomes 0, and a range that passes the end goes on at the start.
    pub(super) fn wrap(self, value: u32) -> u32 {
        if value > self.max() { value - self.size() } else { value }
    }
}

/// A set of the values of one field, which fit into `N` words: one for all but years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Set<const N: usize = 1>([u64; N]);

/// A set that any field fits into, as years need it.
pub(super) type WideSet = Set<3>;

impl WideSet {
    /// The same set of a field that is not the year's.
    pub(super) fn narrow(self) -> Set {
        Set([self.0[0]])
    }
}

impl Set {
    pub(super) fn widen(self) -> WideSet {
        Set([self.0[0], 0, 0])
    }

    /// The set as bits, value `n` at bit `n`.
    pub(super) fn bits(self) -> u64 {
        self.0[0]
    }
}

impl<const N: usize> Set<N> {
    /// Every value of the field.
    pub(super) fn full(field: Field) -> Self {
        let first = if field == Field::Year { 0 } else { field.min() };
        let end = first + field.size();
        let mut set = Self::default();
        for (word, start) in set.0.iter_mut().zip((0_u32..).step_by(64)) {
            let below =
                |end: u32| if end >= start + 64 { u64::MAX } else { (1 << end.saturating_sub(start)) - 1 };
            *word = below(end) & !below(first);
        }
        set
    }

    /// The least and the greatest value.
    pub(super) fn ends(&self, field: Field) -> Option<(u32, u32)> {
        let base = if field == Field::Year { field.min() } else { 0 };
        let words = || (base..).step_by(64).zip(self.0);
        let first = words().find(|(_, word)| *word != 0).map(|(start, word)| start + word.trailing_zeros());
        let last = words().filter(|(_, word)| *word != 0).last().map(|(start, word)| start + word.ilog2());
        first.zip(last)
    }

    fn place(field: Field, value: u32) -> (usize, u64) {
        let index = if field == Field::Year { value.saturating_sub(field.min()) } else { value };
        (index as usize / 64, 1 << (index % 64))
    }

    pub(super) fn insert(&mut self, field: Field, value: u32) {
        let (word, bit) = Self::place(field, value);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    pub(super) fn contains(&self, field: Field, value: u32) -> bool {
        let (word, bit) = Self::place(field, value);
        (field.min()..=field.max()).contains(&value) && self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(super) fn union(mut self, other: Self) -> Self {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
        self
    }

    /// The values in ascending order.
    pub(super) fn values(self, field: Field) -> impl DoubleEndedIterator<Item = u32> {
        (field.min()..=field.max()).filter(move |value| self.contains(field, *value))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0 == [0; N]
    }

    /// Whether it has every value of the field.
    pub(super) fn is_full(&self, field: Field) -> bool {
        *self == Self::full(field)
    }

    /// The values as a list that needs no wrapping: `0,15,30,45`, `1-5`, `10-50/20`, ascending.
    pub(super) fn text(self, field: Field) -> String {
        let values: Vec<u32> = self.values(field).collect();
        if let [first, second, .., last] = values[..]
            && (2..=field.max_step()).contains(&(second - first))
            && values.windows(2).all(|pair| pair[1] - pair[0] == second - first)
            && values.len() > 2
        {
            return format!("{first}-{last}/{}", second - first);
        }
        let runs = values.chunk_by(|a, b| a + 1 == *b);
        let parts = runs.map(|run| match run {
            [one] => one.to_string(),
            [one, two] => format!("{one},{two}"),
            [first, .., last] => format!("{first}-{last}"),
            [] => String::new(),
        });
        parts.collect::<Vec<_>>().join(",")
    }
}

impl<const N: usize> Default for Set<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> FromIterator<(Field, u32)> for Set<N> {
    fn from_iter<I: IntoIterator<Item = (Field, u32)>>(values: I) -> Self {
        let mut set = Self::default();
        for (field, value) in values {
            set.insert(field, value);
        }
        set
    }
}
