//! Live workers.

use axum::Json;
use axum::extract::State;
use model::keys::Folder;
use model::values::WorkerInfo;
use serde::Serialize;
use store::tree::Range;
use store::{KeyValue, RunLog, Tree, protocol};

use crate::app::Shared;
use crate::reply::Refusal;

/// A list of live workers.
#[derive(Serialize)]
pub(crate) struct Workers {
    workers: Vec<WorkerView>,
}

/// A live worker. One of the replaced system has an address and nothing else.
#[derive(Serialize)]
struct WorkerView {
    session: String,
    address: String,
    node: Option<String>,
    version: Option<String>,
    since: Option<String>,
}

/// `GET /api/v1/workers`
pub(crate) async fn list<T: Tree, L: RunLog>(State(app): Shared<T, L>) -> Result<Json<Workers>, Refusal> {
    let prefix = app.tree.prefix().folder(Folder::Workers);
    let view = |pair: &KeyValue| {
        let session = pair.key.strip_prefix(&prefix).unwrap_or_default().to_owned();
        match protocol::read(pair) {
            Ok(WorkerInfo { address, node, version, since, .. }) => WorkerView {
                session,
                address,
                node: Some(node),
                version: Some(version),
                since: Some(since.to_string()),
            },
            Err(_) => {
                WorkerView { address: session.clone(), session, node: None, version: None, since: None }
            }
        }
    };
    let pairs = app.tree.list(Range::Folder(Folder::Workers)).await?;
    Ok(Json(Workers { workers: pairs.iter().map(view).collect() }))
}
