//! Schedules: the text people write, the instants it means, and the same in words.
//!
//! A **slot** is one instant of a schedule, a whole second. A **dialect** is the grammar a text is read by; it is given,
//! never guessed. Slots exist from 1970 to 2099, in the schedule's zone. A text is parsed once; [`Schedule`] can then
//! be asked for the slot after or before any instant, which is bounded work however far away that slot is.
//!
//! Not here: which slots are run, skipped or owed (`decide`), and the delay called jitter, which moves a start and never
//! a slot.

mod calendar;
mod days;
mod describe;
mod entry;
mod error;
mod every;
mod field;
mod intern;
mod legacy;
mod macros;
mod parser;
mod walk;
mod zone;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::error::ScheduleError;
pub use self::zone::{TimeZone, ZoneError, tz_data_version};

use self::calendar::Calendar;
use self::every::Every;
use self::parser::Timing;
use crate::name::JobName;
use crate::time::UnixMillis;

/// Past the last slot in any zone: 2100-01-02T00:00:00Z.
const END: UnixMillis = UnixMillis(4_102_531_200_000);

/// The grammar of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dialect {
    /// Of a resource's `schedule`: 5 fields from the minute to the day of week, 6 with the second before them, 7 with
    /// the year after them as well.
    Standard,
    /// Of a `cronExpr` in the tree (the Go library gorhill/cronexpr): 6 fields are minute to *year*. It has no `H`,
    /// `L-n`, `@every` or `@midnight`, and its ranges ascend.
    Legacy,
}

/// A parsed schedule: expression, dialect, zone, and what the job's name chose in it (`H`, `@every`).
///
/// Cloning is cheap, and equal schedules of different jobs share one value.
///
/// ```
/// use model::{Dialect, JobName, Schedule, TimeZone, UnixMillis};
///
/// let (paris, job) = (TimeZone::parse("Europe/Paris")?, JobName::new("ops/rotate")?);
/// let schedule = Schedule::parse("30 2 * * 5L", Dialect::Standard, paris, &job)?;
/// assert_eq!(schedule.describe(), "At 02:30 on the last Friday of each month, Europe/Paris");
/// let slot = schedule.next_after(UnixMillis(1_764_000_000_000)).expect("there is a Friday in each week");
/// assert_eq!(slot.to_string(), "2025-11-28T01:30:00Z");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Schedule(Arc<Inner>);

/// What equal schedules share.
struct Inner {
    text: Box<str>,
    dialect: Dialect,
    zone: TimeZone,
    rule: Rule,
    /// Whether the job's name made a difference.
    by_name: bool,
}

enum Rule {
    Calendar(Calendar),
    Every(Every),
}

impl Inner {
    fn is(&self, text: &str, dialect: Dialect, zone: TimeZone) -> bool {
        (&*self.text, self.dialect, self.zone) == (text, dialect, zone)
    }
}

impl PartialEq for Inner {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.text, other.dialect, other.zone) && self.rule == other.rule
    }
}

impl Hash for Rule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Calendar(calendar) => calendar.fields().hash(state),
            Self::Every(every) => every.hash(state),
        }
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Calendar(one), Self::Calendar(other)) => one.fields() == other.fields(),
            (Self::Every(one), Self::Every(other)) => one == other,
            _ => false,
        }
    }
}

impl Schedule {
    /// Parses an expression of at most 256 characters. The job's name decides what `H` is and when `@every` begins.
    ///
    /// An expression that no date can ever match is an error; one whose years have passed is not, and one whose only
    /// times are skipped by the zone's clock is not.
    pub fn parse(
        text: &str,
        dialect: Dialect,
        zone: TimeZone,
        name: &JobName,
    ) -> Result<Self, ScheduleError> {
        if let Some(known) = intern::find(text, dialect, zone) {
            return Ok(Self(known));
        }
        let parsed = parser::parse(text, dialect, name)?;
        let rule = match parsed.timing {
            Timing::Fields(fields) => Rule::Calendar(Calendar::new(fields)),
            Timing::Every(every) => Rule::Every(every),
        };
        let inner = Inner { text: text.into(), dialect, zone, rule, by_name: parsed.by_name };
        Ok(Self(intern::share(inner)))
    }

    /// The first slot strictly after `t`; `None` when there is none until the end of 2099.
    pub fn next_after(&self, t: UnixMillis) -> Option<UnixMillis> {
        let after = t.0.clamp(UnixMillis::EPOCH.0 - 1, END.0).div_euclid(1000);
        let slot = match &self.0.rule {
            Rule::Calendar(calendar) => walk::next(calendar, self.0.zone, after),
            Rule::Every(every) => every.next(after),
        };
        slot_at(slot?)
    }

    /// The last slot strictly before `t`; `None` when there is none since the beginning of 1970.
    ///
    /// It is the inverse of [`Self::next_after`]: between a slot and the one before it there is no other.
    pub fn previous_before(&self, t: UnixMillis) -> Option<UnixMillis> {
        let before = t.0.clamp(UnixMillis::EPOCH.0, END.0).saturating_add(999).div_euclid(1000);
        let slot = match &self.0.rule {
            Rule::Calendar(calendar) => walk::previous(calendar, self.0.zone, before),
            Rule::Every(every) => Some(every.previous(before)),
        };
        slot_at(slot?)
    }

    /// Whether this slot stands for times that the zone's clock skips: the first instant after the gap.
    pub fn is_moved(&self, slot: UnixMillis) -> bool {
        match &self.0.rule {
            Rule::Calendar(calendar) => walk::is_moved(calendar, self.0.zone, slot.0.div_euclid(1000)),
            Rule::Every(_) => false,
        }
    }

    /// Whether day of month and day of week are both restricted, so that a day which either names counts. Many who
    /// write that mean days which both name.
    pub fn has_both_days(&self) -> bool {
        match &self.0.rule {
            Rule::Calendar(calendar) => calendar.fields().days.both_restricted(),
            Rule::Every(_) => false,
        }
    }

    /// Whether the job's name made a difference: `H`, `@every`.
    pub fn depends_on_name(&self) -> bool {
        self.0.by_name
    }

    /// What it means, in words: "At 02:30 on the last Friday of each month, Europe/Paris".
    pub fn describe(&self) -> String {
        describe::describe(&self.0)
    }

    /// The text it was parsed from, unchanged.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// How the text was read.
    pub fn dialect(&self) -> Dialect {
        self.0.dialect
    }

    /// The zone whose clock it follows.
    pub fn zone(&self) -> TimeZone {
        self.0.zone
    }

    /// The seven fields, second to year, that the legacy library reads as the same wall times in the same zone: `H`
    /// resolved, no range that wraps, no 7 for Sunday. It and its worker differ at changes of the clock. `None` where
    /// it has no such text: `L-n`, most `@every`.
    pub fn legacy_text(&self) -> Option<String> {
        legacy::text(&self.0)
    }
}

/// A slot as an instant; the time before the Unix epoch has none.
fn slot_at(seconds: i64) -> Option<UnixMillis> {
    Some(UnixMillis(seconds * 1000)).filter(|slot| *slot >= UnixMillis::EPOCH)
}

/// Equal text, dialect and zone, and the same choice made by the jobs' names.
impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Schedule {}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { text, dialect, zone, .. } = &*self.0;
        write!(f, "Schedule({text:?}, {dialect:?}, {zone})")
    }
}

#[cfg(test)]
mod tests;
