//! A Kubernetes API server without nodes.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Process, free_port, keep_apart, until};
use crate::{Etcd, EtcdOptions, KubeKeys, tool};

/// An API server on loopback with an etcd of its own. It checks and keeps resources, and decides by RBAC who may do what.
///
/// There are no nodes, and no controllers but those that a test starts: a Deployment stays without pods, and a namespace
/// that is deleted stays for ever. It can be killed and started again on the same resources.
#[derive(Debug)]
pub struct KubeApi {
    // Before etcd and the folder, so that it ends first, and the end of its log can be shown when a test fails.
    process: Option<Process>,
    etcd: Etcd,
    folder: TempDir,
    keys: KubeKeys,
    port: u16,
}

impl KubeApi {
    /// Starts a server and waits until it is ready.
    pub fn start() -> Self {
        // What a test loses with the machine it need not keep.
        let arguments = vec!["--unsafe-no-fsync".to_owned()];
        let etcd = Etcd::start_with(EtcdOptions { arguments, ..EtcdOptions::default() });
        let folder = tempfile::Builder::new().prefix("kube-").tempdir().expect("a temporary folder");
        let keys =
            KubeKeys::make(folder.path(), &["localhost", "127.0.0.1"]).expect("the folder can be written");
        let mut api = Self { process: None, etcd, folder, keys, port: free_port() };
        api.write("kubeconfig", &api.keys.kubeconfig(&api.url()));
        api.start_again();
        api
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The file by which clients reach it as the user who may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    /// A file by which clients reach it as a service account, which is made if it is not there. It may do what RBAC says.
    pub fn kubeconfig_of(&self, namespace: &str, service_account: &str) -> PathBuf {
        let account = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": service_account, "namespace": namespace},
        });
        self.apply(&account.to_string());
        let token = self.kubectl(&["create", "token", service_account, "--namespace", namespace]);
        let name = format!("kubeconfig-{namespace}-{service_account}");
        self.write(&name, &self.keys.kubeconfig_with(&self.url(), token.trim()));
        self.path(&name)
    }

    /// The running process.
    ///
    /// # Panics
    /// If it was killed.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// Ends it with SIGKILL; its resources stay.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it on the resources and the port that it had, and waits until it is ready.
    pub fn start_again(&mut self) {
        let mut command = Command::new(tool("kube-apiserver"));
        command
            .arg(format!("--etcd-servers={}", self.etcd.endpoint()))
            .arg(format!("--secure-port={}", self.port))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .args(["--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16"])
            .args(["--authorization-mode=RBAC", "--allow-privileged=true"])
            .args(self.keys.arguments())
            .arg(format!("--cert-dir={}", self.folder.path().display()));
        let mut process = Process::start("kube-apiserver", &mut command, &self.path("log"));
        until("the API server to be ready", || {
            assert!(process.ended().is_none(), "the API server ended: {}", process.log());
            self.kubectl_output(&["get", "--raw", "/readyz"], "").status.success().then_some(())
        });
        self.process = Some(process);
    }

    /// Runs kubectl against it, as the user who may do everything; returns what it prints.
    ///
    /// # Panics
    /// If kubectl fails.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        succeeded(arguments, &self.kubectl_output(arguments, ""))
    }

    /// Applies a manifest, as `kubectl apply -f -` does.
    ///
    /// # Panics
    /// If kubectl fails.
    pub fn apply(&self, manifest: &str) -> String {
        let arguments = ["apply", "--filename", "-"];
        succeeded(&arguments, &self.kubectl_output(&arguments, manifest))
    }

    /// Runs kubectl against it with an input, and returns whatever comes of it.
    pub fn kubectl_output(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(tool("kubectl"));
        // kubectl remembers what a server offers by its address, which another server may have had before.
        command.arg("--cache-dir").arg(self.path("cache"));
        command.args(arguments).env_clear().env("KUBECONFIG", self.kubeconfig());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        keep_apart(&mut command);
        let mut child = command.spawn().expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // It may have ended without reading it; what it says then tells more.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("kubectl can be waited for")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, config: &Value) {
        fs::write(self.path(name), config.to_string()).expect("the folder can be written");
    }
}

fn succeeded(arguments: &[&str], output: &Output) -> String {
    assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
