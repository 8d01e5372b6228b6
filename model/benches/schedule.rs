//! Speed and memory of schedules beside the crates `cron` and `croner`, measured in the same run: `cargo xtask bench
//! schedules`.
//!
//! Rounds of the three alternate, so that what else the machine does meets all, and the median round counts. Nothing is
//! asserted: the ratios are for people to read.

use std::fs;
use std::hint::black_box;
use std::str::FromStr;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeZone as _};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};
use model::decide::{Seen, SeenCursor, decide};
use model::job::JobSpec;
use model::run::{Revision, Slot};
use model::{Dialect, Job, JobName, Schedule, TimeZone, UnixMillis};

const ROUNDS: usize = 15;

/// What all three read, and read alike: what people write, and what makes a search long.
const EXPRESSIONS: [(&str, &str); 8] = [
    ("common", "0 */5 * * * *"),
    ("common", "0 30 2 * * *"),
    ("common", "0 0 9-17 * * Mon-Fri"),
    ("common", "0 0 0 1 * *"),
    ("common", "0 15,45 8-18/2 1-15 * *"),
    ("each second", "* * * * * *"),
    ("hard", "0 0 0 29 2 *"),
    ("hard", "59 59 23 31 12 * 2098"),
];

/// Expressions of ours that the crate `cron` does not have.
const OURS: [&str; 5] = ["30 2 * * 5L", "0 0 L * *", "0 0 15W * *", "0 0 * * 5#3", "0 0 13 * FRI"];

fn main() {
    // Cargo passes --bench, and the test command may run it with --test.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    parse();
    first();
    next();
    missed();
    memory();
}

/// The median time of one call, in nanoseconds, for each of the functions.
fn times<const N: usize>(mut calls: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut per_round = 1_u32;
    while spent(&mut *calls[0], per_round) < Duration::from_millis(2) && per_round < 1 << 20 {
        per_round *= 2;
    }
    let mut rounds = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (call, rounds) in calls.iter_mut().zip(&mut rounds) {
            rounds.push(spent(&mut **call, per_round).as_secs_f64() * 1e9 / f64::from(per_round));
        }
    }
    rounds.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    })
}

fn spent(call: &mut dyn FnMut(), count: u32) -> Duration {
    let begun = Instant::now();
    for _ in 0..count {
        call();
    }
    begun.elapsed()
}

fn ours(text: &str, zone: &str) -> Schedule {
    let (zone, name) = (TimeZone::parse(zone).expect("a zone"), JobName::new("bench/job").expect("a name"));
    Schedule::parse(text, Dialect::Standard, zone, &name).expect("a schedule")
}

fn croner(text: &str) -> croner::Cron {
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Optional).build();
    parser.parse(text).expect("an expression")
}

fn heading(what: &str) {
    println!("\n{what}");
    println!(
        "{:<12} {:<26} {:>9} {:>9} {:>9} {:>11} {:>13}",
        "", "", "ours ns", "cron ns", "croner ns", "ours/cron", "ours/croner"
    );
}

fn row(kind: &str, text: &str, [ours, cron, croner]: [f64; 3]) {
    let (to_cron, to_croner) = (ours / cron, ours / croner);
    println!("{kind:<12} {text:<26} {ours:>9.0} {cron:>9.0} {croner:>9.0} {to_cron:>11.2} {to_croner:>13.2}");
}

fn parse() {
    heading("parse (each time anew: no job has the schedule yet)");
    for (kind, text) in EXPRESSIONS {
        row(
            kind,
            text,
            times([
                &mut || drop(black_box(ours(black_box(text), "UTC"))),
                &mut || drop(black_box(cron::Schedule::from_str(black_box(text)))),
                &mut || drop(black_box(croner(black_box(text)))),
            ]),
        );
    }
}

/// Parsing may put work off, so here the first slot is asked for as well.
fn first() {
    heading("parse and the first slot, in UTC");
    let from = DateTime::from_timestamp(1_790_000_000, 0).expect("an instant");
    for (kind, text) in EXPRESSIONS {
        row(
            kind,
            text,
            times([
                &mut || {
                    black_box(ours(black_box(text), "UTC").next_after(UnixMillis::from(from)));
                },
                &mut || {
                    let cron = cron::Schedule::from_str(black_box(text)).expect("an expression");
                    black_box(cron.after(&from).next());
                },
                &mut || drop(black_box(croner(black_box(text)).find_next_occurrence(&from, false))),
            ]),
        );
    }
}

fn next() {
    for name in ["UTC", "Europe/Paris"] {
        heading(&format!("the next slot, in {name}, from instants over ten years"));
        let zone: Tz = name.parse().expect("a zone");
        // A prime number of seconds apart, so that they meet all times of a day.
        let instants: Vec<i64> = (0..512).map(|n| 1_767_225_600 + n * 615_997).collect();
        let zoned: Vec<DateTime<Tz>> =
            instants.iter().filter_map(|at| zone.timestamp_opt(*at, 0).single()).collect();
        for (kind, text) in EXPRESSIONS {
            let (own, cron, croner) =
                (ours(text, name), cron::Schedule::from_str(text).expect("an expression"), croner(text));
            let mut turns = [0_usize; 3];
            let [a, b, c] = &mut turns;
            let turn = |n: &mut usize| {
                *n = (*n + 1) % zoned.len();
                *n
            };
            row(
                kind,
                text,
                times([
                    &mut || {
                        black_box(own.next_after(UnixMillis(instants[turn(a)] * 1000)));
                    },
                    &mut || {
                        black_box(cron.after(&zoned[turn(b)]).next());
                    },
                    &mut || drop(black_box(croner.find_next_occurrence(&zoned[turn(c)], false))),
                ]),
            );
        }
        for text in OURS {
            let (own, croner) = (ours(text, name), croner(text));
            let (mut a, mut b) = (0, 0);
            let [own, croner] = times([
                &mut || {
                    a = (a + 1) % zoned.len();
                    black_box(own.next_after(UnixMillis(instants[a] * 1000)));
                },
                &mut || {
                    b = (b + 1) % zoned.len();
                    drop(black_box(croner.find_next_occurrence(&zoned[b], false)));
                },
            ]);
            println!(
                "{:<12} {text:<26} {own:>9.0} {:>9} {croner:>9.0} {:>11} {:>13.2}",
                "only ours",
                "-",
                "-",
                own / croner
            );
        }
    }
}

fn missed() {
    println!("\nthe decision about a job each second after a gap (it should not grow with the gap)");
    let spec = serde_json::json!({"schedule": "* * * * * *", "template": {"command": "true"}});
    let spec: JobSpec = serde_json::from_value(spec).expect("a spec");
    let job = Job::new(JobName::new("bench/job").expect("a name"), spec).expect("a job");
    let start = UnixMillis(1_767_225_600_000);
    let cursor = SeenCursor { slot: Slot(start), job: Revision(1), armed_for: None };
    let seen = Seen { created: Revision(1), cursor: Some(cursor), busy: false };
    let gaps = [("an hour", 3600), ("a day", 86_400), ("a year", 31_536_000), ("ten years", 315_360_000)];
    let mut first = None;
    for (name, seconds) in gaps {
        let now = start + Duration::from_secs(seconds);
        let [time] = times([&mut || drop(black_box(decide(now, Duration::ZERO, &job, &seen)))]);
        let base = *first.get_or_insert(time);
        println!("{name:<12} {:>9.0} µs {:>6.2} times that of an hour", time / 1000.0, time / base);
    }
}

/// MiB of resident memory.
fn resident() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or_default() * 4096.0 / f64::from(1 << 20)
}

fn memory() {
    println!("\nmemory of the schedules of 100,000 jobs (aim for 1,000 expressions: 20 MB)");
    for distinct in [1000_u32, 100_000] {
        let before = resident();
        let begun = Instant::now();
        let schedules: Vec<Schedule> = (0..100_000)
            .map(|n| {
                let n = n % distinct;
                let (minute, hour, month) = (n % 60, n / 60 % 12, 1 + n / 8640);
                let schedule =
                    ours(&format!("{minute} {hour}-{} * {month} *", 12 + n / 720 % 12), "Europe/Paris");
                // The second slot is on the day of the first, for which what is put off at first is made.
                let first = schedule.next_after(UnixMillis(1_767_225_600_000));
                black_box(first.and_then(|first| schedule.next_after(first)));
                schedule
            })
            .collect();
        let (made, after) = (begun.elapsed(), resident());
        println!(
            "{distinct:>7} distinct {:>8.1} MiB, made in {:>5.0} ms",
            after - before,
            made.as_secs_f64() * 1000.0
        );
        drop(black_box(schedules));
    }
}
