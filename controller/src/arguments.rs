//! The arguments of `crontab-controller`, and what follows from them.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use controller::Config;
use model::keys::KeyPrefix;
use runtime::args::{EtcdArgs, EtcdSecrets};
use runtime::health::HealthArgs;
use runtime::logging::LogArgs;
use store::etcd::{EtcdConfig, Tls};

/// What most people write.
const EXAMPLE: &str = "Example:\n  crontab-controller --etcd-endpoints http://etcd:2379";

/// The controller registers no worker, so nothing of it has a lease.
const NO_SESSION: Duration = Duration::from_secs(10);

/// Bring `NodeCronJob` resources into the job tree, and tell in their status what became of them.
///
/// The API server is that of the cluster it runs in, or the one that KUBECONFIG names. Of several controllers one works,
/// and the others stand by. The controller waits for servers that are away and goes on by itself; workers do not need it
/// to run the jobs that are in the tree.
#[derive(Debug, Parser)]
#[command(
    name = "crontab-controller",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = EXAMPLE
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    etcd: EtcdArgs,
    /// Namespace whose resources are brought into the tree; can be given several times; all unless given
    #[arg(
        long,
        env = "CRONTAB_NAMESPACES",
        value_name = "NAMESPACE",
        value_delimiter = ',',
        help_heading = "Kubernetes"
    )]
    namespace: Vec<String>,
    /// Namespace whose resources may choose their job's name by spec.jobName; can be given several times; none unless given
    #[arg(
        long,
        env = "CRONTAB_JOB_NAME_NAMESPACES",
        value_name = "NAMESPACE",
        value_delimiter = ',',
        help_heading = "Kubernetes"
    )]
    job_name_namespace: Vec<String>,
    /// Namespace of the Lease that says which controller works; unless given, that of the account
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE", help_heading = "Kubernetes")]
    pub(crate) lease_namespace: Option<String>,
    #[command(flatten)]
    pub(crate) health: HealthArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
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
            lease: NO_SESSION,
        })
    }

    pub(crate) fn config(&self, identity: String) -> Config {
        Config {
            namespaces: self.namespace.iter().cloned().collect(),
            job_name_namespaces: self.job_name_namespace.iter().cloned().collect(),
            identity,
        }
    }
}
