//! Our master, as people run it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Process, free_port, until};
use crate::programs::program;
use crate::{Etcd, Mongo};

/// How a master is started.
#[derive(Clone, Debug)]
pub struct MasterOptions {
    /// Where etcd is; commas between several.
    pub etcd: String,
    /// Where the log is.
    pub mongodb: String,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// Further environment variables, such as `KUBECONFIG`.
    pub environment: Vec<(String, String)>,
}

impl MasterOptions {
    /// A master of these servers, which changes the tree.
    pub fn new(etcd: &Etcd, mongo: &Mongo) -> Self {
        Self { etcd: etcd.endpoint(), mongodb: mongo.uri(), arguments: Vec::new(), environment: Vec::new() }
    }
}

/// A `crontab-master` on the prefix `/cron`. It can be killed and started again.
#[derive(Debug)]
pub struct Master {
    // Before the folder, so that the end of the log can be shown when a test fails.
    process: Option<Process>,
    folder: TempDir,
    port: u16,
    health: u16,
    options: MasterOptions,
}

/// An answer as it came over the wire.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }
}

impl Master {
    /// Starts a master and waits until it is ready.
    pub fn start(options: MasterOptions) -> Self {
        let master = Self::start_unready(options);
        until("the master to be ready", || master.is_ready().then_some(()));
        master
    }

    /// Starts a master and waits until it listens.
    pub fn start_unready(options: MasterOptions) -> Self {
        let folder = tempfile::Builder::new().prefix("master-").tempdir().expect("a temporary folder");
        let mut master = Self { folder, port: free_port(), health: free_port(), options, process: None };
        master.start_again();
        master
    }

    /// Starts it where it was, and waits until it listens.
    pub fn start_again(&mut self) {
        let mut command = Command::new(program("crontab-master"));
        // The servers of whoever runs the tests are not for this master.
        command.env_clear();
        command.envs(["PATH", "HOME"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
            .args(["--etcd-prefix", "/cron", "--log-format", "json"])
            .args(["--etcd-endpoints", &self.options.etcd])
            .args(["--mongodb-uri", &self.options.mongodb])
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args(["--health-listen", &format!("127.0.0.1:{}", self.health)])
            .args(&self.options.arguments)
            .envs(self.options.environment.iter().cloned());
        let mut process = Process::start("the master", &mut command, &self.folder.path().join("log"));
        until("the master to listen", || {
            assert!(process.ended().is_none(), "the master ended: {}", process.log());
            TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
        self.process = Some(process);
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether `/readyz` says so.
    pub fn is_ready(&self) -> bool {
        crate::http::get(self.health, "/readyz").is_some_and(|(status, _)| status == 200)
    }

    /// The running process.
    ///
    /// # Panics
    /// If it was killed.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// As [`Self::process`].
    pub fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    /// Sends bytes as they are and reads until the master closes the connection.
    ///
    /// # Panics
    /// If no answer comes within a minute.
    pub fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the master listens");
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a minute is a time-out");
        stream.set_write_timeout(Some(Duration::from_mins(1))).expect("a minute is a time-out");
        // It may answer and close before it has read everything.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).expect("answers are UTF-8");
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { panic!("no answer: {read:?}") };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// A request. Each line of `headers` ends with CRLF.
    pub fn send(&self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        let (port, length) = (self.port, body.len());
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        self.raw(request.as_bytes())
    }

    /// A `GET`.
    pub fn get(&self, target: &str) -> Answer {
        self.send("GET", target, "", "")
    }

    /// A form as a program posts it.
    pub fn post(&self, target: &str, form: &str) -> Answer {
        self.send("POST", target, "Content-Type: application/x-www-form-urlencoded\r\n", form)
    }

    /// `POST /job/save`.
    pub fn save(&self, name: &str, command: &str, cron_expr: &str) -> Answer {
        let job = serde_json::json!({ "name": name, "command": command, "cronExpr": cron_expr });
        self.post("/job/save", &format!("job={}", encode(&job.to_string())))
    }
}

/// Percent-encodes every byte.
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| encoded + &format!("%{byte:02X}"))
}
