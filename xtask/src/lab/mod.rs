//! `cargo xtask lab`: a real Kubernetes of two nodes on this machine, as root.
//!
//! A **node** is a kubelet with a containerd of its own; both share this machine's kernel and network. Beside them run
//! etcd, the API server, the controller manager, the scheduler, one kube-proxy and one DNS server, all on addresses of a
//! bridge that is the lab's own. Pods, Services, DNS names, `DaemonSets` and probes are the real ones.
//!
//! A **member** is a process of the lab. Each carries the lab's folder in its environment, so that all of them can be
//! found, and nothing else is ever ended, however a run was cut short.

mod clean;
mod control;
mod images;
mod machine;
mod members;
mod node;
mod packets;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::child::Children;
use crate::tools;

pub(crate) use images::Images;

/// How long a part may take until it answers.
const PATIENCE: Duration = Duration::from_mins(2);

/// The nodes' names.
pub(crate) const NODES: [&str; 2] = ["node1", "node2"];

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Action {
    /// Start the lab, or say that it runs; one that is there by halves is taken down first
    ///
    /// Builds what is missing, and installs the Debian packages it needs. It can't pull images: give it yours by `load`.
    Up,
    /// End all of it and leave nothing behind
    Down,
    /// Give an image to both nodes
    Load {
        /// A docker-archive, as `buildah push IMAGE docker-archive:FILE:IMAGE` or `docker save` write it
        archive: PathBuf,
    },
}

pub(crate) fn run(action: &Action) -> anyhow::Result<()> {
    let mut children = Children::new()?;
    let lab = Lab::lock()?;
    match action {
        Action::Up => {
            lab.up(&mut children)?;
            println!(
                "export KUBECONFIG={} PATH={}:$PATH",
                lab.kubeconfig().display(),
                tools_folder().display()
            );
            Ok(())
        }
        Action::Down => lab.down(),
        Action::Load { archive } => lab.load(archive),
    }
}

/// The lab of this machine. While there is such a value, no other command changes it.
pub(crate) struct Lab {
    folder: PathBuf,
    /// Unlocked when it is closed, also by the end of the process.
    _lock: File,
}

impl Lab {
    /// Fails if we are not root, or another command is at work. The lab is in `$CRONTAB_LAB`, else in `crontab-lab` in the
    /// folder for temporary files.
    pub(crate) fn lock() -> anyhow::Result<Self> {
        machine::must_be_root()?;
        let folder = match std::env::var_os("CRONTAB_LAB").filter(|value| !value.is_empty()) {
            Some(folder) => std::path::absolute(folder)?,
            None => std::env::temp_dir().join("crontab-lab"),
        };
        let name = folder.with_extension("lock");
        let lock = File::create(&name).with_context(|| format!("{} can't be opened", name.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("another command works on the lab in {}; try again when it is done", folder.display())
            }
            Err(TryLockError::Error(why)) => Err(why).context(format!("{} can't be locked", name.display())),
        }
    }

    /// Starts the lab, unless it runs. What was left by halves is taken down before.
    pub(crate) fn up(&self, children: &mut Children) -> anyhow::Result<()> {
        if self.is_up() {
            println!("the lab is up: {}", self.folder.display());
            return Ok(());
        }
        if self.folder.exists() {
            println!("a lab is there by halves; it is taken down first");
            self.down()?;
        }
        machine::packages(children, &machine::FOR_NODES)?;
        tools::fill_for_the_lab(children)?;
        let pause = Images::new()?.pause(children)?;
        machine::must_be_free()?;
        let begun = Instant::now();
        let started = self.start(children, &pause);
        if let Err(why) = started {
            println!("the lab did not come up{}", self.logs());
            if let Err(why) = self.down() {
                println!("what is there of it can't be taken down: {why:#}; run: cargo xtask lab down");
            }
            return Err(why);
        }
        println!("the lab is up in {:.0} s: {}", begun.elapsed().as_secs_f64(), self.folder.display());
        Ok(())
    }

    fn start(&self, children: &mut Children, pause: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(self.path("logs"))
            .with_context(|| format!("{} can't be made", self.folder.display()))?;
        machine::prepare()?;
        self.start_control(children)?;
        for node in node::Node::all(&self.folder) {
            self.start_node(children, &node, pause)?;
        }
        for node in NODES {
            let ready = ["wait", "--for=condition=Ready", "--timeout=1s"];
            self.until(children, &format!("{node} to be ready"), || {
                Ok(self.kubectl(&[&ready[..], &[&format!("node/{node}")]].concat())?.status.success())
            })?;
        }
        fs::write(self.path("complete"), "").context("the lab's folder can't be written")
    }

    /// Ends the lab and removes everything of it. Nothing to do is no error.
    pub(crate) fn down(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let ended = clean::clean(&self.folder)?;
        println!("the lab is down in {:.0} s; {ended} processes ended", begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Gives an image to each node.
    pub(crate) fn load(&self, archive: &Path) -> anyhow::Result<()> {
        for node in node::Node::all(&self.folder) {
            if !node.socket().exists() {
                bail!("there is no lab; run: cargo xtask lab up");
            }
            node.import(archive)?;
        }
        Ok(())
    }

    /// Where all of it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file by which kubectl and others reach it as the user who may do everything.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    /// Runs kubectl in it.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(e2e::tool("kubectl"));
        command.arg("--cache-dir").arg(self.path("kubectl-cache"));
        command.args(arguments).env("KUBECONFIG", self.kubeconfig());
        command.output().context("kubectl can't be run")
    }

    /// What to say of its logs to people who look for what went wrong.
    fn logs(&self) -> String {
        let ends = members::ends_of_logs(&self.path("logs"));
        if ends.is_empty() { String::new() } else { format!("; the ends of its logs:\n{ends}") }
    }

    fn is_up(&self) -> bool {
        self.path("complete").exists()
            && members::none_ended(&self.folder).is_ok()
            && self.kubectl(&["get", "--raw", "/readyz"]).is_ok_and(|output| output.status.success())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Waits until something is so.
    fn until(
        &self,
        children: &mut Children,
        what: &str,
        mut is_so: impl FnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !is_so()? {
            if begun.elapsed() > PATIENCE {
                bail!("waited {} s for {what}", PATIENCE.as_secs());
            }
            members::none_ended(&self.folder)?;
            children.pause(Duration::from_millis(200))?;
        }
        println!("  {what}: {:.1} s", begun.elapsed().as_secs_f64());
        Ok(())
    }
}

fn tools_folder() -> PathBuf {
    e2e::tool("kubectl").parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Runs a command to its end; returns what it printed. What it says of a failure is in the error.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let line = format!("{command:?}");
    let output = command.output().with_context(|| format!("{line} can't be run"))?;
    if !output.status.success() {
        bail!("{line}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
