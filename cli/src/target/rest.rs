//! A master's REST calls: over the network, or answered within this process.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use master::Master;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::json;
use store::embedded::Embedded;
use thiserror::Error;
use tower::ServiceExt;

use super::folder::{self, FolderError, Holder};
use crate::up::{self, UsageError};
use crate::view::{Job, Records, Run};

/// The address that a master of this process is asked at. Nobody listens there.
pub(super) const HERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// How many jobs and records are asked for at a time; a master gives no more.
const PAGE_JOBS: usize = 200;
pub(super) const PAGE_RUNS: u32 = 100;

/// Why a call did not do what was asked.
#[derive(Debug, Error)]
pub(crate) enum RestError {
    /// The master says why.
    #[error("{message}")]
    Refused { status: StatusCode, message: String },
    #[error(
        "{0} asks for a name and a password, and takes no others; give --master-user and --master-password-file"
    )]
    Login(String),
    #[error("{0} can't be reached; does it run, and is the address right?")]
    Away(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(
        "{0} does not answer as a master of this version does; give the address of a master, such as http://127.0.0.1:8070/"
    )]
    Strange(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("{0}")]
    Unnamed(&'static str),
}

impl RestError {
    /// Whether another try may succeed without anybody's doing.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Away(..) => true,
            Self::Refused { status, .. } => status.is_server_error(),
            Self::Folder(why) => matches!(why, FolderError::Silent { .. }),
            Self::Login(_) | Self::Strange(..) | Self::Unnamed(_) => false,
        }
    }
}

/// Something that answers a master's REST calls.
pub(crate) struct Rest(Place);

enum Place {
    Master(Remote),
    Tree { router: Router, has_log: bool },
    Folder(PathBuf),
}

/// A master somewhere else.
#[derive(Clone)]
struct Remote {
    client: kube::Client,
    shown: String,
    login: Option<String>,
}

impl Remote {
    fn new(url: &str, login: Option<(String, String)>) -> Result<Self, UsageError> {
        let wrong = || UsageError(format!("--master {url}: write an address such as http://127.0.0.1:8070/"));
        let address: axum::http::Uri = url.parse().map_err(|_| wrong())?;
        if !matches!(address.scheme_str(), Some("http" | "https")) || address.authority().is_none() {
            return Err(wrong());
        }
        if address.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(UsageError(
                "--master: a password in an address is seen in lists of processes; give --master-user and \
                 --master-password-file"
                    .to_owned(),
            ));
        }
        // Kubernetes' client is an HTTP client with TLS and a base path like any other, and it is here already.
        let mut config = kube::Config::new(address);
        config.connect_timeout = Some(Duration::from_secs(5));
        config.read_timeout = Some(Duration::from_mins(1));
        config.write_timeout = Some(Duration::from_mins(1));
        // A refusal is to be read now; `logs -f` tries again by itself.
        config.default_retry = false;
        let client = kube::Client::try_from(config).map_err(|_| wrong())?;
        let login = login.map(|(user, password)| {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
        });
        Ok(Self { client, shown: url.to_owned(), login })
    }
}

impl Rest {
    pub(super) fn master(url: &str, login: Option<(String, String)>) -> Result<Self, UsageError> {
        Remote::new(url, login).map(|remote| Self(Place::Master(remote)))
    }

    pub(super) fn tree(router: Router, has_log: bool) -> Self {
        Self(Place::Tree { router, has_log })
    }

    pub(super) fn folder(folder: PathBuf) -> Result<Self, UsageError> {
        folder::check(&folder).map_err(|why| UsageError(why.to_string()))?;
        Ok(Self(Place::Folder(folder)))
    }

    /// Begins to ask. A folder that nobody else has is kept from others until the session is closed, so it should be
    /// short.
    pub(crate) async fn session(&self) -> Result<Session, RestError> {
        let folder = match &self.0 {
            Place::Master(remote) => return Ok(Session::of(Service::There(remote.clone()), true)),
            Place::Tree { router, has_log } => {
                return Ok(Session::of(Service::Here(router.clone()), *has_log));
            }
            Place::Folder(folder) => folder.clone(),
        };
        let opened = {
            let folder = folder.clone();
            tokio::task::spawn_blocking(move || folder::open(&folder)).await
        };
        match opened.expect("opening a folder does not panic")? {
            Holder::Here(store) => {
                let zone = up::local_zone();
                let router = master::router(Master::new(store.clone(), store.clone(), zone, HERE));
                let open = Some((store, folder));
                Ok(Session { open, ..Session::of(Service::Here(router), true) })
            }
            Holder::Up(address) => {
                let remote = Remote::new(&format!("http://{address}/"), None);
                let remote = remote.expect("the address of a socket makes a URL");
                Ok(Session::of(Service::There(remote), true))
            }
        }
    }
}

/// A master's answer to what it does not do.
#[derive(Deserialize)]
struct Refusal {
    error: Reason,
}

#[derive(Deserialize)]
struct Reason {
    message: String,
}

/// Some requests to one master.
pub(crate) struct Session {
    service: Service,
    has_log: bool,
    /// A folder that this process has open, which means that no `cronctl up` has.
    open: Option<(Embedded, PathBuf)>,
}

enum Service {
    Here(Router),
    There(Remote),
}

impl Session {
    fn of(service: Service, has_log: bool) -> Self {
        Self { service, has_log, open: None }
    }

    /// Ends asking, and gives a folder free.
    pub(crate) async fn close(self) {
        drop(self.service);
        if let Some((store, _)) = self.open {
            store.close().await;
        }
    }

    /// Whether nothing can run these jobs, and why.
    pub(crate) fn nothing_runs(&self) -> Option<String> {
        let (_, folder) = self.open.as_ref()?;
        Some(format!("no `cronctl up` runs on {}, so nothing runs", folder.display()))
    }

    /// Jobs whose name contains a text, in the order of their names.
    pub(crate) async fn jobs(&self, search: &str, most: usize) -> Result<Vec<Job>, RestError> {
        #[derive(Deserialize)]
        struct Page {
            jobs: Vec<Job>,
            next: Option<String>,
        }
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let begin = after.as_deref().map(|after| format!("&after={}", encode(after))).unwrap_or_default();
            let target = format!("/api/v1/jobs?limit={PAGE_JOBS}&search={}{begin}", encode(search));
            let page: Page = match self.get(&target).await {
                // It waits for its first listing, and does not say what keeps it from that. Another call does.
                Err(why @ RestError::Refused { status: StatusCode::SERVICE_UNAVAILABLE, .. }) => {
                    self.get::<IgnoredAny>("/api/v1/workers").await?;
                    return Err(why);
                }
                page => page?,
            };
            all.extend(page.jobs.into_iter().map(told));
            after = page.next;
            if after.is_none() || all.len() >= most {
                return Ok(all);
            }
        }
    }

    /// A job by its name in the tree.
    pub(crate) async fn job(&self, name: &str) -> Result<Option<Job>, RestError> {
        match self.get(&format!("/api/v1/job?name={}", encode(name))).await {
            Ok(job) => Ok(Some(told(job))),
            Err(RestError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// A job by its name, or by the part of it that follows the namespace.
    pub(crate) async fn find(&self, name: &str, namespace: &str) -> Result<Option<Job>, RestError> {
        let found = self.job(name).await?;
        if found.is_some() || name.contains('/') {
            return Ok(found);
        }
        self.job(&format!("{namespace}/{name}")).await
    }

    pub(crate) async fn suspend(&self, name: &str, suspend: bool) -> Result<(), RestError> {
        let target = format!("/api/v1/job?name={}", encode(name));
        let body = json!({ "suspend": suspend }).to_string();
        self.send(Method::PATCH, &target, "application/json", body).await.map(drop)
    }

    /// Asks for the end of what runs under a name. That nothing does is refused.
    pub(crate) async fn kill(&self, name: &str) -> Result<(), RestError> {
        #[derive(Deserialize)]
        struct Answer {
            errno: i32,
            msg: String,
        }
        let form = format!("name={}", encode(name));
        let answer = self.send(Method::POST, "/job/kill", "application/x-www-form-urlencoded", form).await?;
        match self.read(&answer)? {
            Answer { errno: 0, .. } => Ok(()),
            Answer { msg: message, .. } => Err(RestError::Refused { status: StatusCode::CONFLICT, message }),
        }
    }

    /// A page of a job's records, after `skip` of them.
    pub(crate) async fn records(&self, name: &str, skip: u32, limit: u32) -> Result<Records, RestError> {
        self.need_log()?;
        let limit = limit.min(PAGE_RUNS);
        self.get(&format!("/api/v1/runs?job={}&skip={skip}&limit={limit}", encode(name))).await
    }

    /// What an ended run wrote, as text.
    pub(crate) async fn output(&self, run: &Run) -> Result<Vec<u8>, RestError> {
        self.need_log()?;
        let target = format!("/api/v1/runs/{}?attempt={}", encode(&run.run), run.attempt);
        self.send(Method::GET, &target, "", String::new()).await
    }

    fn need_log(&self) -> Result<(), RestError> {
        let message = "what jobs ran and wrote is in MongoDB; give its address with --mongodb-uri too";
        if self.has_log { Ok(()) } else { Err(RestError::Unnamed(message)) }
    }

    async fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, RestError> {
        let body = self.send(Method::GET, target, "", String::new()).await?;
        self.read(&body)
    }

    async fn send(
        &self,
        method: Method,
        target: &str,
        kind: &str,
        body: String,
    ) -> Result<Vec<u8>, RestError> {
        let mut request = Request::builder().method(method).uri(target);
        if !kind.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let away = |why| RestError::Away(self.shown(), why);
        let response = match &self.service {
            Service::Here(router) => {
                let request = request.header(header::HOST, "localhost").body(Body::from(body));
                let request = request.map_err(|why| away(why.into()))?;
                match router.clone().oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
            Service::There(remote) => {
                if let Some(login) = &remote.login {
                    request = request.header(header::AUTHORIZATION, login);
                }
                let request = request.body(body.into_bytes().into()).map_err(|why| away(why.into()))?;
                remote.client.send(request).await.map_err(|why| away(why.into()))?.map(Body::new)
            }
        };
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.map_err(|why| away(why.into()))?;
        if status.is_success() {
            return Ok(body.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            return Err(RestError::Login(self.shown()));
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => Err(RestError::Refused { status, message: refusal.error.message }),
            Err(_) => Err(RestError::Strange(self.shown(), format!("HTTP status {status}").into())),
        }
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, RestError> {
        serde_json::from_slice(body).map_err(|why| RestError::Strange(self.shown(), why.into()))
    }

    fn shown(&self) -> String {
        match &self.service {
            Service::Here(_) => "this process".to_owned(),
            Service::There(remote) => remote.shown.clone(),
        }
    }
}

/// The master lists the latest outcomes; the latest of all is what commands show.
fn told(mut job: Job) -> Job {
    job.status.last_outcome = job.status.recent.first().map(|recent| recent.outcome.clone());
    job
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
