//! What holds for any text, any instant and any zone.

use chrono_tz::TZ_VARIANTS;
use model::{Dialect, JobName, Schedule, TimeZone, UnixMillis};
use proptest::prelude::*;
use proptest::sample::select;

fn job() -> JobName {
    JobName::new("backup").unwrap()
}

/// An entry of a field whose values are `min` to `max`, in every form that all fields have.
fn plain(min: u32, max: u32) -> impl Strategy<Value = String> {
    let value = min..=max;
    let step = 1..=max.min(59);
    prop_oneof![
        3 => Just("*".to_owned()),
        4 => value.clone().prop_map(|a| a.to_string()),
        1 => step.clone().prop_map(|n| format!("*/{n}")),
        1 => (value.clone(), step.clone()).prop_map(|(a, n)| format!("{a}/{n}")),
        1 => (value.clone(), value.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (value.clone(), value, step).prop_map(|(a, b, n)| format!("{}-{}/{n}", a.min(b), a.max(b))),
    ]
}

/// The same, and ranges that wrap and `H`.
fn cyclic(min: u32, max: u32) -> impl Strategy<Value = String> {
    let range = (min..=max, min..=max);
    prop_oneof![
        8 => plain(min, max),
        1 => range.clone().prop_map(|(a, b)| format!("{a}-{b}")),
        1 => Just("H".to_owned()),
        1 => range.prop_map(|(a, b)| format!("H({a}-{b})")),
        1 => (1..=max).prop_map(|n| format!("H/{n}")),
    ]
}

fn list(entry: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(entry, 1..3).prop_map(|entries| entries.join(","))
}

fn day_of_month() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => cyclic(1, 31),
        1 => Just("L".to_owned()),
        1 => Just("LW".to_owned()),
        1 => (1..=30).prop_map(|n| format!("L-{n}")),
        1 => (1..=31).prop_map(|n| format!("{n}W")),
    ]
}

fn day_of_week() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => cyclic(0, 6),
        1 => Just("FRI-MON".to_owned()),
        1 => (0..=7).prop_map(|day| format!("{day}L")),
        1 => (0..=7, 1..=5).prop_map(|(day, nth)| format!("{day}#{nth}")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    let fields = (
        list(cyclic(0, 59)),
        list(cyclic(0, 59)),
        list(cyclic(0, 23)),
        list(day_of_month()),
        list(cyclic(1, 12)),
        list(day_of_week()),
        prop_oneof![3 => Just("*".to_owned()), 1 => list(plain(1970, 2099))],
    );
    let calendar = (fields, 5..=7).prop_map(|((s, m, h, dom, mon, dow, y), count)| match count {
        5 => format!("{m} {h} {dom} {mon} {dow}"),
        6 => format!("{s} {m} {h} {dom} {mon} {dow}"),
        _ => format!("{s} {m} {h} {dom} {mon} {dow} {y}"),
    });
    prop_oneof![20 => calendar, 1 => (1..1_000_000).prop_map(|n| format!("@every {n}s"))]
}

fn zone() -> impl Strategy<Value = TimeZone> {
    select(&TZ_VARIANTS[..]).prop_map(|zone| TimeZone::parse(zone.name()).unwrap())
}

/// From 1970 to 2100, not only whole seconds.
fn instant() -> impl Strategy<Value = UnixMillis> {
    (0..4_102_444_800_000_i64, any::<bool>())
        .prop_map(|(t, whole)| UnixMillis(if whole { t / 1000 * 1000 } else { t }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_panics(text in ".{0,300}", zone in zone()) {
        for dialect in [Dialect::Standard, Dialect::Legacy] {
            if let Err(error) = Schedule::parse(&text, dialect, zone, &job()) {
                prop_assert!(error.offset() + error.length() <= text.chars().count());
            }
        }
        let _ = TimeZone::parse(&text);
    }

    #[test]
    fn no_text_of_cron_characters_panics(text in "[@*?/,#LWHFRISUNeveryhms()0-9 -]{0,40}", t in any::<i64>()) {
        for dialect in [Dialect::Standard, Dialect::Legacy] {
            match Schedule::parse(&text, dialect, TimeZone::UTC, &job()) {
                Ok(schedule) => {
                    let _ = (schedule.next_after(UnixMillis(t)), schedule.previous_before(UnixMillis(t)));
                    let _ = (schedule.describe(), schedule.legacy_text());
                }
                Err(error) => prop_assert!(error.offset() + error.length() <= text.chars().count()),
            }
        }
    }

    #[test]
    fn what_is_within_the_grammar_parses_or_never_matches(text in expression()) {
        if let Err(error) = Schedule::parse(&text, Dialect::Standard, TimeZone::UTC, &job()) {
            prop_assert!(error.to_string().contains("never matches"), "{text}: {error}");
        }
    }

    #[test]
    fn next_ascends_previous_descends_and_they_agree(text in expression(), zone in zone(), t in instant()) {
        let Ok(schedule) = Schedule::parse(&text, Dialect::Standard, zone, &job()) else { return Ok(()) };
        let mut last = t;
        for _ in 0..5 {
            let Some(next) = schedule.next_after(last) else { break };
            prop_assert!(next > last, "{text} {zone}: {next} after {last}");
            prop_assert_eq!(schedule.next_after(UnixMillis(next.0 - 1)), Some(next), "{} {}", &text, zone);
            prop_assert_eq!(schedule.previous_before(UnixMillis(next.0 + 1)), Some(next), "{} {}", &text, zone);
            let previous = schedule.previous_before(next);
            prop_assert!(previous <= Some(last), "{text} {zone}: {previous:?} before {next}, after {last}");
            if last != t {
                prop_assert_eq!(previous, Some(last), "{} {}", &text, zone);
            }
            last = next;
        }
        let previous = schedule.previous_before(t);
        prop_assert!(previous < Some(t));
        if let Some(previous) = previous {
            let next = schedule.next_after(previous);
            prop_assert!(next.is_none_or(|next| next >= t), "{text} {zone}: {next:?} after {previous}, before {t}");
        }
    }

    #[test]
    fn a_text_parses_to_the_same_schedule_again(text in expression(), zone in zone()) {
        let Ok(schedule) = Schedule::parse(&text, Dialect::Standard, zone, &job()) else { return Ok(()) };
        let again = Schedule::parse(schedule.text(), schedule.dialect(), schedule.zone(), &job());
        prop_assert_eq!(again, Ok(schedule));
    }

    #[test]
    fn the_legacy_text_is_read_the_same_way(text in expression(), t in instant()) {
        let Ok(schedule) = Schedule::parse(&text, Dialect::Standard, TimeZone::UTC, &job()) else { return Ok(()) };
        let Some(legacy) = schedule.legacy_text() else { return Ok(()) };
        let other = JobName::new("other").unwrap();
        let read = Schedule::parse(&legacy, Dialect::Legacy, TimeZone::UTC, &other);
        let read = read.unwrap_or_else(|error| panic!("{text}: {legacy}: {error}"));
        let mut last = t;
        for _ in 0..5 {
            let next = schedule.next_after(last);
            prop_assert_eq!(read.next_after(last), next, "{} as {}", &text, &legacy);
            let Some(next) = next else { break };
            last = next;
        }
        prop_assert_eq!(read.legacy_text(), Some(legacy));
    }
}
