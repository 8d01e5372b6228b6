//! Servers, jobs, and what commands wrote.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use e2e::{Etcd, EtcdOptions, Mongo, Worker, WorkerOptions, is_alive, tool, until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Every second, in the seven fields of the replaced system's dialect.
pub(crate) const EACH_SECOND: &str = "* * * * * * *";

pub(crate) struct World {
    pub(crate) etcd: Etcd,
    pub(crate) mongo: Mongo,
    folder: TempDir,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::with_etcd(EtcdOptions::default())
    }

    pub(crate) fn with_etcd(options: EtcdOptions) -> Self {
        let folder = tempfile::Builder::new().prefix("faults-").tempdir().unwrap();
        Self { etcd: Etcd::start_with(options), mongo: Mongo::start(), folder }
    }

    pub(crate) fn worker(&self, name: &str) -> Worker {
        Worker::start(WorkerOptions::new(&self.etcd, &self.mongo, name))
    }

    /// Puts a key below `/cron/` with etcdctl, as a person does: any bytes.
    pub(crate) fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let key = [b"/cron/", key.as_ref()].concat();
        let mut arguments = vec![OsStr::new("put"), OsStr::from_bytes(&key)];
        // Any other value is its input, which may be of any size.
        if value.as_ref().is_empty() {
            arguments.push(OsStr::new(""));
        }
        self.ctl(&arguments, value.as_ref());
    }

    /// Runs etcdctl with an input.
    pub(crate) fn ctl(&self, arguments: &[&OsStr], input: &[u8]) {
        let mut command = Command::new(tool("etcdctl"));
        command.arg(format!("--endpoints={}", self.etcd.endpoint())).args(arguments).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        if !input.is_empty() {
            stdin.write_all(input).unwrap();
        }
        drop(stdin);
        let status = child.wait().unwrap();
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        assert!(status.success(), "etcdctl {arguments:?}: {status}");
    }

    /// Puts a key that nobody reads many times, each time with 3 KB of a new revision.
    pub(crate) fn put_filler(&self, times: usize) {
        let address = self.etcd.endpoint().trim_start_matches("http://").to_owned();
        let mut stream = BufReader::new(TcpStream::connect(&address).unwrap());
        // The key /cron/filler and zeros, in base64.
        let body = format!(r#"{{"key":"L2Nyb24vZmlsbGVy","value":"{}"}}"#, "A".repeat(4000));
        let head =
            format!("POST /v3/kv/put HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n", body.len());
        let request = head + &body;
        for _ in 0..times {
            stream.get_mut().write_all(request.as_bytes()).unwrap();
            let mut length = 0;
            for (number, line) in stream.by_ref().lines().enumerate() {
                let line = line.unwrap().to_ascii_lowercase();
                assert!(number > 0 || line.contains(" 200 "), "{line}");
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            stream.read_exact(&mut vec![0; length]).unwrap();
        }
    }

    /// Puts a job in the replaced system's form.
    pub(crate) fn put_job(&self, name: &str, expression: &str, command: &str) {
        self.put(format!("jobs/{name}"), job(name, expression, command));
    }

    /// Deletes a key below `/cron/`.
    pub(crate) fn delete(&self, key: &str) {
        assert_eq!(self.etcd.ctl(&["del", &format!("/cron/{key}")]).trim(), "1", "{key}");
    }

    /// The keys below `/cron/` that begin with this, without `/cron/`.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let listed = self.etcd.ctl(&["get", "--prefix", "--keys-only", &format!("/cron/{prefix}")]);
        listed.lines().filter_map(|line| line.strip_prefix("/cron/")).map(str::to_owned).collect()
    }

    /// The tree's revision.
    pub(crate) fn revision(&self) -> i64 {
        let answer = self.etcd.ctl(&["get", "/", "--write-out=json"]);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["header"]["revision"].as_i64().unwrap()
    }

    /// A file for commands to write to.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command that appends a line to a file. In it `$CRON_…` and `$(…)` are the shell's.
    pub(crate) fn append(&self, file: &str, line: &str) -> String {
        format!("echo \"{line}\" >> {}", self.file(file).display())
    }

    /// A command that is its slot in seconds since the epoch and the worker's session, appended to a file.
    pub(crate) fn note_slot(&self, file: &str) -> String {
        self.append(file, "$(date --date=\"$CRON_SCHEDULED_TIME\" +%s) $CRON_SESSION")
    }

    /// The whole lines in a file; none while it does not exist.
    pub(crate) fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.file(file)).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    }

    /// Waits until a file has that many lines, and returns them.
    pub(crate) fn until_lines(&self, file: &str, count: usize) -> Vec<String> {
        until(&format!("{count} lines in {file}"), || {
            Some(self.lines(file)).filter(|lines| lines.len() >= count)
        })
    }

    /// Waits for that many more lines than there are.
    pub(crate) fn until_more(&self, file: &str, count: usize) {
        self.until_lines(file, self.lines(file).len() + count);
    }

    /// Waits until a file has a line of process ids, and returns them.
    pub(crate) fn until_processes(&self, file: &str) -> Vec<u32> {
        let line = self.until_lines(file, 1).remove(0);
        let processes: Vec<u32> = line.split(' ').map(|id| id.parse().unwrap()).collect();
        assert!(processes.iter().all(|id| is_alive(*id)), "{processes:?}");
        processes
    }

    /// The documents of a job in the log.
    pub(crate) fn records(&self, job: &str) -> Vec<Value> {
        let mut records = e2e::documents(&self.mongo, "log");
        records.retain(|record| record["jobName"] == job);
        records
    }

    /// Checks that no slot of a job that is due each second ran twice, by lines that begin with their slot, and that
    /// none was lost silently: each ran, or is recorded as skipped because this machine was too slow for it, or as ended
    /// with its worker before it wrote its line.
    pub(crate) fn assert_each_once(&self, job: &str, lines: &[String]) {
        let slots = slots(lines);
        let twice: Vec<_> = slots.iter().filter(|(_, times)| **times != 1).collect();
        assert!(twice.is_empty(), "{job}: slots and how often they ran: {twice:?}");
        let (first, last) = (slots.keys().next().unwrap(), slots.keys().next_back().unwrap());
        let left_out: Vec<i64> = (*first..=*last).filter(|slot| !slots.contains_key(slot)).collect();
        if left_out.is_empty() {
            return;
        }
        println!("{job}: {} of {} slots have no line", left_out.len(), last - first + 1);
        until(&format!("{job}: the slots {left_out:?} to be recorded"), || {
            let at = |of: &Value, key: &str| of[key].as_i64().expect("a time in milliseconds");
            let mut skips = e2e::documents(&self.mongo, "slots");
            skips.retain(|skip| skip["jobName"] == job);
            let skipped = |slot: i64| {
                skips.iter().any(|skip| (at(skip, "from")..=at(skip, "to")).contains(&(slot * 1000)))
            };
            let mut ended = self.records(job);
            ended.retain(|record| record["outcome"] == "Killed" || record["outcome"] == "Lost");
            let ended = |slot: i64| ended.iter().any(|record| at(record, "planTime") == slot * 1000);
            left_out.iter().all(|slot| skipped(*slot) || ended(*slot)).then_some(())
        });
    }

    /// Waits until the log has a document of that job.
    pub(crate) fn until_recorded(&self, job: &str) -> Value {
        until(&format!("a record of {job}"), || self.records(job).into_iter().next())
    }
}

/// A job's value in the replaced system's form.
pub(crate) fn job(name: &str, expression: &str, command: &str) -> String {
    json!({ "name": name, "command": command, "cronExpr": expression }).to_string()
}

/// Starts two processes beside the shell, writes the ids of all three to a file, and waits.
pub(crate) fn three_processes(world: &World, file: &str) -> String {
    format!("sleep 600 & a=$!; sleep 600 & {}; wait", world.append(file, "$$ $a $!"))
}

/// Waits until none of the processes runs.
pub(crate) fn until_ended(processes: &[u32]) {
    until(&format!("{processes:?} to end"), || processes.iter().all(|id| !is_alive(*id)).then_some(()));
}

/// How often each slot is in lines that begin with it.
pub(crate) fn slots(lines: &[String]) -> BTreeMap<i64, usize> {
    let mut slots = BTreeMap::new();
    for line in lines {
        let slot = line.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("no slot: {line:?}"));
        *slots.entry(slot).or_default() += 1;
    }
    slots
}
