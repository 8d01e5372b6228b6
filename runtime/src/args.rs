//! Arguments that several daemons have, alike in all of them.
//!
//! Not here: what becomes of them. A daemon opens its stores itself.

use std::path::PathBuf;

/// Where the job tree is.
#[derive(Clone, Debug, clap::Args)]
pub struct EtcdArgs {
    /// Addresses of the members of one etcd cluster, such as `https://etcd-0:2379,https://etcd-1:2379`; one that is down
    /// is passed over
    #[arg(long, help_heading = "etcd", env = "ETCD_ENDPOINTS", value_name = "URL", value_delimiter = ',')]
    pub etcd_endpoints: Vec<String>,
    /// What all keys of the tree begin with
    #[arg(long, help_heading = "etcd", env = "ETCD_PREFIX", value_name = "PREFIX", default_value = "/cron")]
    pub etcd_prefix: String,
    /// File with the certificates (PEM) by which etcd's own is trusted; needed for https
    #[arg(long, help_heading = "etcd", env = "ETCD_CACERT", value_name = "FILE")]
    pub etcd_cacert: Option<PathBuf>,
    /// File with the client certificate (PEM) to show to etcd
    #[arg(long, help_heading = "etcd", env = "ETCD_CERT", value_name = "FILE", requires = "etcd_key")]
    pub etcd_cert: Option<PathBuf>,
    /// File with the client certificate's key (PEM)
    #[arg(long, help_heading = "etcd", env = "ETCD_KEY", value_name = "FILE", requires = "etcd_cert")]
    pub etcd_key: Option<PathBuf>,
    /// User of etcd
    #[arg(
        long,
        help_heading = "etcd",
        env = "ETCD_USER",
        value_name = "NAME",
        requires = "etcd_password_file"
    )]
    pub etcd_user: Option<String>,
    /// File with that user's password; a line break at its end is not part of it
    #[arg(
        long,
        help_heading = "etcd",
        env = "ETCD_PASSWORD_FILE",
        value_name = "FILE",
        requires = "etcd_user"
    )]
    pub etcd_password_file: Option<PathBuf>,
}
