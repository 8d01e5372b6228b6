//! Which zone a job's schedule follows, what its text may not hold, and the names of zones.

use model::job::JobSpec;
use model::legacy::JobValue;
use model::schedule::tz_data_version;
use model::{Dialect, Job, JobName, Schedule, TimeZone, UnixMillis};

fn name() -> JobName {
    JobName::new("ops/rotate").unwrap()
}

#[test]
fn a_resource_without_a_time_zone_follows_utc_and_a_legacy_job_the_workers_zone() {
    let spec: JobSpec =
        serde_json::from_str(r#"{"schedule":"30 2 * * *","template":{"command":"true"}}"#).unwrap();
    assert_eq!(Job::new(name(), spec).unwrap().schedule.zone(), TimeZone::UTC);

    let paris = TimeZone::parse("Europe/Paris").unwrap();
    let value = br#"{"name":"rotate","command":"true","cronExpr":"30 2 * * *"}"#;
    let job = JobValue::from_bytes(value).unwrap().into_job(name(), paris).unwrap();
    assert_eq!((job.schedule.zone(), job.schedule.dialect()), (paris, Dialect::Legacy));
}

#[test]
fn a_zone_inside_the_text_is_refused_and_time_zone_named_instead() {
    for text in ["TZ=Asia/Tokyo 0 9 * * *", "CRON_TZ=Asia/Tokyo 0 9 * * *"] {
        for dialect in [Dialect::Standard, Dialect::Legacy] {
            let error = Schedule::parse(text, dialect, TimeZone::UTC, &name()).unwrap_err().to_string();
            assert!(error.ends_with("remove it and use timeZone: Asia/Tokyo"), "{error}");
        }
    }
}

#[test]
fn the_dialect_is_given_and_never_guessed() {
    let parse = |text: &str, dialect| Schedule::parse(text, dialect, TimeZone::UTC, &name());
    let six = "0 30 2 1 1 *";
    assert!(parse(six, Dialect::Standard).is_ok());
    // There 30 is the hour.
    assert_eq!(parse(six, Dialect::Legacy).unwrap_err().field(), Some("hour"));
    let year = "30 2 1 1 * 2030";
    assert!(parse(year, Dialect::Legacy).is_ok());
    assert_eq!(parse(year, Dialect::Standard).unwrap_err().field(), Some("day of week"));
}

#[test]
fn the_tz_data_is_compiled_in_and_its_release_is_told() {
    let release = tz_data_version();
    let (year, letter) = release.split_at(4);
    assert!(year.parse::<u32>().is_ok_and(|year| year >= 2025) && letter.len() == 1, "{release}");
    assert!(TimeZone::all().count() > 500);
}

#[test]
fn a_slot_that_the_clock_skipped_is_told_from_one_that_is_there_anyway() {
    let paris = TimeZone::parse("Europe/Paris").unwrap();
    let gap: UnixMillis = "2026-03-29T01:00:00Z".parse().unwrap();
    for (text, moved) in
        [("30 2 * * *", true), ("0 2,3 * * *", false), ("0 * * * *", false), ("@hourly", false)]
    {
        let schedule = Schedule::parse(text, Dialect::Standard, paris, &name()).unwrap();
        let slot = schedule.next_after(UnixMillis(gap.0 - 1)).unwrap();
        assert_eq!((slot, schedule.is_moved(slot)), (gap, moved), "{text}");
        assert_eq!(schedule.zone().time(slot).to_rfc3339(), "2026-03-29T03:00:00+02:00");
    }
    let next_day = Schedule::parse("30 2 * * *", Dialect::Standard, paris, &name()).unwrap();
    assert!(!next_day.is_moved(next_day.next_after(gap).unwrap()));
}

#[test]
fn two_restricted_day_fields_and_a_choice_by_name_are_told() {
    for (text, both, by_name) in [
        ("0 0 13 * FRI", true, false),
        ("0 0 */2 * MON", true, false),
        ("0 0 L * 5#3", true, false),
        ("0 0 ? * MON", false, false),
        ("0 0 */1 * MON", false, false),
        ("0 0 13 * *", false, false),
        ("H 0 13 * *", false, true),
        ("@every 1h", false, true),
    ] {
        let schedule = Schedule::parse(text, Dialect::Standard, TimeZone::UTC, &name()).unwrap();
        assert_eq!((schedule.has_both_days(), schedule.depends_on_name()), (both, by_name), "{text}");
    }
}
