//! Asking the cluster of a lab.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::child::Children;
use crate::lab::Lab;
use crate::root;

/// How long a state may take to come.
const PATIENCE: Duration = Duration::from_mins(2);

/// The namespace of the release.
pub(super) const NAMESPACE: &str = "crontab";

/// A cluster with the tools to ask it.
pub(crate) struct Cluster<'a> {
    lab: &'a Lab,
}

impl<'a> Cluster<'a> {
    pub(super) fn new(lab: &'a Lab) -> Self {
        Self { lab }
    }

    /// A folder on the nodes, which goes with the lab.
    pub(super) fn spool(&self) -> String {
        self.lab.folder().join("spool").display().to_string()
    }

    /// Runs kubectl in the release's namespace; returns what it prints.
    pub(super) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let arguments = [&["--namespace", NAMESPACE], arguments].concat();
        let output = self.lab.kubectl(&arguments)?;
        if !output.status.success() {
            // What is called in a pod is long, and names a password.
            let said = arguments.split(|word| *word == "--").next().unwrap_or_default().join(" ");
            bail!("kubectl {said}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What `kubectl get … --output json` prints.
    pub(super) fn get(&self, what: &[&str]) -> anyhow::Result<Value> {
        let arguments = [&["get", "--output", "json"], what].concat();
        serde_json::from_str(&self.kubectl(&arguments)?).context("kubectl prints JSON")
    }

    /// Applies a manifest.
    pub(super) fn apply(&self, manifest: &str) -> anyhow::Result<()> {
        let mut command = self.tool("kubectl");
        command.args(["--namespace", NAMESPACE, "apply", "--filename", "-"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().context("it is piped")?.write_all(manifest.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("kubectl apply: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Runs helm in the release's namespace.
    pub(super) fn helm(&self, children: &mut Children, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = self.tool("helm");
        command.args(["--namespace", NAMESPACE]).args(arguments).current_dir(root());
        let status = children.run(command, |line| !line.is_empty())?;
        if status.success() { Ok(()) } else { bail!("helm {}: {status}", arguments.join(" ")) }
    }

    /// What people want to see when something went wrong.
    pub(super) fn show(&self) {
        let mut questions = vec![
            vec![
                "get",
                "nodes,pods,daemonsets,deployments,statefulsets,services",
                "--all-namespaces",
                "--output",
                "wide",
            ],
            vec!["get", "nodecronjobs", "--all-namespaces", "--output", "wide"],
            vec!["get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"],
            vec!["describe", "pods"],
        ];
        let pods = self.kubectl(&["get", "pods", "--output", "name"]).unwrap_or_default();
        for pod in pods.lines() {
            questions.push(vec!["logs", pod, "--all-containers", "--tail=60"]);
            questions.push(vec!["logs", pod, "--all-containers", "--tail=60", "--previous"]);
        }
        for question in questions {
            match self.kubectl(&question) {
                Ok(answer) => println!("--- kubectl {}\n{answer}", question.join(" ")),
                // Most containers have no previous one.
                Err(_) if question.contains(&"--previous") => {}
                Err(why) => println!("--- {why:#}"),
            }
        }
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(e2e::tool(name));
        command.env("KUBECONFIG", self.lab.kubeconfig());
        // Neither reads what the machine's user has set up.
        command.env("HOME", self.lab.folder());
        command
    }
}

/// Waits until something is so; the answers of `is_so` are why it is not yet.
pub(super) fn until(
    children: &mut Children,
    what: &str,
    mut is_so: impl FnMut() -> anyhow::Result<Result<(), String>>,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        // A server that starts anew at this moment answers the next time.
        let why_not = match is_so() {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => why,
            Err(why) => format!("{why:#}"),
        };
        if begun.elapsed() > PATIENCE {
            bail!("waited {} s until {what}; at last: {why_not}", PATIENCE.as_secs());
        }
        children.pause(Duration::from_millis(500))?;
    }
}
