//! From a text to the values of its fields: the grammar of both dialects and every message about it.
//!
//! What the values mean in time is the business of [`super::calendar`] and [`super::walk`].

use super::days::{Days, MonthDays, WeekDays};
use super::describe::join_by;
use super::entry::{self, Entry, Word};
use super::error::ScheduleError;
use super::every::Every;
use super::field::{Field, Set, WideSet};
use super::{Dialect, macros};
use crate::name::JobName;

/// The longest text, in characters.
pub(super) const MAX_CHARS: usize = 256;

/// What a text says.
#[derive(Debug)]
pub(super) enum Timing {
    /// By calendar.
    Fields(Fields),
    /// `@every`.
    Every(Every),
}

/// The values of the seven fields, `H` resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fields {
    pub(super) seconds: Set,
    pub(super) minutes: Set,
    pub(super) hours: Set,
    pub(super) days: Days,
    pub(super) months: Set,
    pub(super) years: WideSet,
    /// Whether the minute field starts with `*` (or `?`, which is the same).
    pub(super) minute_star: bool,
    /// Whether the hour field does.
    pub(super) hour_star: bool,
}

impl Fields {
    /// The plain values of a field.
    pub(super) fn set(&self, field: Field) -> WideSet {
        let narrow = match field {
            Field::Second => self.seconds,
            Field::Minute => self.minutes,
            Field::Hour => self.hours,
            Field::DayOfMonth => self.days.month.days,
            Field::Month => self.months,
            Field::DayOfWeek => self.days.week.days,
            Field::Year => return self.years,
        };
        narrow.widen()
    }
}

/// A parsed text.
pub(super) struct Parsed {
    pub(super) timing: Timing,
    /// Whether the job's name made a difference (`H`, `@every`).
    pub(super) by_name: bool,
}

/// Reads a text. The name resolves `H` and places `@every`.
pub(super) fn parse(text: &str, dialect: Dialect, name: &JobName) -> Result<Parsed, ScheduleError> {
    let whole = 0..text.len();
    let chars = text.chars().count();
    if chars > MAX_CHARS {
        let problem = format!("the schedule has {chars} characters; at most {MAX_CHARS} are allowed");
        return Err(ScheduleError::new(text, whole, problem));
    }
    let words = split(text);
    let Some(first) = words.first() else {
        return Err(ScheduleError::new(
            text,
            whole,
            "the schedule is empty; write one such as 0 2 * * * or @daily",
        ));
    };
    if let Some((key, zone)) = first.text.split_once('=') {
        return Err(zone_inside(text, *first, key, zone));
    }
    if first.text.starts_with('@') {
        return macros::parse(text, &words, dialect, name);
    }
    let fields = assign(text, &words, dialect)?;
    parse_fields(text, &fields, dialect, name)
}

/// The words between white space.
fn split(text: &str) -> Vec<Word<'_>> {
    text.split_ascii_whitespace()
        .map(|word| Word { text: word, at: word.as_ptr().addr() - text.as_ptr().addr() })
        .collect()
}

fn zone_inside(text: &str, word: Word<'_>, key: &str, zone: &str) -> ScheduleError {
    let problem = if matches!(key, "TZ" | "CRON_TZ") {
        let zone = if zone.is_empty() { "Europe/Paris" } else { zone };
        format!("a schedule has no {key}= inside; remove it and use timeZone: {zone}")
    } else {
        format!("a schedule sets no variables, so {key}= can't stand here; remove it")
    };
    ScheduleError::new(text, word.span(), problem)
}

/// Which word is which field.
fn assign<'t>(
    text: &str,
    words: &[Word<'t>],
    dialect: Dialect,
) -> Result<Vec<(Field, Word<'t>)>, ScheduleError> {
    let fields = match (words.len(), dialect) {
        (5, _) => &Field::ALL[1..6],
        (6, Dialect::Standard) => &Field::ALL[..6],
        (6, Dialect::Legacy) => &Field::ALL[1..],
        (7, _) => &Field::ALL[..],
        (count, _) => {
            let six = match dialect {
                Dialect::Standard => "6 with the second before them, or 7 with the year after them as well",
                Dialect::Legacy => "6 with the year after them, or 7 with the second before them as well",
            };
            let problem = format!(
                "the schedule has {count} field{}; write 5 (minute, hour, day of month, month, day of week), {six}",
                if count == 1 { "" } else { "s" },
            );
            // Too many: the first one too many is marked. Too few: the place where one is missing.
            let span = words.get(7).map_or(text.len()..text.len(), Word::span);
            return Err(ScheduleError::new(text, span, problem));
        }
    };
    Ok(fields.iter().copied().zip(words.iter().copied()).collect())
}

/// Reads the words of the fields; those not given are second 0 and any year.
pub(super) fn parse_fields(
    text: &str,
    words: &[(Field, Word<'_>)],
    dialect: Dialect,
    name: &JobName,
) -> Result<Parsed, ScheduleError> {
    let mut fields = Fields {
        seconds: std::iter::once((Field::Second, 0)).collect(),
        minutes: Set::default(),
        hours: Set::default(),
        days: Days::default(),
        months: Set::default(),
        years: WideSet::full(Field::Year),
        minute_star: false,
        hour_star: false,
    };
    let mut by_name = false;
    for (index, (field, word)) in words.iter().enumerate() {
        let context =
            entry::Context { text, field: *field, number: index + 1, of: words.len(), dialect, name };
        let entries = context.entries(*word)?;
        by_name |= entries.iter().any(|entry| matches!(entry, Entry::Values { by_name: true, .. }));
        let star = word.text.starts_with(['*', '?']);
        match field {
            Field::Second => fields.seconds = values(*field, &entries).narrow(),
            Field::Minute => (fields.minutes, fields.minute_star) = (values(*field, &entries).narrow(), star),
            Field::Hour => (fields.hours, fields.hour_star) = (values(*field, &entries).narrow(), star),
            Field::DayOfMonth => fields.days.month = month_days(&entries),
            Field::Month => fields.months = values(*field, &entries).narrow(),
            Field::DayOfWeek => fields.days.week = week_days(&entries),
            Field::Year => fields.years = values(*field, &entries),
        }
    }
    never(text, words, &fields)?;
    Ok(Parsed { timing: Timing::Fields(fields), by_name })
}

fn values(field: Field, entries: &[Entry]) -> WideSet {
    let mut all = WideSet::default();
    for entry in entries {
        match entry {
            Entry::Any => all = WideSet::full(field),
            Entry::Values { set, .. } => all = all.union(*set),
            _ => {}
        }
    }
    all
}

fn month_days(entries: &[Entry]) -> MonthDays {
    let mut days = MonthDays { days: values(Field::DayOfMonth, entries).narrow(), ..MonthDays::default() };
    for entry in entries {
        match entry {
            Entry::Any => return MonthDays { open: true, ..MonthDays::default() },
            Entry::BeforeLast(n) => days.before_last |= 1 << n,
            Entry::Nearest(day) => days.nearest.insert(Field::DayOfMonth, *day),
            Entry::LastWorkday => days.last_workday = true,
            Entry::Values { .. } | Entry::LastOn(_) | Entry::NthOn(..) => {}
        }
    }
    days
}

fn week_days(entries: &[Entry]) -> WeekDays {
    let mut days = WeekDays { days: values(Field::DayOfWeek, entries).narrow(), ..WeekDays::default() };
    for entry in entries {
        match entry {
            Entry::Any => return WeekDays { open: true, ..WeekDays::default() },
            Entry::LastOn(day) => days.last.insert(Field::DayOfWeek, *day),
            Entry::NthOn(day, nth) => days.nth[*nth as usize - 1].insert(Field::DayOfWeek, *day),
            Entry::Values { .. } | Entry::BeforeLast(_) | Entry::Nearest(_) | Entry::LastWorkday => {}
        }
    }
    days
}

/// Refuses fields that no date satisfies, such as 31 February.
fn never(text: &str, words: &[(Field, Word<'_>)], fields: &Fields) -> Result<(), ScheduleError> {
    if super::calendar::has_days(fields) {
        return Ok(());
    }
    let months =
        fields.months.values(Field::Month).map(|month| Field::Month.names()[month as usize - 1].to_owned());
    let months = join_by("or", months);
    let (when, what) = if fields.years.is_full(Field::Year) {
        ("", "the day or the month")
    } else {
        (" in those years", "the day, the month or the years")
    };
    let restricted = words.iter().filter(|(field, _)| match field {
        Field::DayOfMonth => !fields.days.month.open,
        Field::DayOfWeek => !fields.days.week.open,
        _ => false,
    });
    let restricted: Vec<Word<'_>> = restricted.map(|(_, word)| *word).collect();
    let said = join_by("or", restricted.iter().map(|word| word.text.to_owned()));
    let span = match restricted[..] {
        [first, .., last] => first.at..last.span().end,
        [only] => only.span(),
        [] => 0..text.len(),
    };
    let problem = format!("the schedule never matches: {months} has no day {said}{when}; change {what}");
    Err(ScheduleError::new(text, span, problem))
}
