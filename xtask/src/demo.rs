//! `cargo xtask demo`: the whole chain as processes on loopback, until Ctrl-C.
//!
//! The components and their starters are those of the tests (room `e2e`): a component ends, and its folder goes, when its
//! value is dropped. A thread starts them, so that a request to end is heard at any moment; what it is starting just then
//! is waited for.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use e2e::{
    Controller, ControllerOptions, Etcd, KubeApi, Master, MasterOptions, Mongo, Process, Worker,
    WorkerOptions, cargo, children, is_alive, keep_components_apart, tool, until, use_programs_of,
};
use runtime::shutdown::Shutdown;
use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::child::Children;
use crate::{root, tools};

/// Our programs.
const PROGRAMS: [&str; 4] = ["crontab-controller", "crontab-worker", "crontab-master", "cronctl"];

/// How often it is looked whether the start is through, and whether everything still runs.
const LOOK: Duration = Duration::from_millis(200);

/// How many lines of the log of a component that ended by itself are shown.
const SHOWN_LINES: usize = 20;

pub(crate) fn run() -> anyhow::Result<()> {
    let mut children = Children::new()?;
    tools::fill(&mut children)?;
    for program in PROGRAMS {
        say(&format!("building {program}"));
        // One at a time, as the tests have them built: together they would be compiled with other features.
        let mut build = cargo();
        build.args(["build", "--locked", "--package", program]);
        let status = children.run(build, |_| true)?;
        if !status.success() {
            bail!("{program} does not build: {status}");
        }
    }

    // They are built beside this one.
    let ours = std::env::current_exe().context("this program's file is not known")?;
    let programs = ours.parent().context("this program's file is in a folder")?.to_owned();
    let mut asked = Asked::new()?;
    keep_components_apart();
    use_programs_of(programs.clone());
    let ending = Arc::new(AtomicBool::new(false));
    let starting = thread::spawn({
        let ending = Arc::clone(&ending);
        move || Chain::start(&ending, &programs)
    });
    if !asked.wait_until(|| starting.is_finished()) {
        say("ending, once what is being started is");
        ending.store(true, Ordering::Relaxed);
    }
    let Ok(started) = starting.join() else {
        bail!("a component did not start; the end of its log is above")
    };
    let started = started?;
    if let Some(chain) = started.filter(|_| !ending.load(Ordering::Relaxed)) {
        chain.say_what_to_try();
        let mut dead = None;
        asked.wait_until(|| {
            dead = chain.dead();
            dead.is_some()
        });
        say("\nending");
        chain.end();
        if let Some((name, log)) = dead {
            bail!("{name} has ended by itself; the end of its log:\n{log}");
        }
    }
    say("everything has ended, and its folders are gone");
    Ok(())
}

/// Prints a line. A terminal that is gone is no reason to leave anything behind.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Requests to end: those of every program, and that the terminal is closed, which would end this one alone.
struct Asked {
    runtime: tokio::runtime::Runtime,
    shutdown: Shutdown,
    hangup: Signal,
}

impl Asked {
    fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (shutdown, hangup) = runtime
            .block_on(async { Ok::<_, std::io::Error>((Shutdown::new()?, signal(SignalKind::hangup())?)) })
            .context("signals could not be taken over")?;
        Ok(Self { runtime, shutdown, hangup })
    }

    /// Waits for something; false where we are asked to end before.
    fn wait_until(&mut self, mut done: impl FnMut() -> bool) -> bool {
        let Self { runtime, shutdown, hangup } = self;
        runtime.block_on(async {
            while !done() {
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    _ = shutdown.requested() => return false,
                    _ = hangup.recv() => return false,
                }
            }
            true
        })
    }
}

/// Everything, in the order in which it is to end.
struct Chain {
    workers: Vec<Worker>,
    controller: Controller,
    master: Master,
    mongo: Mongo,
    api: KubeApi,
    etcd: Etcd,
    folder: TempDir,
}

impl Chain {
    /// Starts one after the other; nothing where it is given up before the end.
    fn start(ending: &AtomicBool, programs: &Path) -> anyhow::Result<Option<Self>> {
        let given_up = |next: &str| {
            let given_up = ending.load(Ordering::Relaxed);
            if !given_up {
                say(&format!("starting {next}"));
            }
            given_up
        };
        if given_up("etcd") {
            return Ok(None);
        }
        let etcd = Etcd::start();
        if given_up("the MongoDB server") {
            return Ok(None);
        }
        let mongo = Mongo::start();
        if given_up("Kubernetes' API server, which takes some seconds") {
            return Ok(None);
        }
        let api = KubeApi::start();
        api.kubectl(&["apply", "--filename", &in_checkout("crds/nodecronjobs.yaml")]);
        let established = ["--for=condition=Established", "crd/nodecronjobs.crontab.dev", "--timeout=30s"];
        api.kubectl(&[&["wait"], established.as_slice()].concat());
        if given_up("the controller, two workers and the master") {
            return Ok(None);
        }
        let mut options = ControllerOptions::new(&etcd, &api);
        options.arguments = vec!["--job-name-namespace=default".to_owned()];
        let controller = Controller::start(options);
        let workers = ["node-1", "node-2"].map(|name| Worker::start(WorkerOptions::new(&etcd, &mongo, name)));
        let options = MasterOptions {
            arguments: ["--source", "kubernetes", "--namespace", "default"].map(str::to_owned).to_vec(),
            environment: vec![("KUBECONFIG".to_owned(), api.kubeconfig().display().to_string())],
            ..MasterOptions::new(&etcd, &mongo)
        };
        let master = Master::start(options);
        if given_up("the jobs of examples/") {
            return Ok(None);
        }
        api.kubectl(&["apply", "--filename", &in_checkout("examples")]);
        api.kubectl(&["wait", "ncj", "--all", "--for=condition=Ready", "--timeout=60s"]);
        let folder = tempfile::Builder::new().prefix("demo-").tempdir().context("a temporary folder")?;
        let chain = Self { workers: workers.into(), controller, master, mongo, api, etcd, folder };
        chain.write_environment(programs)?;
        Ok(Some(chain))
    }

    /// What a shell needs to find everything.
    fn write_environment(&self, programs: &Path) -> anyhow::Result<()> {
        let tools = tool("kubectl");
        let folders = [Some(programs), tools.parent()];
        let path = std::env::join_paths(folders.into_iter().flatten())?.into_string();
        let Ok(path) = path else { bail!("the path of this checkout is not UTF-8") };
        let lines = [
            format!("export PATH=\"{path}:$PATH\""),
            format!("export KUBECONFIG=\"{}\"", self.api.kubeconfig().display()),
            format!("export CRONTAB_MASTER=http://127.0.0.1:{}/", self.master.port()),
            format!("export ETCDCTL_ENDPOINTS={}", self.etcd.endpoint()),
        ];
        let file = self.environment();
        fs::write(&file, lines.join("\n") + "\n")
            .with_context(|| format!("{} can't be written", file.display()))
    }

    /// A file that a shell reads.
    fn environment(&self) -> PathBuf {
        self.folder.path().join("env")
    }

    fn say_what_to_try(&self) {
        let text = format!(
            "
The whole chain runs, until Ctrl-C. The page: http://127.0.0.1:{page}/

In another terminal, first:
  . {environment}
then
  kubectl get nodecronjobs                        the jobs as resources, with what became of them
  kubectl patch ncj hello --type=merge -p '{{\"spec\":{{\"schedule\":\"* * * * * *\"}}}}'
  cronctl get                                     the jobs as the page has them
  cronctl logs -f hello                           what each run writes, as it ends
  cronctl history overlap-forbid                  runs, and slots that were skipped
  cronctl kill overlap-allow
  cronctl suspend hello; cronctl resume hello
  etcdctl get --prefix /cron/jobs/ --keys-only    what the controller makes of the resources

kubeconfig {kubeconfig}
etcd       {etcd}
MongoDB    {mongo}",
            page = self.master.port(),
            environment = self.environment().display(),
            kubeconfig = self.api.kubeconfig().display(),
            etcd = self.etcd.endpoint(),
            mongo = self.mongo.uri(),
        );
        say(&text);
    }

    /// A component that has ended by itself, and the end of its log.
    fn dead(&self) -> Option<(&'static str, String)> {
        let mut all: Vec<(&'static str, &Process)> = vec![
            ("etcd", self.etcd.process()),
            ("the MongoDB server", self.mongo.process()),
            ("the API server", self.api.process()),
            ("the controller", self.controller.process()),
            ("the master", self.master.process()),
        ];
        all.extend(self.workers.iter().map(|worker| ("a worker", worker.process())));
        let (name, process) = all.into_iter().find(|(_, process)| !is_alive(process.id()))?;
        let log = process.log();
        let from = log.lines().count().saturating_sub(SHOWN_LINES);
        Some((name, log.lines().skip(from).collect::<Vec<_>>().join("\n")))
    }

    /// Ends everything, and waits for the commands of the workers: their executor ends them when its worker is gone.
    fn end(self) {
        let executors: Vec<u32> =
            self.workers.iter().flat_map(|worker| children(worker.process().id())).collect();
        drop(self);
        until("the commands to end", || executors.iter().all(|id| !is_alive(*id)).then_some(()));
    }
}

fn in_checkout(path: &str) -> String {
    root().join(path).display().to_string()
}
