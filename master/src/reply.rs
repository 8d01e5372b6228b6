//! Answers: errors as JSON, and large bodies that hold their place until they are sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use serde_json::json;
use store::{LogError, TreeError};
use tokio::sync::OwnedSemaphorePermit;

use crate::jobs::ChangeError;
use crate::params::ParamError;
use crate::resources::ClusterError;

/// A failure outside of the legacy calls: a status, and `{"error":{"message":…}}`.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn too_large() -> Self {
        let message =
            "the request has more than 1 MiB; put a long command into a script and save the script's path";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": { "message": self.message } }));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            (self.status, [(header::RETRY_AFTER, "1")], body).into_response()
        } else {
            (self.status, body).into_response()
        }
    }
}

impl From<ParamError> for Refusal {
    fn from(error: ParamError) -> Self {
        Self::bad(error.to_string())
    }
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        let status = error.status();
        match error {
            ChangeError::Tree(error) => error.into(),
            ChangeError::Cluster(error) => Self::new(status, of_cluster(&error)),
            other => Self::new(status, other.to_string()),
        }
    }
}

impl From<TreeError> for Refusal {
    fn from(error: TreeError) -> Self {
        Self::unavailable(of_tree(&error))
    }
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        Self::unavailable(of_log(&error))
    }
}

/// What the asker is told of a failure of the tree; its cause goes to this program's log.
pub(crate) fn of_tree(error: &TreeError) -> String {
    tracing::warn!(kind = error.kind(), error = error as &dyn std::error::Error, "a request failed");
    error.to_string()
}

/// The same of the API server.
pub(crate) fn of_cluster(error: &ClusterError) -> String {
    if !matches!(error, ClusterError::Refused(_) | ClusterError::Conflict) {
        tracing::warn!(error = error as &dyn std::error::Error, "a request failed");
    }
    error.to_string()
}

/// The same of the run log.
pub(crate) fn of_log(error: &LogError) -> String {
    tracing::warn!(error = error as &dyn std::error::Error, "a request failed");
    error.to_string()
}

/// No such page.
pub(crate) async fn not_found(uri: Uri) -> Refusal {
    let path: String = uri.path().chars().take(100).collect();
    Refusal::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}; the page is at /"))
}

/// The path is right, the method is not; which ones are is in `Allow`.
pub(crate) async fn wrong_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method; the header Allow names it")
}

/// A body that keeps a permit until all of it has been taken by the connection, so that slow readers of large answers
/// can't multiply them.
pub(crate) struct Held {
    bytes: Bytes,
    _permit: OwnedSemaphorePermit,
}

/// How much of a [`Held`] body the connection takes at a time.
const PIECE: usize = 64 << 10;

impl Held {
    /// The body of an answer.
    pub(crate) fn body(bytes: Vec<u8>, permit: OwnedSemaphorePermit) -> Body {
        Body::new(Self { bytes: bytes.into(), _permit: permit })
    }
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let piece = self.bytes.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.bytes.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
