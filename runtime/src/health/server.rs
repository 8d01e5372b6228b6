//! The server of health and metrics.
//!
//! A connection carries one request and has [`CONNECTION_TIME`]. When there are too many, the oldest is cut: a new one
//! never waits for those of slow clients.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::Health;
use crate::metrics;

/// How many connections there are at a time.
const CONNECTIONS: usize = 64;

/// How long a connection may take, from its first byte to the last one of the answer.
const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// How large the head of a request may be. Bodies are not read.
const HEAD_BYTES: usize = 16 << 10;

/// How long nothing is accepted after the system refused, for instance for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(500);

/// The address of `--health-listen` can't be had. The source says what the system said.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error(
        "--health-listen {0}: another process listens there; give another port, or end that process (ss -ltnp names it)"
    )]
    Taken(SocketAddr, #[source] io::Error),
    /// No interface has the address.
    #[error(
        "--health-listen {0}: this machine does not have the address; 0.0.0.0 or [::] stands for all that it has, 127.0.0.1 for itself alone"
    )]
    NotHere(SocketAddr, #[source] io::Error),
    /// The port is reserved.
    #[error("--health-listen {0}: this user may not listen there; give a port from 1024 on")]
    Refused(SocketAddr, #[source] io::Error),
    /// Anything else.
    #[error("--health-listen {0}: the system does not let it be listened on; give another address")]
    Other(SocketAddr, #[source] io::Error),
}

/// Takes the address, so that a wrong one is known before anything else is done. With port 0 the system chooses one.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|why| match why.kind() {
        ErrorKind::AddrInUse => ListenError::Taken(address, why),
        ErrorKind::AddrNotAvailable => ListenError::NotHere(address, why),
        ErrorKind::PermissionDenied => ListenError::Refused(address, why),
        _ => ListenError::Other(address, why),
    })
}

/// Serves for as long as it is polled; dropping it cuts all connections.
///
/// `GET /healthz` and `GET /readyz` answer 200 and `ok`, or 503 and a line for each part that is not live or not ready.
/// `GET /metrics` answers with all that is registered, in the `OpenMetrics` text format.
pub async fn serve(listener: TcpListener, health: Health, registry: Arc<Registry>) -> Infallible {
    let router = router(health, registry);
    let mut connections = JoinSet::new();
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                while connections.try_join_next().is_some() {}
                open.retain(|connection| !connection.is_finished());
                if open.len() >= CONNECTIONS
                    && let Some(oldest) = open.pop_front()
                {
                    oldest.abort();
                }
                open.push_back(connections.spawn(connection(stream, router.clone())));
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a connection to --health-listen could not be accepted"
                );
                sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Ok(Err(error)) = timeout(CONNECTION_TIME, served).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection to --health-listen failed");
    }
}

fn router(health: Health, registry: Arc<Registry>) -> Router {
    let ready = health.clone();
    Router::new()
        .route("/healthz", get(async move || verdict(health.live())))
        .route("/readyz", get(async move || verdict(ready.ready())))
        .route(
            "/metrics",
            get(async move || ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(&registry))),
        )
        .fallback(async || (StatusCode::NOT_FOUND, "here are /healthz, /readyz and /metrics\n"))
}

fn verdict(state: Result<(), String>) -> impl IntoResponse {
    match state {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(lines) => (StatusCode::SERVICE_UNAVAILABLE, lines),
    }
}
