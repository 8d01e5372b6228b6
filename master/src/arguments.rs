//! The arguments of `crontab-master`, and what follows from them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use master::{Auth, Resources, WebRoot};
use model::keys::KeyPrefix;
use model::schedule::TimeZone;
use runtime::args::{EtcdArgs, EtcdSecrets};
use runtime::health::HealthArgs;
use runtime::logging::LogArgs;
use store::etcd::{EtcdConfig, Tls};
use store::mongo::MongoConfig;

/// What most people write.
const EXAMPLE: &str = "Examples:
  crontab-master --etcd-endpoints http://etcd:2379 --mongodb-uri mongodb://mongo:27017/
  htpasswd -B -c passwords alice
  crontab-master --etcd-endpoints http://etcd:2379 --mongodb-uri mongodb://mongo:27017/ \\
    --listen 0.0.0.0:8070 --auth passwords";

/// A master opens no session, so this is never granted.
const LEASE: Duration = Duration::from_secs(10);

/// Serve the REST calls and the web page, in front of a job tree in etcd and the log in MongoDB.
///
/// The calls of the replaced system (/job/save, /job/delete, /job/list, /job/kill, /job/log, /worker/list) answer as they did there; /api/v1 has more. It runs nothing: that is what crontab-worker is for, and any number of masters can be there.
///
/// Whoever may ask can have any command run. So it listens on this machine alone unless users have passwords.
///
/// While a server is away, calls that need it say so, and it is found again by itself. SIGTERM ends it: answers under way
/// are sent, for five seconds at most.
#[derive(Debug, Parser)]
#[command(
    name = "crontab-master",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = EXAMPLE
)]
pub(crate) struct Arguments {
    /// Address to listen on. One that other machines reach needs --auth
    #[arg(long, env = "CRONTAB_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8070")]
    pub(crate) listen: SocketAddr,
    /// Where jobs are changed: `etcd` writes the tree, `kubernetes` writes `NodeCronJob` resources, which the controller
    /// brings into the tree; then KUBECONFIG or the pod's service account says which cluster
    #[arg(long, env = "CRONTAB_SOURCE", value_enum, default_value = "etcd")]
    pub(crate) source: Source,
    /// Namespace for the resources of new jobs; unless given, the pod's own or the kubeconfig's
    #[arg(long, env = "CRONTAB_NAMESPACE", value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// File with the users who may ask and their passwords, as `htpasswd -B` writes it; read again when it changes.
    /// Everything is asked for a password then, but --health-listen
    #[arg(long, env = "CRONTAB_AUTH", value_name = "FILE")]
    auth: Option<PathBuf>,
    /// Folder with an index.html to serve instead of the page that is built in, such as the replaced system's
    #[arg(long, env = "CRONTAB_WEB_ROOT", value_name = "FOLDER")]
    web_root: Option<PathBuf>,
    /// IANA zone in which expressions of the legacy calls are read, and which new resources get; the same as the workers'
    #[arg(long, env = "CRONTAB_TIME_ZONE", value_name = "ZONE", default_value_t = TimeZone::UTC, value_parser = TimeZone::parse)]
    pub(crate) time_zone: TimeZone,
    #[command(flatten)]
    etcd: EtcdArgs,
    /// Address of MongoDB, such as `mongodb://user:password@mongo:27017/cron`; the database is `cron` unless it names one.
    /// As an environment variable it is not seen in lists of processes
    #[arg(long, env = "MONGODB_URI", value_name = "URI", hide_env_values = true, help_heading = "MongoDB")]
    mongodb_uri: Option<String>,
    #[command(flatten)]
    pub(crate) health: HealthArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// Where jobs are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    Kubernetes,
    Etcd,
}

impl Arguments {
    pub(crate) fn etcd(&self) -> anyhow::Result<EtcdConfig> {
        if self.etcd.etcd_endpoints.is_empty() {
            bail!("no job tree is named; give --etcd-endpoints, such as http://etcd:2379");
        }
        let prefix = KeyPrefix::new(&self.etcd.etcd_prefix).context("--etcd-prefix")?;
        let EtcdSecrets { ca, identity, user } = self.etcd.secrets()?;
        Ok(EtcdConfig {
            endpoints: self.etcd.etcd_endpoints.clone(),
            prefix,
            tls: ca.map(|ca| Tls { ca, identity }),
            user,
            lease: LEASE,
        })
    }

    pub(crate) fn mongo(&self) -> anyhow::Result<MongoConfig> {
        let Some(uri) = self.mongodb_uri.clone() else {
            bail!("no log is named; give --mongodb-uri, such as mongodb://mongo:27017/");
        };
        Ok(MongoConfig { uri, database: None, retention: None })
    }

    /// The resources of the cluster, if jobs are changed there.
    pub(crate) async fn resources(&self) -> anyhow::Result<Option<Resources>> {
        match self.source {
            Source::Kubernetes => {
                let resources =
                    Resources::infer(self.namespace.clone()).await.context("--source kubernetes")?;
                Ok(Some(resources))
            }
            Source::Etcd if self.namespace.is_some() => {
                bail!("--namespace is for resources; give --source kubernetes too, or leave it out")
            }
            Source::Etcd => Ok(None),
        }
    }

    pub(crate) fn users(&self) -> anyhow::Result<Option<Auth>> {
        if let Some(path) = &self.auth {
            let auth = Auth::open(path).with_context(|| format!("--auth {}", path.display()))?;
            return Ok(Some(auth));
        }
        if !self.listen.ip().is_loopback() {
            bail!(
                "--listen {}: other machines can reach it, and whoever does can have any command run; give --auth with a \
                 password file (htpasswd -B -c FILE NAME makes one), or listen on 127.0.0.1:{}",
                self.listen,
                self.listen.port()
            );
        }
        Ok(None)
    }

    pub(crate) fn web_root(&self) -> anyhow::Result<Option<WebRoot>> {
        let open =
            |path: &PathBuf| WebRoot::open(path).with_context(|| format!("--web-root {}", path.display()));
        self.web_root.as_ref().map(open).transpose()
    }
}
