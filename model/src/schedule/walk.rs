//! From zone-less time to instants: what the changes of a zone's clock do to a schedule (Vixie cron's rule).
//!
//! An entry is **fixed** when neither its minute nor its hour field starts with `*`, else **absolute**.
//!
//! - Fixed, in a gap: it runs once, at the first instant after. Several of its times in the gap are that one slot, as
//!   is one that the entry has at that instant anyway. In a gap of [`MOVED_LESS_THAN`] or more it doesn't run.
//! - Fixed, in an overlap: it runs in the first pass, not in the second, however long the overlap.
//! - Absolute: it runs at every instant whose wall time matches; so twice in an overlap, never in a gap.
//!
//! Everything is in seconds. Bounded work: each turn of a loop passes a gap.

use super::calendar::Calendar;
use super::zone::{TimeZone, Wall};

/// The length of a gap, in seconds, from which on it is a change of the calendar rather than of the season.
const MOVED_LESS_THAN: i64 = 3 * 3600;

/// The first slot after `after`.
pub(super) fn next(calendar: &Calendar, zone: TimeZone, after: i64) -> Option<i64> {
    let fields = calendar.fields();
    if fields.minute_star || fields.hour_star {
        next_absolute(calendar, zone, after)
    } else {
        next_fixed(calendar, zone, after)
    }
}

/// The last slot before `before`.
pub(super) fn previous(calendar: &Calendar, zone: TimeZone, before: i64) -> Option<i64> {
    let fields = calendar.fields();
    if fields.minute_star || fields.hour_star {
        previous_absolute(calendar, zone, before)
    } else {
        previous_fixed(calendar, zone, before)
    }
}

/// Whether a slot is there in the place of times that the clock skipped: it shows none of the calendar's.
pub(super) fn is_moved(calendar: &Calendar, zone: TimeZone, slot: i64) -> bool {
    let wall = zone.wall_at(slot);
    calendar.next(wall - 1) != Some(wall)
}

fn next_fixed(calendar: &Calendar, zone: TimeZone, after: i64) -> Option<i64> {
    let mut from = zone.wall_at(after);
    loop {
        let wall = calendar.next(from)?;
        match zone.resolve(wall) {
            Wall::Once(instant) => return Some(instant),
            Wall::Twice(first, _) if first > after => return Some(first),
            // `after` is in the second pass, where nothing runs.
            Wall::Twice(..) => from = zone.overlap_around(wall)?.end - 1,
            Wall::Gap(gap) if gap.end - gap.begin < MOVED_LESS_THAN => return Some(gap.instant),
            Wall::Gap(gap) => from = gap.end - 1,
        }
    }
}

fn previous_fixed(calendar: &Calendar, zone: TimeZone, before: i64) -> Option<i64> {
    let mut from = zone.wall_at(before);
    if let Some(overlap) = zone.overlap_around(from)
        && from - overlap.after == before
    {
        from = overlap.end;
    }
    loop {
        let wall = calendar.previous(from)?;
        match zone.resolve(wall) {
            Wall::Once(instant) | Wall::Twice(instant, _) => return Some(instant),
            Wall::Gap(gap) if gap.end - gap.begin < MOVED_LESS_THAN && gap.instant < before => {
                return Some(gap.instant);
            }
            Wall::Gap(gap) => from = gap.begin,
        }
    }
}

fn next_absolute(calendar: &Calendar, zone: TimeZone, after: i64) -> Option<i64> {
    let offset = zone.offset_at(after);
    let mut from = after + offset;
    let mut wall = calendar.next(from)?;
    // Between `after` and the candidate the clock may be set back, and times before `from` be shown again.
    if let Some(overlap) = zone.overlap_around(from)
        && overlap.before == offset
    {
        if wall < overlap.end {
            return Some(wall - offset);
        }
        let again = calendar.next(overlap.begin - 1)?;
        if again < overlap.end {
            return Some(again - overlap.after);
        }
    }
    loop {
        match zone.resolve(wall) {
            Wall::Once(instant) => return Some(instant),
            Wall::Twice(first, second) => return Some(if first > after { first } else { second }),
            Wall::Gap(gap) => from = gap.end - 1,
        }
        wall = calendar.next(from)?;
    }
}

fn previous_absolute(calendar: &Calendar, zone: TimeZone, before: i64) -> Option<i64> {
    let offset = zone.offset_at(before);
    let mut from = before + offset;
    let mut wall = calendar.previous(from)?;
    if let Some(overlap) = zone.overlap_around(from)
        && overlap.after == offset
    {
        if wall >= overlap.begin {
            return Some(wall - offset);
        }
        wall = calendar.previous(overlap.end)?;
        if wall >= overlap.begin {
            return Some(wall - overlap.before);
        }
    }
    loop {
        match zone.resolve(wall) {
            Wall::Once(instant) => return Some(instant),
            Wall::Twice(first, second) => return Some(if second < before { second } else { first }),
            Wall::Gap(gap) => from = gap.begin,
        }
        wall = calendar.previous(from)?;
    }
}
