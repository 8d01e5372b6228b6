//! A schedule in the words of the legacy library.

use super::every::Every;
use super::field::{Field, WideSet};
use super::parser::{Fields, MAX_CHARS};
use super::zone::TimeZone;
use super::{Inner, Rule};

/// The seven fields that the legacy library reads the same way, where there are such.
pub(super) fn text(schedule: &Inner) -> Option<String> {
    let text = match &schedule.rule {
        Rule::Calendar(calendar) => of_fields(calendar.fields())?,
        Rule::Every(every) => of_every(*every, schedule.zone)?,
    };
    // A text that is too long for a parser is no use to it.
    Some(text).filter(|text| text.len() <= MAX_CHARS)
}

fn of_fields(fields: &Fields) -> Option<String> {
    let plain = |field| list(fields.set(field), field, true);
    Some(format!(
        "{} {} {} {} {} {} {}",
        plain(Field::Second),
        list(fields.minutes.widen(), Field::Minute, fields.minute_star),
        list(fields.hours.widen(), Field::Hour, fields.hour_star),
        month_days(fields)?,
        plain(Field::Month),
        week_days(fields),
        plain(Field::Year),
    ))
}

/// A list that begins with `*` where the original did, since that decides what a change of the clock does, and where
/// it can.
fn list(set: WideSet, field: Field, star: bool) -> String {
    if star && set.is_full(field) {
        return "*".to_owned();
    }
    let stepped = |step: &u32| {
        let values = (field.min()..=field.max()).step_by(*step as usize);
        values.map(|value| (field, value)).collect::<WideSet>() == set
    };
    let step = star.then(|| (2..=field.size() / 2).find(stepped)).flatten();
    step.map_or_else(|| set.text(field), |step| format!("*/{step}"))
}

fn month_days(fields: &Fields) -> Option<String> {
    let days = &fields.days.month;
    if days.open {
        return Some("*".to_owned());
    }
    let mut parts = Vec::new();
    if !days.days.is_empty() {
        parts.push(days.days.text(Field::DayOfMonth));
    }
    match days.before_last {
        0 => {}
        1 => parts.push("L".to_owned()),
        _ => return None,
    }
    parts.extend(days.nearest.values(Field::DayOfMonth).map(|day| format!("{day}W")));
    if days.last_workday {
        parts.push("LW".to_owned());
    }
    Some(parts.join(","))
}

fn week_days(fields: &Fields) -> String {
    let days = &fields.days.week;
    if days.open {
        return "*".to_owned();
    }
    let mut parts = Vec::new();
    if !days.days.is_empty() {
        parts.push(days.days.text(Field::DayOfWeek));
    }
    parts.extend(days.last.values(Field::DayOfWeek).map(|day| format!("{day}L")));
    for (nth, set) in (1..).zip(&days.nth) {
        let nth: u32 = nth;
        parts.extend(set.values(Field::DayOfWeek).map(|day| format!("{day}#{nth}")));
    }
    parts.join(",")
}

/// Periods that fit into a minute, an hour or a day are calendars, where the zone's clock agrees with the epoch's:
/// every zone's differs by a multiple of a quarter of an hour, and UTC's doesn't.
fn of_every(every: Every, zone: TimeZone) -> Option<String> {
    let Every { period, offset } = every;
    if 900 % period != 0 && zone != TimeZone::UTC {
        return None;
    }
    let from = |field: Field, step: u32, first: u32| -> String {
        let values = (first..=field.max()).step_by(step as usize);
        list(values.map(|value| (field, value)).collect(), field, true)
    };
    let (second, minute, hour) = (offset % 60, offset / 60 % 60, offset / 3600);
    Some(match period {
        1..=60 if 60 % period == 0 => format!("{} * * * * * *", from(Field::Second, period, second)),
        _ if period % 60 == 0 && 3600 % period == 0 => {
            format!("{second} {} * * * * *", from(Field::Minute, period / 60, minute))
        }
        _ if period % 3600 == 0 && 86_400 % period == 0 => {
            format!("{second} {minute} {} * * * *", from(Field::Hour, period / 3600, hour))
        }
        _ => return None,
    })
}
