//! Which days of a month an expression names, by both of its day fields.

use super::field::{Field, Set};

/// What the day-of-month field says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct MonthDays {
    /// `*` or `?`: any day. The other parts are then without meaning.
    pub(super) open: bool,
    /// Plain days.
    pub(super) days: Set,
    /// `L` is bit 0, `L-n` bit n: so many days before the last.
    pub(super) before_last: u32,
    /// `nW`: Monday to Friday nearest to the day, within its month.
    pub(super) nearest: Set,
    /// `LW`: the last Monday to Friday.
    pub(super) last_workday: bool,
}

/// What the day-of-week field says. Bit 0 is Sunday.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct WeekDays {
    /// `*` or `?`: any day. The other parts are then without meaning.
    pub(super) open: bool,
    /// Plain days.
    pub(super) days: Set,
    /// `nL`: the last such day of the month.
    pub(super) last: Set,
    /// `d#n`: at `n - 1`, the days whose nth of the month is meant.
    pub(super) nth: [Set; 5],
}

/// The days of an expression. Where both fields are restricted, a day that either names counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Days {
    pub(super) month: MonthDays,
    pub(super) week: WeekDays,
}

/// A month as far as days are concerned.
#[derive(Clone, Copy)]
pub(super) struct MonthShape {
    /// Weekday of the first day, Sunday 0.
    pub(super) first: u32,
    /// 28 to 31.
    pub(super) length: u32,
}

impl MonthShape {
    fn weekday(self, day: u32) -> u32 {
        (self.first + day - 1) % 7
    }

    /// Every day, day `n` at bit `n`.
    fn all(self) -> u32 {
        u32::MAX >> (31 - self.length) & !1
    }

    /// The days on a weekday, as bits.
    fn on(self, weekday: u32) -> u32 {
        const WEEKLY: u32 = 1 | 1 << 7 | 1 << 14 | 1 << 21 | 1 << 28;
        let first = 1 + (weekday + 7 - self.first) % 7;
        WEEKLY << first & self.all()
    }

    /// The Monday to Friday nearest to a day, within the month.
    fn workday_near(self, day: u32) -> u32 {
        match self.weekday(day) {
            6 if day == 1 => 3,
            6 => day - 1,
            0 if day == self.length => day - 2,
            0 => day + 1,
            _ => day,
        }
    }
}

impl MonthDays {
    fn in_month(&self, shape: MonthShape) -> u32 {
        let all = shape.all();
        #[expect(clippy::cast_possible_truncation, reason = "days end at bit 31")]
        let mut found = self.days.bits() as u32 & all;
        found |= (0..shape.length)
            .filter(|n| self.before_last & 1 << n != 0)
            .fold(0, |days, n| days | 1 << (shape.length - n));
        if self.last_workday {
            found |= 1 << shape.workday_near(shape.length);
        }
        if !self.nearest.is_empty() {
            let days = self.nearest.values(Field::DayOfMonth).filter(|day| *day <= shape.length);
            found |= days.fold(0, |days, day| days | 1 << shape.workday_near(day));
        }
        found
    }
}

impl WeekDays {
    fn in_month(&self, shape: MonthShape) -> u32 {
        (0..7).fold(0, |mut found, weekday| {
            let days = shape.on(weekday);
            if self.days.contains(Field::DayOfWeek, weekday) {
                found |= days;
            }
            if self.last.contains(Field::DayOfWeek, weekday) {
                found |= 1 << days.ilog2();
            }
            for (nth, set) in (0..).zip(&self.nth) {
                let day = days.trailing_zeros() + 7 * nth;
                if day <= shape.length && set.contains(Field::DayOfWeek, weekday) {
                    found |= 1 << day;
                }
            }
            found
        })
    }
}

impl Days {
    /// Whether every day counts.
    pub(super) fn all_open(&self) -> bool {
        self.month.open && self.week.open
    }

    /// Whether neither field is open.
    pub(super) fn both_restricted(&self) -> bool {
        !self.month.open && !self.week.open
    }

    /// The days of a month that count, day `n` at bit `n`.
    pub(super) fn in_month(&self, shape: MonthShape) -> u32 {
        match (self.month.open, self.week.open) {
            (true, true) => shape.all(),
            (false, true) => self.month.in_month(shape),
            (true, false) => self.week.in_month(shape),
            (false, false) => self.month.in_month(shape) | self.week.in_month(shape),
        }
    }
}
