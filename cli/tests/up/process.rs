//! A running `cronctl up`, seen from outside.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The program under test.
pub(crate) const CRONCTL: &str = env!("CARGO_BIN_EXE_cronctl");

/// A process and what it has printed so far.
pub(crate) struct Up {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

/// The command of a start on a data folder, listening at a free port, with further arguments.
pub(crate) fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(CRONCTL);
    command.args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(data).args(arguments);
    command.env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

impl Up {
    /// Starts and waits until it is ready.
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Self {
        let mut up = Self::spawn(command(data, arguments));
        up.ready();
        up
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::default();
        collect(child.stdout.take().unwrap(), &lines);
        collect(child.stderr.take().unwrap(), &lines);
        Self { child, lines }
    }

    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything printed so far, to both streams.
    pub(crate) fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits for a line that contains a text, and returns it.
    pub(crate) fn line(&mut self, wanted: &str) -> String {
        self.lines_with(wanted, 1).swap_remove(0)
    }

    /// Waits for that many lines that contain a text.
    pub(crate) fn lines_with(&mut self, wanted: &str, count: usize) -> Vec<String> {
        let begun = Instant::now();
        loop {
            // Read before the lines are looked at, so that what came before the end is not missed.
            let ended = self.child.try_wait().unwrap();
            let found: Vec<String> =
                self.lines.lock().unwrap().iter().filter(|line| line.contains(wanted)).cloned().collect();
            if found.len() >= count {
                return found;
            }
            let gave_up =
                begun.elapsed() > PATIENCE || (ended.is_some() && begun.elapsed() > Duration::from_secs(2));
            assert!(!gave_up, "{count} lines with {wanted:?} did not come ({ended:?}):\n{}", self.text());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it is ready; returns the address of the page, without `http://`.
    pub(crate) fn ready(&mut self) -> String {
        let line = self.line("cronctl is ready: http://");
        line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end and returns how it ended and what it had printed.
    pub(crate) fn ended(&mut self) -> (ExitStatus, String) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // The pipes may hold a little more than has been read.
                thread::sleep(Duration::from_millis(50));
                return (status, self.text());
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.text());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as Ctrl-C or a service manager does, and expects a clean end.
    pub(crate) fn stop(mut self) -> String {
        self.signal(rustix::process::Signal::TERM);
        let (status, text) = self.ended();
        assert!(status.success(), "{status}:\n{text}");
        text
    }

    /// Kills it as the kernel does when memory runs out.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(stream: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            lines.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
        }
    });
}

/// Runs a start that is expected to fail, and returns its exit status and what it said.
pub(crate) fn refused(data: &Path, arguments: &[&str]) -> (i32, String) {
    let mut up = Up::spawn(command(data, arguments));
    let (status, text) = up.ended();
    (status.code().unwrap_or(-1), text)
}

/// One HTTP request; returns the status and the body.
pub(crate) fn http(address: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let host = if headers.contains("Host:") { String::new() } else { format!("Host: {address}\r\n") };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
