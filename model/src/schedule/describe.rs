//! A schedule in words.

use chrono::{DateTime, SecondsFormat};

use super::every::Every;
use super::field::{Field, WideSet};
use super::parser::Fields;
use super::{Inner, Rule};

/// Up to so many times of a day are listed one by one.
const LISTED_TIMES: usize = 6;

const ORDINALS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

/// The sentence, without a full stop.
pub(super) fn describe(schedule: &Inner) -> String {
    match &schedule.rule {
        Rule::Calendar(calendar) => {
            let fields = calendar.fields();
            format!("{}{}{}, {}", times(fields), days(fields), years(fields.years), schedule.zone)
        }
        Rule::Every(every) => period(*every),
    }
}

fn period(Every { period, offset }: Every) -> String {
    let units = [
        (period / 86_400, "day"),
        (period / 3600 % 24, "hour"),
        (period / 60 % 60, "minute"),
        (period % 60, "second"),
    ];
    let units: Vec<_> = units.into_iter().filter(|(count, _)| *count > 0).collect();
    let duration = match units[..] {
        [(1, unit)] => unit.to_owned(),
        _ => join(
            units.iter().map(|(count, unit)| format!("{count} {unit}{}", if *count == 1 { "" } else { "s" })),
        ),
    };
    let start = DateTime::from_timestamp(offset.into(), 0).unwrap_or_default();
    format!("Every {duration}, counted from {}", start.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// The times of a day: "At 02:30", "Every 15 minutes from 09:00 to 17:59".
fn times(fields: &Fields) -> String {
    let of = |field: Field| fields.set(field).values(field).collect::<Vec<u32>>();
    let (seconds, minutes, hours) = (of(Field::Second), of(Field::Minute), of(Field::Hour));
    let on_the_minute = seconds == [0];
    let once_an_hour = seconds.len() == 1 && minutes.len() == 1;
    if on_the_minute && minutes == [0] {
        match step(&hours, 24) {
            Some(1) => return "Every hour".to_owned(),
            Some(n) => return format!("Every {n} hours"),
            None => {}
        }
    }
    let clock = |hour: u32, minute: u32, second: u32| {
        if on_the_minute {
            format!("{hour:02}:{minute:02}")
        } else {
            format!("{hour:02}:{minute:02}:{second:02}")
        }
    };
    if once_an_hour
        && hours.len() > LISTED_TIMES
        && let Some((from, to)) = stretch(&hours, 24)
    {
        let [from, to] = [from, to].map(|hour| clock(hour, minutes[0], seconds[0]));
        return format!("Every hour from {from} to {to}");
    }
    let listed = seconds.len() * minutes.len() * hours.len() <= LISTED_TIMES;
    if listed || (once_an_hour && step(&hours, 24).is_none()) {
        let minutes =
            || minutes.iter().flat_map(|minute| seconds.iter().map(move |second| (*minute, *second)));
        let all =
            hours.iter().flat_map(|hour| minutes().map(move |(minute, second)| clock(*hour, minute, second)));
        let daily = if every_day(fields) { " every day" } else { "" };
        return format!("At {}{daily}", join(all));
    }
    let within_hour = match (on_the_minute, step(&seconds, 60), step(&minutes, 60)) {
        (true, _, Some(1)) => "Every minute".to_owned(),
        (true, _, Some(n)) => format!("Every {n} minutes"),
        (true, _, None) => format!("At {} past the hour", counted(&minutes, "minute")),
        (false, Some(1), Some(1)) => "Every second".to_owned(),
        (false, Some(n), Some(1)) => format!("Every {n} seconds"),
        (false, None, Some(1)) => format!("At {} of every minute", numbered(&seconds, "second")),
        (false, seconds_step, _) => {
            let seconds = match seconds_step {
                Some(1) => "Every second".to_owned(),
                Some(n) => format!("Every {n} seconds"),
                None => format!("At {}", numbered(&seconds, "second")),
            };
            match step(&minutes, 60) {
                Some(n) => format!("{seconds} of every {} minute", ordinal(n)),
                None => format!("{seconds} of {} of the hour", numbered(&minutes, "minute")),
            }
        }
    };
    let in_hours = match (step(&hours, 24), stretch(&hours, 24)) {
        (Some(1), _) => String::new(),
        (Some(n), _) => format!(" in every {} hour from 00:00", ordinal(n)),
        (None, Some((from, to))) => format!(" from {from:02}:00 to {to:02}:59"),
        (None, None) => format!(" in {} of the day", numbered(&hours, "hour")),
    };
    within_hour + &in_hours
}

fn every_day(fields: &Fields) -> bool {
    fields.days.all_open() && fields.months.is_full(Field::Month)
}

/// The days: " on the last Friday of each month", or nothing where every day counts.
fn days(fields: &Fields) -> String {
    let (month, week) = (&fields.days.month, &fields.days.week);
    let all_months = fields.months.is_full(Field::Month);
    let months = || {
        let values: Vec<u32> = fields.months.values(Field::Month).collect();
        runs(&values, |month| Field::Month.names()[month as usize - 1].to_owned())
    };
    let mut of_month = Vec::new();
    if !month.open {
        let plain: Vec<u32> = month.days.values(Field::DayOfMonth).collect();
        if !plain.is_empty() {
            of_month.push(format!("the {}", runs(&plain, ordinal)));
        }
        of_month.extend(
            month
                .nearest
                .values(Field::DayOfMonth)
                .map(|day| format!("the workday nearest to the {}", ordinal(day))),
        );
        of_month.extend((0..=30).filter(|n| month.before_last & 1 << n != 0).map(|n| match n {
            0 => "the last day".to_owned(),
            1 => "the day before the last".to_owned(),
            n => format!("the day {n} days before the last"),
        }));
        if month.last_workday {
            of_month.push("the last workday".to_owned());
        }
    }
    let mut weekly = Vec::new();
    if !week.open {
        let name = |day: u32| Field::DayOfWeek.names()[day as usize % 7];
        // The week begins with Monday here, so that a weekend stays together.
        weekly = (1..=7).filter(|day| week.days.contains(Field::DayOfWeek, day % 7)).collect();
        for (nth, set) in ORDINALS.iter().zip(&week.nth) {
            of_month.extend(set.values(Field::DayOfWeek).map(|day| format!("the {nth} {}", name(day))));
        }
        of_month.extend(week.last.values(Field::DayOfWeek).map(|day| format!("the last {}", name(day))));
    }
    let weekly = runs(&weekly, |day| Field::DayOfWeek.names()[day as usize % 7].to_owned());
    match (of_month.is_empty(), weekly.is_empty(), all_months) {
        (true, true, true) => String::new(),
        (true, true, false) => format!(" on every day of {}", months()),
        (true, false, true) => format!(" on {weekly}"),
        (true, false, false) => format!(" on {weekly} in {}", months()),
        (false, true, true) => format!(" on {} of each month", join(of_month)),
        (false, true, false) => format!(" on {} of {}", join(of_month), months()),
        (false, false, true) => format!(" on {} of each month and also on every {weekly}", join(of_month)),
        (false, false, false) => {
            let months = months();
            format!(" on {} of {months} and also on every {weekly} in {months}", join(of_month))
        }
    }
}

fn years(years: WideSet) -> String {
    if years.is_full(Field::Year) {
        return String::new();
    }
    let values: Vec<u32> = years.values(Field::Year).collect();
    match values[..] {
        [first, second, _, .., last] if second - first > 1 && is_even(&values) => {
            format!(", in every {} year from {first} to {last}", ordinal(second - first))
        }
        _ => format!(", in {}", runs(&values, |year| year.to_string())),
    }
}

fn is_even(values: &[u32]) -> bool {
    values.windows(2).all(|pair| pair[1] - pair[0] == values[1] - values[0])
}

/// The `n` of values that are every `n`th from 0 with nothing left over at the end of the cycle.
fn step(values: &[u32], cycle: u32) -> Option<u32> {
    match values {
        [0, n, ..] if cycle.is_multiple_of(*n) => {
            (values.len() == (cycle / n) as usize && is_even(values)).then_some(*n)
        }
        _ => None,
    }
}

/// The first and the last of values that follow each other, past the end of the cycle as well.
fn stretch(values: &[u32], cycle: u32) -> Option<(u32, u32)> {
    let follows = |a: u32, b: u32| (a + 1) % cycle == b;
    let mut breaks = values.iter().zip(values.iter().cycle().skip(1)).filter(|(a, b)| !follows(**a, **b));
    let (last, first) = breaks.next()?;
    breaks.next().is_none().then_some((*first, *last))
}

/// "1 minute", "5 and 35 minutes".
fn counted(values: &[u32], unit: &str) -> String {
    let plural = if values == [1] { "" } else { "s" };
    format!("{} {unit}{plural}", runs(values, |value| value.to_string()))
}

/// "second 5", "minutes 10 to 20 and 40".
fn numbered(values: &[u32], unit: &str) -> String {
    let plural = if values.len() == 1 { "" } else { "s" };
    format!("{unit}{plural} {}", runs(values, |value| value.to_string()))
}

/// A list in which three and more that follow each other are "a to b".
fn runs(values: &[u32], name: impl Fn(u32) -> String) -> String {
    let runs = values.chunk_by(|a, b| a + 1 == *b);
    join(runs.flat_map(|run| match run {
        [first, _, .., last] if run.len() > 2 => vec![format!("{} to {}", name(*first), name(*last))],
        few => few.iter().map(|value| name(*value)).collect(),
    }))
}

/// "a", "a and b", "a, b and c".
fn join(parts: impl IntoIterator<Item = String>) -> String {
    join_by("and", parts)
}

/// "a", "a or b", "a, b or c", with the word given.
pub(super) fn join_by(word: &str, parts: impl IntoIterator<Item = String>) -> String {
    let parts: Vec<String> = parts.into_iter().collect();
    match &parts[..] {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} {word} {last}", most.join(", ")),
    }
}

fn ordinal(n: u32) -> String {
    let suffix = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}
