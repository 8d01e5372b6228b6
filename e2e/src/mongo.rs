//! One server that speaks MongoDB's protocol.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Process, free_port, until};
use crate::tool;

/// How a server is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct MongoOptions {
    /// As a standalone server, without transactions and change streams, instead of as a replica set of one.
    pub standalone: bool,
    /// Users have to say their password; they are made before, without this.
    pub auth: bool,
}

/// A server with its own port and folder. It can be killed and started again on the same data.
///
/// A write that it has acknowledged survives a kill only if it was asked to be journalled.
#[derive(Debug)]
pub struct Mongo {
    // Before the folder, so that the end of the log can be shown when a test fails.
    process: Option<Process>,
    folder: TempDir,
    port: u16,
    options: MongoOptions,
    /// The files of its certificate and key, with TLS.
    tls: Option<(PathBuf, PathBuf)>,
}

impl Mongo {
    /// Starts a server and waits until it takes connections.
    pub fn start() -> Self {
        Self::start_with(MongoOptions::default())
    }

    /// As [`Self::start`].
    pub fn start_with(options: MongoOptions) -> Self {
        Self::start_as(options, None)
    }

    /// As [`Self::start`], but it speaks TLS alone, with the certificate and the key in these files.
    pub fn start_with_tls(certificate: &Path, key: &Path) -> Self {
        Self::start_as(MongoOptions::default(), Some((certificate.to_owned(), key.to_owned())))
    }

    fn start_as(options: MongoOptions, tls: Option<(PathBuf, PathBuf)>) -> Self {
        let folder = tempfile::Builder::new().prefix("mongo-").tempdir().expect("a temporary folder");
        let mut mongo = Self { process: None, folder, port: free_port(), options, tls };
        mongo.start_again(options);
        mongo
    }

    /// Its address, without a user.
    pub fn uri(&self) -> String {
        format!("mongodb://127.0.0.1:{}/", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The running process.
    ///
    /// # Panics
    /// If it was killed.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// Ends it with SIGKILL; its data stay.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it on the data and the port that it had, perhaps in another way.
    pub fn start_again(&mut self, options: MongoOptions) {
        self.options = options;
        let data = self.folder.path().join("data");
        let mut command = Command::new(tool("secantusd-py"));
        command
            .args(["--host", "127.0.0.1", "--log-level", "WARNING", "--cache-size", "256M"])
            .arg("--port")
            .arg(self.port.to_string())
            .arg("--storage-path")
            .arg(data);
        if self.options.standalone {
            command.arg("--standalone");
        }
        if self.options.auth {
            command.arg("--auth");
        }
        if let Some((certificate, key)) = &self.tls {
            command.arg("--tls-cert-file").arg(certificate).arg("--tls-key-file").arg(key);
        }
        let mut process = Process::start("the MongoDB server", &mut command, &self.folder.path().join("log"));
        until("the MongoDB server to listen", || {
            assert!(process.ended().is_none(), "the MongoDB server ended: {}", process.log());
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
        self.process = Some(process);
    }
}
