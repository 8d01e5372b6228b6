//! The cases of the controller of Kubernetes' `CronJob`, by their names there (`TestControllerV2SyncCronJob`), with what is
//! decided here.
//!
//! As there, a job is due on the hour; A and F stand for `Allow` and `Forbid`. Not here are the cases that end in R (the
//! policy `Replace`), and those about the API server's answers: "create job failed", "get job failed", "time zone
//! disabled".

use super::*;
use crate::job::{JobError, JobSpec};
use crate::run::SkipReason::{Deadline, Missed, Overlap};

/// 2016-05-19T10:00:00Z, the hour of these cases.
const HOUR: i64 = 1_463_652_000;
const JUST_BEFORE: i64 = HOUR - 60;
const JUST_AFTER: i64 = HOUR + 60;
const WEEK_AFTER: i64 = HOUR + 7 * 86_400;

/// `startingDeadlineSeconds`.
const NO_DEAD: Option<u32> = None;
const SHORT_DEAD: Option<u32> = Some(10);
const MEDIUM_DEAD: Option<u32> = Some(2 * 3600);
const LONG_DEAD: Option<u32> = Some(1_000_000);

/// What the job has done.
#[derive(Clone, Copy, PartialEq)]
enum Past {
    /// It was created a minute after the hour before.
    NeverRan,
    /// It ran at the hour before.
    RanButDone,
    /// It ran at the hour before, and runs.
    StillActive,
}
use Past::{NeverRan, RanButDone, StillActive};

/// What is decided, times in seconds.
#[derive(Debug, PartialEq)]
enum Decided {
    WaitsFor(i64),
    DoesNothing,
    Runs { slot: i64, passing_over: u32 },
    Skips { from: i64, to: i64, why: SkipReason },
}
use Decided::{DoesNothing, Runs, Skips, WaitsFor};

fn job(
    policy: &str,
    suspend: bool,
    deadline: Option<u32>,
    schedule: &str,
    zone: &str,
) -> Result<Job, JobError> {
    let spec = serde_json::json!({
        "schedule": schedule,
        "timeZone": zone,
        "suspend": suspend,
        "concurrencyPolicy": policy,
        "startingDeadlineSeconds": deadline,
        "template": {"command": "true"},
    });
    let spec: JobSpec = serde_json::from_value(spec).unwrap();
    Job::new(JobName::new("ops/rotate").unwrap(), spec)
}

fn at(seconds: i64) -> UnixMillis {
    UnixMillis(seconds * 1000)
}

fn decided(job: &Job, past: Past, now: i64) -> Decided {
    let slot = if past == NeverRan { HOUR - 3540 } else { HOUR - 3600 };
    let cursor = SeenCursor { slot: Slot(at(slot)), job: Revision(5), armed_for: None };
    let seen = Seen { created: Revision(5), cursor: Some(cursor), busy: past == StillActive };
    let seconds = |slot: Slot| slot.0.0 / 1000;
    match decide(at(now), Duration::ZERO, job, &seen) {
        Decision::Wait(until) => until.map_or(DoesNothing, |until| WaitsFor(until.0 / 1000)),
        Decision::Claim { slot, skipped } => {
            assert!(skipped.iter().all(|skipped| skipped.reason == Missed), "{skipped:?}");
            Runs {
                slot: seconds(slot),
                passing_over: skipped.iter().filter_map(|skipped| skipped.count).sum(),
            }
        }
        Decision::Skip { slot, skipped } => {
            assert_eq!((skipped.len(), skipped[0].to), (1, slot));
            Skips { from: seconds(skipped[0].from), to: seconds(slot), why: skipped[0].reason }
        }
        Decision::Arm { .. } | Decision::Ahead => panic!("the cursor is up to date"),
    }
}

const THIS_HOUR: Decided = Runs { slot: HOUR, passing_over: 0 };
const PAST_DEADLINE: Decided = Skips { from: HOUR, to: HOUR, why: Deadline };
/// From 10:00 on the first day to 10:00 on the last there are 169 slots.
const AFTER_A_WEEK: Decided = Runs { slot: WEEK_AFTER, passing_over: 168 };

/// Name, past, policy, whether suspended, deadline, now, what is decided.
type Case = (&'static str, Past, &'static str, bool, Option<u32>, i64, Decided);

const CASES: [Case; 27] = [
    ("never ran, not time, A", NeverRan, "Allow", false, NO_DEAD, JUST_BEFORE, WaitsFor(HOUR)),
    ("never ran, not time, F", NeverRan, "Forbid", false, NO_DEAD, JUST_BEFORE, WaitsFor(HOUR)),
    ("never ran, is time, A", NeverRan, "Allow", false, NO_DEAD, JUST_AFTER, THIS_HOUR),
    ("never ran, is time, F", NeverRan, "Forbid", false, NO_DEAD, JUST_AFTER, THIS_HOUR),
    ("never ran, is time, suspended", NeverRan, "Allow", true, NO_DEAD, JUST_AFTER, DoesNothing),
    ("never ran, is time, past deadline", NeverRan, "Allow", false, SHORT_DEAD, JUST_AFTER, PAST_DEADLINE),
    ("never ran, is time, not past deadline", NeverRan, "Allow", false, LONG_DEAD, JUST_AFTER, THIS_HOUR),
    ("prev ran but done, not time, A", RanButDone, "Allow", false, NO_DEAD, JUST_BEFORE, WaitsFor(HOUR)),
    ("prev ran but done, not time, F", RanButDone, "Forbid", false, NO_DEAD, JUST_BEFORE, WaitsFor(HOUR)),
    ("prev ran but done, is time, A", RanButDone, "Allow", false, NO_DEAD, JUST_AFTER, THIS_HOUR),
    ("prev ran but done, is time, F", RanButDone, "Forbid", false, NO_DEAD, JUST_AFTER, THIS_HOUR),
    ("prev ran but done, is time, suspended", RanButDone, "Allow", true, NO_DEAD, JUST_AFTER, DoesNothing),
    (
        "prev ran but done, is time, past deadline",
        RanButDone,
        "Allow",
        false,
        SHORT_DEAD,
        JUST_AFTER,
        PAST_DEADLINE,
    ),
    (
        "prev ran but done, is time, not past deadline",
        RanButDone,
        "Allow",
        false,
        LONG_DEAD,
        JUST_AFTER,
        THIS_HOUR,
    ),
    ("still active, not time, A", StillActive, "Allow", false, NO_DEAD, JUST_BEFORE, WaitsFor(HOUR)),
    ("still active, not time, F", StillActive, "Forbid", false, NO_DEAD, JUST_BEFORE, WaitsFor(HOUR)),
    ("still active, is time, A", StillActive, "Allow", false, NO_DEAD, JUST_AFTER, THIS_HOUR),
    // There the slot is put off until the run ends, here it is over.
    (
        "still active, is time, F",
        StillActive,
        "Forbid",
        false,
        NO_DEAD,
        JUST_AFTER,
        Skips { from: HOUR, to: HOUR, why: Overlap },
    ),
    ("still active, is time, suspended", StillActive, "Allow", true, NO_DEAD, JUST_AFTER, DoesNothing),
    (
        "still active, is time, past deadline",
        StillActive,
        "Allow",
        false,
        SHORT_DEAD,
        JUST_AFTER,
        PAST_DEADLINE,
    ),
    (
        "still active, is time, not past deadline",
        StillActive,
        "Allow",
        false,
        LONG_DEAD,
        JUST_AFTER,
        THIS_HOUR,
    ),
    (
        "prev ran but done, long overdue, not past deadline, A",
        RanButDone,
        "Allow",
        false,
        LONG_DEAD,
        WEEK_AFTER,
        AFTER_A_WEEK,
    ),
    (
        "prev ran but done, long overdue, not past deadline, F",
        RanButDone,
        "Forbid",
        false,
        LONG_DEAD,
        WEEK_AFTER,
        AFTER_A_WEEK,
    ),
    // There the answer carries a warning, "too many missed start times", from a hundred on.
    (
        "prev ran but done, long overdue, no deadline, A",
        RanButDone,
        "Allow",
        false,
        NO_DEAD,
        WEEK_AFTER,
        AFTER_A_WEEK,
    ),
    (
        "prev ran but done, long overdue, no deadline, F",
        RanButDone,
        "Forbid",
        false,
        NO_DEAD,
        WEEK_AFTER,
        AFTER_A_WEEK,
    ),
    (
        "prev ran but done, long overdue, past medium deadline, A",
        RanButDone,
        "Allow",
        false,
        MEDIUM_DEAD,
        WEEK_AFTER,
        AFTER_A_WEEK,
    ),
    (
        "prev ran but done, long overdue, past short deadline, A",
        RanButDone,
        "Allow",
        false,
        SHORT_DEAD,
        WEEK_AFTER,
        AFTER_A_WEEK,
    ),
];

#[test]
fn the_cases_of_kubernetes_controller_are_decided() {
    for (name, past, policy, suspend, deadline, now, expected) in CASES {
        let job = job(policy, suspend, deadline, "0 * * * *", "UTC").unwrap();
        assert_eq!(decided(&job, past, now), expected, "{name}");
    }
}

#[test]
fn never_ran_in_zone() {
    let hourly = job("Allow", false, NO_DEAD, "0 * * * *", "America/New_York").unwrap();
    assert_eq!(decided(&hourly, NeverRan, JUST_BEFORE), WaitsFor(HOUR), "never ran, not time in zone");
    assert_eq!(
        decided(&hourly, NeverRan, JUST_AFTER),
        Runs { slot: HOUR, passing_over: 0 },
        "never ran, is time in zone"
    );
    // At 10:00 UTC it is 06:00 there.
    let at_six = job("Allow", false, NO_DEAD, "0 6 * * *", "America/New_York").unwrap();
    assert_eq!(decided(&at_six, NeverRan, JUST_AFTER), Runs { slot: HOUR, passing_over: 0 });
}

#[test]
fn never_ran_and_not_valid_is_no_job() {
    for (name, schedule, zone, said) in [
        ("never ran, not valid schedule", "obvious error schedule", "UTC", "the schedule has 3 fields"),
        (
            "never ran, not valid time zone",
            "0 * * * *",
            "bad/timezone",
            "the time zone bad/timezone is unknown",
        ),
        (
            "never ran, is time in zone, but TZ is also set in schedule",
            "TZ=UTC 0 * * * *",
            "America/New_York",
            "a schedule has no TZ= inside",
        ),
    ] {
        let error = job("Allow", false, NO_DEAD, schedule, zone).unwrap_err();
        let said_why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(said_why.starts_with(said), "{name}: {error}: {said_why}");
    }
}

/// The names of `TestMostRecentScheduleTime`; its answer is the slot that runs. Times are minutes after 10:00 on 19 May
/// 2016, a Thursday.
#[test]
fn the_most_recent_schedule_time_is_the_slot_that_runs() {
    let day = 24 * 60;
    for (name, schedule, last, now, expected) in [
        ("now before next schedule", "0 * * * *", 0, 1, None),
        ("now just after next schedule", "0 * * * *", 0, 61, Some(60)),
        ("missed 5 schedules", "0 * * * *", 0, 301, Some(300)),
        ("complex schedule", "30 6-16/4 * * 1-5", 30, day + 31, Some(day + 30)),
        // None there, since the next slot is guessed from the distance of two.
        ("another complex schedule", "30 10,11,12 * * 1-5", 30, 30 * 60 + 30, Some(26 * 60 + 30)),
        (
            "complex schedule with longer diff between executions",
            "30 6-16/4 * * 1-5",
            30,
            4 * day + 31,
            Some(4 * day + 30),
        ),
        (
            "complex schedule with shorter diff between executions",
            "30 6-16/4 * * 1-5",
            0,
            day + 31,
            Some(day + 30),
        ),
    ] {
        let job = job("Allow", false, NO_DEAD, schedule, "UTC").unwrap();
        let minute = |minute: i64| at(HOUR + minute * 60);
        let cursor = SeenCursor { slot: Slot(minute(last)), job: Revision(5), armed_for: None };
        let seen = Seen { created: Revision(5), cursor: Some(cursor), busy: false };
        let runs = match decide(minute(now), Duration::ZERO, &job, &seen) {
            Decision::Claim { slot, .. } => Some(slot.0),
            _ => None,
        };
        assert_eq!(runs, expected.map(minute), "{name}");
    }
    // There it is walked through, up to an end.
    let rogue = job("Allow", false, NO_DEAD, "59 23 31 2 *", "UTC");
    assert!(rogue.is_err(), "rogue cronjob");
}
