//! Every kind of mistake in every field and both dialects, with what is said about it.
//!
//! `golden/schedule_errors.txt` shows each text, a caret line under the mistake, and the message, to be read for sense.
//! After a change on purpose: `UPDATE_GOLDEN=1 cargo test -p crontab-model --test schedule_errors`, then read the diff.

use std::fmt::Write as _;
use std::path::Path;

use model::schedule::{ScheduleError, TimeZone, ZoneError};
use model::{Dialect, JobName, Schedule};

/// Mistakes that each of the seven fields may hold.
const IN_ANY_FIELD: [&str; 21] = [
    "99", "3000", "x", "-1", "1-", "1,,2", "1.5", "*/0", "*/5000", "*/x", "5/", "**", "1-2-3", "L", "5L",
    "3W", "5#2", "L/2", "H(1)", "h(1-", "∗",
];

/// Mistakes that belong to one field: its place among the seven, and what is written there.
const IN_ONE_FIELD: [(usize, &str); 32] = [
    (0, "005"),
    (1, "*/005"),
    (1, "0~30"),
    (4, "01"),
    (5, "05"),
    (5, "5#05"),
    (0, "60"),
    (1, "60"),
    (1, "*/60"),
    (2, "24"),
    (2, "*/24"),
    (2, "9-24"),
    (3, "0"),
    (3, "32W"),
    (3, "L-31"),
    (3, "L-x"),
    (3, "L-3W"),
    (3, "WL"),
    (3, "MON"),
    (4, "0"),
    (4, "JNA"),
    (4, "Sept"),
    (4, "Foo"),
    (5, "8"),
    (5, "Tues"),
    (5, "FRY"),
    (5, "5#6"),
    (5, "5#L"),
    (5, "#3"),
    (6, "26"),
    (6, "H"),
    (6, "2030-2026"),
];

const WHOLE: [&str; 43] = [
    "",
    "  ",
    "*",
    "0 2 * *",
    "0 0 2 * * * 2026 *",
    "0 2 * * * root /usr/bin/backup now",
    "0 30 2 * * *",
    "0 2 * * 1 2026",
    "0 0 31 2 *",
    "0 0 30,31 FEB ?",
    "0 0 31 2,4,6 *",
    "0 0 31W 4 *",
    "0 0 31 4 *",
    "0 0 0 29 2 * 2025-2027",
    "0 0 0 ? 2 5#5 2026",
    "0 0 0 31 2 5#5 2026",
    "@dayly",
    "@DAILY",
    "@midnight",
    "@",
    "@reboot",
    "@daily 5",
    "@every",
    "@every 5",
    "@every 5x",
    "@every -5m",
    "@every 0s",
    "@every 500ms",
    "@every 1500ms",
    "@every 1h 30m",
    "@every 87601h",
    "@every 5m",
    "TZ=Europe/Paris 0 2 * * *",
    "CRON_TZ=UTC @daily",
    "TZ= 0 2 * * *",
    "MAILTO=root 0 2 * * *",
    "0 22-2 * * *",
    "0 0 * * 5-7",
    "0 0 * * FRI-MON",
    "0 0 * * 0-7",
    "?/5 * * * *",
    "H(0-5)/2 0 * * *",
    "0 0 L-3 * *",
];

const ZONES: [&str; 14] = [
    "",
    " ",
    "Local",
    "localtime",
    "+02:00",
    "UTC+2",
    "GMT-3",
    "+05:30",
    "PST",
    "Paris",
    "New York",
    "europe/paris",
    "Europe/Pari",
    "Mars/Olympus",
];

fn parse(text: &str, dialect: Dialect) -> Result<Schedule, ScheduleError> {
    Schedule::parse(text, dialect, TimeZone::UTC, &JobName::new("backup").unwrap())
}

/// What a terminal would show about a mistake; nothing where there is none, or nothing new in the second dialect.
fn shown(text: &str, dialect: Dialect) -> String {
    match parse(text, dialect) {
        Ok(_) => String::new(),
        Err(error)
            if dialect == Dialect::Legacy
                && parse(text, Dialect::Standard).err().as_ref() == Some(&error) =>
        {
            String::new()
        }
        Err(error) => {
            let carets = " ".repeat(error.offset()) + &"^".repeat(error.length().max(1));
            format!("{text}\n{carets}\n{error}\n\n")
        }
    }
}

fn everything() -> String {
    let mut all = String::new();
    for dialect in [Dialect::Standard, Dialect::Legacy] {
        let _ = writeln!(all, "== {dialect:?}: the text as a whole\n");
        for text in WHOLE {
            all += &shown(text, dialect);
        }
        for field in 0..7 {
            let own = IN_ONE_FIELD.iter().filter(|(place, _)| *place == field).map(|(_, entry)| *entry);
            let _ = writeln!(all, "== {dialect:?}: field {} of 7\n", field + 1);
            for entry in IN_ANY_FIELD.into_iter().chain(own) {
                let mut fields = ["0", "0", "0", "*", "*", "*", "*"];
                fields[field] = entry;
                all += &shown(&fields.join(" "), dialect);
            }
        }
    }
    all += "== Time zones\n\n";
    for zone in ZONES {
        let _ = writeln!(all, "{zone}\n{}\n", TimeZone::parse(zone).unwrap_err());
    }
    all
}

#[test]
fn each_mistake_is_pointed_at_with_what_to_write_instead() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/schedule_errors.txt");
    let now = everything();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for (now, expected) in now.split("\n\n").zip(expected.split("\n\n")) {
        assert_eq!(now, expected);
    }
    assert_eq!(now.len(), expected.len());
}

#[test]
fn a_suggestion_in_the_place_of_the_mistake_makes_the_text_right() {
    let fields = IN_ONE_FIELD.iter().map(|(place, entry)| {
        let mut fields = ["0", "0", "0", "*", "*", "*", "*"];
        fields[*place] = entry;
        fields.join(" ")
    });
    let mut suggestions = 0;
    for text in fields.chain(WHOLE.map(str::to_owned)) {
        for dialect in [Dialect::Standard, Dialect::Legacy] {
            let Err(error) = parse(&text, dialect) else { continue };
            let Some(suggestion) = error.suggestion() else { continue };
            let chars: Vec<char> = text.chars().collect();
            let (before, rest) = chars.split_at(error.offset());
            let after = &rest[error.length()..];
            let fixed: String =
                before.iter().copied().chain(suggestion.chars()).chain(after.iter().copied()).collect();
            assert!(parse(&fixed, dialect).is_ok(), "{text}: {fixed}");
            suggestions += 1;
        }
    }
    assert!(suggestions > 20, "{suggestions}");
}

#[test]
fn a_text_of_more_than_256_characters_is_refused() {
    let list = |count: usize| format!("{} * * * *", vec!["00"; count].join(","));
    assert!(parse(&format!("{:<256}", list(80)), Dialect::Standard).is_ok());
    let error = parse(&format!("{:<257}", list(80)), Dialect::Standard).unwrap_err();
    assert_eq!(error.to_string(), "the schedule has 257 characters; at most 256 are allowed");
    assert_eq!((error.field(), error.offset(), error.length()), (None, 0, 257));
}

#[test]
fn the_place_of_a_mistake_is_in_characters() {
    let error = parse("0 0 * * é", Dialect::Standard).unwrap_err();
    assert_eq!((error.field(), error.offset(), error.length()), (Some("day of week"), 8, 1));
    let error = parse("0 0 * JAN,é,13 *", Dialect::Standard).unwrap_err();
    assert_eq!((error.field(), error.offset(), error.length()), (Some("month"), 10, 1));
    let error = parse("é 0 0 * * * * too", Dialect::Standard).unwrap_err();
    assert_eq!((error.field(), error.offset(), error.length()), (None, 14, 3));
}

#[test]
fn a_zone_that_is_nearly_right_comes_with_the_right_one() {
    for (text, meant) in [
        ("europe/paris", Some("Europe/Paris")),
        ("Europe/Pari", Some("Europe/Paris")),
        ("Paris", Some("Europe/Paris")),
        ("New York", Some("America/New_York")),
        // The names count hours west of Greenwich, so the sign turns.
        ("UTC+2", Some("Etc/GMT-2")),
        ("-03:00", Some("Etc/GMT+3")),
        ("+00:00", Some("UTC")),
        ("+05:30", None),
        ("Mars/Olympus", None),
    ] {
        assert_eq!(TimeZone::parse(text).unwrap_err().suggestion(), meant, "{text}");
    }
    assert_eq!(TimeZone::parse("Local"), Err(ZoneError::Local("Local".to_owned())));
}
