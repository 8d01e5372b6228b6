//! Generated expressions, as the two Go libraries read them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Offset, TimeZone as _};
use chrono_tz::Tz;
use model::TimeZone;

use crate::answers::{Answer, Library, Question, instants, parse};

const DAY: i64 = 86_400;

/// Whether the zone's clock changes between two instants, or within a day of them.
fn clock_changes(zone: TimeZone, from: i64, to: i64) -> bool {
    let zone: Tz = zone.name().parse().unwrap();
    let offset =
        |at: i64| zone.offset_from_utc_datetime(&DateTime::from_timestamp(at, 0).unwrap().naive_utc()).fix();
    (from - DAY..=to + DAY).step_by(3600).any(|at| offset(at) != offset(from - DAY))
}

/// Whether two answers differ only where a change of the clock is to be passed on the way from one slot to the next.
pub(crate) fn changes_of_the_clock(zone: TimeZone, start: i64, ours: &[i64], theirs: &[i64]) -> bool {
    let end = ours.last().min(theirs.last()).copied();
    let (ours, theirs): (BTreeSet<i64>, BTreeSet<i64>) =
        (ours.iter().copied().collect(), theirs.iter().copied().collect());
    ours.symmetric_difference(&theirs).filter(|at| Some(**at) <= end).all(|at| {
        let before = ours.intersection(&theirs).take_while(|common| *common < at).last();
        clock_changes(zone, *before.unwrap_or(&start), *at)
    })
}

/// The name of the difference between our answer and the library's; `None` where there is none.
fn difference(library: Library, question: &Question) -> Option<&'static str> {
    let Question { zone, start, text, answer } = question;
    let entries = || text.split(|c: char| c == ',' || c.is_ascii_whitespace());
    let legacy = library == Library::Gorhill;
    let error = match (parse(text, library.dialect(), *zone), answer) {
        (Err(_), Answer::Refused) => return None,
        (Ok(schedule), Answer::Instants(theirs)) => {
            let ours = instants(&schedule, *start);
            return if ours == *theirs {
                None
            } else if text.starts_with("@every") {
                Some("@every counts from elsewhere")
            } else if changes_of_the_clock(*zone, *start, &ours, theirs) {
                Some("changes of the clock")
            } else {
                Some("other instants")
            };
        }
        (Ok(_), Answer::Stops) => return Some("it stops, and we do not refuse"),
        (Ok(_), Answer::Refused) => {
            return Some(match text {
                _ if legacy => "read by us alone",
                _ if text.split_ascii_whitespace().count() > 5 => "more than five fields",
                _ if entries().any(descends) => "ranges that wrap",
                _ if text.ends_with(" 7") => "Sunday as 7",
                _ if EXTENSIONS.contains(&text.as_str()) => "L, and names written out",
                _ => "read by us alone",
            });
        }
        (Err(error), _) => error.to_string(),
    };
    let is = |part: &str| error.contains(part);
    Some(match answer {
        _ if is("never matches") => "it can never match",
        _ if is("lacks a value") => "a forgotten value",
        _ if is("a range ascends") || is("a range of years ascends") => "ranges that descend",
        _ if is("no such zeros") => "zeros before a number",
        _ if is("stands alone") => "fields after a macro",
        _ if is("TZ= inside") => "TZ= inside",
        _ if is("it counts whole seconds") => "@every of fractions",
        Answer::Stops => "it stops, and we refuse for another reason",
        _ if is("comes a step of") || is("a step in this field") => "steps past the end",
        _ if entries().any(|entry| entry.contains('+')) => "signs",
        _ if entries().any(|entry| entry.starts_with(['*', '?']) && entry.contains('-')) => {
            "a star with a rest"
        }
        _ if legacy && entries().any(|entry| entry == "*" || entry == "?") => "what stands beside a star",
        _ => "refused by us alone",
    })
}

/// The examples of what five fields can say here alone.
const EXTENSIONS: [&str; 2] = ["0 0 L * *", "0 0 1 january *"];

/// Whether an entry is a range whose end lies before its start.
pub(crate) fn descends(entry: &str) -> bool {
    const NAMES: &str = "sun mon tue wed thu fri sat jan feb mar apr may jun jul aug sep oct nov dec";
    let place = |text: &str| NAMES.split(' ').position(|name| name.eq_ignore_ascii_case(text));
    let value = |text: &str| {
        let named = place(text).map(|place| if place < 7 { place } else { place - 6 });
        text.parse().ok().or(named)
    };
    let range = entry.split('/').next().and_then(|range| range.split_once('-'));
    range.is_some_and(|(from, to)| value(from) > value(to))
}

/// Fails where an answer differs from ours in a way that has no name here, and where a name is without an example.
fn check(library: Library, named: &[&str]) {
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let questions = library.questions();
    assert!(questions.len() > 5000, "{}", questions.len());
    for question in &questions {
        if let Some(name) = difference(library, question) {
            let Question { zone, text, answer, .. } = question;
            found.entry(name).or_default().push(format!("{text} in {zone}: {answer:?}"));
        }
    }
    for (name, texts) in &found {
        println!("{library:?}: {name}: {} of {}, such as {}", texts.len(), questions.len(), texts[0]);
        assert!(named.contains(name), "{library:?}: {name}:\n{}", texts.join("\n"));
    }
    for name in named {
        assert!(found.contains_key(name), "{library:?}: {name} does not occur");
    }
}

#[test]
fn a_schedule_of_a_kubernetes_cronjob_means_the_same_but_for_named_differences() {
    check(
        Library::Robfig,
        &[
            "@every counts from elsewhere",
            "@every of fractions",
            "L, and names written out",
            "Sunday as 7",
            "TZ= inside",
            "a forgotten value",
            "a star with a rest",
            "changes of the clock",
            "it can never match",
            "more than five fields",
            "ranges that wrap",
            "signs",
            "steps past the end",
        ],
    );
}

#[test]
fn a_cron_expr_of_the_replaced_system_means_the_same_but_for_named_differences() {
    check(
        Library::Gorhill,
        &[
            "a forgotten value",
            "changes of the clock",
            "fields after a macro",
            "it can never match",
            "ranges that descend",
            "what stands beside a star",
            "zeros before a number",
        ],
    );
}
