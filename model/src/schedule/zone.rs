//! Time zones: names people write, and the wall clocks they stand for.
//!
//! A **wall** time is what a clock in the zone shows, in seconds since it showed 1970-01-01T00:00:00. The tz data is
//! compiled in (see [`tz_data_version`]), so it is the same on every node of one version.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, FixedOffset, NaiveDateTime, Offset, TimeZone as _};
use chrono_tz::{GapInfo, TZ_VARIANTS, Tz};
use thiserror::Error;

use super::error::closest;
use crate::UnixMillis;

/// A time zone of the IANA database.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeZone(Tz);

/// Why a text is not a time zone, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ZoneError {
    /// Nothing was given.
    #[error("the time zone is empty; write an IANA name such as Europe/Paris, or UTC")]
    Empty,
    /// The zone of whichever machine reads it.
    #[error("the time zone {0} depends on the machine; write an IANA name such as Europe/Paris")]
    Local(String),
    /// `+02:00`, `UTC+2`: no place, so without daylight saving, and of a sign that is easily mistaken.
    #[error("the time zone {name} is an offset; write an IANA name such as Europe/Paris{}", or(.fixed.as_deref()))]
    Offset {
        /// What was written.
        name: String,
        /// The name of the same fixed offset, where there is one.
        fixed: Option<String>,
    },
    /// Not in the database.
    #[error("the time zone {name} is unknown; {}", instead(*.suggestion))]
    Unknown {
        /// What was written.
        name: String,
        /// What was probably meant.
        suggestion: Option<&'static str>,
    },
}

fn or(fixed: Option<&str>) -> String {
    fixed.map(|name| format!(", or {name} for that offset all year")).unwrap_or_default()
}

fn instead(suggestion: Option<&str>) -> String {
    match suggestion {
        Some(name) => format!("did you mean {name}?"),
        None => "write an IANA name such as Europe/Paris".to_owned(),
    }
}

impl ZoneError {
    /// What was probably meant.
    pub fn suggestion(&self) -> Option<&str> {
        match self {
            Self::Unknown { suggestion, .. } => *suggestion,
            Self::Offset { fixed, .. } => fixed.as_deref(),
            Self::Empty | Self::Local(_) => None,
        }
    }
}

/// The release of the IANA database that is compiled in, such as `2025b`.
pub fn tz_data_version() -> &'static str {
    chrono_tz::IANA_TZDB_VERSION
}

impl TimeZone {
    /// Coordinated Universal Time.
    pub const UTC: Self = Self(Tz::UTC);

    /// Reads an IANA name, spelt as in the database.
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        if let Ok(zone) = Tz::from_str(text) {
            return Ok(Self(zone));
        }
        let name = text.to_owned();
        if text.trim().is_empty() {
            return Err(ZoneError::Empty);
        }
        if ["local", "localtime", "system"].iter().any(|local| text.eq_ignore_ascii_case(local)) {
            return Err(ZoneError::Local(name));
        }
        if let Some(fixed) = offset(text) {
            return Err(ZoneError::Offset { name, fixed });
        }
        Err(ZoneError::Unknown { suggestion: likely(text), name })
    }

    /// The name, as in the database.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// What clocks of the zone show at an instant.
    pub fn local(self, at: UnixMillis) -> NaiveDateTime {
        at.to_utc().with_timezone(&self.0).naive_local()
    }

    /// The same with the offset that then holds: `2026-03-29T03:00:00+02:00`.
    pub fn time(self, at: UnixMillis) -> DateTime<FixedOffset> {
        at.to_utc().with_timezone(&self.0).fixed_offset()
    }

    /// Every zone of the database, aliases included.
    pub fn all() -> impl Iterator<Item = Self> {
        TZ_VARIANTS.iter().copied().map(Self)
    }

    /// What to add to an instant (in seconds) to get its wall time.
    pub(super) fn offset_at(self, instant: i64) -> i64 {
        if self == Self::UTC {
            return 0;
        }
        seconds(&self.0.offset_from_utc_datetime(&naive(instant)))
    }

    pub(super) fn wall_at(self, instant: i64) -> i64 {
        instant + self.offset_at(instant)
    }

    /// When a wall clock shows `wall`.
    pub(super) fn resolve(self, wall: i64) -> Wall {
        // The zone of most jobs, and of a busy one each look asks several times.
        if self == Self::UTC {
            return Wall::Once(wall);
        }
        let local = naive(wall);
        match self.0.offset_from_local_datetime(&local) {
            chrono::LocalResult::Single(offset) => Wall::Once(wall - seconds(&offset)),
            chrono::LocalResult::Ambiguous(first, second) => {
                Wall::Twice(wall - seconds(&first), wall - seconds(&second))
            }
            chrono::LocalResult::None => {
                let (begin, before) = GapInfo::new(&local, &self.0)
                    .and_then(|gap| gap.begin)
                    .expect("a wall time without an instant lies after some span of the zone");
                let begin = begin.and_utc().timestamp();
                let instant = begin - seconds(&before);
                Wall::Gap(Gap { begin, end: self.wall_at(instant), instant })
            }
        }
    }

    /// The stretch of wall times shown twice that contains `wall`.
    pub(super) fn overlap_around(self, wall: i64) -> Option<Overlap> {
        let Wall::Twice(first, second) = self.resolve(wall) else { return None };
        let (before, after) = (wall - first, wall - second);
        // The clock is set back at the instant between the two from which the second offset holds.
        let (mut old, mut new) = (first, second);
        while new - old > 1 {
            let middle = old + (new - old) / 2;
            if self.offset_at(middle) == before { old = middle } else { new = middle }
        }
        Some(Overlap { begin: new + after, end: new + before, before, after })
    }
}

/// When a wall clock shows a certain time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wall {
    Once(i64),
    /// The clock is set back: the first and the second instant.
    Twice(i64, i64),
    /// The clock is set forward over it.
    Gap(Gap),
}

/// Wall times that are not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// The first wall time not shown.
    pub(super) begin: i64,
    /// The first shown again.
    pub(super) end: i64,
    /// The instant that would have shown `begin` and shows `end`.
    pub(super) instant: i64,
}

/// Wall times that are shown twice: from `begin`, up to and without `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overlap {
    pub(super) begin: i64,
    pub(super) end: i64,
    /// The offset of the first pass.
    pub(super) before: i64,
    /// The offset of the second.
    pub(super) after: i64,
}

fn naive(seconds: i64) -> NaiveDateTime {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().naive_utc()
}

fn seconds(offset: &impl Offset) -> i64 {
    offset.fix().local_minus_utc().into()
}

/// Whether a text is an offset, and the name of the zone that has it all year.
#[expect(clippy::option_option, reason = "an offset may be without a name")]
fn offset(text: &str) -> Option<Option<String>> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let prefix = &text[..text.len() - rest.len()];
    if !matches!(prefix.to_ascii_uppercase().as_str(), "" | "UTC" | "GMT" | "Z") {
        return None;
    }
    let east = match rest.chars().next()? {
        '+' => true,
        '-' => false,
        _ => return None,
    };
    let digits: String = rest[1..].chars().filter(|c| *c != ':').collect();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = if digits.len() > 2 { digits.split_at(digits.len() - 2) } else { (&*digits, "0") };
    let whole = minutes.bytes().all(|digit| digit == b'0').then(|| hours.parse::<u32>().ok()).flatten();
    // The names count hours west of Greenwich.
    let named = whole.map(|hours| match hours {
        0 => "UTC".to_owned(),
        hours => format!("Etc/GMT{}{hours}", if east { '-' } else { '+' }),
    });
    Some(named.filter(|name| Tz::from_str(name).is_ok()))
}

/// The zone that a misspelt name, or the name of a city alone, stands for.
fn likely(text: &str) -> Option<&'static str> {
    let written = text.trim().replace(' ', "_");
    let names = || TZ_VARIANTS.iter().map(|zone| zone.name());
    let city = |name: &&str| name.rsplit('/').next().is_some_and(|last| last.eq_ignore_ascii_case(&written));
    names()
        .find(|name| name.eq_ignore_ascii_case(&written))
        .or_else(|| names().find(city))
        // Among so many names an abbreviation such as PST is near to another that means something else.
        .or_else(|| closest(&written, names()).filter(|_| written.len() > 4))
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TimeZone {
    type Err = ZoneError;
    fn from_str(text: &str) -> Result<Self, ZoneError> {
        Self::parse(text)
    }
}
