//! The wire format of the replaced system, both ways, against files that hold it byte for byte.

use model::job::{JobSpec, Owner};
use model::legacy::{Answer, JobValue, LegacyJob, LegacyLog, MAX_VALUE_BYTES, ValueError};
use model::record::{Output, RunRecord};
use model::run::{Outcome, Revision, RunId, SessionId, Slot};
use model::{Job, JobName, TimeZone, UnixMillis};

/// The file's only line.
macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("golden/", $name)).trim_end()
    };
}

fn name(text: &str) -> JobName {
    JobName::new(text).unwrap()
}

#[test]
fn a_legacy_job_reads_and_writes_as_it_was() {
    let text = golden!("job-legacy.json");
    let value = JobValue::from_bytes(text.as_bytes()).unwrap();
    assert_eq!(value.legacy.command, "tar cf /b.tar /srv && echo <done>");
    assert_eq!((&value.spec, &value.owner), (&None, &None));
    assert_eq!(String::from_utf8(value.to_bytes()).unwrap(), text);

    let job = value.into_job(name("key/decides"), TimeZone::UTC).unwrap();
    assert_eq!(job.name.as_str(), "key/decides");
    assert_eq!(job.schedule.next_after(UnixMillis(1000)), Some(UnixMillis(5000)));
}

#[test]
fn a_job_escaped_by_gos_encoder_reads_as_meant() {
    let value = JobValue::from_bytes(golden!("job-go-escaped.json").as_bytes()).unwrap();
    assert_eq!(value.legacy.command, "a && b < c > d");
}

#[test]
fn a_job_in_full_reads_and_writes_as_it_was() {
    let text = golden!("job-spec.json");
    let value = JobValue::from_bytes(text.as_bytes()).unwrap();
    let spec: JobSpec = value.spec.clone().unwrap();
    let job = Job::new(name("ops/rotate"), spec.clone()).unwrap();
    let owner = Owner::Manifest { path: "examples/rotate.yaml".to_owned() };
    let made = JobValue::of_spec(&job, spec, Some(owner));
    assert_eq!(String::from_utf8(made.to_bytes()).unwrap(), text);
    assert_eq!(made, value);
    assert_eq!(value.into_job(name("ops/rotate"), TimeZone::UTC).unwrap(), job);
}

#[test]
fn an_old_reader_of_a_job_in_full_sees_its_three_fields() {
    let legacy: LegacyJob = serde_json::from_str(golden!("job-spec.json")).unwrap();
    assert_eq!(legacy.name, "ops/rotate");
    assert_eq!(legacy.cron_expr, "0 30 2 * * 1-5 *");
}

#[test]
fn a_record_becomes_the_legacy_log_document() {
    let slot = Slot(UnixMillis(1_764_000_000_000));
    let record = RunRecord {
        run: RunId::of_slot(name("ops/rotate"), Revision(1), slot),
        attempt: 0,
        job: name("ops/rotate"),
        command: "logrotate -v".to_owned(),
        node: "n1".to_owned(),
        session: SessionId("n1-1".to_owned()),
        slot,
        claimed: UnixMillis(1_763_999_999_750),
        started: Some(UnixMillis(1_764_000_000_004)),
        ended: UnixMillis(1_764_000_000_250),
        outcome: Outcome::Failed,
        exit_status: Some(3),
        signal: None,
        message: "exit status 3".to_owned(),
        output: Output { head: b"rotating\n".to_vec(), cut: 0, tail: Vec::new() },
    };
    let log = LegacyLog::from(&record);
    assert_eq!(serde_json::to_string(&log).unwrap(), golden!("log.json"));
    assert_eq!(serde_json::from_str::<LegacyLog>(golden!("log.json")).unwrap(), log);
}

#[test]
fn answers_have_the_legacy_envelope() {
    let job = LegacyJob {
        name: "backup".to_owned(),
        command: "a && b".to_owned(),
        cron_expr: "0 3 * * *".to_owned(),
    };
    assert_eq!(
        serde_json::to_string(&Answer::success(Some(vec![job]))).unwrap(),
        golden!("answer-list.json")
    );
    assert_eq!(
        serde_json::to_string(&Answer::<()>::failure("no such job")).unwrap(),
        golden!("answer-failure.json")
    );
}

#[test]
fn values_that_are_no_jobs_are_refused_with_a_sentence() {
    for (value, sentence) in [
        (&b""[..], "the value is not a job"),
        (b"\xff\xfe", "the value is not a job"),
        (b"null", "the value is not a job"),
        (b"[]", "the value is not a job"),
        (b"{\"name\":7}", "the value is not a job"),
        (b"{", "the value is not a job"),
    ] {
        let error = JobValue::from_bytes(value).unwrap_err().explain();
        assert!(error.contains(sentence), "{value:?}: {error}");
    }
    let huge = vec![b' '; MAX_VALUE_BYTES + 1];
    assert!(matches!(JobValue::from_bytes(&huge), Err(ValueError::TooLarge(_))));

    for (value, sentence) in [
        ("{}", "the schedule is empty"),
        (r#"{"command":null,"cronExpr":"* * * * *"}"#, "the command is blank"),
        (r#"{"command":"true"}"#, "schedule"),
        (r#"{"command":"true","cronExpr":"61 * * * *"}"#, "61"),
        (r#"{"command":"a\u0000b","cronExpr":"* * * * *"}"#, "NUL"),
    ] {
        let error =
            JobValue::from_bytes(value.as_bytes()).unwrap().into_job(name("a"), TimeZone::UTC).unwrap_err();
        assert!(error.explain().contains(sentence), "{value}: {}", error.explain());
    }
}

/// The replaced system's decoder, Go's `encoding/json`, takes the last of repeated fields too.
#[test]
fn of_a_field_that_is_written_twice_the_last_counts() {
    let value = br#"{"name":"x","command":"true","command":"false","cronExpr":"@daily"}"#;
    let job = JobValue::from_bytes(value).unwrap().into_job(name("x"), TimeZone::UTC).unwrap();
    assert_eq!(job.command.display(), "false");
}
