//! etcd servers.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::process::{Process, free_port, until};
use crate::tool;

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct EtcdOptions {
    /// Further arguments, such as `--quota-backend-bytes=…`.
    pub arguments: Vec<String>,
    /// `https` instead of `http` for clients; the certificates are among the arguments.
    pub tls: bool,
}

/// An etcd server with its own port and folder. It can be killed and started again on the same data.
#[derive(Debug)]
pub struct Etcd {
    // Before the folder, so that the end of the log can be shown when a test fails.
    process: Option<Process>,
    folder: TempDir,
    port: u16,
    peer_port: u16,
    /// The peer ports of all members, this one included.
    cluster: Vec<u16>,
    options: EtcdOptions,
}

impl Etcd {
    /// Starts a server and waits until it takes requests.
    pub fn start() -> Self {
        Self::start_with(EtcdOptions::default())
    }

    /// As [`Self::start`].
    pub fn start_with(options: EtcdOptions) -> Self {
        let folder = tempfile::Builder::new().prefix("etcd-").tempdir().expect("a temporary folder");
        let peer_port = free_port();
        let cluster = vec![peer_port];
        let mut etcd = Self { process: None, folder, port: free_port(), peer_port, cluster, options };
        etcd.start_again();
        etcd
    }

    /// Starts the members of one cluster and waits until each takes requests.
    pub fn start_cluster(members: usize) -> Vec<Self> {
        let cluster: Vec<u16> = (0..members).map(|_| free_port()).collect();
        let member = |peer_port: &u16| Self {
            process: None,
            folder: tempfile::Builder::new().prefix("etcd-").tempdir().expect("a temporary folder"),
            port: free_port(),
            peer_port: *peer_port,
            cluster: cluster.clone(),
            options: EtcdOptions::default(),
        };
        let mut members: Vec<Self> = cluster.iter().map(member).collect();
        for member in &mut members {
            member.begin();
        }
        for member in &mut members {
            member.until_it_listens();
        }
        members
    }

    /// Whether it leads its cluster now.
    pub fn leads(&self) -> bool {
        let status = self.ctl_output(&["endpoint", "status", "--write-out=fields"]);
        let text = String::from_utf8_lossy(&status.stdout).into_owned();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("\"{name}\" : ")));
            line.map(str::to_owned)
        };
        let leader = field("Leader");
        leader.is_some() && leader == field("MemberID")
    }

    /// Where clients find it.
    pub fn endpoint(&self) -> String {
        let scheme = if self.options.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Its folder, for what a test wants to keep beside its data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
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

    /// Starts it on the data and the port that it had.
    pub fn start_again(&mut self) {
        self.begin();
        self.until_it_listens();
    }

    fn begin(&mut self) {
        let scheme = if self.options.tls { "https" } else { "http" };
        let client = format!("{scheme}://127.0.0.1:{}", self.port);
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        let peer_of = |port: &u16| format!("e{port}=http://127.0.0.1:{port}");
        let cluster: Vec<String> = self.cluster.iter().map(peer_of).collect();
        let mut command = Command::new(tool("etcd"));
        command
            .arg(format!("--name=e{}", self.peer_port))
            .arg(format!("--data-dir={}", self.folder.path().join("data").display()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster={}", cluster.join(",")))
            .arg("--logger=zap")
            .arg("--log-level=warn")
            .args(&self.options.arguments);
        self.process = Some(Process::start("etcd", &mut command, &self.folder.path().join("log")));
    }

    /// It listens only once it has a leader and takes requests.
    fn until_it_listens(&mut self) {
        let process = self.process.as_mut().expect("it was started");
        until("etcd to listen", || {
            assert!(process.ended().is_none(), "etcd ended: {}", process.log());
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    /// What it counts, as Prometheus reads it.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn metrics(&self) -> String {
        let (status, text) = crate::http::get(self.port, "/metrics").expect("etcd answers");
        assert_eq!(status, 200, "{text}");
        text
    }

    /// Runs etcdctl against it.
    ///
    /// # Panics
    /// If etcdctl fails.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.ctl_output(arguments);
        assert!(
            output.status.success(),
            "etcdctl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs etcdctl against it and returns whatever comes of it.
    pub fn ctl_output(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(tool("etcdctl"));
        command.arg(format!("--endpoints={}", self.endpoint())).args(arguments).env_clear();
        command.output().expect("etcdctl starts")
    }
}
