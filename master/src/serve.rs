//! Connections: how many, for how long, and how they end.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How many connections there are at a time; others wait in the listener's queue.
const CONNECTIONS: usize = 256;

/// How long a client may take to send the head of a request, and to begin one on an idle connection.
const HEAD_TIME: Duration = Duration::from_secs(15);

/// How large a head may be, and what is read ahead of a body.
const HEAD_BYTES: usize = 64 << 10;

/// After this long a connection takes no more requests, and after as much as [`END_TIME`] more it is cut. So a client
/// that stops reading in the middle of an answer does not keep it in memory for ever.
const CONNECTION_TIME: Duration = Duration::from_mins(5);
const END_TIME: Duration = Duration::from_mins(1);

/// How long answers that are under way may take once the server ends.
const SHUTDOWN_TIME: Duration = Duration::from_secs(5);

/// How long nothing is accepted after the system refused, for instance for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(500);

/// Serves HTTP/1.1 on a listener until `shutdown` is done, then lets answers under way be sent, five seconds at most.
///
/// A connection that fails concerns nobody else. An error is returned only when the listener itself is of no use.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut shutdown = pin!(shutdown);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (ending, _) = watch::channel(());
    let mut connections = JoinSet::new();
    let outcome = loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = &mut shutdown => break Ok(()),
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(stream, router.clone(), ending.subscribe());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break Err(error),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a connection could not be accepted"
                );
                sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    };
    drop(listener);
    drop(ending);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    // What is left after that is cut with the set.
    let _ = timeout(SHUTDOWN_TIME, all_ended).await;
    outcome
}

async fn connection(stream: TcpStream, router: Router, mut ending: watch::Receiver<()>) {
    // Answers are written whole, so nothing is gained by waiting for more; it fails only on a dead connection.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = ending.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = sleep(CONNECTION_TIME) => {
            connection.as_mut().graceful_shutdown();
            timeout(END_TIME, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection failed");
    }
}
