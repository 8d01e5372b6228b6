//! How etcd is reached.

use std::time::Duration;

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};
use model::keys::KeyPrefix;
use thiserror::Error;

/// Certificates, all of them PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// By which etcd's own certificate is trusted.
    pub ca: Vec<u8>,
    /// The client's certificate and its key, where etcd asks for one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// How etcd is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdConfig {
    /// Addresses of members of one cluster, such as `http://127.0.0.1:2379`. All or none are `https`.
    pub endpoints: Vec<String>,
    /// What all keys begin with.
    pub prefix: KeyPrefix,
    /// For `https`.
    pub tls: Option<Tls>,
    /// User and password.
    pub user: Option<(String, String)>,
    /// How long a session lasts without a renewal, in whole seconds.
    pub lease: Duration,
}

impl std::fmt::Debug for EtcdConfig {
    /// Without secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let user = self.user.as_ref().map(|(name, _)| name);
        f.debug_struct("EtcdConfig")
            .field("endpoints", &self.endpoints)
            .field("prefix", &self.prefix)
            .field("user", &user)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// A configuration that can't work, whatever the cluster does.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// There is none.
    #[error("no etcd endpoint is given; write one such as http://127.0.0.1:2379")]
    NoEndpoint,
    /// It is no address.
    #[error(
        "the etcd endpoint {0:?} can't be used; write it like http://127.0.0.1:2379 or https://etcd-0:2379"
    )]
    Endpoint(String),
    /// `https` without a certificate to trust.
    #[error(
        "the etcd endpoint {0} is https, so a file with the certificates to trust is needed (--etcd-cacert); the system's own are usually in /etc/ssl/certs/ca-certificates.crt"
    )]
    NoCa(String),
    /// Certificates without `https`.
    #[error(
        "certificates are given, but the etcd endpoint {0} is http; write https, or leave the certificates out"
    )]
    NotTls(String),
    /// A file is not what it should be.
    #[error("the file given by {0} holds no PEM block {1:?}; it begins with a line -----BEGIN {1}-----")]
    NotPem(&'static str, &'static str),
}

/// Whether the bytes hold a PEM block whose label ends so.
fn has_pem(bytes: &[u8], label: &str) -> bool {
    String::from_utf8_lossy(bytes)
        .lines()
        .any(|line| line.trim().starts_with("-----BEGIN ") && line.trim().ends_with(&format!("{label}-----")))
}

impl EtcdConfig {
    /// The addresses with their scheme, and what they are connected with.
    pub(super) fn check(&self) -> Result<(Vec<String>, ConnectOptions), ConfigError> {
        if self.endpoints.iter().all(|endpoint| endpoint.trim().is_empty()) {
            return Err(ConfigError::NoEndpoint);
        }
        let endpoints = self.endpoints.iter().map(|endpoint| self.endpoint(endpoint.trim()));
        let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT)
            .with_keep_alive(PING_EVERY, PING_ANSWER)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some(Tls { ca, identity }) = &self.tls {
            if !has_pem(ca, "CERTIFICATE") {
                return Err(ConfigError::NotPem("--etcd-cacert", "CERTIFICATE"));
            }
            let mut tls = TlsOptions::new().ca_certificate(Certificate::from_pem(ca));
            if let Some((certificate, key)) = identity {
                if !has_pem(certificate, "CERTIFICATE") {
                    return Err(ConfigError::NotPem("--etcd-cert", "CERTIFICATE"));
                }
                if !has_pem(key, "PRIVATE KEY") {
                    return Err(ConfigError::NotPem("--etcd-key", "PRIVATE KEY"));
                }
                tls = tls.identity(Identity::from_pem(certificate, key));
            }
            options = options.with_tls(tls);
        }
        if let Some((name, password)) = &self.user {
            options = options.with_user(name, password);
        }
        Ok((endpoints, options))
    }

    fn endpoint(&self, endpoint: &str) -> Result<String, ConfigError> {
        let wrong = || ConfigError::Endpoint(endpoint.to_owned());
        let (scheme, address) = match endpoint.split_once("://") {
            Some((scheme @ ("http" | "https"), address)) => (scheme, address),
            Some(_) => return Err(wrong()),
            None => (if self.tls.is_some() { "https" } else { "http" }, endpoint),
        };
        let address = address.trim_end_matches('/');
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let plain = |c: char| !c.is_whitespace() && !matches!(c, '/' | '?' | '#' | '@');
        if host.is_empty() || !host.chars().all(plain) || port.parse::<u16>().map_or(true, |port| port == 0) {
            return Err(wrong());
        }
        match (scheme, &self.tls) {
            ("https", None) => Err(ConfigError::NoCa(endpoint.to_owned())),
            ("http", Some(_)) => Err(ConfigError::NotTls(endpoint.to_owned())),
            _ => Ok(format!("{scheme}://{address}")),
        }
    }
}

/// How long one member may take to be connected.
const CONNECT: Duration = Duration::from_secs(2);

/// Pings on an idle connection: etcd answers pings that come more often than every 5 s by closing it.
const PING_EVERY: Duration = Duration::from_secs(6);
const PING_ANSWER: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;

    fn config(endpoint: &str, tls: bool) -> EtcdConfig {
        let tls = tls.then(|| Tls { ca: b"-----BEGIN CERTIFICATE-----\n".to_vec(), identity: None });
        EtcdConfig {
            endpoints: vec![endpoint.to_owned()],
            prefix: KeyPrefix::default(),
            tls,
            user: Some(("ada".to_owned(), "secret".to_owned())),
            lease: Duration::from_secs(10),
        }
    }

    #[test]
    fn endpoints_are_read_with_and_without_a_scheme() {
        for (text, tls, expected) in [
            ("http://127.0.0.1:2379", false, "http://127.0.0.1:2379"),
            ("127.0.0.1:2379", false, "http://127.0.0.1:2379"),
            ("etcd-0.etcd:2379/", true, "https://etcd-0.etcd:2379"),
            ("https://[::1]:2379", true, "https://[::1]:2379"),
        ] {
            assert_eq!(config(text, tls).check().unwrap().0, [expected], "{text}");
        }
    }

    #[test]
    fn what_can_not_work_is_refused_with_what_to_write() {
        let endpoint = |text: &str| ConfigError::Endpoint(text.to_owned());
        for (text, tls, expected) in [
            ("", false, ConfigError::NoEndpoint),
            ("etcd", false, endpoint("etcd")),
            ("etcd:port", false, endpoint("etcd:port")),
            ("etcd:0", false, endpoint("etcd:0")),
            ("ftp://etcd:2379", false, endpoint("ftp://etcd:2379")),
            ("http://user@etcd:2379", false, endpoint("http://user@etcd:2379")),
            ("https://etcd:2379", false, ConfigError::NoCa("https://etcd:2379".to_owned())),
            ("http://etcd:2379", true, ConfigError::NotTls("http://etcd:2379".to_owned())),
        ] {
            assert_eq!(config(text, tls).check().unwrap_err(), expected, "{text}");
        }
        let mut no_pem = config("etcd:2379", true);
        no_pem.tls.as_mut().unwrap().ca = b"hello".to_vec();
        assert_eq!(no_pem.check().unwrap_err(), ConfigError::NotPem("--etcd-cacert", "CERTIFICATE"));
    }

    #[test]
    fn a_configuration_is_printed_without_its_password() {
        assert!(!format!("{:?}", config("etcd:2379", false)).contains("secret"));
    }
}
