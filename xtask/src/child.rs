//! The commands of stages: what they print is passed on as it comes, and they end when we are asked to.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::pin::pin;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use runtime::shutdown::Shutdown;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::time::{Instant, sleep_until};

/// How long a command may take to end once it is asked to, and how long what it leaves behind may hold its output.
const GRACE: Duration = Duration::from_secs(10);

/// Runs commands one at a time. From its creation on, SIGTERM and Ctrl-C no longer end this process by themselves.
pub(crate) struct Children {
    runtime: tokio::runtime::Runtime,
    shutdown: Shutdown,
}

/// We were asked to end.
#[derive(Debug, thiserror::Error)]
#[error("ended by {0}")]
pub(crate) struct Interrupted(&'static str);

impl Children {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shutdown =
            runtime.block_on(async { Shutdown::new() }).context("signals could not be taken over")?;
        Ok(Self { runtime, shutdown })
    }

    /// Runs a command to its end in a process group of its own. Each line it prints is given to `shown`, which says
    /// whether people see it; both of its streams are one, so that lines stay in the order in which they were written.
    ///
    /// When we are asked to end, the whole group is, and the answer is [`Interrupted`].
    pub(crate) fn run(
        &mut self,
        command: Command,
        shown: impl FnMut(&str) -> bool,
    ) -> anyhow::Result<ExitStatus> {
        let Self { runtime, shutdown } = self;
        runtime.block_on(run(command, shutdown.requested(), shown))
    }

    /// Waits that long, or until we are asked to end.
    pub(crate) fn pause(&mut self, time: Duration) -> Result<(), Interrupted> {
        let Self { runtime, shutdown } = self;
        runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(time) => Ok(()),
                signal = shutdown.requested() => Err(Interrupted(signal)),
            }
        })
    }
}

async fn run(
    mut command: Command,
    asked_to_end: impl Future<Output = &'static str>,
    mut shown: impl FnMut(&str) -> bool,
) -> anyhow::Result<ExitStatus> {
    let mut asked_to_end = pin!(asked_to_end);
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let mut command = tokio::process::Command::from(command);
    let mut child = command.spawn()?;
    // It holds the writing ends: without this the pipe would never end.
    drop(command);
    let group =
        child.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("the child has a process id")?;
    let mut output = BufReader::new(Receiver::from_owned_fd(OwnedFd::from(reader))?);

    let (mut line, mut open, mut status, mut interrupted) = (Vec::new(), true, None, None);
    let mut deadline: Option<Instant> = None;
    while open || status.is_none() {
        tokio::select! {
            // A read that is cut short keeps what it has in `line`.
            read = output.read_until(b'\n', &mut line), if open => {
                open = read? > 0;
                if !line.is_empty() {
                    let text = String::from_utf8_lossy(&line);
                    if shown(text.trim_end_matches('\n')) {
                        // Whoever watched may be gone; the result is what counts.
                        let _ = std::io::stdout().write_all(&line);
                    }
                }
                line.clear();
            }
            ended = child.wait(), if status.is_none() => {
                status = Some(ended?);
                deadline = Some(Instant::now() + GRACE);
            }
            signal = &mut asked_to_end, if interrupted.is_none() => {
                interrupted = Some(signal);
                deadline = Some(Instant::now() + GRACE);
                // Fails where all of it has ended.
                let _ = kill_process_group(group, Signal::TERM);
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                deadline = None;
                let _ = kill_process_group(group, Signal::KILL);
                // Something of another group holds the output; it is not waited for.
                open &= status.is_none();
            }
        }
    }
    match (interrupted, status) {
        (Some(signal), _) => Err(Interrupted(signal).into()),
        (None, status) => status.context("the command's status is known once it has ended"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn both_streams_are_passed_on_in_their_order_and_the_status_is_known() {
        let script = "for i in $(seq 500); do echo out $i; echo err $i >&2; done; printf end; exit 3";
        let mut lines = Vec::new();
        let keep = |line: &str| {
            lines.push(line.to_owned());
            false
        };
        let status = run(sh(script), std::future::pending(), keep).await.unwrap();
        let mut expected: Vec<_> = (1..=500).flat_map(|i| [format!("out {i}"), format!("err {i}")]).collect();
        expected.push("end".to_owned());
        assert_eq!((status.code(), lines), (Some(3), expected));
    }

    #[tokio::test]
    async fn a_request_to_end_ends_the_command_and_what_it_started() {
        let (ask, asked) = tokio::sync::oneshot::channel();
        let (mut ask, mut pid) = (Some(ask), String::new());
        let keep = |line: &str| {
            line.clone_into(&mut pid);
            ask.take().expect("there is one line").send("SIGTERM").unwrap();
            false
        };
        let asked = async { asked.await.unwrap() };
        let ended = run(sh("sleep 600 & echo $!; wait"), asked, keep).await;
        assert!(ended.unwrap_err().is::<Interrupted>());
        // It closes its output a moment before it is gone. Whoever inherits it may not have taken note of its end yet.
        let begun = Instant::now();
        while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(begun.elapsed() < GRACE, "{pid} lives on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
