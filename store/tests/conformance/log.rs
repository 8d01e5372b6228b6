//! The run log.

use model::UnixMillis;
use model::job::History;
use model::record::{Output, RunRecord, SkipRecord};
use model::run::{Outcome, Revision, RunId, SessionId, SkipReason, Skipped};
use store::log::KEPT_SKIPS;
use store::{LogEntry, RunLog, RunQuery};

use super::world::{name, slot};

const KEEP: History = History { succeeded: 100, failed: 100 };

pub(crate) fn record(job: &str, second: i64, outcome: Outcome) -> RunRecord {
    let job = name(job);
    RunRecord {
        run: RunId::of_slot(&job, Revision(1), slot(second)),
        attempt: 0,
        job,
        command: "true".to_owned(),
        node: "node-1".to_owned(),
        session: SessionId("node-1/1".to_owned()),
        slot: slot(second),
        claimed: slot(second).0,
        started: Some(slot(second).0),
        ended: slot(second + 1).0,
        outcome,
        exit_status: Some(0),
        signal: None,
        message: String::new(),
        output: Output { head: format!("output {second}\n").into_bytes(), cut: 0, tail: Vec::new() },
    }
}

/// Appends one record.
pub(crate) async fn append_one<S: RunLog>(log: &S, record: RunRecord) -> Result<(), store::LogError> {
    log.append(vec![LogEntry::Run { record, keep: KEEP }]).await
}

async fn append<S: RunLog>(log: &S, records: impl IntoIterator<Item = RunRecord>, keep: History) {
    let entries = records.into_iter().map(|record| LogEntry::Run { record, keep }).collect();
    log.append(entries).await.expect("the log works");
}

async fn runs<S: RunLog>(log: &S, job: Option<&str>, with_output: bool) -> Vec<RunRecord> {
    let query = RunQuery { job: job.map(name), skip: 0, limit: 1000, with_output };
    log.runs(query).await.expect("the log works")
}

/// The seconds of the slots of a job's records, in the log's order.
async fn seconds<S: RunLog>(log: &S, job: Option<&str>) -> Vec<i64> {
    runs(log, job, false).await.iter().map(|record| second(record.slot.0)).collect()
}

fn second(time: UnixMillis) -> i64 {
    (time.0 - slot(0).0.0) / 1000
}

pub(crate) async fn every_field_comes_back<S: RunLog>(log: &S) {
    let mut expected = Vec::new();
    for (second, outcome) in (0..).zip(Outcome::ALL) {
        let mut full = record("ops/夜间 备份", second, outcome);
        full.attempt = 3;
        full.command.push_str(" '\u{1f980}\\0'; exit 3");
        full.signal = Some(9);
        full.exit_status = Some(-1);
        full.message.push_str("it was ended\nby SIGKILL");
        full.output = Output {
            head: (0..=255).collect(),
            cut: u64::try_from(i64::MAX).unwrap(),
            tail: b"\0\xff".to_vec(),
        };
        expected.push(full);
    }
    let mut bare = record("a", 9, Outcome::Lost);
    (bare.started, bare.exit_status, bare.output) = (None, None, Output::default());
    expected.push(bare);
    append(log, expected.clone(), KEEP).await;
    expected.reverse();
    assert_eq!(runs(log, None, true).await, expected);
}

pub(crate) async fn a_run_appended_twice_is_there_once<S: RunLog>(log: &S) {
    let first = record("a", 1, Outcome::Succeeded);
    append(log, [first.clone(), first.clone()], KEEP).await;
    append(log, [first.clone(), record("a", 2, Outcome::Failed)], KEEP).await;
    let mut changed = first.clone();
    changed.outcome = Outcome::Lost;
    append(log, [changed], KEEP).await;
    let all = runs(log, Some("a"), true).await;
    assert_eq!(all, [record("a", 2, Outcome::Failed), first], "what was recorded first stays");
}

pub(crate) async fn a_lost_run_is_superseded_by_its_true_record<S: RunLog>(log: &S) {
    for (second, outcome) in (0..).zip(&Outcome::ALL[..4]) {
        let mut lost = record("a", second, Outcome::Lost);
        (lost.started, lost.exit_status) = (None, None);
        lost.output = Output { head: vec![0xff; 3], cut: 9, tail: b"lost".to_vec() };
        let mut told = record("a", second, *outcome);
        told.output = Output { head: vec![0xfe; 3 << 20], cut: 1, tail: b"told".to_vec() };
        append(log, [lost.clone()], KEEP).await;
        assert_eq!(log.output(&lost.run, 0).await.unwrap().as_ref(), Some(&lost.output));
        append(log, [told.clone()], KEEP).await;
        assert!(log.output(&told.run, 0).await.unwrap().as_ref() == Some(&told.output));
        // It comes once more, in any order, and changes nothing.
        append(log, [lost.clone(), told.clone(), lost.clone()], KEEP).await;
        let found = log.output(&told.run, 0).await.unwrap();
        assert!(found.as_ref() == Some(&told.output), "{outcome}");
        told.output = Output::default();
        assert_eq!(log.find(&told.run, 0).await.unwrap(), Some(told), "{outcome}");
    }
    assert_eq!(seconds(log, Some("a")).await, [3, 2, 1, 0], "each is there once");
}

pub(crate) async fn a_lost_run_and_its_true_record_in_one_call_leave_the_true_one<S: RunLog>(log: &S) {
    let (lost, told) = (record("a", 1, Outcome::Lost), record("a", 1, Outcome::Failed));
    append(log, [lost.clone(), told.clone(), lost], KEEP).await;
    assert_eq!(runs(log, Some("a"), true).await, [told]);
}

pub(crate) async fn a_superseded_record_counts_once<S: RunLog>(log: &S) {
    let keep = History { succeeded: 2, failed: 2 };
    append(log, (0..2).map(|second| record("a", second, Outcome::Lost)), keep).await;
    append(log, [record("a", 1, Outcome::Succeeded)], keep).await;
    append(log, [record("a", 2, Outcome::Failed)], keep).await;
    assert_eq!(seconds(log, Some("a")).await, [2, 1, 0], "two failed, one succeeded");
    append(log, [record("a", 3, Outcome::Failed)], keep).await;
    assert_eq!(seconds(log, Some("a")).await, [3, 2, 1]);
}

pub(crate) async fn attempts_of_a_run_are_records_of_their_own<S: RunLog>(log: &S) {
    let first = record("a", 1, Outcome::Failed);
    let mut second = record("a", 1, Outcome::Succeeded);
    (second.attempt, second.started) = (1, Some(slot(5).0));
    append(log, [second.clone(), first.clone()], KEEP).await;
    assert_eq!(runs(log, Some("a"), true).await, [second.clone(), first]);
    second.output = Output::default();
    assert_eq!(log.find(&second.run, 1).await.unwrap(), Some(second.clone()));
    assert_eq!(log.find(&second.run, 2).await.unwrap(), None);
}

pub(crate) async fn runs_come_newest_start_first<S: RunLog>(log: &S) {
    let started = |second, start: Option<i64>| {
        let mut run = record("a", second, Outcome::Failed);
        run.started = start.map(|second| slot(second).0);
        run
    };
    // The one of slot 4 started late, that of slot 3 never: its slot stands in.
    append(log, [started(1, Some(1)), started(4, Some(9)), started(2, Some(2)), started(3, None)], KEEP)
        .await;
    append(log, [record("b", 5, Outcome::Succeeded)], KEEP).await;
    assert_eq!(seconds(log, Some("a")).await, [4, 3, 2, 1]);
    assert_eq!(seconds(log, None).await, [4, 5, 3, 2, 1]);
}

pub(crate) async fn pages_go_through_all_runs<S: RunLog>(log: &S) {
    append(
        log,
        (0..50)
            .zip(["a", "a/b", "a%"].iter().cycle())
            .map(|(second, job)| record(job, second, Outcome::Succeeded)),
        KEEP,
    )
    .await;
    for job in [None, Some("a"), Some("a/b"), Some("a%"), Some("nobody")] {
        let all = seconds(log, job).await;
        let mut paged = Vec::new();
        loop {
            let skip = u32::try_from(paged.len()).unwrap();
            let query = RunQuery { job: job.map(name), skip, limit: 7, with_output: false };
            let page = log.runs(query).await.unwrap();
            assert!(page.len() <= 7);
            if page.is_empty() {
                break;
            }
            paged.extend(page.iter().map(|record| second(record.slot.0)));
        }
        assert_eq!(paged, all, "{job:?}");
    }
    assert_eq!(seconds(log, None).await, (0..50).rev().collect::<Vec<_>>());
    assert_eq!(
        seconds(log, Some("a/b")).await,
        (0..50).rev().filter(|second| second % 3 == 1).collect::<Vec<_>>()
    );
    let none = RunQuery { limit: 0, ..RunQuery::default() };
    assert_eq!(log.runs(none).await.unwrap(), []);
}

pub(crate) async fn output_comes_only_when_wanted<S: RunLog>(log: &S) {
    let mut run = record("a", 1, Outcome::Succeeded);
    run.output = Output { head: vec![b'h'; 1 << 20], cut: 5, tail: vec![b't'; 1 << 20] };
    append(log, [run.clone()], KEEP).await;
    assert!(runs(log, Some("a"), true).await == [run.clone()]);
    assert!(log.output(&run.run, 0).await.unwrap().as_ref() == Some(&run.output));
    assert_eq!(log.output(&run.run, 1).await.unwrap(), None);
    run.output = Output::default();
    assert_eq!(runs(log, Some("a"), false).await, [run.clone()]);
    assert_eq!(log.find(&run.run, 0).await.unwrap(), Some(run));
}

pub(crate) async fn retention_counts_succeeded_and_others_apart<S: RunLog>(log: &S) {
    let keep = History { succeeded: 2, failed: 3 };
    // Every second one succeeds, the others end in all the other ways, a newer version's among them.
    let newer = Outcome::named("Replaced").unwrap();
    let others = Outcome::ALL[1..].iter().copied().chain([newer]).cycle();
    for (second, other) in (0..10).zip(others) {
        append(log, [record("a", 2 * second, Outcome::Succeeded), record("a", 2 * second + 1, other)], keep)
            .await;
    }
    assert_eq!(runs(log, Some("a"), false).await[0].outcome, newer);
    assert_eq!(seconds(log, Some("a")).await, [19, 18, 17, 16, 15]);
    let gone = record("a", 13, Outcome::Failed).run;
    assert_eq!(log.find(&gone, 0).await.unwrap(), None);
    // A record that comes late is older than all that are kept.
    append(log, [record("a", 2, Outcome::Succeeded)], keep).await;
    assert_eq!(seconds(log, Some("a")).await, [19, 18, 17, 16, 15]);
}

pub(crate) async fn retention_of_one_job_leaves_others_alone<S: RunLog>(log: &S) {
    let keep = History { succeeded: 1, failed: 1 };
    for job in ["a", "a/b", "a%", "_"] {
        append(log, (0..3).map(|second| record(job, second, Outcome::Succeeded)), KEEP).await;
    }
    for job in ["a", "_"] {
        append(log, [record(job, 3, Outcome::Succeeded)], keep).await;
    }
    for (job, left) in [("a", &[3][..]), ("_", &[3]), ("a/b", &[2, 1, 0]), ("a%", &[2, 1, 0])] {
        assert_eq!(seconds(log, Some(job)).await, left, "{job}");
    }
}

pub(crate) async fn a_limit_of_zero_keeps_nothing<S: RunLog>(log: &S) {
    let keep = History { succeeded: 0, failed: 1 };
    append(log, [record("a", 1, Outcome::Succeeded), record("a", 2, Outcome::Failed)], keep).await;
    append(log, [record("a", 3, Outcome::Succeeded)], keep).await;
    assert_eq!(seconds(log, Some("a")).await, [2]);
}

pub(crate) async fn a_lowered_limit_counts_from_the_next_record_on<S: RunLog>(log: &S) {
    append(log, (0..9).map(|second| record("a", second, Outcome::Failed)), KEEP).await;
    append(log, [record("a", 9, Outcome::Succeeded)], History { succeeded: 5, failed: 2 }).await;
    assert_eq!(seconds(log, Some("a")).await, [9, 8, 7]);
}

fn skip(job: &str, from: i64, reason: SkipReason) -> SkipRecord {
    SkipRecord {
        first_run: RunId::of_slot(name(job), Revision(1), slot(from)),
        job: name(job),
        node: "node-1".to_owned(),
        decided: slot(from + 60).0,
        skipped: Skipped {
            from: slot(from),
            to: slot(from + 5),
            count: (from % 2 == 0).then_some(5),
            reason,
        },
    }
}

async fn append_skips<S: RunLog>(log: &S, skips: &[SkipRecord]) {
    log.append(skips.iter().cloned().map(LogEntry::Skipped).collect()).await.expect("the log works");
}

pub(crate) async fn skipped_slots_come_latest_first<S: RunLog>(log: &S) {
    let reasons = SkipReason::ALL.into_iter().chain(SkipReason::named("Paused")).collect::<Vec<_>>();
    let mut skips: Vec<_> =
        (0..8).zip(reasons.into_iter().cycle()).map(|(i, reason)| skip("a", i * 10, reason)).collect();
    append_skips(log, &skips).await;
    append_skips(log, &[skip("a/b", 1000, SkipReason::Missed)]).await;
    skips.reverse();
    assert_eq!(log.skipped(&name("a"), 100).await.unwrap(), skips);
    assert_eq!(log.skipped(&name("a"), 3).await.unwrap(), skips[..3]);
    assert_eq!(log.skipped(&name("nobody"), 3).await.unwrap(), []);
}

pub(crate) async fn a_skip_appended_twice_is_there_once<S: RunLog>(log: &S) {
    let (one, other) = (skip("a", 1, SkipReason::Overlap), skip("a", 1, SkipReason::Deadline));
    append_skips(log, &[one.clone(), other.clone(), one.clone()]).await;
    append_skips(log, &[other, one]).await;
    assert_eq!(log.skipped(&name("a"), 100).await.unwrap().len(), 2, "one for each reason");
}

pub(crate) async fn a_slot_skipped_in_two_epochs_is_there_twice<S: RunLog>(log: &S) {
    let in_epoch = |epoch| {
        let first_run = RunId::of_slot_in(&name("a").into(), Revision(1), Revision(epoch), slot(1));
        SkipRecord { first_run, ..skip("a", 1, SkipReason::Missed) }
    };
    let unknown = SkipRecord { first_run: RunId::unknown(), ..in_epoch(0) };
    let mut skips = [in_epoch(0), in_epoch(7), in_epoch(9), unknown];
    append_skips(log, &skips).await;
    append_skips(log, &skips).await;
    skips.sort_by(|a, b| b.first_run.cmp(&a.first_run));
    assert_eq!(log.skipped(&name("a"), 100).await.unwrap(), skips);
    assert_eq!(log.skipped(&name("a"), 2).await.unwrap(), skips[..2]);
}

pub(crate) async fn old_skips_are_forgotten<S: RunLog>(log: &S) {
    let kept = i64::from(KEPT_SKIPS);
    append_skips(log, &[skip("b", 0, SkipReason::Missed)]).await;
    for i in 0..kept + 20 {
        append_skips(log, &[skip("a", i, SkipReason::Missed)]).await;
    }
    let left: Vec<_> =
        log.skipped(&name("a"), 1000).await.unwrap().iter().map(|s| second(s.skipped.from.0)).collect();
    assert_eq!(left, (20..kept + 20).rev().collect::<Vec<_>>());
    assert_eq!(log.skipped(&name("b"), 1000).await.unwrap().len(), 1);
}
