//! Arguments that several daemons have, alike in all of them.
//!
//! Not here: what becomes of them. A daemon opens its stores itself.

use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

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

/// What the files that [`EtcdArgs`] names hold.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdSecrets {
    /// The certificates by which etcd's own is trusted.
    pub ca: Option<Vec<u8>>,
    /// The client's certificate and its key; only with `ca`.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// User and password.
    pub user: Option<(String, String)>,
}

/// Why the arguments about etcd can't be used.
#[derive(Debug, Error)]
pub enum EtcdArgsError {
    /// A file that can't be read.
    #[error("{argument}: {} can't be read", .path.display())]
    Unreadable {
        /// The argument that names it.
        argument: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        why: std::io::Error,
    },
    /// A client certificate is shown only to a server that is trusted.
    #[error(
        "--etcd-cert is given without --etcd-cacert; give the file with the certificates that etcd's own is trusted by too"
    )]
    CertWithoutCa,
    /// A password is text.
    #[error("--etcd-password-file: it is not UTF-8")]
    Password,
}

impl EtcdArgs {
    /// Reads the files.
    pub fn secrets(&self) -> Result<EtcdSecrets, EtcdArgsError> {
        let file =
            |path: &Option<PathBuf>, argument| path.as_deref().map(|path| read(path, argument)).transpose();
        let ca = file(&self.etcd_cacert, "--etcd-cacert")?;
        let identity = file(&self.etcd_cert, "--etcd-cert")?.zip(file(&self.etcd_key, "--etcd-key")?);
        if ca.is_none() && identity.is_some() {
            return Err(EtcdArgsError::CertWithoutCa);
        }
        let password = match file(&self.etcd_password_file, "--etcd-password-file")? {
            Some(bytes) => {
                let text = String::from_utf8(bytes).map_err(|_| EtcdArgsError::Password)?;
                Some(text.trim_end_matches(['\r', '\n']).to_owned())
            }
            None => None,
        };
        Ok(EtcdSecrets { ca, identity, user: self.etcd_user.clone().zip(password) })
    }
}

fn read(path: &Path, argument: &'static str) -> Result<Vec<u8>, EtcdArgsError> {
    fs::read(path).map_err(|why| EtcdArgsError::Unreadable { argument, path: path.to_owned(), why })
}
