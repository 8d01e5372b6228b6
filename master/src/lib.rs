//! The REST calls of the replaced system, `/api/v1`, and the web page, in front of any job tree and run log.
//!
//! - The **legacy calls** (`/job/…`, `/worker/list`) answer as the replaced system did, so that its page and people's
//!   scripts keep working: always HTTP 200, with the failure in the body.
//! - `/api/v1` reads the same things with status codes, paging and more detail, and suspends jobs.
//! - The **page** at `/` is built on both. Everything it needs is compiled in; it asks no other host.
//!
//! Whoever may ask can run any command. So there are two ways to serve it ([`Access`]): on loopback to everybody who is
//! there, guarded against other pages in the same browser (`guard`), or to users with a password ([`Auth`]).
//!
//! Jobs are read from the tree. They are changed there too, or in a cluster as resources ([`Resources`]), which a
//! controller brings into the tree.
//!
//! Not here: running anything (`worker`), and what a resource becomes in the tree (`controller`).

mod api;
mod app;
mod auth;
mod clock;
mod guard;
mod html;
mod index;
mod jobs;
mod legacy;
mod page;
mod params;
mod reply;
mod resources;
mod serve;
mod web_root;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get, post};
use model::TimeZone;
use store::{RunLog, Tree};

use app::App;
pub use auth::{Auth, AuthError, FileError};
pub use resources::{ClusterError, Resources};
pub use serve::serve;
pub use web_root::{WebRoot, WebRootError};

/// What a master serves, and to whom.
#[derive(Clone, Debug)]
pub struct Master<T, L> {
    /// Where jobs, runs and workers are.
    pub tree: T,
    /// Where records and output are.
    pub log: L,
    /// The zone that legacy expressions are read in; the same as the workers'.
    pub zone: TimeZone,
    /// The resources by which jobs are changed, in a cluster; outside of one it is done in the tree.
    pub resources: Option<Resources>,
    /// Who may ask.
    pub access: Access,
    /// The page to serve instead of ours.
    pub web_root: Option<WebRoot>,
}

/// Who may ask.
#[derive(Clone, Debug)]
pub enum Access {
    /// Everybody who names one of these hosts, without port, IPv6 addresses in brackets. Everything else is refused: a
    /// name of somebody else's that resolves to this machine is how a foreign page would get in (DNS rebinding).
    Hosts(Vec<String>),
    /// Users with a password, by whatever host they know this server.
    Users(Auth),
}

impl<T, L> Master<T, L> {
    /// A master that changes the tree, with our page, for everybody who asks at `listen`: by `localhost`, the loopback addresses, and that address.
    pub fn new(tree: T, log: L, zone: TimeZone, listen: SocketAddr) -> Self {
        let listen = match listen.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        if !hosts.contains(&listen) {
            hosts.push(listen);
        }
        Self { tree, log, zone, resources: None, access: Access::Hosts(hosts), web_root: None }
    }
}

/// Everything a master answers. Must be called within a Tokio runtime: a task follows the names of the tree's jobs for
/// as long as the router lives.
pub fn router<T: Tree, L: RunLog>(master: Master<T, L>) -> Router {
    let (access, web_root) = (master.access.clone(), master.web_root.clone());
    let routes = Router::new()
        .route("/job/save", post(legacy::save::<T, L>))
        .route("/job/delete", post(legacy::delete::<T, L>))
        .route("/job/kill", post(legacy::kill::<T, L>))
        .route("/job/list", get(legacy::list::<T, L>))
        .route("/job/log", get(legacy::log::<T, L>))
        .route("/worker/list", get(legacy::workers::<T, L>))
        .route("/api/v1/jobs", get(api::jobs::list::<T, L>))
        .route("/api/v1/job", get(api::jobs::one::<T, L>).patch(api::jobs::suspend::<T, L>))
        .route("/api/v1/runs", get(api::runs::list::<T, L>))
        .route("/api/v1/runs/{id}", get(api::runs::output::<T, L>))
        .route("/api/v1/schedule", get(api::schedule::preview::<T, L>))
        .route("/api/v1/workers", get(api::workers::list::<T, L>))
        .route("/healthz", get(api::health));
    let routes = match web_root {
        Some(root) => routes.fallback_service(any(web_root::file).with_state(root)),
        None => routes.merge(page::routes()).fallback(reply::not_found),
    };
    let routes = routes.method_not_allowed_fallback(reply::wrong_method);
    guard::protect(routes.with_state(Arc::new(App::new(master))), access)
}
