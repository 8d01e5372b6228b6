//! The expressions of the files of answers as the crate croner reads them, from instants by chance and in zones of all
//! kinds.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeZone as _};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use model::{Dialect, TimeZone};

use crate::answers::{Library, instants, parse};
use crate::libraries::{changes_of_the_clock, descends};

const ZONES: [&str; 10] = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Asia/Kathmandu",
    "America/Havana",
    "Africa/Cairo",
    "America/Santiago",
    "Europe/Dublin",
];

/// How often each expression is asked about.
const INSTANTS: usize = 3;
/// 2020-01-01 and 2038-01-01, in seconds.
const YEARS: std::ops::Range<i64> = 1_577_836_800..2_145_916_800;

/// The standard expressions, and the legacy ones written out in seven fields.
fn expressions() -> Vec<String> {
    let standard = Library::Robfig.questions().into_iter().map(|question| question.text);
    let standard = standard.filter(|text| parse(text, Dialect::Standard, TimeZone::UTC).is_ok());
    let legacy = Library::Gorhill.questions().into_iter();
    let legacy = legacy
        .filter_map(|question| parse(&question.text, Dialect::Legacy, TimeZone::UTC).ok()?.legacy_text());
    standard.chain(legacy).filter(|text| !text.starts_with("@every")).collect()
}

/// The name of a difference that an expression is expected to make.
fn difference_of(text: &str) -> Option<&'static str> {
    let fields: Vec<&str> = text.split(' ').filter(|field| !field.is_empty()).collect();
    let entries = |index: usize| fields.get(index).copied().unwrap_or_default().split(',');
    let (first, day_of_week) = if fields.len() > 5 { (3, 5) } else { (2, 4) };
    if entries(day_of_week).any(|entry| entry.contains('/') && !entry.starts_with("*/")) {
        return Some("a step of weekdays passes Sunday a second time, as 7");
    }
    if entries(day_of_week).any(|entry| entry.to_lowercase().contains("-sun")) {
        return Some("SUN at the end of a range is 7");
    }
    if [first, day_of_week]
        .into_iter()
        .any(|field| entries(field).any(|entry| entry == "*/1" || entry == "?/1"))
    {
        return Some("*/1 in a field of days is a restriction");
    }
    entries(6).any(|entry| entry.starts_with("*/")).then_some("a step of years counts from the year 1")
}

fn refusal(text: &str) -> &'static str {
    let entries = || text.split([' ', ',']);
    match text {
        _ if text.starts_with('@') => "@midnight",
        _ if entries().any(descends) => "ranges that wrap",
        _ if text.split(' ').any(|field| field.contains(',') && field.contains(['*', '?'])) => {
            "a star in a list"
        }
        _ if text.contains("january") => "names written out",
        _ => "refused there alone",
    }
}

fn their_instants(cron: &Cron, zone: Tz, start: i64) -> Vec<i64> {
    let start = zone.from_utc_datetime(&DateTime::from_timestamp(start, 0).unwrap().naive_utc());
    let next = |at: &DateTime<Tz>| cron.find_next_occurrence(at, false).ok();
    // What they have after the end of our years is not asked about.
    let all = std::iter::successors(next(&start), next).map(|at| at.timestamp());
    all.take_while(|at| *at < 4_102_358_400).take(5).collect()
}

#[test]
fn croner_reads_an_expression_the_same_way_but_for_named_differences() {
    const NAMED: [&str; 9] = [
        "SUN at the end of a range is 7",
        "*/1 in a field of days is a restriction",
        "@midnight",
        "a star in a list",
        "a step of weekdays passes Sunday a second time, as 7",
        "a step of years counts from the year 1",
        "changes of the clock",
        "names written out",
        "ranges that wrap",
    ];
    let parser =
        CronParser::builder().seconds(Seconds::Optional).year(Year::Optional).sloppy_ranges(true).build();
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let (mut same, mut chance) = (0, 1_u64);
    for text in expressions() {
        let Ok(theirs) = parser.parse(&text) else {
            found.entry(refusal(&text)).or_default().push(text);
            continue;
        };
        for _ in 0..INSTANTS {
            // Knuth's generator: the same instants in each run.
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let start = YEARS.start + (chance >> 33).cast_signed() % (YEARS.end - YEARS.start);
            let zone = ZONES[(chance >> 20) as usize % ZONES.len()];
            let ours = parse(&text, Dialect::Standard, TimeZone::parse(zone).unwrap()).unwrap();
            let (ours, theirs) =
                (instants(&ours, start), their_instants(&theirs, zone.parse().unwrap(), start));
            if ours == theirs {
                same += 1;
                continue;
            }
            let clock = || changes_of_the_clock(TimeZone::parse(zone).unwrap(), start, &ours, &theirs);
            let name = difference_of(&text);
            let name = name.or_else(|| clock().then_some("changes of the clock")).unwrap_or("other instants");
            found
                .entry(name)
                .or_default()
                .push(format!("{text} in {zone} after {start}: {theirs:?}, not {ours:?}"));
        }
    }
    println!("croner: {same} times the same");
    assert!(same > 20_000, "{same}");
    for (name, texts) in &found {
        println!("croner: {name}: {} times, such as {}", texts.len(), texts[0]);
        assert!(NAMED.contains(name), "{name}:\n{}", texts.join("\n"));
    }
    for name in NAMED {
        assert!(found.contains_key(name), "{name} does not occur");
    }
}
