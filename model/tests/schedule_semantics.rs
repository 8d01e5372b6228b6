//! What users of cron, Kubernetes, Quartz and Jenkins see, line by line.

use chrono::{DateTime, TimeZone as _};
use chrono_tz::Tz;
use model::{Dialect, JobName, Schedule, TimeZone, UnixMillis};

fn parse(text: &str, dialect: Dialect, zone: &str, name: &str) -> Schedule {
    let zone = TimeZone::parse(zone).unwrap();
    Schedule::parse(text, dialect, zone, &JobName::new(name).unwrap())
        .unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn standard(text: &str) -> Schedule {
    parse(text, Dialect::Standard, "UTC", "backup")
}

/// An instant written as RFC 3339, with `T00:00:00Z` for a day alone.
fn at(text: &str) -> UnixMillis {
    let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    UnixMillis(DateTime::parse_from_rfc3339(&full).unwrap().timestamp_millis())
}

fn slots(schedule: &Schedule, after: UnixMillis) -> impl Iterator<Item = UnixMillis> {
    std::iter::successors(schedule.next_after(after), |slot| schedule.next_after(*slot))
}

/// Slots on the zone's clock, with the offset: `2026-03-29 03:00:00 +02:00`.
fn on_the_clock(schedule: &Schedule, after: &str, until: &str) -> Vec<String> {
    let zone: Tz = schedule.zone().name().parse().unwrap();
    let show = |slot: UnixMillis| zone.from_utc_datetime(&slot.to_utc().naive_utc());
    slots(schedule, at(after))
        .take_while(|slot| *slot < at(until))
        .map(|slot| show(slot).format("%F %T %:z").to_string())
        .collect()
}

fn assert_same(one: &Schedule, other: &Schedule) {
    let from = at("2026-01-01");
    for (a, b) in slots(one, from).zip(slots(other, from)).take(200) {
        assert_eq!(a, b, "{one:?} and {other:?}");
    }
}

#[test]
fn a_resources_schedule_has_5_fields_or_6_with_the_second_or_7_with_the_year_too() {
    for (text, first) in [
        ("5 4 3 2 *", "2026-02-03T04:05:00Z"),
        ("6 5 4 3 2 *", "2026-02-03T04:05:06Z"),
        ("6 5 4 3 2 * 2027", "2027-02-03T04:05:06Z"),
        ("  5\t4  3 2 *\n", "2026-02-03T04:05:00Z"),
    ] {
        assert_eq!(standard(text).next_after(at("2026-01-01")), Some(at(first)), "{text}");
    }
}

#[test]
fn a_cron_expr_of_the_tree_with_6_fields_ends_with_the_year() {
    for (text, first) in [
        ("5 4 3 2 *", "2026-02-03T04:05:00Z"),
        ("5 4 3 2 * 2027", "2027-02-03T04:05:00Z"),
        ("6 5 4 3 2 * 2027", "2027-02-03T04:05:06Z"),
        ("*/5 * * * * * *", "2026-01-01T00:00:05Z"),
    ] {
        let schedule = parse(text, Dialect::Legacy, "UTC", "x");
        assert_eq!(schedule.next_after(at("2026-01-01")), Some(at(first)), "{text}");
    }
}

#[test]
fn names_lists_ranges_and_steps_stand_for_their_values() {
    for (text, values) in [
        ("0 0 * * FRI-MON", "0 0 * * 5,6,0,1"),
        ("0 0 * * friday", "0 0 * * 5"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 5,6,0"),
        ("0 0 * * 7-2", "0 0 * * 0,1,2"),
        ("0 0 * * 6-7", "0 0 * * sat,sun"),
        ("0 0 * * 1-7/3", "0 0 * * 1,4,7"),
        ("0 0 1 NOV-FEB *", "0 0 1 11,12,1,2 *"),
        ("0 0 1 january,Mar *", "0 0 1 1,3 *"),
        ("0 0 30-2 * *", "0 0 30,31,1,2 * *"),
        ("0 22-2 * * *", "0 22,23,0,1,2 * * *"),
        ("0 22-3/2 * * *", "0 22,0,2 * * *"),
        ("*/20 * * * *", "0,20,40 * * * *"),
        ("5/20 * * * *", "5,25,45 * * * *"),
        ("10-40/15 * * * *", "10,25,40 * * * *"),
        ("? ? ? ? ?", "* * * * *"),
        ("0-5,3-8 * * * *", "0,1,2,3,4,5,6,7,8 * * * *"),
        ("05 09 01 01 *", "5 9 1 1 *"),
        ("0 0 0 1 1 * 2026-2030/2", "0 0 0 1 1 * 2026,2028,2030"),
    ] {
        assert_same(&standard(text), &standard(values));
    }
}

#[test]
fn special_days_are_those_of_quartz_and_never_leave_the_month() {
    for (days, first) in [
        ("L * *", ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("L-2 * *", ["2026-01-29", "2026-02-26", "2026-03-29"]),
        ("L-30 * *", ["2026-01-01", "2026-03-01", "2026-05-01"]),
        ("LW * *", ["2026-01-30", "2026-02-27", "2026-03-31"]),
        ("15W * *", ["2026-01-15", "2026-02-16", "2026-03-16"]),
        ("1W 8,11 *", ["2026-08-03", "2026-11-02", "2027-08-02"]),
        ("31W * *", ["2026-01-30", "2026-03-31", "2026-05-29"]),
        ("* * 5L", ["2026-01-30", "2026-02-27", "2026-03-27"]),
        ("* * SUNL", ["2026-01-25", "2026-02-22", "2026-03-29"]),
        ("* * 7L", ["2026-01-25", "2026-02-22", "2026-03-29"]),
        ("* * 5#3", ["2026-01-16", "2026-02-20", "2026-03-20"]),
        ("* * thu#1", ["2026-01-01", "2026-02-05", "2026-03-05"]),
        ("* * 5#5", ["2026-01-30", "2026-05-29", "2026-07-31"]),
        ("1,L * *", ["2026-01-01", "2026-01-31", "2026-02-01"]),
    ] {
        let found: Vec<_> =
            slots(&standard(&format!("0 0 {days}")), at("2025-12-31T23:59:59Z")).take(3).collect();
        assert_eq!(found, first.map(at), "{days}");
    }
}

/// The values of `H` and `@every` are published: they never change. Computed with another XXH64, of name and field,
/// each followed by a zero byte.
#[test]
fn h_is_a_stable_hash_of_the_jobs_name_per_field() {
    for (name, text, resolved) in [
        ("backup", "H H H H H ?", "40 46 11 18 2 * *"),
        ("ops/rotate", "H H H H H ?", "30 47 9 5 5 * *"),
        ("夜间备份", "H H H H H ?", "10 47 1 28 11 * *"),
        ("backup", "0 0 0 ? * H", "0 0 0 * * 4 *"),
        ("backup", "H(10-19) H(22-2) * * *", "0 16 1 * * * *"),
        ("backup", "H/15 * * * *", "0 1-46/15 * * * * *"),
        ("backup", "H(0-29)/10 * * * *", "0 6-26/10 * * * * *"),
        ("backup", "0 0 H/7 * ?", "0 0 0 4-25/7 * * *"),
        ("backup", "0 0 ? * H(5-7)", "0 0 0 * * 6 *"),
        ("backup", "0 H(0-2)/5 * * *", "0 0 2 * * * *"),
        ("backup", "@every 60s", "38 * * * * * *"),
        ("backup", "@every 1h", "38 29 * * * * *"),
        ("ops/rotate", "@every 24h", "16 54 0 * * * *"),
    ] {
        let schedule = parse(text, Dialect::Standard, "UTC", name);
        assert_eq!(schedule.legacy_text().as_deref(), Some(resolved), "{text} of {name}");
    }
}

#[test]
fn macros_stand_for_their_fields() {
    for (text, fields) in [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
    ] {
        assert_same(&standard(text), &standard(fields));
    }
    for text in ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@hourly"] {
        assert_same(&parse(text, Dialect::Legacy, "UTC", "x"), &standard(text));
    }
}

#[test]
fn every_counts_from_the_epoch_never_from_a_restart() {
    for (text, period) in [
        ("@every 1s", 1_000),
        ("@every 90s", 90_000),
        ("@every 1h30m", 5_400_000),
        ("@every 1.5h", 5_400_000),
        ("@every 60000ms", 60_000),
        ("@every 168h", 604_800_000),
    ] {
        let schedule = standard(text);
        let first = schedule.next_after(UnixMillis(-1)).unwrap();
        assert!(first.0 < period, "{text}");
        for after in ["1999-12-31T23:59:59Z", "2026-05-06T07:08:09Z"] {
            let (next, previous) = (schedule.next_after(at(after)), schedule.previous_before(at(after)));
            assert_eq!((next.unwrap().0 - first.0) % period, 0, "{text}");
            assert!(next.unwrap().0 - at(after).0 <= period, "{text}");
            assert!(previous.unwrap() < at(after) && at(after).0 - previous.unwrap().0 <= period, "{text}");
        }
    }
    let at_same_time = |name| parse("@every 1h", Dialect::Standard, "UTC", name).next_after(at("2026-01-01"));
    assert_eq!(at_same_time("a"), at_same_time("a"));
    assert_ne!(at_same_time("a"), at_same_time("b"));
}

#[test]
fn where_both_day_fields_are_restricted_either_matches() {
    for (text, first) in [
        ("0 0 13 * FRI", ["2026-01-02", "2026-01-09", "2026-01-13"]),
        ("0 0 */10 * MON", ["2026-01-01", "2026-01-05", "2026-01-11"]),
        ("0 0 1-31 * MON", ["2026-01-01", "2026-01-02", "2026-01-03"]),
        ("0 0 L * SUN#1", ["2026-01-04", "2026-01-31", "2026-02-01"]),
        ("0 0 */1 * MON", ["2026-01-05", "2026-01-12", "2026-01-19"]),
        ("0 0 ? * MON", ["2026-01-05", "2026-01-12", "2026-01-19"]),
        ("0 0 2,* * MON", ["2026-01-05", "2026-01-12", "2026-01-19"]),
    ] {
        let found: Vec<_> = slots(&standard(text), at("2025-12-31T23:59:59Z")).take(3).collect();
        assert_eq!(found, first.map(at), "{text}");
    }
    // The library of the replaced system takes a step of one as a restriction.
    let legacy = parse("0 0 */1 * MON", Dialect::Legacy, "UTC", "x");
    assert_eq!(legacy.next_after(at("2026-01-01")), Some(at("2026-01-02")));
}

#[test]
fn an_expression_that_can_never_match_is_refused() {
    let never = [
        "0 0 31 2 *",
        "0 0 30,31 FEB ?",
        "0 0 31 4,6,9,11 *",
        "0 0 31W 4 *",
        "0 0 L-29 2 *",
        "0 0 0 29 2 * 2025-2027",
        "0 0 0 L-28 2 ? 2025",
        "0 0 0 ? 2 5#5 2026",
    ];
    let name = JobName::new("x").unwrap();
    for text in never {
        let parsed = Schedule::parse(text, Dialect::Standard, TimeZone::UTC, &name);
        let message = parsed.map_err(|error| error.to_string());
        assert!(message.as_ref().is_err_and(|m| m.contains("never matches")), "{text}: {message:?}");
    }
    for (text, first) in [
        ("0 0 29 2 *", "2028-02-29"),
        ("0 0 31 2 MON", "2026-02-02"),
        ("0 0 0 ? 2 6#5", "2048-02-29"),
        ("0 0 0 29 2 * 2096", "2096-02-29"),
        ("0 0 0 L-28 2 ?", "2028-02-01"),
    ] {
        assert_eq!(standard(text).next_after(at("2026-01-01")), Some(at(first)), "{text}");
    }
}

#[test]
fn the_times_are_those_of_the_zones_clock() {
    for (zone, first) in [
        ("UTC", "2026-01-15T12:30:00Z"),
        ("Europe/Paris", "2026-01-15T11:30:00Z"),
        ("Asia/Kathmandu", "2026-01-15T06:45:00Z"),
        ("America/St_Johns", "2026-01-15T16:00:00Z"),
        ("Pacific/Kiritimati", "2026-01-14T22:30:00Z"),
    ] {
        let schedule = parse("30 12 15 * *", Dialect::Standard, zone, "x");
        assert_eq!(schedule.next_after(at("2026-01-01")), Some(at(first)), "{zone}");
    }
}

#[test]
fn a_fixed_entry_runs_once_at_the_first_instant_after_a_gap_and_in_the_first_pass_of_an_overlap() {
    let cases: [(&str, &str, &str, &str, &[&str]); 12] = [
        ("Europe/Paris", "30 2 * * *", "2026-03-29", "2026-03-30", &["2026-03-29 03:00:00 +02:00"]),
        ("Europe/Paris", "0,20,40 2 * * *", "2026-03-29", "2026-03-30", &["2026-03-29 03:00:00 +02:00"]),
        ("Europe/Paris", "0 2,3 * * *", "2026-03-29", "2026-03-30", &["2026-03-29 03:00:00 +02:00"]),
        ("Europe/Paris", "*/20 30 2 * * *", "2026-03-29", "2026-03-30", &["2026-03-29 03:00:00 +02:00"]),
        ("Europe/Paris", "30 2 * * *", "2026-10-25", "2026-10-26", &["2026-10-25 02:30:00 +02:00"]),
        ("Europe/Paris", "0 3 * * *", "2026-10-25", "2026-10-26", &["2026-10-25 03:00:00 +01:00"]),
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2026-10-03T12:00:00Z",
            "2026-10-04",
            &["2026-10-04 02:30:00 +11:00"],
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2026-04-04T12:00:00Z",
            "2026-04-05",
            &["2026-04-05 01:45:00 +11:00"],
        ),
        (
            "Antarctica/Troll",
            "30 1,2 * * *",
            "2026-03-29",
            "2026-03-29T12:00:00Z",
            &["2026-03-29 03:00:00 +02:00"],
        ),
        (
            "Antarctica/Troll",
            "30 1,2,3 * * *",
            "2026-10-24T22:30:00Z",
            "2026-10-25T12:00:00Z",
            &["2026-10-25 01:30:00 +02:00", "2026-10-25 02:30:00 +02:00", "2026-10-25 03:30:00 +00:00"],
        ),
        (
            // The clock of Cuba goes forward at midnight.
            "America/Havana",
            "0 0 * * *",
            "2026-03-07T12:00:00Z",
            "2026-03-09T12:00:00Z",
            &["2026-03-08 01:00:00 -04:00", "2026-03-09 00:00:00 -04:00"],
        ),
        (
            "Europe/Paris",
            "30 2 L 3 *",
            "2027-01-01",
            "2030-01-01",
            &["2027-03-31 02:30:00 +02:00", "2028-03-31 02:30:00 +02:00", "2029-03-31 02:30:00 +02:00"],
        ),
    ];
    for (zone, text, after, until, expected) in cases {
        let schedule = parse(text, Dialect::Standard, zone, "x");
        assert_eq!(on_the_clock(&schedule, after, until), expected, "{text} in {zone}");
    }
}

#[test]
fn an_entry_whose_hour_or_minute_starts_with_a_star_follows_absolute_time() {
    let cases: [(&str, &str, &str, &str, &[&str]); 5] = [
        ("Europe/Paris", "*/20 2 * * *", "2026-03-29", "2026-03-29T12:00:00Z", &[]),
        (
            "Europe/Paris",
            "30 * * * *",
            "2026-03-29",
            "2026-03-29T02:00:00Z",
            &["2026-03-29 01:30:00 +01:00", "2026-03-29 03:30:00 +02:00"],
        ),
        (
            "Europe/Paris",
            "*/30 2 * * *",
            "2026-10-24T23:00:00Z",
            "2026-10-25T12:00:00Z",
            &[
                "2026-10-25 02:00:00 +02:00",
                "2026-10-25 02:30:00 +02:00",
                "2026-10-25 02:00:00 +01:00",
                "2026-10-25 02:30:00 +01:00",
            ],
        ),
        (
            "Australia/Lord_Howe",
            "45 ? * * *",
            "2026-04-04T14:00:00Z",
            "2026-04-04T16:20:00Z",
            &["2026-04-05 01:45:00 +11:00", "2026-04-05 01:45:00 +10:30", "2026-04-05 02:45:00 +10:30"],
        ),
        (
            "Europe/Paris",
            "@hourly",
            "2026-10-24T23:30:00Z",
            "2026-10-25T02:30:00Z",
            &["2026-10-25 02:00:00 +02:00", "2026-10-25 02:00:00 +01:00", "2026-10-25 03:00:00 +01:00"],
        ),
    ];
    for (zone, text, after, until, expected) in cases {
        let schedule = parse(text, Dialect::Standard, zone, "x");
        assert_eq!(on_the_clock(&schedule, after, until), expected, "{text} in {zone}");
    }
}

#[test]
fn a_change_of_three_hours_or_more_moves_nothing() {
    // Samoa had no 30 December 2011, Casey went from +08:00 to +11:00 at 00:01 on 4 October 2020.
    for (zone, after, until, expected) in [
        (
            "Pacific/Apia",
            "2011-12-29T12:00:00Z",
            "2012-01-01",
            vec!["2011-12-29 02:30:00 -10:00", "2011-12-31 02:30:00 +14:00", "2012-01-01 02:30:00 +14:00"],
        ),
        (
            "Antarctica/Casey",
            "2020-10-02T12:00:00Z",
            "2020-10-05T12:00:00Z",
            vec!["2020-10-03 02:30:00 +08:00", "2020-10-05 02:30:00 +11:00"],
        ),
    ] {
        let schedule = parse("30 2 * * *", Dialect::Standard, zone, "x");
        assert_eq!(on_the_clock(&schedule, after, until), expected, "{zone}");
    }
}

#[test]
fn slots_are_strictly_after_and_before_and_whole_seconds() {
    let schedule = standard("*/10 * * * * *");
    let base = at("2026-01-01").0;
    for (t, previous, next) in [(0, -10_000, 10_000), (1, 0, 10_000), (9_999, 0, 10_000), (-1, -10_000, 0)] {
        assert_eq!(schedule.previous_before(UnixMillis(base + t)), Some(UnixMillis(base + previous)), "{t}");
        assert_eq!(schedule.next_after(UnixMillis(base + t)), Some(UnixMillis(base + next)), "{t}");
    }
}

#[test]
fn slots_begin_in_1970_and_end_with_2099_in_any_zone() {
    for (text, zone, first, last) in [
        ("0 0 * * *", "UTC", "1970-01-01", "2099-12-31"),
        ("@every 1s", "UTC", "1970-01-01", "2099-12-31T23:59:59Z"),
        ("0 0 * * *", "America/New_York", "1970-01-01T05:00:00Z", "2099-12-31T05:00:00Z"),
        ("0 0 * * *", "Pacific/Tongatapu", "1970-01-01T11:00:00Z", "2099-12-30T11:00:00Z"),
        ("0 0 0 31 12 * 2099", "UTC", "2099-12-31", "2099-12-31"),
        ("0 0 0 1 1 ? 1999", "UTC", "1999-01-01", "1999-01-01"),
    ] {
        let schedule = parse(text, Dialect::Standard, zone, "x");
        for before in [i64::MIN, -1] {
            assert_eq!(schedule.next_after(UnixMillis(before)), Some(at(first)), "{text} in {zone}");
            assert_eq!(schedule.previous_before(UnixMillis(before)), None, "{text} in {zone}");
        }
        for after in [i64::MAX, at("2100-01-03").0] {
            assert_eq!(schedule.previous_before(UnixMillis(after)), Some(at(last)), "{text} in {zone}");
            assert_eq!(schedule.next_after(UnixMillis(after)), None, "{text} in {zone}");
        }
        assert_eq!(schedule.next_after(at(last)), None, "{text} in {zone}");
        assert_eq!(schedule.previous_before(at(first)), None, "{text} in {zone}");
    }
}

#[test]
fn years_that_are_not_listed_are_passed_over_in_both_directions() {
    let schedule = standard("0 30 12 15 3,9 ? 1999,2020,2050");
    let days = ["1999-03-15", "1999-09-15", "2020-03-15", "2020-09-15", "2050-03-15", "2050-09-15"];
    let days = days.map(|day| at(&format!("{day}T12:30:00Z")));
    assert_eq!(slots(&schedule, UnixMillis(0)).collect::<Vec<_>>(), days);
    let back =
        std::iter::successors(schedule.previous_before(at("2077-02-01")), |t| schedule.previous_before(*t));
    let mut back: Vec<_> = back.collect();
    back.reverse();
    assert_eq!(back, days);
}

#[test]
fn schedules_are_equal_when_text_dialect_zone_and_the_names_choice_are() {
    let of = |text, name| parse(text, Dialect::Standard, "UTC", name);
    assert_eq!(of("0 2 * * *", "a"), of("0 2 * * *", "b"));
    assert_ne!(of("0 2 * * *", "a"), of("0  2 * * *", "a"));
    assert_ne!(of("H H * * *", "a"), of("H H * * *", "b"));
    assert_ne!(of("@every 1h", "a"), of("@every 1h", "b"));
    assert_ne!(of("0 2 * * *", "a"), parse("0 2 * * *", Dialect::Legacy, "UTC", "a"));
    assert_ne!(of("0 2 * * *", "a"), parse("0 2 * * *", Dialect::Standard, "Europe/Paris", "a"));
}
