//! The arguments of `crontab-worker`, and what follows from them.

use std::net::{ToSocketAddrs, UdpSocket};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use model::keys::KeyPrefix;
use model::schedule::TimeZone;
use runtime::args::{EtcdArgs, EtcdSecrets};
use runtime::health::HealthArgs;
use runtime::logging::LogArgs;
use store::etcd::{EtcdConfig, Tls};
use store::mongo::MongoConfig;
use worker::{Config, SHORTEST_SESSION};

/// What most people write.
const EXAMPLE: &str =
    "Example:\n  crontab-worker --etcd-endpoints http://etcd:2379 --mongodb-uri mongodb://mongo:27017/";

/// Run the jobs of a tree on this node.
///
/// Usually the tree is in etcd and the log in MongoDB, and there is one worker on each node. With --data both are in one folder of this machine, one that `cronctl up` filled, and one process at a time uses it.
///
/// The worker waits for servers that are away and goes on by itself. SIGTERM ends it: nothing new starts, running
/// commands get their grace, and what they did is recorded.
#[derive(Debug, Parser)]
#[command(
    name = "crontab-worker",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = EXAMPLE
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) etcd: EtcdArgs,
    /// Address of MongoDB, such as `mongodb://user:password@mongo:27017/cron`; the database is `cron` unless it names one.
    /// As an environment variable it is not seen in lists of processes
    #[arg(long, env = "MONGODB_URI", value_name = "URI", hide_env_values = true, help_heading = "MongoDB")]
    mongodb_uri: Option<String>,
    /// How many days records are kept in MongoDB; for ever unless given, or until a job has more than its history limits
    #[arg(long, env = "CRONTAB_RETENTION_DAYS", value_name = "DAYS", help_heading = "MongoDB", value_parser = clap::value_parser!(u32).range(1..))]
    retention_days: Option<u32>,
    /// Folder for records that MongoDB has not taken yet. It must outlive the worker, and each worker needs its own
    #[arg(
        long,
        env = "CRONTAB_SPOOL_DIR",
        value_name = "FOLDER",
        default_value = "/var/lib/crontab-worker/spool",
        help_heading = "MongoDB"
    )]
    spool_dir: PathBuf,
    /// How many MiB the spool may hold. Beyond that the oldest output is dropped first, then the oldest records
    #[arg(long, env = "CRONTAB_SPOOL_LIMIT_MIB", value_name = "MIB", default_value_t = 1024, help_heading = "MongoDB", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    spool_limit_mib: u64,
    /// Folder that keeps jobs, runs and their output, instead of etcd and MongoDB
    #[arg(long, env = "CRONTAB_DATA", value_name = "FOLDER", conflicts_with_all = ["etcd_endpoints", "mongodb_uri"])]
    data: Option<PathBuf>,
    /// Name of this node in records
    #[arg(long, env = "NODE_NAME", value_name = "NAME", default_value_t = runtime::host_name())]
    node_name: String,
    /// Address that this worker is listed by; unless given, the one by which this machine reaches etcd
    #[arg(long, env = "CRONTAB_WORKER_ID", value_name = "ADDRESS")]
    id: Option<String>,
    /// Label that jobs can choose this worker by; can be given several times
    #[arg(long, env = "CRONTAB_LABELS", value_name = "KEY=VALUE", value_delimiter = ',', value_parser = label)]
    label: Vec<(String, String)>,
    /// How many runs there may be at once on this worker. When it has as many, the others take its jobs, and if they
    /// are full too, slots wait; no limit unless given
    #[arg(long, env = "CRONTAB_MAX_RUNS", value_name = "COUNT")]
    max_runs: Option<NonZeroUsize>,
    /// How many seconds a session lasts without a renewal. A longer one rides out a longer absence of etcd, a shorter one
    /// hands a dead worker's jobs over sooner
    #[arg(long, env = "CRONTAB_SESSION_SECONDS", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(SHORTEST_SESSION.as_secs()..=600))]
    session_seconds: u64,
    /// IANA zone in which jobs of the legacy form are read; the same on all workers
    #[arg(long, env = "CRONTAB_TIME_ZONE", value_name = "ZONE", default_value_t = TimeZone::UTC, value_parser = TimeZone::parse)]
    time_zone: TimeZone,
    #[command(flatten)]
    pub(crate) health: HealthArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// Where the tree and the log are.
pub(crate) enum Stores {
    /// In one folder of this machine.
    Embedded { folder: PathBuf, prefix: KeyPrefix },
    /// On servers that other workers share.
    Shared { etcd: Box<EtcdConfig>, mongo: MongoConfig, spool: PathBuf, spool_limit: u64 },
}

impl Arguments {
    pub(crate) fn stores(&self) -> anyhow::Result<Stores> {
        let prefix = KeyPrefix::new(&self.etcd.etcd_prefix).context("--etcd-prefix")?;
        if let Some(folder) = self.data.clone() {
            return Ok(Stores::Embedded { folder, prefix });
        }
        if self.etcd.etcd_endpoints.is_empty() {
            bail!(
                "no job tree is named; give --etcd-endpoints, such as http://etcd:2379, or --data with a folder"
            );
        }
        let Some(uri) = self.mongodb_uri.clone() else {
            bail!(
                "no log is named; give --mongodb-uri, such as mongodb://mongo:27017/, or --data with a folder"
            );
        };
        let day = Duration::from_hours(24);
        let mongo =
            MongoConfig { uri, database: None, retention: self.retention_days.map(|days| day * days) };
        Ok(Stores::Shared {
            etcd: Box::new(self.etcd(prefix)?),
            mongo,
            spool: self.spool_dir.clone(),
            spool_limit: self.spool_limit_mib << 20,
        })
    }

    fn etcd(&self, prefix: KeyPrefix) -> anyhow::Result<EtcdConfig> {
        let EtcdSecrets { ca, identity, user } = self.etcd.secrets()?;
        Ok(EtcdConfig {
            endpoints: self.etcd.etcd_endpoints.clone(),
            prefix,
            tls: ca.map(|ca| Tls { ca, identity }),
            user,
            lease: Duration::from_secs(self.session_seconds),
        })
    }

    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let program = std::env::current_exe().context("the path of this program could not be read")?;
        let towards_etcd = || self.etcd.etcd_endpoints.iter().find_map(|endpoint| address_towards(endpoint));
        let address = self.id.clone().or_else(towards_etcd).unwrap_or_else(|| self.node_name.clone());
        let mut config = Config::new(self.node_name.clone(), address, self.time_zone, program);
        config.labels = self.label.iter().cloned().collect();
        config.max_runs = self.max_runs;
        Ok(config)
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as disk=ssd".to_owned()),
    }
}

/// The address of this machine in the network by which it reaches a server. Nothing is sent for that.
fn address_towards(endpoint: &str) -> Option<String> {
    let server = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest).trim_end_matches('/');
    let server = server.to_socket_addrs().ok()?.next()?;
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(server).ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}
