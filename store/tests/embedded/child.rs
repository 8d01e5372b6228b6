//! Second processes: this test program started again, with one of its ignored tests as the program.

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use model::keys::KeyPrefix;
use store::embedded::{Embedded, OpenError};

const FOLDER: &str = "STORE_TEST_FOLDER";

/// The command that runs the ignored test `name` on a folder, with its output as it comes.
fn command(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(arguments(name)).env(FOLDER, folder);
    command
}

/// As [`command`], with a small file system of its own mounted on the folder, which its user need not be root for.
pub(crate) fn on_small_disk(name: &str, folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    let script = r#"mount -t tmpfs -o size=16m none "$0" && exec "$@""#;
    command.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(folder);
    command.arg(std::env::current_exe().expect("this program")).args(arguments(name)).env(FOLDER, folder);
    command
}

fn arguments(name: &str) -> [&str; 5] {
    ["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]
}

/// The folder given to this process.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os(FOLDER).expect("other tests start this one, with a folder").into()
}

pub(crate) fn open(folder: &Path, wait: Duration) -> Result<Embedded, OpenError> {
    Embedded::open(folder, KeyPrefix::default(), wait)
}

/// A child that is killed when this is dropped, if not before.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Kills it and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("a child of ours");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Starts a child, and waits for a line of its output that begins with `line`. The rest of its output follows.
pub(crate) fn start(name: &str, folder: &Path, line: &str) -> (Running, Lines<BufReader<ChildStdout>>) {
    let mut child = command(name, folder).stdout(Stdio::piped()).spawn().expect("this program");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let running = Running(child);
    let found = lines.by_ref().map_while(Result::ok).any(|said| said.starts_with(line));
    assert!(found, "{name} ended without having said {line:?}");
    (running, lines)
}

/// Runs a child to its end, and fails with all it said if it failed.
pub(crate) fn run(mut command: Command, needs: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {needs}"));
    // A child that found no test of that name would end well, too.
    let passed = String::from_utf8_lossy(&output.stdout).contains("test result: ok. 1 passed");
    assert!(
        output.status.success() && passed,
        "{command:?} ended with {}; {needs}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
