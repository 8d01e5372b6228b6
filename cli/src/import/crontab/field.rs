//! The fields of a crontab by Vixie's grammar, and the schedule that means the same.
//!
//! Where that grammar and ours read a text differently, the schedule is another text, or there is none. A field is **open**
//! for cron if it begins with `*`, even as `*/2`: then the other day field alone need not match, but both must.

/// When an entry runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct When {
    pub(super) schedule: String,
    pub(super) notes: Vec<&'static str>,
}

struct Kind {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const KINDS: [Kind; 5] = [
    Kind { name: "minute", low: 0, high: 59, names: &[] },
    Kind { name: "hour", low: 0, high: 23, names: &[] },
    Kind { name: "day of month", low: 1, high: 31, names: &[] },
    Kind {
        name: "month",
        low: 1,
        high: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Kind {
        name: "day of week",
        low: 0,
        high: 7,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun"],
    },
];

/// What a field means to cron.
#[derive(Debug)]
struct Field {
    text: String,
    /// A bit for each value; Sunday is 0 alone.
    values: u64,
    open: bool,
    /// One value that cron chooses.
    chosen: bool,
}

const BOTH_DAYS: &str =
    "day of month and day of week are both given: a day that either names counts, as in cron";
const CHOSEN: &str =
    "~ (cronie) is a value chosen anew at each start of cron; H is one chosen once, by the job's name";

/// Reads the five fields, or the macro.
pub(super) fn read(fields: &[&str]) -> Result<When, String> {
    let [minute, hour, day, month, week_day] = fields else {
        return of_macro(fields.first().copied().unwrap_or_default());
    };
    let texts = [minute, hour, day, month, week_day];
    let mut read = Vec::new();
    for (kind, text) in KINDS.iter().zip(texts) {
        read.push(field(kind, text)?);
    }
    let mut notes = Vec::new();
    if read.iter().any(|field| field.chosen) {
        notes.push(CHOSEN);
    }
    // Each field of `read` came from one of KINDS, so there are as many.
    let every_day = |index: usize| read[index].values == all(&KINDS[index]);
    let (any_date, any_day) = (every_day(2), every_day(4));
    if read[2].open || read[4].open {
        match (any_date, any_day) {
            (false, false) => {
                return Err(format!(
                    "days that both {day} (day of month) and {week_day} (day of week) name are meant, since one begins with *; a schedule here can't say that: restrict one of the two, and test the other in the command"
                ));
            }
            (true, _) => "*".clone_into(&mut read[2].text),
            (false, true) => {}
        }
        if any_day {
            "*".clone_into(&mut read[4].text);
        }
    } else {
        notes.push(BOTH_DAYS);
    }
    let texts: Vec<&str> = read.iter().map(|field| field.text.as_str()).collect();
    Ok(When { schedule: texts.join(" "), notes })
}

fn of_macro(text: &str) -> Result<When, String> {
    let known = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
    if known.contains(&text) {
        return Ok(When { schedule: text.to_owned(), notes: Vec::new() });
    }
    if text == "@reboot" {
        return Err(
            "@reboot is at the start of the machine, and a schedule names times; start the command as a service (systemd, a DaemonSet)"
                .to_owned(),
        );
    }
    Err(format!("{text} is none of {} @reboot; write one of them, or five fields", known.join(" ")))
}

/// The values that a field may have.
fn all(kind: &Kind) -> u64 {
    (kind.low..=kind.high).fold(0, |set, value| set | bit(kind, value))
}

fn bit(kind: &Kind, value: u32) -> u64 {
    let sunday = kind.high == 7 && value == 7;
    1 << if sunday { 0 } else { value }
}

fn field(kind: &Kind, text: &str) -> Result<Field, String> {
    if let Some((from, to)) = text.split_once('~') {
        return chosen(kind, text, from, to);
    }
    let mut values = 0;
    for part in text.split(',') {
        values |= range(kind, text, part)?;
    }
    Ok(Field { text: text.to_owned(), values, open: text.starts_with('*'), chosen: false })
}

/// The values of `*`, `a`, `a-b`, with `/n` after a range.
fn range(kind: &Kind, whole: &str, text: &str) -> Result<u64, String> {
    let wrong = |why: String| format!("{} says {whole}; {why}", kind.name);
    let (range, step) = match text.split_once('/') {
        Some((range, step)) => {
            let step = step.parse::<u32>().ok().filter(|step| *step > 0);
            (range, Some(step.ok_or_else(|| wrong("after / write a number from 1 on".to_owned()))?))
        }
        None => (text, None),
    };
    let (from, to) = match range.split_once('-') {
        _ if range == "*" => (kind.low, kind.high),
        Some((from, to)) => (number(kind, whole, from)?, number(kind, whole, to)?),
        None => {
            let value = number(kind, whole, range)?;
            if step.is_some() {
                return Err(wrong(format!(
                    "cron has no step from a single value (some versions pass over it); write {value}-{}/n or {value}",
                    kind.high
                )));
            }
            (value, value)
        }
    };
    if from > to {
        return Err(wrong(format!(
            "cron has no range that descends; write {from}-{},{}-{to}",
            kind.high, kind.low
        )));
    }
    let values = (from..=to).step_by(step.unwrap_or(1) as usize);
    Ok(values.fold(0, |set, value| set | bit(kind, value)))
}

fn number(kind: &Kind, whole: &str, text: &str) -> Result<u32, String> {
    let Kind { name, low, high, names } = kind;
    let value = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse::<u32>().ok()
    } else {
        let at = names.iter().position(|known| known.eq_ignore_ascii_case(text));
        at.and_then(|at| u32::try_from(at).ok()).map(|at| at + low)
    };
    value.filter(|value| (*low..=*high).contains(value)).ok_or_else(|| {
        let or_names = if names.is_empty() { String::new() } else { format!(" or names such as {}", names[1]) };
        format!("{name} says {whole}; cron has numbers from {low} to {high}{or_names} there, lists (1,2), ranges (1-5) and steps (*/2): {text:?} is none of these")
    })
}

fn chosen(kind: &Kind, whole: &str, from: &str, to: &str) -> Result<Field, String> {
    let bound =
        |text: &str, otherwise| if text.is_empty() { Ok(otherwise) } else { number(kind, whole, text) };
    let (from, to) = (bound(from, kind.low)?, bound(to, if kind.high == 7 { 6 } else { kind.high })?);
    if from > to {
        return Err(format!("{} says {whole}; write the smaller value first", kind.name));
    }
    // It is one value, whichever: for the days it counts as restricted.
    Ok(Field { text: format!("H({from}-{to})"), values: 0, open: false, chosen: true })
}

#[cfg(test)]
mod tests {
    use model::schedule::TimeZone;
    use model::{Dialect, JobName, Schedule, UnixMillis};
    use proptest::prelude::*;

    use super::*;

    fn when(text: &str) -> Result<When, String> {
        read(&text.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn a_schedule_means_what_cron_makes_of_the_fields() {
        for (crontab, schedule, notes) in [
            ("*/5 0-23/2 1,15 jan-MAR *", "*/5 0-23/2 1,15 jan-MAR *", &[][..]),
            ("30 4 1,15 * 5", "30 4 1,15 * 5", &[BOTH_DAYS]),
            ("0 0 1 * 5-7", "0 0 1 * 5-7", &[BOTH_DAYS]),
            // cron: only what the other field names; here it would be every day.
            ("0 0 */1 * MON", "0 0 * * MON", &[]),
            ("0 0 1 * */1", "0 0 1 * *", &[]),
            ("0 0 */2 * *", "0 0 */2 * *", &[]),
            ("0 0 * * */2", "0 0 * * */2", &[]),
            ("0 0 1-31 * */2", "0 0 * * */2", &[]),
            ("0~30 3 * * *", "H(0-30) 3 * * *", &[CHOSEN]),
            ("~ ~ * * *", "H(0-59) H(0-23) * * *", &[CHOSEN]),
            ("@midnight", "@midnight", &[]),
        ] {
            let expected = When { schedule: schedule.to_owned(), notes: notes.to_vec() };
            assert_eq!(when(crontab), Ok(expected), "{crontab}");
        }
    }

    #[test]
    fn what_cron_refuses_or_what_can_t_be_said_is_refused_with_what_to_write() {
        for (crontab, said) in [
            ("@reboot", "start the command as a service"),
            ("@dailly", "is none of @yearly"),
            ("60 * * * *", "minute says 60; cron has numbers from 0 to 59"),
            ("* * 0 * *", "day of month says 0"),
            ("* * * foo *", "or names such as feb"),
            ("* 22-2 * * *", "write 22-23,0-2"),
            ("5/20 * * * *", "write 5-59/n or 5"),
            ("*/0 * * * *", "after / write a number"),
            ("1,,2 * * * *", "\"\" is none of these"),
            ("*x * * * *", "\"*x\" is none of these"),
            ("0 0 L * *", "\"L\" is none of these"),
            ("0 0 */2 * MON", "one begins with *"),
            ("0 0 1 * */2", "one begins with *"),
        ] {
            let why = when(crontab).unwrap_err();
            assert!(why.contains(said), "{crontab}: {why}");
        }
    }

    /// Whether cron runs an entry on a day: at midnight, so that the day fields alone matter.
    fn cron_runs(fields: &[&str], date: u32, month: u32, week_day: u32) -> bool {
        let read: Vec<Field> =
            KINDS.iter().zip(fields).map(|(kind, text)| field(kind, text).unwrap()).collect();
        let has = |index: usize, value| read[index].values & bit(&KINDS[index], value) != 0;
        let days = if read[2].open || read[4].open {
            has(2, date) && has(4, week_day)
        } else {
            has(2, date) || has(4, week_day)
        };
        has(3, month) && days
    }

    fn part(low: u32, high: u32) -> impl Strategy<Value = String> {
        prop_oneof![
            4 => Just("*".to_owned()),
            1 => (1..=high).prop_map(|step| format!("*/{step}")),
            2 => (low..=high).prop_map(|value| value.to_string()),
            2 => (low..=high, low..=high).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            1 => (low..=high, 1..4_u32).prop_map(move |(a, step)| format!("{a}-{high}/{step}")),
            1 => (low..=high, low..=high).prop_map(|(a, b)| format!("{a},{b}")),
        ]
    }

    proptest! {
        #[test]
        fn the_slots_of_a_schedule_are_those_of_cron(date in part(1, 31), month in part(1, 12), week_day in part(0, 7)) {
            use chrono::{DateTime, Datelike as _};
            let fields = ["0", "0", &date, &month, &week_day];
            let Ok(when) = read(&fields) else { return Ok(()) };
            let name = JobName::new("a").unwrap();
            let Ok(schedule) = Schedule::parse(&when.schedule, Dialect::Standard, TimeZone::UTC, &name) else {
                // A date that does not exist, or a step beyond the field's end.
                return Ok(());
            };
            for day in 20_000..20_800_i64 {
                let midnight = UnixMillis(day * 86_400_000);
                let time = DateTime::from_timestamp_millis(midnight.0).unwrap();
                let ours = schedule.next_after(UnixMillis(midnight.0 - 1)) == Some(midnight);
                let theirs = cron_runs(&fields, time.day(), time.month(), time.weekday().num_days_from_sunday());
                prop_assert_eq!(ours, theirs, "{:?} as {} on {}", fields, when.schedule, time);
            }
        }

        #[test]
        fn no_text_panics(text in "[-0-9*,/~a-z@ ]{0,30}") {
            let _ = when(&text);
        }
    }
}
