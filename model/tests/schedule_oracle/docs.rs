//! The examples of `docs/schedules.md`: read here, and by the libraries where these are asked.

use std::fs;
use std::path::Path;

use chrono::{NaiveDate, TimeZone as _};
use chrono_tz::Tz;
use model::{Dialect, JobName, Schedule, TimeZone};

use crate::answers::{Answer, Library, instants, parse};

/// The rows of the tables under a heading, cells without their back quotes, the heads of tables left out.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schedules.md");
    let text = fs::read_to_string(path).unwrap();
    let is_it = |section: &&str| section.lines().next().is_some_and(|line| line.replace('`', "") == heading);
    let section = text.split("\n## ").find(is_it);
    let section = section.unwrap_or_else(|| panic!("there is no heading {heading}"));
    let cells = |line: &str| {
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>()
    };
    let lines: Vec<&str> = section.lines().filter(|line| line.starts_with('|')).collect();
    let head = |index: usize| lines.get(index + 1).is_some_and(|next| next.starts_with("| ---"));
    let rows = lines.iter().enumerate().filter(|(index, line)| !head(*index) && !line.starts_with("| ---"));
    let rows: Vec<_> = rows.map(|(_, line)| cells(line)).collect();
    assert!(!rows.is_empty(), "{heading} has no table");
    rows
}

/// What stands in the column "Here": the words, or that it is refused.
fn here(text: &str, dialect: Dialect) -> String {
    match parse(text, dialect, TimeZone::UTC) {
        Ok(_) if text.starts_with("@every") => "other times".to_owned(),
        Ok(schedule) => schedule.describe().trim_end_matches(", UTC").to_owned(),
        Err(_) => "refused".to_owned(),
    }
}

#[test]
fn what_is_said_of_an_example_is_so() {
    for (heading, dialect) in [
        ("Macros", Dialect::Standard),
        ("Differences from Kubernetes", Dialect::Standard),
        ("Differences from the legacy system", Dialect::Legacy),
        ("Differences from Vixie cron", Dialect::Standard),
        ("Differences from Quartz", Dialect::Standard),
        ("Differences from Jenkins", Dialect::Standard),
    ] {
        for row in rows(heading) {
            assert_eq!(here(&row[0], dialect), row[1], "{heading}: {}", row[0]);
        }
    }
    // The tables before that of entries are about fields, and have no example in them.
    let entries = rows("Fields").into_iter().filter(|row| row[0].split(' ').count() == 5);
    assert!(
        entries.map(|row| assert_eq!(here(&row[0], Dialect::Standard), row[1], "{}", row[0])).count() > 10
    );
}

#[test]
fn the_published_values_of_h_are_so() {
    for row in rows("H") {
        let name = JobName::new(&row[0]).unwrap();
        let schedule = Schedule::parse(&row[1], Dialect::Standard, TimeZone::UTC, &name).unwrap();
        assert_eq!(schedule.legacy_text().as_ref(), Some(&row[2]), "{} of {}", row[1], row[0]);
    }
}

#[test]
fn what_is_said_of_another_program_is_what_it_says() {
    for (heading, library) in [
        ("Differences from Kubernetes", Library::Robfig),
        ("Differences from the legacy system", Library::Gorhill),
    ] {
        let questions = library.questions();
        for row in rows(heading) {
            let [text, here, there] = [&row[0], &row[1], &row[2]];
            let asked = questions.iter().find(|question| question.text == *text);
            let asked = asked.unwrap_or_else(|| panic!("golden/oracle-*.txt has no answer for {text}"));
            let said = match &asked.answer {
                Answer::Refused => "refused".to_owned(),
                Answer::Stops => "stops".to_owned(),
                Answer::Instants(at) if at.is_empty() => "never".to_owned(),
                Answer::Instants(at) if at.windows(2).any(|pair| pair[0] == pair[1]) => {
                    "stands still".to_owned()
                }
                Answer::Instants(_) if here == there => there.clone(),
                Answer::Instants(at) => {
                    // The cell is an expression that means here what the row's means there.
                    let text = if there == "@every 1s" { "* * * * * *" } else { there };
                    let dialect =
                        if text.split(' ').count() == 6 { Dialect::Standard } else { library.dialect() };
                    let same = parse(text, dialect, asked.zone).map(|same| instants(&same, asked.start));
                    if same.as_ref() == Ok(at) { there.clone() } else { format!("{at:?}") }
                }
            };
            assert_eq!(said, *there, "{heading}: {text}");
        }
    }
}

#[test]
fn what_clocks_show_when_they_change_is_so() {
    let libraries = [Library::Robfig.questions(), Library::Gorhill.questions()];
    for row in rows("Time zones and changes of the clock") {
        let [zone, day, text] = [&row[0], &row[1], &row[2]];
        let tz: Tz = zone.parse().unwrap();
        let day: NaiveDate = day.parse().unwrap();
        // The day begins at its first instant, and Cuba's at 01:00 once a year.
        let start =
            (0..4).find_map(|hour| tz.from_local_datetime(&day.and_hms_opt(hour, 0, 0).unwrap()).earliest());
        let start = start.unwrap().timestamp() - 1;
        let zone = TimeZone::parse(zone).unwrap();
        let shown = |at: &[i64]| {
            if at.windows(2).any(|pair| pair[0] == pair[1]) {
                return "stands still".to_owned();
            }
            let local = at.iter().map(|at| tz.timestamp_opt(*at, 0).unwrap());
            let times: Vec<String> = local
                .filter(|local| local.date_naive() == day)
                .map(|local| local.format("%H:%M %:z").to_string())
                .collect();
            if times.is_empty() { "–".to_owned() } else { times.join(", ") }
        };
        let ours = parse(text, Dialect::Standard, zone).unwrap();
        let mut all = vec![shown(&instants(&ours, start))];
        for questions in &libraries {
            let asked = questions
                .iter()
                .find(|question| question.text == *text && question.zone == zone && question.start == start);
            let asked = asked.unwrap_or_else(|| {
                panic!("golden/oracle-*.txt has no answer for {text} in {zone} at {start}")
            });
            let Answer::Instants(at) = &asked.answer else { panic!("{asked:?}") };
            all.push(shown(at));
        }
        assert_eq!(all, row[3..], "{text} in {zone} on {day}");
    }
}
