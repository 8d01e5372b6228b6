//! What only this module can see: sharing, days against a second reckoning, the steps' texts.

use chrono::{Datelike, Duration, NaiveDate, Weekday};

use super::days::{Days, MonthDays, MonthShape, WeekDays};
use super::field::{Field, Set, WideSet};
use super::*;

fn named(text: &str, name: &str) -> Schedule {
    Schedule::parse(text, Dialect::Standard, TimeZone::UTC, &JobName::new(name).unwrap()).unwrap()
}

#[test]
fn equal_schedules_share_one_value() {
    let (one, other) = (named("17 3 * * *", "a"), named("17 3 * * *", "b"));
    assert!(Arc::ptr_eq(&one.0, &other.0));
    // Three hundred names have at most the sixty minutes of an hour between them.
    let hashed: Vec<Schedule> = (0..300).map(|n| named("H 3 * * *", &format!("job{n}"))).collect();
    let distinct: std::collections::HashSet<_> = hashed.iter().map(|s| Arc::as_ptr(&s.0)).collect();
    assert!((50..=60).contains(&distinct.len()), "{}", distinct.len());
}

#[test]
fn a_schedule_that_no_job_has_any_more_is_freed() {
    let schedule = named("18 3 * * *", "a");
    let value = Arc::downgrade(&schedule.0);
    drop(schedule);
    assert_eq!(value.strong_count(), 0);
    assert_eq!(named("18 3 * * *", "a").text(), "18 3 * * *");
}

#[test]
fn the_table_of_shared_schedules_does_not_grow_with_those_that_are_gone() {
    for second in 0..60 {
        for minute in 0..60 {
            named(&format!("{second} {minute} 4 5 6 ?"), "a");
        }
    }
    assert!(intern::size() < 2000, "{}", intern::size());
}

/// The days of a month that a rule written with dates picks.
fn reckoned(year: i32, month: u32, picks: impl Fn(NaiveDate, NaiveDate) -> bool) -> u32 {
    let first = NaiveDate::from_ymd_opt(year, month, 1).unwrap();
    let last = first + chrono::Months::new(1) - Duration::days(1);
    first
        .iter_days()
        .take_while(|day| *day <= last)
        .filter(|day| picks(*day, last))
        .map(|day| 1 << day.day())
        .sum()
}

fn workday(day: NaiveDate) -> bool {
    !matches!(day.weekday(), Weekday::Sat | Weekday::Sun)
}

#[test]
fn special_days_agree_with_a_reckoning_by_dates() {
    let week = |set: fn(&mut WeekDays)| {
        let mut week = WeekDays::default();
        set(&mut week);
        Days { month: MonthDays { open: true, ..MonthDays::default() }, week }
    };
    let month = |set: &dyn Fn(&mut MonthDays)| {
        let mut month = MonthDays::default();
        set(&mut month);
        Days { month, week: WeekDays { open: true, ..WeekDays::default() } }
    };
    for (year, number) in (2000..2028).flat_map(|year| (1..=12).map(move |month| (year, month))) {
        let first = NaiveDate::from_ymd_opt(year, number, 1).unwrap();
        let shape = MonthShape {
            first: first.weekday().num_days_from_sunday(),
            length: u32::from(first.num_days_in_month()),
        };
        let check = |days: Days, what: &str, picks: &dyn Fn(NaiveDate, NaiveDate) -> bool| {
            assert_eq!(days.in_month(shape), reckoned(year, number, picks), "{what} in {year}-{number}");
        };
        check(week(|w| w.days.insert(Field::DayOfWeek, 0)), "SUN", &|day, _| day.weekday() == Weekday::Sun);
        check(week(|w| w.last.insert(Field::DayOfWeek, 5)), "5L", &|day, last| {
            day.weekday() == Weekday::Fri && day + Duration::days(7) > last
        });
        check(week(|w| w.nth[4].insert(Field::DayOfWeek, 3)), "3#5", &|day, _| {
            day.weekday() == Weekday::Wed && day.day() > 28
        });
        check(week(|w| w.nth[1].insert(Field::DayOfWeek, 6)), "6#2", &|day, _| {
            day.weekday() == Weekday::Sat && (8..=14).contains(&day.day())
        });
        check(month(&|m| m.last_workday = true), "LW", &|day, last| {
            workday(day)
                && day.iter_days().skip(1).take_while(|later| *later <= last).all(|later| !workday(later))
        });
        for n in 0..=30 {
            check(month(&|m| m.before_last = 1 << n), &format!("L-{n}"), &|day, last| {
                last - day == Duration::days(n)
            });
        }
        for target in 1..=31 {
            let nearest = month(&|m| m.nearest.insert(Field::DayOfMonth, target));
            check(nearest, &format!("{target}W"), &|day, last| {
                let distance = |day: NaiveDate| day.day().abs_diff(target);
                let others = day.with_day(1).unwrap().iter_days().take_while(|other| *other <= last);
                // Within a month no two workdays are equally near to a Saturday or a Sunday.
                target <= last.day()
                    && Some(day) == others.filter(|other| workday(*other)).min_by_key(|o| distance(*o))
            });
        }
    }
}

#[test]
fn the_text_of_a_set_is_ascending_and_short() {
    for (values, text) in [
        (vec![5], "5"),
        (vec![22, 23, 0, 1, 2], "0-2,22,23"),
        (vec![0, 15, 30, 45], "0-45/15"),
        (vec![0, 30], "0,30"),
        (vec![1, 2, 4], "1,2,4"),
        (vec![7, 8, 9, 10], "7-10"),
    ] {
        let set: Set = values.into_iter().map(|value| (Field::Minute, value)).collect();
        assert_eq!(set.text(Field::Minute), text);
    }
    // The legacy library reads no step of 64.
    let years: WideSet = [1970, 2034, 2098].into_iter().map(|year| (Field::Year, year)).collect();
    assert_eq!(years.text(Field::Year), "1970,2034,2098");
}
