//! A process that ends with its value.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Whether components are kept from signals of the terminal.
static APART: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C in a terminal reaches this process alone, and not the components that it starts: for a program that
/// ends them itself when it is asked to. What it does not end stays.
pub fn keep_components_apart() {
    APART.store(true, Ordering::Relaxed);
}

/// Puts a command into a process group of its own, if components are kept apart.
pub(crate) fn keep_apart(command: &mut Command) {
    if APART.load(Ordering::Relaxed) {
        command.process_group(0);
    }
}

/// How much of a log is shown when a test fails.
const SHOWN_BYTES: usize = 6000;

/// A running program whose output goes to a file. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program. Its standard output and standard error go to `log`, after what is there already.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("the log file opens");
        let copy = file.try_clone().expect("a file descriptor is free");
        keep_apart(command);
        let child = command.stdin(Stdio::null()).stdout(file).stderr(copy).spawn();
        let child = child.unwrap_or_else(|why| panic!("{name} does not start: {why}"));
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).expect("the log can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(id, signal).unwrap_or_else(|why| panic!("{} can't be signalled: {why}", self.name));
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end with SIGTERM and waits.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_mins(1);
        while Instant::now() < deadline {
            if let Some(status) = self.ended() {
                return status;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{} does not end", self.name)
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(SHOWN_BYTES);
            let from = (from..=log.len()).find(|at| log.is_char_boundary(*at)).unwrap_or(log.len());
            eprintln!("--- the end of the log of {}:\n{}\n---", self.name, &log[from..]);
        }
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Waits until `found` finds something; panics with `what` after a minute.
pub fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited a minute for: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
