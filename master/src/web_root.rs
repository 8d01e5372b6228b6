//! Another page instead of ours: the files of a folder, such as the page of the replaced system.
//!
//! The kernel resolves each path below the folder and refuses whatever leads out of it, by `..` or by a link, so no
//! text of a path has to be judged here. Files are read when they are asked for.
//!
//! Such a page may have scripts inside its HTML and fetch libraries from elsewhere, so its policy is not ours. What it
//! shows comes escaped from the legacy calls.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::reply::{self, Held, Refusal};

/// What `/` is.
const INDEX: &str = "index.html";

/// The largest file.
const FILE_BYTES: u64 = 16 << 20;

/// How many files are in memory at a time; other requests wait for their turn.
const FILES: usize = 4;

/// For a page that was written without one: scripts and styles inside the HTML and from elsewhere, but nothing is sent
/// to other hosts by it, and no other page frames it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self' https: data: 'unsafe-inline'; connect-src 'self'; form-action 'self'; object-src 'none'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// A folder whose files are served. Clones share it.
#[derive(Clone, Debug)]
pub struct WebRoot {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: OwnedFd,
    places: Arc<Semaphore>,
}

/// Why a folder can't be served. The path is said by whoever names it.
#[derive(Debug, Error)]
pub enum WebRootError {
    /// It is no folder, or it may not be read.
    #[error("the folder can't be opened")]
    Folder(#[source] io::Error),
    /// There is no page in it.
    #[error("it has no readable {INDEX}; name the folder that has the page")]
    Index(#[source] io::Error),
}

impl WebRoot {
    /// Opens a folder. A link that leads to it is followed here and never again.
    pub fn open(folder: &Path) -> Result<Self, WebRootError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder =
            openat(CWD, folder, flags, Mode::empty()).map_err(|why| WebRootError::Folder(why.into()))?;
        let shared = Shared { folder, places: Arc::new(Semaphore::new(FILES)) };
        shared.read(INDEX).map_err(WebRootError::Index)?;
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Shared {
    /// The bytes of a regular file below the folder.
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let file = openat2(&self.folder, path, flags, Mode::empty(), resolve).map_err(|why| match why {
            Errno::NOSYS => io::Error::new(
                io::ErrorKind::Unsupported,
                "this system has no openat2, by which links out of the folder are refused; leave --web-root out",
            ),
            why => why.into(),
        })?;
        let file = File::from(file);
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if about.len() > FILE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = Vec::new();
        // It may grow while it is read.
        file.take(FILE_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// `GET` of any path that is nothing else.
pub(crate) async fn file(State(root): State<WebRoot>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply::not_found(request.uri().clone()).await.into_response();
    }
    let Ok(path) = percent_decode_str(request.uri().path()).decode_utf8() else {
        return Refusal::bad("the path is not UTF-8").into_response();
    };
    let mut path = path.trim_start_matches('/').to_owned();
    if path.is_empty() || path.ends_with('/') {
        path.push_str(INDEX);
    }
    let kind = kind(&path);
    let place = Arc::clone(&root.shared.places).acquire_owned().await.expect("the semaphore is never closed");
    let shown = path.clone();
    let read = tokio::task::spawn_blocking(move || root.shared.read(&path)).await;
    match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(bytes) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
                (header::CONTENT_SECURITY_POLICY, POLICY),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            ];
            (headers, Held::body(bytes, place)).into_response()
        }
        Err(why) if why.kind() == io::ErrorKind::FileTooLarge => {
            let message = format!("the file has more than {} MiB", FILE_BYTES >> 20);
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message).into_response()
        }
        Err(why) => {
            tracing::debug!(path = shown, error = &why as &dyn std::error::Error, "no file was served");
            reply::not_found(request.uri().clone()).await.into_response()
        }
    }
}

/// The media type, by the name's ending; what is not known is offered as a download.
fn kind(path: &str) -> &'static str {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "txt" | "md" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "eot" => "application/vnd.ms-fontobject",
        _ => "application/octet-stream",
    }
}
