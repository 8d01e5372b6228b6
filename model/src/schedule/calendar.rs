//! The instants of a calendar expression in zone-less time: seconds since 1970-01-01T00:00:00 on a clock that never
//! changes.
//!
//! Days, months and years are found here, from one set of bits per month. Steps within a day are those of the `cron`
//! crate, which is given lists of numbers with everything from the day on left open: it has no `L`, `#`, `0` for Sunday
//! or wrapping, requires both day fields at once, and goes astray backwards over years that are not listed. What zones
//! make of it is the business of [`super::walk`].

use std::str::FromStr;
use std::sync::OnceLock;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime};

use super::days::MonthShape;
use super::field::{Field, YEARS};
use super::parser::Fields;

/// An expression that can be stepped through.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    fields: Fields,
    /// Within a day. Made when first asked for: who only checks a text needs none, nor does a day with but one time.
    steps: OnceLock<Box<cron::Schedule>>,
    /// The first and the last time of a day, in seconds since midnight.
    first: i64,
    last: i64,
}

/// Whether there is any day in the fields' months and years.
///
/// At most 130 years by 12 months are looked at, and common expressions are done with the first.
pub(super) fn has_days(fields: &Fields) -> bool {
    fields.years.values(Field::Year).any(|year| {
        fields.months.values(Field::Month).any(|month| {
            let first = NaiveDate::from_ymd_opt(year.cast_signed(), month, 1);
            first.is_some_and(|first| fields.days.in_month(shape(first)) != 0)
        })
    })
}

fn shape(day: NaiveDate) -> MonthShape {
    let weekday = day.weekday().num_days_from_sunday();
    MonthShape { first: (weekday + 36 - day.day()) % 7, length: u32::from(day.num_days_in_month()) }
}

impl Calendar {
    pub(super) fn new(fields: Fields) -> Self {
        let ends = |field| {
            let (first, last) = fields.set(field).ends(field).unwrap_or_default();
            (i64::from(first), i64::from(last))
        };
        let (seconds, minutes, hours) = (ends(Field::Second), ends(Field::Minute), ends(Field::Hour));
        let first = hours.0 * 3600 + minutes.0 * 60 + seconds.0;
        let last = hours.1 * 3600 + minutes.1 * 60 + seconds.1;
        Self { fields, steps: OnceLock::new(), first, last }
    }

    pub(super) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The first instant after `after`.
    pub(super) fn next(&self, after: i64) -> Option<i64> {
        let from = DateTime::from_timestamp(after, 0)?;
        let mut day = from.date_naive();
        if self.has(day) {
            let midnight = midnight(day);
            if after < midnight + self.first {
                return Some(midnight + self.first);
            }
            if after < midnight + self.last {
                let found = self.steps().after(&from).next()?;
                return Some(found.timestamp());
            }
            day = day.succ_opt()?;
        }
        Some(midnight(self.day_from(day)?) + self.first)
    }

    /// The last instant before `before`.
    pub(super) fn previous(&self, before: i64) -> Option<i64> {
        let from = DateTime::from_timestamp(before, 0)?;
        let mut day = from.date_naive();
        if self.has(day) {
            let midnight = midnight(day);
            if before > midnight + self.last {
                return Some(midnight + self.last);
            }
            if before > midnight + self.first {
                let found = self.steps().after(&from).next_back()?;
                return Some(found.timestamp());
            }
            day = day.pred_opt()?;
        }
        Some(midnight(self.day_back_from(day)?) + self.last)
    }

    fn steps(&self) -> &cron::Schedule {
        self.steps.get_or_init(|| Box::new(steps(&self.fields)))
    }

    fn has(&self, day: NaiveDate) -> bool {
        self.days(day) & 1 << day.day() != 0
    }

    /// The first day that counts, `day` included.
    fn day_from(&self, day: NaiveDate) -> Option<NaiveDate> {
        let mut first = day.with_day(1)?;
        let mut kept = u32::MAX << day.day();
        loop {
            let found = self.days(first) & kept;
            if found != 0 {
                return first.with_day(found.trailing_zeros());
            }
            kept = u32::MAX;
            first = self.month_after(first)?;
        }
    }

    /// The last day that counts, `day` included.
    fn day_back_from(&self, day: NaiveDate) -> Option<NaiveDate> {
        let mut first = day.with_day(1)?;
        let mut kept = u32::MAX >> (31 - day.day());
        loop {
            let found = self.days(first) & kept;
            if found != 0 {
                return first.with_day(found.ilog2());
            }
            kept = u32::MAX;
            first = self.month_before(first)?;
        }
    }

    /// The first day of the next month that is listed, or the first month of the next year that is.
    fn month_after(&self, first: NaiveDate) -> Option<NaiveDate> {
        let year = first.year().cast_unsigned();
        if self.fields.years.contains(Field::Year, year) {
            let month =
                (first.month() + 1..=12).find(|month| self.fields.months.contains(Field::Month, *month));
            if let Some(month) = month {
                return first.with_month(month);
            }
        }
        let year = (year + 1..=*YEARS.end()).find(|year| self.fields.years.contains(Field::Year, *year))?;
        NaiveDate::from_ymd_opt(year.cast_signed(), 1, 1)
    }

    /// The first day of the last month before that is listed, or the last month of the last year before that is.
    fn month_before(&self, first: NaiveDate) -> Option<NaiveDate> {
        let year = first.year().cast_unsigned();
        if self.fields.years.contains(Field::Year, year) {
            let month = (1..first.month()).rfind(|month| self.fields.months.contains(Field::Month, *month));
            if let Some(month) = month {
                return first.with_month(month);
            }
        }
        let year = (*YEARS.start()..year).rfind(|year| self.fields.years.contains(Field::Year, *year))?;
        NaiveDate::from_ymd_opt(year.cast_signed(), 12, 1)
    }

    /// The days that count in the month of `day`, day `n` at bit `n`.
    fn days(&self, day: NaiveDate) -> u32 {
        let listed = self.fields.years.contains(Field::Year, day.year().cast_unsigned())
            && self.fields.months.contains(Field::Month, day.month());
        if listed { self.fields.days.in_month(shape(day)) } else { 0 }
    }
}

/// The crate's schedule of the times of a day.
fn steps(fields: &Fields) -> cron::Schedule {
    let list = |field| {
        let set = fields.set(field);
        if set.is_full(field) { "*".to_owned() } else { set.text(field) }
    };
    let times = [Field::Second, Field::Minute, Field::Hour].map(list).join(" ");
    cron::Schedule::from_str(&format!("{times} * * *"))
        .expect("ascending numbers within bounds are in its grammar")
}

fn midnight(day: NaiveDate) -> i64 {
    day.and_time(NaiveTime::MIN).and_utc().timestamp()
}
