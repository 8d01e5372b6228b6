//! `/api/v1`: what the page shows, as JSON, with status codes. Jobs are suspended and resumed here; other changes go
//! through the legacy calls.
//!
//! Times are RFC 3339 in UTC. A job is named by a query parameter and never by a part of the path: names contain
//! slashes, and proxies on the way like to decode `%2F`. An error is `{"error":{"message":…}}`.

pub(crate) mod jobs;
pub(crate) mod runs;
pub(crate) mod schedule;
pub(crate) mod workers;

use axum::Json;
use model::{JobName, UnixMillis};
use serde_json::{Value, json};

use crate::params::Params;
use crate::reply::Refusal;

/// `GET /healthz`: this process answers, and which version it is.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

fn parameters(query: Option<String>) -> Result<Params, Refusal> {
    Ok(Params::parse(query.unwrap_or_default().as_bytes())?)
}

/// The job that a parameter names.
fn named(params: &Params, parameter: &'static str) -> Result<JobName, Refusal> {
    JobName::new(params.need(parameter)?).map_err(|error| Refusal::bad(error.to_string()))
}

fn text(time: impl Into<Option<UnixMillis>>) -> Option<String> {
    time.into().map(|time| time.to_string())
}
