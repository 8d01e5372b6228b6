//! Our controller, as people run it.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Process, free_port, until};
use crate::programs::program;
use crate::{Etcd, KubeApi, http};

/// How a controller is started.
#[derive(Clone, Debug)]
pub struct ControllerOptions {
    /// Where etcd is; commas between several.
    pub etcd: String,
    /// The file that names the API server and the account.
    pub kubeconfig: PathBuf,
    /// Further arguments.
    pub arguments: Vec<String>,
}

impl ControllerOptions {
    /// A controller of these servers that may do everything.
    pub fn new(etcd: &Etcd, api: &KubeApi) -> Self {
        Self { etcd: etcd.endpoint(), kubeconfig: api.kubeconfig(), arguments: Vec::new() }
    }
}

/// A `crontab-controller` on the prefix `/cron`. It can be killed and started again.
#[derive(Debug)]
pub struct Controller {
    // Before the folder, so that the end of the log can be shown when a test fails.
    process: Option<Process>,
    folder: TempDir,
    health: u16,
    options: ControllerOptions,
}

impl Controller {
    /// Starts a controller and waits until it is ready.
    pub fn start(options: ControllerOptions) -> Self {
        let controller = Self::start_unready(options);
        controller.until_ready();
        controller
    }

    /// Starts a controller.
    pub fn start_unready(options: ControllerOptions) -> Self {
        let folder = tempfile::Builder::new().prefix("controller-").tempdir().expect("a temporary folder");
        let mut controller = Self { process: None, folder, health: free_port(), options };
        controller.start_again();
        controller
    }

    /// Starts it again.
    pub fn start_again(&mut self) {
        let mut command = Command::new(program("crontab-controller"));
        command
            .env_clear()
            .env("KUBECONFIG", &self.options.kubeconfig)
            .args(["--etcd-prefix", "/cron", "--etcd-endpoints", &self.options.etcd])
            .args(["--health-listen", &format!("127.0.0.1:{}", self.health)])
            .args(&self.options.arguments);
        let log = self.folder.path().join("log");
        self.process = Some(Process::start("the controller", &mut command, &log));
    }

    /// Waits until `/readyz` says so.
    pub fn until_ready(&self) {
        until("the controller to be ready", || self.is_ready().then_some(()));
    }

    /// Whether `/readyz` says so.
    pub fn is_ready(&self) -> bool {
        self.readiness().is_some_and(|(status, _)| status == 200)
    }

    /// What `/readyz` says, if it answers.
    pub fn readiness(&self) -> Option<(u16, String)> {
        http::get(self.health, "/readyz")
    }

    /// One of its figures, as Prometheus reads it; 0 where it has not counted anything yet. `name` is all of a line but
    /// the value.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn metric(&self, name: &str) -> f64 {
        let (status, text) = http::get(self.health, "/metrics").expect("the controller answers");
        assert_eq!(status, 200, "{text}");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// The running process.
    ///
    /// # Panics
    /// If it was killed.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// The running process, to wait for its end.
    ///
    /// # Panics
    /// If it was killed.
    pub fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }
}
