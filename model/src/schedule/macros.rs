//! The texts that begin with `@`.

use super::Dialect;
use super::entry::Word;
use super::error::{ScheduleError, closest};
use super::every::Every;
use super::field::Field;
use super::parser::{Parsed, Timing, parse_fields};
use crate::hash::stable_hash;
use crate::name::JobName;

/// Each name and the five fields it stands for.
const MACROS: [(&str, [&str; 5]); 7] = [
    ("@yearly", ["0", "0", "1", "1", "*"]),
    ("@annually", ["0", "0", "1", "1", "*"]),
    ("@monthly", ["0", "0", "1", "*", "*"]),
    ("@weekly", ["0", "0", "*", "*", "0"]),
    ("@daily", ["0", "0", "*", "*", "*"]),
    ("@midnight", ["0", "0", "*", "*", "*"]),
    ("@hourly", ["0", "*", "*", "*", "*"]),
];

/// In nanoseconds.
const SECOND: u128 = 1_000_000_000;

const EVERY: &str = "@every";

/// The longest `@every`, in seconds: ten years of 365 days.
const MAX_EVERY: u32 = 10 * 365 * 86_400;

/// Reads a text whose first word begins with `@`.
pub(super) fn parse(
    text: &str,
    words: &[Word<'_>],
    dialect: Dialect,
    name: &JobName,
) -> Result<Parsed, ScheduleError> {
    let (first, rest) = words.split_first().unwrap_or((&Word { text: "", at: 0 }, &[]));
    if first.text == EVERY && dialect == Dialect::Standard {
        return every(text, rest, name);
    }
    let known = |name: &&str| dialect == Dialect::Standard || !matches!(*name, "@midnight" | EVERY);
    let Some((_, fields)) = MACROS.iter().find(|(name, _)| *name == first.text && known(name)) else {
        return Err(unknown(text, *first, dialect));
    };
    if let Some(word) = rest.first() {
        let problem = format!("{} stands alone; remove {}", first.text, word.text);
        return Err(ScheduleError::new(text, word.at..text.len(), problem));
    }
    let words = fields.map(|text| Word { text, at: first.at });
    let fields: Vec<_> = Field::ALL[1..6].iter().copied().zip(words).collect();
    parse_fields(text, &fields, dialect, name)
}

fn unknown(text: &str, word: Word<'_>, dialect: Dialect) -> ScheduleError {
    let known = MACROS.iter().map(|(name, _)| *name).chain([EVERY]);
    let (known, dialect): (Vec<_>, _) = match dialect {
        Dialect::Standard => (known.collect(), ""),
        Dialect::Legacy => {
            (known.filter(|name| !matches!(*name, "@midnight" | EVERY)).collect(), "the legacy dialect's ")
        }
    };
    if word.text.eq_ignore_ascii_case("@reboot") {
        let problem =
            "@reboot is not supported, since a schedule names times; start the command as a service";
        return ScheduleError::new(text, word.span(), problem);
    }
    let suggestion = match word.text {
        "@midnight" => Some("@daily"),
        other => closest(other, known.iter().copied()),
    };
    let problem = format!("{} is none of {dialect}{}", word.text, known.join(" "));
    ScheduleError::new(text, word.span(), problem).suggest(suggestion)
}

fn every(text: &str, words: &[Word<'_>], name: &JobName) -> Result<Parsed, ScheduleError> {
    let word = match words {
        [word] => *word,
        [] => {
            let end = text.len()..text.len();
            return Err(ScheduleError::new(
                text,
                end,
                "@every needs a duration; write such as @every 90s or @every 1h30m",
            ));
        }
        [_, second, ..] => {
            let problem = format!(
                "@every takes one duration; remove {} or write them as one, such as 1h30m",
                second.text
            );
            return Err(ScheduleError::new(text, second.at..text.len(), problem));
        }
    };
    let fail =
        |help: &str| ScheduleError::new(text, word.span(), format!("@every says {}; {help}", word.text));
    let nanos = nanoseconds(word.text).ok_or_else(|| fail("write a duration such as 90s, 15m or 1h30m"))?;
    if nanos < SECOND {
        return Err(fail("the shortest is 1s"));
    }
    if nanos % SECOND != 0 {
        return Err(fail("it counts whole seconds").suggest(Some(format!("{}s", nanos / SECOND))));
    }
    let period = u32::try_from(nanos / SECOND).ok().filter(|period| *period <= MAX_EVERY);
    let period = period.ok_or_else(|| fail("the longest is 87600h, ten years"))?;
    let hash = stable_hash(&[name.as_str(), "every"]);
    let offset = u32::try_from(hash % u64::from(period)).unwrap_or(0);
    Ok(Parsed { timing: Timing::Every(Every { period, offset }), by_name: true })
}

/// A duration as Go writes it: decimal numbers, each with a unit. `None` where it is none, negative or far too long.
fn nanoseconds(text: &str) -> Option<u128> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = 0_u128;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (value, tail) = rest.split_at(number);
        let unit = tail.len() - tail.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '.').len();
        let (unit, tail) = tail.split_at(unit);
        let scale: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3600 * SECOND,
            _ => return None,
        };
        let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
        if (whole.is_empty() && fraction.is_empty()) || whole.len() > 15 || fraction.len() > 15 {
            return None;
        }
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let digits: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        let divisor = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        total += whole * scale + digits * scale / divisor;
        rest = tail;
    }
    Some(total)
}
