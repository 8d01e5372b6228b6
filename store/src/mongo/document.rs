//! Records as documents, and back.
//!
//! What other programs have put into the collections is read as far as it makes sense: numbers of any type, fields that
//! are missing. Documents of the replaced system have eight fields of ours and an `_id` of their own.

use std::time::Duration;

use model::legacy::LegacyLog;
use model::record::{Output, RunRecord, SkipRecord};
use model::run::{Outcome, Revision, RunId, SessionId, Skipped, Slot};
use model::{JobName, UnixMillis};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, DateTime, Document, doc};
use serde::de::value::{Error as NameError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};

/// How many bytes of output the document shows as text; of more, half of that from either end.
const TEXT_BYTES: usize = 64 << 10;

/// How many bytes a chunk has at most.
const CHUNK_BYTES: usize = 1 << 20;

/// How much longer than its record a chunk is kept: the server removes both at moments of its own.
const CHUNK_STAYS: Duration = Duration::from_hours(1);

/// The `_id` of an attempt's record.
pub(super) fn id(run: &RunId, attempt: u32) -> String {
    format!("{run}/{attempt}")
}

/// The slot that a run's id begins with.
pub(super) fn slot_of(run: &RunId) -> Option<i64> {
    run.as_str().split_once('-')?.0.parse().ok()
}

/// The document of a record, and the chunks of its output.
pub(super) fn of_run(record: &RunRecord, retention: Option<Duration>) -> (Document, Vec<Document>) {
    let Output { head, cut, tail } = &record.output;
    let exact = *cut == 0 && tail.is_empty() && head.len() <= TEXT_BYTES && str::from_utf8(head).is_ok();
    let bytes = if exact { Vec::new() } else { [&head[..], tail].concat() };
    let chunks: Vec<_> = bytes.chunks(CHUNK_BYTES).collect();
    let expiry = |stays| retention.map(|kept| DateTime::from_millis((record.ended + kept + stays).0));
    let id = id(&record.run, record.attempt);
    let LegacyLog { job_name, command, err, output, plan_time, schedule_time, start_time, end_time } =
        LegacyLog::from(record);
    let output = shown(&record.output).map_or(output, |part| part.to_text());
    let mut log = doc! {
        "_id": &id,
        "jobName": job_name,
        "command": command,
        "err": err,
        "output": output,
        "planTime": plan_time,
        "scheduleTime": schedule_time,
        "startTime": start_time,
        "endTime": end_time,
        "runId": record.run.as_str(),
        "attempt": i64::from(record.attempt),
        "node": &record.node,
        "session": &record.session.0,
        "claimTime": record.claimed.0,
        "started": record.started.is_some(),
        "outcome": record.outcome.as_str(),
        "exitStatus": record.exit_status,
        "signal": record.signal,
        "outputCut": i64::try_from(*cut).unwrap_or(i64::MAX),
        "outputHead": count(head.len()),
        "outputChunks": count(chunks.len()),
    };
    if let Some(at) = expiry(Duration::ZERO) {
        log.insert("expireAt", at);
    }
    let chunk = |(n, bytes): (usize, &&[u8])| {
        let bytes = Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() };
        let mut chunk = doc! { "_id": chunk_id(&id, record.outcome, n), "bytes": bytes };
        if let Some(at) = expiry(CHUNK_STAYS) {
            chunk.insert("expireAt", at);
        }
        chunk
    };
    let chunks = chunks.iter().enumerate().map(chunk).collect();
    (log, chunks)
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// The part of an output that the document shows, where all of it is too much.
fn shown(output: &Output) -> Option<Output> {
    let Output { head, cut, tail } = output;
    let length = head.len() + tail.len();
    if length <= TEXT_BYTES {
        return None;
    }
    let half = TEXT_BYTES / 2;
    let first = &head[..head.len().min(half)];
    let end = if tail.is_empty() { head } else { tail };
    let last = &end[end.len().saturating_sub(half)..];
    let left_out = u64::try_from(length - first.len() - last.len()).unwrap_or(u64::MAX);
    Some(Output { head: first.to_vec(), cut: cut.saturating_add(left_out), tail: last.to_vec() })
}

/// The `_id` of a chunk. A lost run's are named apart, so that those of the true record never meet them.
fn chunk_id(id: &str, outcome: Outcome, n: usize) -> String {
    if outcome == Outcome::Lost { format!("{id}/lost/{n}") } else { format!("{id}/{n}") }
}

/// The `_id`s of all chunks of a document's output, in order.
pub(super) fn chunk_ids(log: &Document) -> Vec<String> {
    let chunks = integer(log, "outputChunks").and_then(|chunks| usize::try_from(chunks).ok());
    let outcome = text(log, "outcome").and_then(named).unwrap_or(Outcome::Failed);
    let id = text(log, "_id").unwrap_or_default();
    (0..chunks.unwrap_or(0)).map(|n| chunk_id(id, outcome, n)).collect()
}

/// The output as its chunks have it.
pub(super) fn read_output(log: &Document, mut bytes: Vec<u8>) -> Option<Output> {
    let head = usize::try_from(integer(log, "outputHead")?).ok().filter(|head| *head <= bytes.len())?;
    let tail = bytes.split_off(head);
    Some(Output { head: bytes, cut: u64::try_from(integer(log, "outputCut")?).ok()?, tail })
}

/// The output as the document shows it.
pub(super) fn read_text(log: &Document) -> Output {
    Output { head: text(log, "output").unwrap_or_default().as_bytes().to_vec(), ..Output::default() }
}

/// The record of a document, without its output; `None` where it is no record.
pub(super) fn read_run(log: &Document) -> Option<RunRecord> {
    let time = |key| integer(log, key).map(UnixMillis);
    let string = |key| text(log, key).unwrap_or_default().to_owned();
    let job: JobName = named(text(log, "jobName")?)?;
    let slot = Slot(time("planTime")?);
    let message = string("err");
    let (run, outcome) = if let Some(run) = text(log, "runId") {
        (named(run)?, named(text(log, "outcome")?)?)
    } else {
        let outcome = if message.is_empty() { Outcome::Succeeded } else { Outcome::Failed };
        (RunId::of_slot(&job, Revision::NONE, slot), outcome)
    };
    let small = |key| integer(log, key).and_then(|number| i32::try_from(number).ok());
    Some(RunRecord {
        run,
        attempt: integer(log, "attempt").and_then(|attempt| attempt.try_into().ok()).unwrap_or(0),
        job,
        command: string("command"),
        node: string("node"),
        session: SessionId(string("session")),
        slot,
        claimed: time("claimTime").or_else(|| time("scheduleTime")).unwrap_or(slot.0),
        started: time("startTime").filter(|_| log.get_bool("started").unwrap_or(true)),
        ended: time("endTime").unwrap_or(slot.0),
        outcome,
        exit_status: small("exitStatus"),
        signal: small("signal"),
        message,
        output: Output::default(),
    })
}

/// The document of skipped slots.
pub(super) fn of_skip(record: &SkipRecord, retention: Option<Duration>) -> Document {
    let SkipRecord { first_run, job, node, decided, skipped: Skipped { from, to, count, reason } } = record;
    let place = format!("{:013}/{}", from.0.0, reason.as_str());
    // Version 0.1.0 did not know the run, and its documents are found again.
    let id = if *first_run == RunId::unknown() {
        format!("{place}/{job}")
    } else {
        format!("{place}/{first_run}/{job}")
    };
    let mut slots = doc! {
        "_id": id,
        "firstRunId": first_run.as_str(),
        "jobName": job.as_str(),
        "node": node,
        "decideTime": decided.0,
        "from": from.0.0,
        "to": to.0.0,
        "count": count.map(i64::from),
        "reason": reason.as_str(),
    };
    if let Some(kept) = retention {
        slots.insert("expireAt", DateTime::from_millis((*decided + kept).0));
    }
    slots
}

/// The record of such a document; `None` where it is none.
pub(super) fn read_skip(slots: &Document) -> Option<SkipRecord> {
    let slot = |key| integer(slots, key).map(|time| Slot(UnixMillis(time)));
    Some(SkipRecord {
        first_run: text(slots, "firstRunId").and_then(named).unwrap_or_else(RunId::unknown),
        job: named(text(slots, "jobName")?)?,
        node: text(slots, "node").unwrap_or_default().to_owned(),
        decided: UnixMillis(integer(slots, "decideTime")?),
        skipped: Skipped {
            from: slot("from")?,
            to: slot("to")?,
            count: integer(slots, "count").and_then(|count| count.try_into().ok()),
            reason: named(text(slots, "reason")?)?,
        },
    })
}

fn text<'a>(document: &'a Document, key: &str) -> Option<&'a str> {
    document.get(key).and_then(Bson::as_str)
}

/// A whole number, however it is stored.
fn integer(document: &Document, key: &str) -> Option<i64> {
    match document.get(key)? {
        Bson::Int64(number) => Some(*number),
        Bson::Int32(number) => Some((*number).into()),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "shells write numbers as floating point; it saturates"
        )]
        Bson::Double(number) => Some(*number as i64),
        Bson::DateTime(time) => Some(time.timestamp_millis()),
        _ => None,
    }
}

/// Reads a name of the domain: a job's, a run's, an outcome's, a reason's.
fn named<T: DeserializeOwned>(text: &str) -> Option<T> {
    let text: StrDeserializer<'_, NameError> = text.into_deserializer();
    T::deserialize(text).ok()
}
