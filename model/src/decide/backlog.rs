//! `missedRunPolicy: All`: named cases, and that no slot is lost or decided twice whatever happens. Times are seconds of
//! 2026-01-01 UTC; the job is due each minute.

use proptest::prelude::*;

use super::tests::{LEAD, at, claim, decided, job, slot, stretch_of, timetable};
use super::*;
use crate::job::{ConcurrencyPolicy, JobSpec, MissedRunPolicy};

/// A job whose backlog has at most `limit` slots.
fn all(limit: u32, edit: impl FnOnce(&mut JobSpec)) -> Job {
    job(|spec| {
        spec.missed_run_policy = MissedRunPolicy::All;
        spec.missed_run_limit = Some(limit);
        edit(spec);
    })
}

#[test]
fn each_missed_slot_runs_the_oldest_first() {
    let job = all(10, |_| {});
    for done in [0, 60, 120] {
        assert_eq!(decided(&job, done, at(200), false), claim(done + 60));
    }
    assert_eq!(decided(&job, 180, at(200), false), Decision::Wait(Some(at(240) - LEAD)));
}

#[test]
fn of_more_than_the_limit_the_oldest_are_skipped_as_one_stretch() {
    let skipped = stretch_of(60, 3480, Some(58), SkipReason::Missed);
    assert_eq!(decided(&all(2, |_| {}), 0, at(3605), false), Decision::Claim { slot: slot(3540), skipped });
    assert_eq!(decided(&all(2, |_| {}), 3540, at(3605), false), claim(3600));
}

#[test]
fn a_slot_that_comes_during_the_catching_up_waits_behind_the_others() {
    let job = all(3, |_| {});
    // 120 runs until after 300: 180, 240 and 300 wait, and so nothing is left behind.
    assert_eq!(decided(&job, 120, at(310), true), Decision::Wait(None));
    assert_eq!(decided(&job, 120, at(310), false), claim(180));
    // A minute later 360 is one too many.
    let skipped = stretch_of(180, 180, Some(1), SkipReason::Missed);
    assert_eq!(decided(&job, 120, at(370), false), Decision::Claim { slot: slot(240), skipped });
}

#[test]
fn forbid_puts_a_slot_off_while_a_run_lasts_and_skips_none() {
    let job = all(10, |_| {});
    assert_eq!(decided(&job, 0, at(60) - LEAD, true), Decision::Wait(None));
    assert_eq!(decided(&job, 0, at(60), true), Decision::Wait(None));
    assert_eq!(decided(&job, 0, at(86_400), true), Decision::Wait(None));
    assert_eq!(decided(&job, 0, at(61), false), claim(60));
}

#[test]
fn allow_starts_all_that_waits_one_claim_after_the_other() {
    let job = all(10, |spec| spec.concurrency_policy = ConcurrencyPolicy::Allow);
    assert_eq!(decided(&job, 0, at(130), true), claim(60));
    assert_eq!(decided(&job, 60, at(130), true), claim(120));
}

#[test]
fn in_time_a_slot_is_claimed_ahead_as_ever() {
    assert_eq!(decided(&all(1, |_| {}), 0, at(60) - LEAD, false), claim(60));
    assert_eq!(decided(&all(1, |_| {}), 0, at(10), false), Decision::Wait(Some(at(60) - LEAD)));
}

#[test]
fn what_is_past_its_deadline_leaves_the_backlog_with_that_reason() {
    let late = all(10, |spec| spec.starting_deadline_seconds = Some(100));
    let skipped = stretch_of(60, 180, Some(3), SkipReason::Deadline);
    assert_eq!(decided(&late, 0, at(300), false), Decision::Claim { slot: slot(240), skipped });
    let few = all(1, |spec| spec.starting_deadline_seconds = Some(100));
    let mut skipped = stretch_of(60, 180, Some(3), SkipReason::Deadline);
    skipped.extend(stretch_of(240, 240, Some(1), SkipReason::Missed));
    assert_eq!(decided(&few, 0, at(300), false), Decision::Claim { slot: slot(300), skipped });
    let short = all(10, |spec| spec.starting_deadline_seconds = Some(5));
    let skipped = stretch_of(60, 300, Some(5), SkipReason::Deadline);
    assert_eq!(decided(&short, 0, at(310), false), Decision::Skip { slot: slot(300), skipped });
}

#[test]
fn a_slot_is_in_time_at_its_very_deadline() {
    let job = all(10, |spec| spec.starting_deadline_seconds = Some(60));
    assert_eq!(decided(&job, 0, at(120), false), claim(60));
    let skipped = stretch_of(60, 60, Some(1), SkipReason::Deadline);
    let later = at(120) + Duration::from_millis(1);
    assert_eq!(decided(&job, 0, later, false), Decision::Claim { slot: slot(120), skipped });
}

#[test]
fn ten_years_of_a_job_each_second_are_decided_at_once() {
    let job = all(1000, |spec| spec.schedule = "* * * * * *".to_owned());
    let ten_years = 10 * 365 * 86_400;
    let skipped = stretch_of(1, ten_years - 1000, None, SkipReason::Missed);
    let claimed = Decision::Claim { slot: slot(ten_years - 999), skipped };
    assert_eq!(decided(&job, 0, at(ten_years), false), claimed);
}

#[test]
fn an_edit_and_an_un_suspend_never_fire_the_past() {
    for (suspended, reason) in [(false, SkipReason::Missed), (true, SkipReason::Suspended)] {
        let former = timetable("* * * * *", suspended);
        let cursor = SeenCursor { slot: slot(0), job: Revision(5), armed_for: Some(&former) };
        let seen = Seen { created: Revision(5), cursor: Some(cursor), busy: false };
        let skipped = stretch_of(60, 600, Some(10), reason);
        assert_eq!(
            decide(at(600), LEAD, &all(10, |_| {}), &seen),
            Decision::Arm { slot: slot(600), skipped }
        );
    }
}

#[test]
fn a_clock_that_steps_back_fires_nothing_again() {
    assert_eq!(decided(&all(10, |_| {}), 3600, at(3550), false), Decision::Wait(Some(at(3660) - LEAD)));
    assert_eq!(decided(&all(10, |_| {}), 3600, at(60), false), Decision::Ahead);
}

#[test]
fn a_limit_belongs_to_all_and_all_needs_one() {
    for (policy, limit, said) in [
        (MissedRunPolicy::All, None, "needs a limit"),
        (MissedRunPolicy::All, Some(0), "must be 1 to 1000, not 0"),
        (MissedRunPolicy::All, Some(1001), "must be 1 to 1000, not 1001"),
        (MissedRunPolicy::Latest, Some(1), "without missedRunPolicy: All"),
        (MissedRunPolicy::Skip, Some(1), "without missedRunPolicy: All"),
    ] {
        let mut spec: JobSpec = serde_json::from_value(
            serde_json::json!({"schedule": "* * * * *", "template": {"command": "true"}}),
        )
        .unwrap();
        (spec.missed_run_policy, spec.missed_run_limit) = (policy, limit);
        let why = Job::new(JobName::new("a").unwrap(), spec).unwrap_err();
        assert!(why.explain().contains(said), "{policy:?} {limit:?}: {why}");
    }
}

/// What became of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Ran,
    Skipped(SkipReason),
}

fn a_job() -> impl Strategy<Value = Job> {
    let schedule = prop::sample::select(vec!["* * * * *", "*/7 * * * *", "0,1,5 * * * *", "*/20 * * * * *"]);
    let missed = prop_oneof![
        3 => (1..8_u32).prop_map(Some),
        1 => Just(None),
    ];
    (schedule, missed, prop::option::of(30..400_u32), any::<bool>(), any::<bool>()).prop_map(
        |(schedule, limit, deadline, allow, skip)| {
            job(|spec| {
                schedule.clone_into(&mut spec.schedule);
                spec.missed_run_policy = match limit {
                    Some(_) => MissedRunPolicy::All,
                    None if skip => MissedRunPolicy::Skip,
                    None => MissedRunPolicy::Latest,
                };
                spec.missed_run_limit = limit;
                spec.starting_deadline_seconds = deadline;
                if allow {
                    spec.concurrency_policy = ConcurrencyPolicy::Allow;
                }
            })
        },
    )
}

/// The worker looks after so many milliseconds, and a run that starts then lasts so many.
fn looks() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let after = prop_oneof![4 => 0..30_000_u64, 2 => 0..200_000_u64, 1 => 0..3_000_000_u64];
    prop::collection::vec((after, 0..200_000_u64), 1..60)
}

proptest! {
    #[test]
    fn every_slot_up_to_the_cursor_has_one_outcome_and_claims_are_in_order(job in a_job(), looks in looks()) {
        let (mut now, mut cursor, mut busy_until) = (at(0), slot(0), at(0));
        let mut outcomes: Vec<(UnixMillis, Outcome)> = Vec::new();
        let skip = |outcomes: &mut Vec<(UnixMillis, Outcome)>, skipped: &[Skipped]| {
            for Skipped { from, to, count, reason } in skipped {
                let slots = std::iter::successors(Some(from.0), |slot| job.schedule.next_after(*slot));
                let slots: Vec<_> = slots.take_while(|slot| *slot <= to.0).collect();
                assert_eq!(slots.last(), Some(&to.0));
                assert!(count.is_none_or(|count| count as usize == slots.len()));
                outcomes.extend(slots.into_iter().map(|slot| (slot, Outcome::Skipped(*reason))));
            }
        };
        for (after, lasts) in looks {
            now = now + Duration::from_millis(after);
            // As a worker does: until there is nothing to do now.
            loop {
                let seen_cursor = SeenCursor { slot: cursor, job: Revision(5), armed_for: None };
                let seen = Seen { created: Revision(5), cursor: Some(seen_cursor), busy: now < busy_until };
                match decide(now, LEAD, &job, &seen) {
                    Decision::Wait(until) => {
                        prop_assert!(until.is_none_or(|until| until > now), "it would be asked again at once");
                        break;
                    }
                    Decision::Claim { slot, skipped } => {
                        prop_assert!(slot > cursor);
                        skip(&mut outcomes, &skipped);
                        outcomes.push((slot.0, Outcome::Ran));
                        if let Some(deadline) = job.starting_deadline {
                            prop_assert!(now.since(slot.0) <= deadline);
                        }
                        if let MissedRuns::All(limit) = job.missed {
                            let waits = std::iter::successors(Some(slot.0), |slot| job.schedule.next_after(*slot));
                            let waits = waits.take_while(|slot| *slot <= now).count();
                            prop_assert!(waits <= limit.get() as usize, "{waits} wait");
                        }
                        (cursor, busy_until) = (slot, now + Duration::from_millis(lasts));
                    }
                    Decision::Skip { slot, skipped } => {
                        prop_assert!(slot > cursor);
                        skip(&mut outcomes, &skipped);
                        cursor = slot;
                    }
                    Decision::Arm { .. } | Decision::Ahead => unreachable!("neither timetable nor clock went back"),
                }
            }
        }
        let due = std::iter::successors(job.schedule.next_after(at(0)), |slot| job.schedule.next_after(*slot));
        let due: Vec<_> = due.take_while(|slot| *slot <= cursor.0).collect();
        let decided: Vec<_> = outcomes.iter().map(|(slot, _)| *slot).collect();
        prop_assert_eq!(decided, due);
        let overlap = outcomes.iter().any(|(_, outcome)| *outcome == Outcome::Skipped(SkipReason::Overlap));
        prop_assert!(!(overlap && matches!(job.missed, MissedRuns::All(_))), "a backlog overlaps with nothing");
    }
}
