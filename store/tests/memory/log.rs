//! The run log as a value.

use std::time::Duration;

use model::job::History;
use model::keys::KeyPrefix;
use model::record::SkipRecord;
use model::run::{Outcome, Revision, RunId, SkipReason, Skipped};
use store::embedded::Embedded;
use store::memory::LogState;
use store::{LogEntry, RunLog, RunQuery};

use crate::conformance::log::record;
use crate::conformance::world::{name, slot};

const KEEP: History = History { succeeded: 2, failed: 3 };

fn entry(job: &str, second: i64, outcome: Outcome) -> LogEntry {
    LogEntry::Run { record: record(job, second, outcome), keep: KEEP }
}

#[test]
fn the_order_of_appending_does_not_show() {
    let mut entries: Vec<_> = (0..3)
        .flat_map(|second| ["a", "b"].map(|job| entry(job, second, Outcome::Failed)))
        .chain(["a", "b"].map(|job| entry(job, 1, Outcome::Failed)))
        .collect();
    let mut one = LogState::new();
    one.append(entries.clone());
    entries.reverse();
    let mut other = LogState::new();
    other.append(entries);
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
    let all = RunQuery { limit: 100, with_output: true, ..RunQuery::default() };
    let mut runs = one.runs(&all);
    runs.reverse();
    assert!(one.records().eq(&runs), "oldest first");
    assert_eq!(runs.len(), 6);
}

#[test]
fn what_is_too_old_is_gone_at_once_with_all_that_leads_to_it() {
    let mut log = LogState::new();
    log.append((0..50).map(|second| entry("a", second, Outcome::Succeeded)).collect());
    assert_eq!(log.records().count(), 2);
    let old = record("a", 0, Outcome::Succeeded);
    assert_eq!((log.find(&old.run, 0), log.output(&old.run, 0)), (None, None));
    log.append(vec![entry("a", 0, Outcome::Succeeded)]);
    assert_eq!(log.records().count(), 2, "nor does it come back");
    let mut young = LogState::new();
    young.append([48, 49].map(|second| entry("a", second, Outcome::Succeeded)).to_vec());
    assert_eq!(format!("{log:?}"), format!("{young:?}"));
}

#[test]
fn a_superseding_record_takes_its_own_place() {
    let mut log = LogState::new();
    let mut lost = record("a", 1, Outcome::Lost);
    lost.started = None;
    let mut told = record("a", 1, Outcome::Succeeded);
    told.started = Some(slot(9).0);
    let run = |record| LogEntry::Run { record, keep: KEEP };
    log.append(vec![run(lost.clone()), entry("a", 5, Outcome::Failed), run(told.clone()), run(lost)]);
    let seen: Vec<_> = log.records().map(|record| record.outcome).collect();
    assert_eq!(seen, [Outcome::Failed, Outcome::Succeeded]);
    assert_eq!(log.output(&told.run, 0), Some(told.output));
}

#[test]
fn all_skipped_slots_are_seen_by_job_and_slot() {
    let mut log = LogState::new();
    let skip = |job: &str, second| {
        let skipped =
            Skipped { from: slot(second), to: slot(second), count: Some(1), reason: SkipReason::Missed };
        let first_run = RunId::of_slot(name(job), Revision(1), slot(second));
        SkipRecord { first_run, job: name(job), node: "n".to_owned(), decided: slot(second).0, skipped }
    };
    let [a1, a2, b1] = [skip("a", 1), skip("a", 2), skip("b", 1)];
    log.append([&b1, &a2, &a1, &a2].map(|skip| LogEntry::Skipped(skip.clone())).to_vec());
    assert!(log.skips().eq([&a1, &a2, &b1]));
}

#[tokio::test]
async fn any_entries_leave_what_the_embedded_log_keeps() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let embedded =
        Embedded::open(folder.path(), KeyPrefix::default(), Duration::ZERO).expect("an empty folder");
    let mut memory = LogState::new();
    // Numbers that look random and are the same each time.
    let mut seed = 1_u64;
    let mut below = |end: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).expect("31 bits") % end
    };
    for round in 0..60 {
        let mut entries = Vec::new();
        for _ in 0..=below(8) {
            let (job, second) = (["a", "b"][below(2)], i64::try_from(below(40)).expect("small"));
            if below(4) == 0 {
                let reason = [SkipReason::Missed, SkipReason::Overlap][below(2)];
                let to = i64::try_from(below(3)).expect("small");
                let skipped =
                    Skipped { from: slot(second), to: slot(second + to), count: Some(round), reason };
                let incarnation = Revision(i64::try_from(below(2)).expect("small"));
                let record = SkipRecord {
                    first_run: RunId::of_slot(name(job), incarnation, slot(second)),
                    job: name(job),
                    node: "n".to_owned(),
                    decided: slot(90).0,
                    skipped,
                };
                entries.push(LogEntry::Skipped(record));
            } else {
                let mut record = record(job, second, Outcome::ALL[below(5)]);
                record.attempt = u32::try_from(below(2)).expect("small");
                record.started = (below(3) > 0).then(|| slot(second + i64::from(round % 3)).0);
                record.message = round.to_string();
                let keep = [KEEP, History { succeeded: 9, failed: 9 }][below(2)];
                entries.push(LogEntry::Run { record, keep });
            }
        }
        embedded.append(entries.clone()).await.expect("the log works");
        memory.append(entries);
        for job in [None, Some(name("a")), Some(name("b"))] {
            for (skip, limit, with_output) in [(0, 100, true), (2, 3, false)] {
                let query = RunQuery { job: job.clone(), skip, limit, with_output };
                let runs = memory.runs(&query);
                assert_eq!(embedded.runs(query).await.expect("the log works"), runs, "{round}");
            }
        }
        for job in ["a", "b"].map(name) {
            assert_eq!(embedded.skipped(&job, 50).await.expect("the log works"), memory.skipped(&job, 50));
        }
    }
    embedded.close().await;
}
