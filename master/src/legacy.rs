//! The six calls of the replaced system, to the letter.
//!
//! Whatever happens in a handler, the answer is HTTP 200 with `{"errno":0,"msg":"success","data":…}`, or errno -1 and a
//! message. The old page marks its requests with `X-Requested-With: XMLHttpRequest` and writes what it gets into HTML as
//! it is: its answers carry every text escaped. The browser shows the exact text, and that is what the page sends back
//! on save, so nothing is ever unescaped here. Everybody else gets exact texts.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::JobName;
use model::keys::Folder;
use model::legacy::{Answer, LegacyJob, LegacyLog};
use model::record::{Output, RunRecord};
use model::values::WorkerInfo;
use serde::Serialize;
use store::tree::Range;
use store::{LogError, RunLog, RunQuery, Tree, TreeError, protocol};

use crate::app::{App, Shared};
use crate::html::escape;
use crate::jobs::{ChangeError, shown};
use crate::params::{ParamError, Params};
use crate::reply::{self, Held, Refusal};

/// How many records `/job/log` returns at most, whatever was asked for.
const MOST_RECORDS: u32 = 500;

/// How much output one answer of `/job/log` carries at most. What comes after is cut, and says so.
const MOST_OUTPUT: usize = 16 << 20;

/// A failure in words, for `msg`.
struct Failure(String);

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self(message.to_owned())
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self(message)
    }
}

impl From<ParamError> for Failure {
    fn from(error: ParamError) -> Self {
        Self(error.to_string())
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Tree(error) => error.into(),
            ChangeError::Cluster(error) => Self(reply::of_cluster(&error)),
            other => Self(other.to_string()),
        }
    }
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Self {
        Self(reply::of_tree(&error))
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Self(reply::of_log(&error))
    }
}

/// `POST /job/save`
pub(crate) async fn save<T: Tree, L: RunLog>(
    State(app): Shared<T, L>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = whole(body)?;
    let saved = async {
        let form = form(&headers, &body)?;
        let job = form.need("job").map_err(|_| {
            "job is missing; send the form field job={\"name\":\"…\",\"command\":\"…\",\"cronExpr\":\"…\"}"
        })?;
        let job = read_job(job).map_err(|error| {
            format!("job is not valid JSON ({error}); write {{\"name\":\"…\",\"command\":\"…\",\"cronExpr\":\"…\"}}")
        })?;
        Ok(app.save(job).await?)
    };
    Ok(answer(&headers, saved.await))
}

/// `POST /job/delete`
pub(crate) async fn delete<T: Tree, L: RunLog>(
    State(app): Shared<T, L>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = whole(body)?;
    let deleted = async { Ok(app.delete(form(&headers, &body)?.need("name")?).await?) };
    Ok(answer(&headers, deleted.await))
}

/// `POST /job/kill`
pub(crate) async fn kill<T: Tree, L: RunLog>(
    State(app): Shared<T, L>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = whole(body)?;
    let killed = async {
        app.kill(form(&headers, &body)?.need("name")?).await?;
        Ok(None::<String>)
    };
    Ok(answer(&headers, killed.await))
}

/// `GET /job/list`: every key, also one whose value is no job; it has an empty command, and can be deleted.
pub(crate) async fn list<T: Tree, L: RunLog>(State(app): Shared<T, L>, headers: HeaderMap) -> Response {
    let permit = large(&app).await;
    let prefix = app.tree.prefix().folder(Folder::Jobs);
    let pairs = match app.tree.list(Range::Folder(Folder::Jobs)).await {
        Ok(pairs) => pairs,
        Err(error) => return answer::<LegacyJob>(&headers, Err(error.into())),
    };
    let html = is_old_page(&headers);
    // A hundred thousand jobs take a while to read and write.
    let encoded = tokio::task::spawn_blocking(move || {
        let jobs = pairs.iter().map(|pair| {
            let mut job = shown(pair.key.strip_prefix(&prefix).unwrap_or_default(), &pair.value);
            if html {
                job.escape();
            }
            job
        });
        encode_list(jobs)
    });
    match encoded.await {
        Ok(bytes) => json(Held::body(bytes, permit)),
        Err(_) => {
            answer::<LegacyJob>(&headers, Err("the list could not be written; see this program's log".into()))
        }
    }
}

/// `GET /job/log`
pub(crate) async fn log<T: Tree, L: RunLog>(
    State(app): Shared<T, L>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let permit = large(&app).await;
    match records(&app, &query.unwrap_or_default()).await {
        Err(failure) => answer::<LegacyLog>(&headers, Err(failure)),
        Ok(mut records) => {
            if is_old_page(&headers) {
                records.iter_mut().for_each(Escape::escape);
            }
            json(Held::body(encode_list(records.into_iter()), permit))
        }
    }
}

/// `GET /worker/list`: addresses, in the order of their keys. A worker of the replaced system has its address as key.
pub(crate) async fn workers<T: Tree, L: RunLog>(State(app): Shared<T, L>, headers: HeaderMap) -> Response {
    let prefix = app.tree.prefix().folder(Folder::Workers);
    let listed = app.tree.list(Range::Folder(Folder::Workers)).await;
    let addresses = listed.map_err(Failure::from).map(|pairs| {
        let address = |pair| match protocol::read::<WorkerInfo>(pair) {
            Ok(worker) => worker.address,
            Err(_) => pair.key.strip_prefix(&prefix).unwrap_or_default().to_owned(),
        };
        Some(pairs.iter().map(address).collect::<Vec<_>>())
    });
    answer(&headers, addresses)
}

/// The records asked for. Their output is read one after the other, so that never more of it is in memory than may be
/// sent.
async fn records<T: Tree, L: RunLog>(app: &App<T, L>, query: &str) -> Result<Vec<LegacyLog>, Failure> {
    let params = Params::parse(query.as_bytes())?;
    let job = JobName::new(params.need("name")?).map_err(|error| format!("name: {error}"))?;
    let skip = params.number("skip", 0)?;
    let limit = params.number("limit", 20)?.min(MOST_RECORDS);
    let query = RunQuery { job: Some(job), skip, limit, with_output: false };
    let mut records = Vec::new();
    let mut left = MOST_OUTPUT;
    for mut record in app.log.runs(query).await? {
        record.output = output(app, &record, &mut left).await?;
        records.push(LegacyLog::from(&record));
    }
    Ok(records)
}

async fn output<T: Tree, L: RunLog>(
    app: &App<T, L>,
    record: &RunRecord,
    left: &mut usize,
) -> Result<Output, Failure> {
    // Removed since the records were read: its output went with it.
    let Some(mut output) = app.log.output(&record.run, record.attempt).await? else {
        return Ok(Output::default());
    };
    let dropped = output.head.len().saturating_sub(*left);
    output.head.truncate(*left);
    *left -= output.head.len();
    // Of the end only the end is kept.
    let early = output.tail.len().saturating_sub(*left);
    output.tail.drain(..early);
    *left -= output.tail.len();
    output.cut += (dropped + early) as u64;
    Ok(output)
}

async fn large<T, L>(app: &App<T, L>) -> tokio::sync::OwnedSemaphorePermit {
    app.large.clone().acquire_owned().await.expect("the semaphore is never closed")
}

/// An object; without this step an array of the fields' values would pass for one.
fn read_job(text: &str) -> Result<LegacyJob, serde_json::Error> {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
    serde_json::from_value(fields.into())
}

/// The body, which is read whole before anything else is looked at.
fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::too_large(),
        _ => Refusal::bad("the request ended before its body did; send it again"),
    })
}

/// The fields of a form.
fn form(headers: &HeaderMap, body: &[u8]) -> Result<Params, Failure> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err("send the parameters as a form: Content-Type: application/x-www-form-urlencoded".into());
    }
    Ok(Params::parse(body)?)
}

fn is_old_page(headers: &HeaderMap) -> bool {
    headers
        .get("x-requested-with")
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"XMLHttpRequest"))
}

/// Makes every text of a value safe in HTML.
trait Escape {
    fn escape(&mut self);
}

impl Escape for String {
    fn escape(&mut self) {
        *self = escape(self);
    }
}

impl<E: Escape> Escape for Vec<E> {
    fn escape(&mut self) {
        self.iter_mut().for_each(Escape::escape);
    }
}

impl Escape for LegacyJob {
    fn escape(&mut self) {
        let Self { name, command, cron_expr } = self;
        [name, command, cron_expr].into_iter().for_each(Escape::escape);
    }
}

impl Escape for LegacyLog {
    fn escape(&mut self) {
        let Self {
            job_name,
            command,
            err,
            output,
            plan_time: _,
            schedule_time: _,
            start_time: _,
            end_time: _,
        } = self;
        [job_name, command, err, output].into_iter().for_each(Escape::escape);
    }
}

fn answer<D: Serialize + Escape>(headers: &HeaderMap, outcome: Result<Option<D>, Failure>) -> Response {
    let mut answer = match outcome {
        Ok(data) => Answer::success(data),
        Err(Failure(message)) => Answer::failure(message),
    };
    if is_old_page(headers) {
        answer.msg.escape();
        answer.data.iter_mut().for_each(Escape::escape);
    }
    Json(answer).into_response()
}

/// A success with a list, written item by item.
fn encode_list(items: impl Iterator<Item = impl Serialize>) -> Vec<u8> {
    let mut bytes = br#"{"errno":0,"msg":"success","data":["#.to_vec();
    for (i, item) in items.enumerate() {
        if i > 0 {
            bytes.push(b',');
        }
        serde_json::to_writer(&mut bytes, &item).expect("strings and numbers always make JSON");
    }
    bytes.extend_from_slice(b"]}");
    bytes
}

fn json(body: axum::body::Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
