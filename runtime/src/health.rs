//! Health: what a daemon says of itself to whoever watches it, over HTTP.
//!
//! A **part** is something of the daemon that can fail by itself, such as its connection to a server. A part that is not
//! **live** needs a restart of the daemon. A part that is not **ready** mends by itself, and until then the daemon does
//! not do all of its work.
//!
//! Not here: what is looked at to know (each daemon's parts say), and what there is to count ([`crate::metrics`] and each
//! daemon).

mod server;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

pub use server::{ListenError, listen, serve};

/// The argument about health that every daemon has.
#[derive(Clone, Debug, clap::Args)]
pub struct HealthArgs {
    /// Where /healthz, /readyz and /metrics are served, such as 127.0.0.1:9470 or `[::]:9470`; nowhere unless given
    #[arg(long, env = "CRONTAB_HEALTH_LISTEN", value_name = "ADDRESS")]
    pub health_listen: Option<SocketAddr>,
}

/// What is known of a daemon's parts. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<Mutex<Parts>>,
}

#[derive(Debug, Default)]
struct Parts {
    live: BTreeMap<&'static str, Result<(), String>>,
    ready: BTreeMap<&'static str, Result<(), String>>,
}

impl Health {
    /// Notes a part that has to become ready: until [`Self::set_ready`] is first called for it, it is not, with the
    /// reason `starting`. One that was set before stays as it is.
    pub fn register(&self, part: &'static str) {
        self.lock().ready.entry(part).or_insert_with(|| Err("starting".to_owned()));
    }

    /// Says whether a part is live, and if not why, in one line. A part of which nothing was said counts as live.
    pub fn set_live(&self, part: &'static str, live: Result<(), String>) {
        self.lock().live.insert(part, live);
    }

    /// Says whether a part is ready, and if not why, in one line.
    pub fn set_ready(&self, part: &'static str, ready: Result<(), String>) {
        self.lock().ready.insert(part, ready);
    }

    /// The parts that are not live, one line each.
    pub fn live(&self) -> Result<(), String> {
        verdict(&self.lock().live)
    }

    /// The parts that are not ready, one line each.
    pub fn ready(&self) -> Result<(), String> {
        verdict(&self.lock().ready)
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().expect("nothing panics while it holds the lock")
    }
}

fn verdict(parts: &BTreeMap<&'static str, Result<(), String>>) -> Result<(), String> {
    let mut lines = String::new();
    for (part, state) in parts {
        if let Err(why) = state {
            let why = why.replace(['\n', '\r'], " ");
            writeln!(lines, "{part}: {why}").expect("a String takes everything");
        }
    }
    if lines.is_empty() { Ok(()) } else { Err(lines) }
}
