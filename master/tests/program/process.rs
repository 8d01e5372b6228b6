//! A master that is started on a free port, and requests to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crontab-master");

/// Servers that nobody is.
pub(crate) const AWAY: [&str; 4] = [
    "--etcd-endpoints",
    "http://127.0.0.1:1",
    "--mongodb-uri",
    "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300",
];

/// The program, without what is set for others in this environment.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().args(arguments);
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

pub(crate) struct Master {
    child: Child,
    pub(crate) address: String,
    said: Arc<Mutex<String>>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Master {
    /// Starts it and reads from its log where it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let listen = ["--listen", "127.0.0.1:0", "--log-format", "json"];
        let mut child =
            command(&[&listen, &AWAY, arguments].concat()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(String::new()));
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {}", said.lock().unwrap())).unwrap();
            said.lock().unwrap().push_str(&(line.clone() + "\n"));
            let Ok(line) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
            if line["message"] == "the master listens" {
                break line["address"].as_str().unwrap().to_owned();
            }
        };
        let rest = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                rest.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self { child, address, said }
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// A request; each further header line ends with CRLF.
    pub(crate) fn send(&self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}",
            self.address
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.send("GET", target, "", "")
    }

    /// Asks it to end, and waits.
    pub(crate) fn stop(mut self) -> ExitStatus {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The header that names a user.
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}
