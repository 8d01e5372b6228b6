//! What every request passes before a handler sees it, and every answer on its way out.
//!
//! A **foreign page** is one of another site, open in the browser of somebody who can reach this port. It can make that
//! browser send requests here, so:
//!
//! - Where nobody is asked for a password, `Host` must name this server. A name of the attacker's own that resolves here
//!   (DNS rebinding) would otherwise make the attacker's page same-origin with ours. Where passwords are asked for, a
//!   browser sends none to such a name.
//! - A request that may change something is refused where `Sec-Fetch-Site` or `Origin` show that another page sent it.
//!   Programs send neither.
//! - Nothing here allows other origins to read answers, and no page may frame ours.
//!
//! The limits bound memory: requests being handled and their bodies here, connections in `serve`, large answers in
//! `app`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tokio::sync::Semaphore;

use crate::reply::Refusal;
use crate::{Access, auth};

/// The largest body: 1 MiB.
const BODY_BYTES: usize = 1 << 20;

/// How many requests are handled at a time; others wait for their turn.
const REQUESTS: usize = 32;

/// How long a request may take from its head to the head of its answer, its turn and its body included.
const REQUEST_TIME: Duration = Duration::from_secs(30);

/// Without passwords: only probes ask for this, by whatever address they know, and it says nothing.
const UNGUARDED: &str = "/healthz";

const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// Puts the guard around routes.
pub(crate) fn protect(routes: Router, access: Access) -> Router {
    let routes = routes
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn_with_state(Arc::new(Semaphore::new(REQUESTS)), bound))
        .layer(from_fn(refuse_large))
        .layer(from_fn(refuse_foreign_writes));
    let routes = match access {
        Access::Hosts(hosts) => {
            routes.layer(from_fn_with_state(Arc::<[String]>::from(hosts), refuse_foreign_hosts))
        }
        Access::Users(auth) => routes.layer(from_fn_with_state(auth, auth::require)),
    };
    routes.layer(from_fn(catch_panics)).layer(from_fn(add_headers))
}

async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A panic is a mistake of ours; it costs one answer.
async fn catch_panics(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let Ok(response) = AssertUnwindSafe(next.run(request)).catch_unwind().await else {
        tracing::error!(path, "a request made its handler panic; please report this");
        let message = "this request met a mistake in the program; its log has the details";
        return Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message).into_response();
    };
    response
}

async fn refuse_foreign_hosts(State(hosts): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    if request.uri().path() == UNGUARDED {
        return next.run(request).await;
    }
    match host(request.uri(), request.headers()) {
        None => Refusal::bad("the request does not say which host it is for; send one header Host")
            .into_response(),
        Some(host) if hosts.iter().any(|known| known.eq_ignore_ascii_case(host.host())) => {
            next.run(request).await
        }
        Some(host) => {
            let message = format!(
                "this server is not {}; it answers to {}: use one of these in the address",
                host.host(),
                hosts.join(", ")
            );
            Refusal::new(StatusCode::MISDIRECTED_REQUEST, message).into_response()
        }
    }
}

/// The host a request is for: that of its target where it names one, else of its only `Host`.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let mut all = headers.get_all(header::HOST).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let authority = match uri.authority() {
        Some(authority) => authority.clone(),
        None => Authority::try_from(only.as_bytes()).ok()?,
    };
    Some(authority).filter(|authority| !authority.as_str().contains('@'))
}

async fn refuse_foreign_writes(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads || is_from_here(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    let message = "this request was sent by a page of another site, so nothing was changed; use the page of this server";
    Refusal::new(StatusCode::FORBIDDEN, message).into_response()
}

/// Whether nothing shows that a page of another origin sent the request.
fn is_from_here(uri: &Uri, headers: &HeaderMap) -> bool {
    // `same-site` is not enough: another port of localhost is another program.
    let site = headers.get_all("sec-fetch-site").iter().all(|site| site == "same-origin" || site == "none");
    let origin = headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        // TLS may end at a proxy, so the scheme is not compared.
        let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        let here = host(uri, headers);
        from.zip(here).is_some_and(|(from, here)| here.as_str().eq_ignore_ascii_case(from))
    });
    site && origin
}

/// A body that says how large it is need not be read to be refused; others are counted while they are.
async fn refuse_large(request: Request, next: Next) -> Response {
    if request.body().size_hint().lower() > BODY_BYTES as u64 {
        return Refusal::too_large().into_response();
    }
    next.run(request).await
}

async fn bound(State(turns): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let handled = async {
        let _turn = turns.acquire().await.expect("the semaphore is never closed");
        next.run(request).await
    };
    let message = "the request could not be answered in time; try again in a moment";
    match tokio::time::timeout(REQUEST_TIME, handled).await {
        Ok(response) => response,
        Err(_) => Refusal::unavailable(message).into_response(),
    }
}

#[cfg(test)]
mod tests;
