//! The web page: a few files, compiled in.
//!
//! A browser keeps them, but asks each time whether its copy is still the right one, so that after an upgrade nobody
//! sees a mixture.

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use model::hash::stable_hash;

/// A file of the page.
struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

macro_rules! file {
    ($path:literal, $kind:expr, $file:literal) => {
        File { path: $path, kind: $kind, text: include_str!(concat!("../assets/", $file)) }
    };
}

static FILES: [File; 11] = [
    file!("/", "text/html; charset=utf-8", "index.html"),
    file!("/theme.js", SCRIPT, "theme.js"),
    file!("/app.js", SCRIPT, "app.js"),
    file!("/jobs.js", SCRIPT, "jobs.js"),
    file!("/edit.js", SCRIPT, "edit.js"),
    file!("/log.js", SCRIPT, "log.js"),
    file!("/workers.js", SCRIPT, "workers.js"),
    file!("/parts.js", SCRIPT, "parts.js"),
    file!("/app.css", STYLE, "app.css"),
    file!("/bootstrap.min.css", STYLE, "bootstrap/bootstrap.min.css"),
    file!("/icon.svg", "image/svg+xml", "icon.svg"),
];

/// The page and what it needs.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |routes, file| {
        let tag = format!("\"{:016x}\"", stable_hash(&[file.text]));
        let tag = HeaderValue::try_from(tag).expect("hexadecimal digits in quotes can be a header");
        routes
            .route(file.path, get(move |headers: HeaderMap| std::future::ready(answer(file, &tag, &headers))))
    })
}

fn answer(file: &File, tag: &HeaderValue, headers: &HeaderMap) -> Response {
    let caching =
        [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if headers.get(header::IF_NONE_MATCH) == Some(tag) {
        (StatusCode::NOT_MODIFIED, caching).into_response()
    } else {
        (caching, [(header::CONTENT_TYPE, file.kind)], file.text).into_response()
    }
}
