//! Named cases of the scheduling rules. Times are seconds of 2026-01-01 UTC; the job is due each minute.

use super::*;
use crate::job::{ConcurrencyPolicy, JobSpec, MissedRunPolicy, RunTemplate};
use crate::schedule::Dialect;

pub(super) const LEAD: Duration = Duration::from_millis(250);
/// 2026-01-01T00:00:00Z.
const DAY: i64 = 1_767_225_600_000;

pub(super) fn at(seconds: i64) -> UnixMillis {
    UnixMillis(DAY + seconds * 1000)
}

pub(super) fn slot(seconds: i64) -> Slot {
    Slot(at(seconds))
}

pub(super) fn job(edit: impl FnOnce(&mut JobSpec)) -> Job {
    let mut spec: JobSpec =
        serde_json::from_value(serde_json::json!({"schedule": "* * * * *", "template": {}})).unwrap();
    spec.template = RunTemplate { command: Some("true".to_owned()), ..spec.template };
    edit(&mut spec);
    Job::new(JobName::new("ops/rotate").unwrap(), spec).unwrap()
}

/// Decides about a job whose cursor is at `cursor` and up to date.
pub(super) fn decided(job: &Job, cursor: i64, now: UnixMillis, busy: bool) -> Decision {
    let cursor = SeenCursor { slot: slot(cursor), job: Revision(5), armed_for: None };
    decide(now, LEAD, job, &Seen { created: Revision(5), cursor: Some(cursor), busy })
}

pub(super) fn claim(seconds: i64) -> Decision {
    Decision::Claim { slot: slot(seconds), skipped: Vec::new() }
}

pub(super) fn stretch_of(from: i64, to: i64, count: Option<u32>, reason: SkipReason) -> Vec<Skipped> {
    vec![Skipped { from: slot(from), to: slot(to), count, reason }]
}

#[test]
fn nothing_is_due_so_it_waits_until_the_claim_lead() {
    assert_eq!(decided(&job(|_| {}), 0, at(10), false), Decision::Wait(Some(at(60) - LEAD)));
}

#[test]
fn a_slot_is_claimed_up_to_the_lead_before_it_is_due() {
    assert_eq!(decided(&job(|_| {}), 0, at(60) - LEAD, false), claim(60));
    assert_eq!(decided(&job(|_| {}), 0, at(60), false), claim(60));
}

#[test]
fn within_the_lead_a_busy_job_waits_for_the_slot_itself() {
    assert_eq!(decided(&job(|_| {}), 0, at(60) - LEAD, true), Decision::Wait(Some(at(60))));
}

#[test]
fn forbid_skips_a_slot_while_a_run_lasts() {
    let skipped = stretch_of(60, 60, Some(1), SkipReason::Overlap);
    assert_eq!(decided(&job(|_| {}), 0, at(60), true), Decision::Skip { slot: slot(60), skipped });
}

#[test]
fn forbid_skips_all_slots_that_passed_during_a_run() {
    let skipped = stretch_of(60, 180, Some(3), SkipReason::Overlap);
    assert_eq!(decided(&job(|_| {}), 0, at(200), true), Decision::Skip { slot: slot(180), skipped });
}

#[test]
fn allow_starts_beside_a_running_run() {
    let job = job(|spec| spec.concurrency_policy = ConcurrencyPolicy::Allow);
    assert_eq!(decided(&job, 0, at(60), true), claim(60));
}

#[test]
fn latest_runs_the_latest_missed_slot_once_and_records_the_others() {
    let skipped = stretch_of(60, 3540, Some(59), SkipReason::Missed);
    assert_eq!(decided(&job(|_| {}), 0, at(3605), false), Decision::Claim { slot: slot(3600), skipped });
    assert_eq!(decided(&job(|_| {}), 3600, at(3605), false), Decision::Wait(Some(at(3660) - LEAD)));
}

#[test]
fn skip_runs_no_slot_that_is_late_by_more_than_a_minute() {
    let job = job(|spec| {
        spec.schedule = "0 * * * *".to_owned();
        spec.missed_run_policy = MissedRunPolicy::Skip;
    });
    assert_eq!(decided(&job, 0, at(3660), false), claim(3600));
    let skipped = stretch_of(3600, 3600, Some(1), SkipReason::Missed);
    let later = at(3660) + Duration::from_millis(1);
    assert_eq!(decided(&job, 0, later, false), Decision::Skip { slot: slot(3600), skipped });
}

#[test]
fn a_slot_whose_deadline_passed_is_skipped_and_counted_from_the_slot() {
    let job = job(|spec| spec.starting_deadline_seconds = Some(20));
    assert_eq!(decided(&job, 0, at(80), false), claim(60));
    let skipped = stretch_of(60, 60, Some(1), SkipReason::Deadline);
    assert_eq!(decided(&job, 0, at(81), false), Decision::Skip { slot: slot(60), skipped });
}

#[test]
fn ten_years_of_a_job_each_second_are_decided_at_once() {
    let job = job(|spec| spec.schedule = "* * * * * *".to_owned());
    let ten_years = 10 * 365 * 86_400;
    let skipped = stretch_of(1, ten_years - 1, None, SkipReason::Missed);
    assert_eq!(decided(&job, 0, at(ten_years), false), Decision::Claim { slot: slot(ten_years), skipped });
}

#[test]
fn skipped_slots_are_counted_up_to_a_thousand() {
    let skip = |minutes: i64| match decided(&job(|_| {}), 0, at(minutes * 60), true) {
        Decision::Skip { skipped, .. } => skipped[0].count,
        other => panic!("{other:?}"),
    };
    assert_eq!(skip(1000), Some(1000));
    assert_eq!(skip(1001), None);
}

#[test]
fn a_clock_that_steps_back_fires_nothing_again() {
    assert_eq!(decided(&job(|_| {}), 3600, at(3541), false), Decision::Wait(Some(at(3660) - LEAD)));
    assert_eq!(decided(&job(|_| {}), 3600, at(60), false), Decision::Ahead);
}

#[test]
fn a_clock_that_steps_forward_is_a_gap_and_stepping_back_again_fires_nothing_twice() {
    let skipped = stretch_of(60, 86_340, None, SkipReason::Missed);
    let tomorrow = decided(&job(|_| {}), 0, at(86_400), false);
    assert_eq!(tomorrow, Decision::Claim { slot: slot(86_400), skipped });
    assert_eq!(decided(&job(|_| {}), 86_400, at(70), false), Decision::Ahead);
}

#[test]
fn a_job_without_a_next_time_waits_for_an_edit() {
    let job = job(|spec| spec.schedule = "0 0 0 1 1 * 2026".to_owned());
    assert_eq!(decided(&job, 0, at(10), false), Decision::Wait(None));
}

#[test]
fn a_one_shot_runs_once() {
    let job = job(|spec| spec.schedule = "0 1 0 1 1 * 2026".to_owned());
    assert_eq!(decided(&job, 0, at(60), false), claim(60));
    assert_eq!(decided(&job, 60, at(61), false), Decision::Wait(None));
}

#[test]
fn a_suspended_job_waits_for_an_edit() {
    let job = job(|spec| spec.suspend = true);
    assert_eq!(decided(&job, 0, at(3600), false), Decision::Wait(None));
}

#[test]
fn a_new_job_is_armed_and_never_fires_the_past() {
    let seen = Seen { created: Revision(5), cursor: None, busy: false };
    let armed = Decision::Arm { slot: slot(3600), skipped: Vec::new() };
    assert_eq!(decide(at(3600), LEAD, &job(|_| {}), &seen), armed);
}

#[test]
fn a_recreated_job_owes_nothing_of_its_former_life() {
    let former = SeenCursor { slot: slot(0), job: Revision(4), armed_for: None };
    let seen = Seen { created: Revision(5), cursor: Some(former), busy: false };
    let armed = Decision::Arm { slot: slot(3600), skipped: Vec::new() };
    assert_eq!(decide(at(3600), LEAD, &job(|_| {}), &seen), armed);
}

/// Decides at 600 s about a job that was armed at 0 s for another timetable.
fn armed_for(former: &Timetable) -> Decision {
    let cursor = SeenCursor { slot: slot(0), job: Revision(5), armed_for: Some(former) };
    decide(at(600), LEAD, &job(|_| {}), &Seen { created: Revision(5), cursor: Some(cursor), busy: false })
}

pub(super) fn timetable(schedule: &str, suspended: bool) -> Timetable {
    Timetable { schedule: schedule.to_owned(), dialect: Dialect::Standard, zone: "UTC".to_owned(), suspended }
}

#[test]
fn an_edited_schedule_never_fires_the_past() {
    assert_eq!(
        armed_for(&timetable("0 12 * * *", false)),
        Decision::Arm { slot: slot(600), skipped: Vec::new() }
    );
}

#[test]
fn an_edit_records_what_the_former_schedule_owed() {
    let skipped = stretch_of(300, 600, Some(2), SkipReason::Missed);
    assert_eq!(armed_for(&timetable("*/5 * * * *", false)), Decision::Arm { slot: slot(600), skipped });
}

#[test]
fn resuming_never_fires_the_past_and_records_it_as_suspended() {
    let skipped = stretch_of(60, 600, Some(10), SkipReason::Suspended);
    assert_eq!(armed_for(&timetable("* * * * *", true)), Decision::Arm { slot: slot(600), skipped });
}

#[test]
fn arming_never_moves_a_cursor_back() {
    let former = timetable("*/5 * * * *", false);
    let cursor = SeenCursor { slot: slot(900), job: Revision(5), armed_for: Some(&former) };
    let seen = Seen { created: Revision(5), cursor: Some(cursor), busy: false };
    let armed = Decision::Arm { slot: slot(900), skipped: Vec::new() };
    assert_eq!(decide(at(890), LEAD, &job(|_| {}), &seen), armed);
}

#[test]
fn a_claim_that_was_given_back_runs_unless_the_rules_of_that_moment_skip_it() {
    use SkipReason::{ClockSet, Deadline, Missed, Suspended};
    let latest = job(|_| {});
    let skip = job(|spec| {
        spec.schedule = "0 * * * *".to_owned();
        spec.missed_run_policy = MissedRunPolicy::Skip;
    });
    let all = job(|spec| {
        spec.missed_run_policy = MissedRunPolicy::All;
        spec.missed_run_limit = Some(10);
    });
    let deadline = job(|spec| spec.starting_deadline_seconds = Some(10));
    let suspended = job(|spec| spec.suspend = true);
    for (job, seconds, expected) in [
        (&latest, 0, Waiting::Run),
        (&latest, 59, Waiting::Run),
        (&latest, 60, Waiting::Skip(Missed)),
        (&skip, 60, Waiting::Run),
        (&skip, 61, Waiting::Skip(Missed)),
        (&all, 600, Waiting::Run),
        (&deadline, 10, Waiting::Run),
        (&deadline, 11, Waiting::Skip(Deadline)),
        (&suspended, 0, Waiting::Skip(Suspended)),
        (&latest, -1, Waiting::Wait(at(0) - LEAD)),
        (&latest, -61, Waiting::Skip(ClockSet)),
    ] {
        assert_eq!(waiting(at(seconds), LEAD, job, slot(0)), expected, "{} {seconds}", job.schedule.text());
    }
    assert_eq!(waiting(at(0) - LEAD, LEAD, &latest, slot(0)), Waiting::Run);
}

#[test]
fn while_the_cursor_is_ahead_of_the_clock_nothing_is_decided_not_even_after_an_edit() {
    let job = job(|_| {});
    assert_eq!(decided(&job, 3600, at(3540), false), Decision::Wait(Some(at(3660) - LEAD)));
    assert_eq!(decided(&job, 3600, at(3539), false), Decision::Ahead);
    let former = timetable("0 * * * *", false);
    let cursor = SeenCursor { slot: slot(3600), job: Revision(5), armed_for: Some(&former) };
    let seen = Seen { created: Revision(5), cursor: Some(cursor), busy: false };
    assert_eq!(decide(at(0), LEAD, &job, &seen), Decision::Ahead);
    // The job was created again.
    let seen = Seen { created: Revision(6), cursor: Some(cursor), busy: false };
    assert_eq!(decide(at(0), LEAD, &job, &seen), Decision::Arm { slot: slot(0), skipped: Vec::new() });
}

#[test]
fn a_cursor_is_set_back_only_if_all_clocks_agree_that_it_is_ahead() {
    assert_eq!(may_set(slot(3600), [at(0), at(5)]), Some(at(5)));
    assert_eq!(may_set(slot(3600), [at(0), at(3540)]), None);
    assert_eq!(may_set(slot(3600), [at(0), at(3539)]), Some(at(3539)));
    assert_eq!(may_set(slot(3600), []), None);
}
