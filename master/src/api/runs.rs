//! Runs that have ended, slots that did not run, and what runs wrote.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::record::{RunRecord, SkipRecord};
use model::run::{Outcome, RunId};
use serde::Serialize;
use store::{RunLog, RunQuery, Tree};

use super::jobs::SkippedView;
use super::{named, parameters, text};
use crate::app::Shared;
use crate::reply::{Held, Refusal};

/// How many records a page has when nothing is asked for, and at most; and as many stretches of skipped slots.
const PAGE: u32 = 20;
const LARGEST_PAGE: u32 = 100;

/// Records of a job; they outlive it.
#[derive(Serialize)]
pub(crate) struct Page {
    /// Newest first.
    runs: Vec<RunView>,
    /// The latest of all, latest first, whatever page it is.
    skipped: Vec<SkippedView>,
}

/// An ended attempt, without its output.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunView {
    run: String,
    attempt: u32,
    job: String,
    command: String,
    node: String,
    slot: String,
    claimed: String,
    started: Option<String>,
    ended: String,
    outcome: Outcome,
    exit_status: Option<i32>,
    signal: Option<i32>,
    /// One sentence on anything but success.
    message: String,
}

impl From<RunRecord> for RunView {
    fn from(record: RunRecord) -> Self {
        let RunRecord {
            run,
            attempt,
            job,
            command,
            node,
            session: _,
            slot,
            claimed,
            started,
            ended,
            outcome,
            exit_status,
            signal,
            message,
            output: _,
        } = record;
        Self {
            run: run.to_string(),
            attempt,
            job: job.to_string(),
            command,
            node,
            slot: slot.to_string(),
            claimed: claimed.to_string(),
            started: text(started),
            ended: ended.to_string(),
            outcome,
            exit_status,
            signal,
            message,
        }
    }
}

/// `GET /api/v1/runs?job=&skip=&limit=`
pub(crate) async fn list<T: Tree, L: RunLog>(
    State(app): Shared<T, L>,
    RawQuery(query): RawQuery,
) -> Result<Json<Page>, Refusal> {
    let params = parameters(query)?;
    let job = named(&params, "job")?;
    let skip = params.number("skip", 0)?;
    let limit = params.number("limit", PAGE)?.clamp(1, LARGEST_PAGE);
    let skipped = app.log.skipped(&job, limit).await?;
    let runs = app.log.runs(RunQuery { job: Some(job), skip, limit, with_output: false }).await?;
    Ok(Json(Page {
        runs: runs.into_iter().map(RunView::from).collect(),
        skipped: skipped
            .into_iter()
            .map(|SkipRecord { skipped, first_run: _, job: _, node: _, decided: _ }| skipped.into())
            .collect(),
    }))
}

/// `GET /api/v1/runs/{id}?attempt=0`: what it wrote, as text. Bytes that are not UTF-8 are shown as U+FFFD.
pub(crate) async fn output<T: Tree, L: RunLog>(
    State(app): Shared<T, L>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let Path(id) = id.map_err(|error| Refusal::bad(error.body_text()))?;
    let run: RunId = id.parse().map_err(|error| Refusal::bad(format!("{error}")))?;
    let attempt = parameters(query)?.number("attempt", 0)?;
    let permit = app.large.clone().acquire_owned().await.expect("the semaphore is never closed");
    let Some(output) = app.log.output(&run, attempt).await? else {
        let message = format!(
            "there is no record of attempt {attempt} of the run {run}; it has not ended, or is older than what is kept"
        );
        return Err(Refusal::new(StatusCode::NOT_FOUND, message));
    };
    let body = Held::body(output.to_text().into_bytes(), permit);
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response())
}
