//! Every zone of the tz data, 2020 to 2037: what schedules do around each change of its clock, and over a whole year.
//!
//! The expectation is worked out here from the rule and the zone's offsets alone, instant by instant on a grid.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Offset, TimeZone as _};
use chrono_tz::{TZ_VARIANTS, Tz};
use model::{Dialect, JobName, Schedule, TimeZone, UnixMillis};

const DAY: i64 = 86_400;
const QUARTER: i64 = 900;
const GRID: usize = 900;

/// A set of times of a day, told without the parser.
struct Entry {
    text: &'static str,
    /// Whether it follows absolute time.
    absolute: bool,
    matches: fn(hour: i64, minute: i64) -> bool,
}

const ENTRIES: [Entry; 8] = [
    Entry { text: "30 2 * * *", absolute: false, matches: |h, m| (h, m) == (2, 30) },
    Entry { text: "0,30 0-4 * * *", absolute: false, matches: |h, m| h <= 4 && m % 30 == 0 },
    Entry { text: "15,45 0-23 * * *", absolute: false, matches: |_, m| m % 30 == 15 },
    Entry { text: "0 0 * * *", absolute: false, matches: |h, m| (h, m) == (0, 0) },
    Entry { text: "*/30 * * * *", absolute: true, matches: |_, m| m % 30 == 0 },
    Entry { text: "*/30 1-3 * * *", absolute: true, matches: |h, m| (1..=3).contains(&h) && m % 30 == 0 },
    Entry { text: "15 */2 * * *", absolute: true, matches: |h, m| h % 2 == 0 && m == 15 },
    Entry { text: "0 * * * *", absolute: true, matches: |_, m| m == 0 },
];

const WHOLE_YEAR: [Entry; 2] = [
    Entry { text: "45 1-22/3 * * *", absolute: false, matches: |h, m| h % 3 == 1 && m == 45 },
    Entry { text: "45 */3 * * *", absolute: true, matches: |h, m| h % 3 == 0 && m == 45 },
];

/// A change of a clock: when, and the offsets before and after.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    at: i64,
    before: i64,
    after: i64,
}

fn offset(zone: Tz, instant: i64) -> i64 {
    let utc = DateTime::from_timestamp(instant, 0).unwrap().naive_utc();
    zone.offset_from_utc_datetime(&utc).fix().local_minus_utc().into()
}

fn midnight(year: i32) -> i64 {
    NaiveDate::from_ymd_opt(year, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp()
}

fn changes(zone: Tz) -> Vec<Change> {
    let mut found = Vec::new();
    let steps = (midnight(2020)..midnight(2038)).step_by(21_600);
    let mut last = (midnight(2020), offset(zone, midnight(2020)));
    for instant in steps {
        let now = (instant, offset(zone, instant));
        if now.1 != last.1 {
            let (mut old, mut new) = (last.0, instant);
            while new - old > 1 {
                let middle = i64::midpoint(old, new);
                if offset(zone, middle) == last.1 { old = middle } else { new = middle }
            }
            found.push(Change { at: new, before: last.1, after: now.1 });
        }
        last = now;
    }
    found
}

/// The slots of an entry from `from`, without `to`.
fn expected(entry: &Entry, zone: Tz, changes: &[Change], from: i64, to: i64) -> Vec<i64> {
    let matches = |wall: i64| (entry.matches)(wall.rem_euclid(DAY) / 3600, wall.rem_euclid(3600) / 60);
    let instants = (from..to).step_by(GRID);
    if entry.absolute {
        return instants.filter(|instant| matches(instant + offset(zone, *instant))).collect();
    }
    let near: Vec<Change> =
        changes.iter().copied().filter(|c| (from - DAY..to + DAY).contains(&c.at)).collect();
    let offsets: BTreeSet<i64> =
        near.iter().flat_map(|c| [c.before, c.after]).chain([offset(zone, from)]).collect();
    let walls = (from - DAY..to + DAY).step_by(GRID).filter(|wall| matches(*wall));
    let slots: BTreeSet<i64> = walls
        .filter_map(|wall| {
            let shown = offsets.iter().map(|o| wall - o).filter(|at| at + offset(zone, *at) == wall).min();
            let gap = || near.iter().find(|c| (c.at + c.before..c.at + c.after).contains(&wall));
            shown.or_else(|| gap().filter(|c| c.after - c.before < 3 * 3600).map(|c| c.at))
        })
        .collect();
    slots.range(from..to).copied().collect()
}

fn check(entry: &Entry, zone: Tz, changes: &[Change], from: i64, to: i64) {
    let parsed = TimeZone::parse(zone.name()).unwrap();
    let schedule =
        Schedule::parse(entry.text, Dialect::Standard, parsed, &JobName::new("x").unwrap()).unwrap();
    let expected = expected(entry, zone, changes, from, to);
    let show = |slots: &[i64]| slots.iter().map(|s| UnixMillis(s * 1000).to_string()).collect::<Vec<_>>();
    let (first, end) = (UnixMillis(from * 1000 - 1), UnixMillis(to * 1000));
    let forward: Vec<i64> =
        std::iter::successors(schedule.next_after(first), |slot| schedule.next_after(*slot))
            .take_while(|slot| *slot < end)
            .take(expected.len() + 1)
            .map(|slot| slot.0 / 1000)
            .collect();
    assert_eq!(show(&forward), show(&expected), "{} in {zone}, forward", entry.text);
    let mut backward: Vec<i64> =
        std::iter::successors(schedule.previous_before(end), |slot| schedule.previous_before(*slot))
            .take_while(|slot| *slot > first)
            .take(expected.len() + 1)
            .map(|slot| slot.0 / 1000)
            .collect();
    backward.reverse();
    assert_eq!(show(&backward), show(&expected), "{} in {zone}, backward", entry.text);
    // From instants that are no slots as well, most of all in both passes of an overlap.
    let middle = i64::midpoint(from, to);
    for instant in (middle - 4 * 3600..middle + 4 * 3600).step_by(2 * GRID) {
        let at = UnixMillis((instant + 1) * 1000);
        let after = expected.partition_point(|slot| *slot <= instant);
        let slot = |index: usize| expected.get(index).map(|slot| UnixMillis(slot * 1000));
        assert_eq!(
            schedule.next_after(at).filter(|next| *next < end),
            slot(after),
            "{} in {zone}, {at}",
            entry.text
        );
        let previous = schedule.previous_before(at).filter(|previous| *previous > first);
        assert_eq!(previous, after.checked_sub(1).and_then(slot), "{} in {zone}, {at}", entry.text);
    }
}

/// One zone of each kind: aliases and zones that agree since 2020 are looked at once.
fn kinds() -> Vec<(Tz, Vec<Change>)> {
    let mut kinds = BTreeMap::new();
    for zone in TZ_VARIANTS {
        let changes = changes(zone);
        kinds.entry((offset(zone, midnight(2020)), changes)).or_insert(zone);
    }
    kinds.into_iter().map(|((_, changes), zone)| (zone, changes)).collect()
}

#[test]
fn around_every_change_of_every_zone_no_slot_is_missing_or_double() {
    let mut sizes = BTreeSet::new();
    for (zone, changes) in kinds() {
        for change in &changes {
            sizes.insert((change.after - change.before) / 60);
            let start = change.at.div_euclid(QUARTER) * QUARTER;
            for entry in &ENTRIES {
                check(entry, zone, &changes, start - 2 * DAY, start + 2 * DAY);
            }
        }
    }
    // Lord Howe, Europe and Troll, both ways, and Casey's three hours.
    assert!([-180, -120, -60, -30, 30, 60, 120, 180].iter().all(|size| sizes.contains(size)), "{sizes:?}");
}

#[test]
fn over_a_whole_year_in_every_zone_no_slot_is_missing_or_double() {
    for (zone, changes) in kinds() {
        for entry in &WHOLE_YEAR {
            check(entry, zone, &changes, midnight(2026), midnight(2027));
        }
    }
}
