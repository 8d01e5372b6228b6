//! What holds for any text, as in `tests/schedule_properties.rs`: nothing panics, slots ascend, the one before a slot's
//! successor is the slot, and what is written for the legacy library means the same.
//!
//! The first bytes choose the dialect, the zone and the instant; the rest is the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{Dialect, JobName, Schedule, TimeZone, UnixMillis};

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Paris",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "America/Havana",
    "Pacific/Apia",
    "Africa/Cairo",
    "Asia/Kathmandu",
];

fuzz_target!(|input: (u8, u32, &str)| {
    let (choice, start, text) = input;
    let dialect = if choice & 1 == 0 { Dialect::Standard } else { Dialect::Legacy };
    let zone = TimeZone::parse(ZONES[usize::from(choice >> 1) % ZONES.len()]).expect("a zone");
    let name = JobName::new("ops/rotate").expect("a name");
    let schedule = match Schedule::parse(text, dialect, zone, &name) {
        Ok(schedule) => schedule,
        Err(error) => {
            assert!(error.offset() + error.length() <= text.chars().count());
            if let Some(suggestion) = error.suggestion() {
                let chars: Vec<char> = text.chars().collect();
                let end = error.offset() + error.length();
                let fixed: String = chars[..error.offset()]
                    .iter()
                    .copied()
                    .chain(suggestion.chars())
                    .chain(chars[end..].iter().copied())
                    .collect();
                // There may be more mistakes, but not the same one at the same place.
                if let Err(next) = Schedule::parse(&fixed, dialect, zone, &name) {
                    assert!(next != error, "{text}: {fixed}: {next}");
                }
            }
            return;
        }
    };
    assert!(!schedule.describe().is_empty());
    let mut last = UnixMillis(i64::from(start) * 1000);
    for _ in 0..4 {
        let Some(next) = schedule.next_after(last) else { break };
        assert!(next > last, "{text} {zone}: {next} after {last}");
        assert_eq!(schedule.previous_before(UnixMillis(next.0 + 1)), Some(next), "{text} {zone}");
        assert!(schedule.previous_before(next) <= Some(last), "{text} {zone}: {next}, {last}");
        last = next;
    }
    if zone == TimeZone::UTC
        && let Some(legacy) = schedule.legacy_text()
    {
        let read = Schedule::parse(&legacy, Dialect::Legacy, zone, &name);
        let read = read.unwrap_or_else(|error| panic!("{text}: {legacy}: {error}"));
        assert_eq!(read.next_after(last), schedule.next_after(last), "{text}: {legacy}");
    }
});
