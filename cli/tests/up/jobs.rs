//! The commands about jobs, on the data folder of an `up` that runs, and of one that has ended.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::process::{CRONCTL, PATIENCE, Up, http};

/// A `cronctl` that knows nothing but its arguments.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(CRONCTL);
    command.args(arguments).env_clear().env("HOME", "/nonexistent").current_dir("/");
    command
}

/// What is printed, what is said on standard error, and the exit status.
fn run(arguments: &[&str]) -> (String, String, i32) {
    let ended = command(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(ended.stdout), text(ended.stderr), ended.status.code().unwrap_or(-1))
}

fn on(data: &Path, arguments: &[&str]) -> (String, String, i32) {
    run(&[arguments, &["--data", data.to_str().unwrap()]].concat())
}

/// Repeats a command until what it says is as wanted.
fn until(data: &Path, arguments: &[&str], wanted: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let (printed, said, _) = on(data, arguments);
        if wanted(&printed) {
            return printed;
        }
        assert!(begun.elapsed() < PATIENCE, "{arguments:?} prints:\n{printed}{said}");
    }
}

fn job(name: &str, schedule: &str, command: &str) -> String {
    format!(
        "---\napiVersion: crontab.dev/v1alpha1\nkind: NodeCronJob\nmetadata: {{name: {name}, namespace: ops}}\n\
         spec:\n  schedule: \"{schedule}\"\n  template: {{command: {command:?}}}\n"
    )
}

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        let jobs = [
            job("tick", "* * * * * *", "echo tick; printf 'last\\377'"),
            job("long", "* * * * * *", "sleep 600"),
            job("yearly", "0 0 1 1 *", "true"),
        ];
        fs::write(world.manifest(), jobs.concat()).unwrap();
        world
    }

    fn manifest(&self) -> PathBuf {
        self.folder.path().join("jobs.yaml")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn up(&self) -> Up {
        Up::start(&self.data(), &[self.manifest().to_str().unwrap()])
    }
}

#[test]
fn jobs_of_a_running_up_are_listed_read_killed_and_suspended_through_it() {
    let world = World::new();
    let data = world.data();
    let mut up = world.up();

    // get
    let table = until(&data, &["get"], |table| table.contains("Running") && table.contains("Succeeded"));
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let heading = ["NAME", "SCHEDULE", "ZONE", "SUSPEND", "ACTIVE", "LAST", "RESULT", "NEXT", "STATE"];
    assert_eq!(lines[0], heading, "{table}");
    assert_eq!(lines[1][0], "ops/long");
    assert!(lines[3].ends_with(&["Idle"]) && table.contains("ops/yearly   0 0 1 1 *     UTC    false     0"));
    let (wide, ..) = on(&data, &["get", "-o", "wide"]);
    assert!(
        wide.contains("MEANING") && wide.contains("Every second, UTC") && wide.contains("sleep 600"),
        "{wide}"
    );
    let (yaml, said, status) = on(&data, &["get", "ops/yearly", "-o", "yaml"]);
    assert!(yaml.starts_with("jobs:\n- name: ops/yearly\n  state: idle\n"), "{yaml}");
    assert_eq!((said.as_str(), status), ("", 0));
    let (json, ..) = on(&data, &["get", "-n", "ops", "yearly", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["jobs"][0]["schedule"]["description"], "At 00:00 on the 1st of January, UTC");
    assert_eq!(json["jobs"][0]["activeCount"], 0);

    // history and logs
    let history = until(&data, &["history", "ops/tick"], |text| text.contains("Succeeded"));
    assert!(history.starts_with("SLOT "), "{history}");
    let (json, ..) = on(&data, &["history", "ops/tick", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let run = json["runs"][0]["run"].as_str().unwrap().to_owned();
    let (json, ..) = on(&data, &["history", "ops/tick", "-o", "json", "--limit", "1"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let count = |what: &str| json[what].as_array().unwrap().len();
    assert_eq!(count("runs") + count("skipped"), 1, "{json}");
    let (printed, said, status) = on(&data, &["logs", "ops/tick", "--run", &run, "--tail", "1"]);
    assert_eq!((printed.as_str(), status), ("last\u{fffd}", 0));
    assert!(
        said.starts_with("==> slot ") && said.contains("Succeeded after") && said.contains(&run),
        "{said}"
    );
    let (printed, said, status) = on(&data, &["logs", "long", "-n", "ops"]);
    assert_eq!((printed.as_str(), status), ("", 0));
    assert!(said.contains("what it wrote is stored when it ends"), "{said}");

    // kill
    let (killed, _, status) = on(&data, &["kill", "ops/long"]);
    assert!(killed.starts_with("ops/long: 1 run asked to end\n  ") && status == 0, "{killed}");
    until(&data, &["history", "ops/long"], |text| text.contains("Killed"));
    let (_, said, status) = on(&data, &["kill", "ops/yearly"]);
    assert_eq!(said, "cronctl: nothing runs of ops/yearly now, so nothing was killed\n");
    assert_eq!(status, 1);

    // suspend: a job of a manifest is the manifest's, one of the page is anybody's
    let (_, said, status) = on(&data, &["suspend", "ops/tick"]);
    assert!(said.contains("comes from") && said.contains("edit that file and start again"), "{said}");
    assert_eq!(status, 1);
    let form = "job=%7B%22name%22%3A%22by%20hand%22%2C%22command%22%3A%22true%22%2C%22cronExpr%22%3A%220%200%20*%20*%20*%22%7D";
    http(&up.ready(), "POST", "/job/save", "", form);
    for (verb, said) in [
        ("suspend", "by hand suspended\n"),
        ("suspend", "by hand already suspended\n"),
        ("resume", "by hand resumed\n"),
        ("resume", "by hand not suspended\n"),
    ] {
        assert_eq!(on(&data, &[verb, "by hand"]), (said.to_owned(), String::new(), 0));
    }
    up.stop();
}

#[test]
fn a_folder_is_read_while_nothing_runs_and_a_follower_goes_on_when_an_up_starts() {
    let world = World::new();
    let data = world.data();
    let mut up = world.up();
    up.line("ops/tick succeeded");
    on(&data, &["kill", "ops/long"]);
    up.stop();
    assert!(!data.join("address").exists(), "it says no longer where it serves");

    let (table, said, status) = on(&data, &["get", "ops/yearly"]);
    assert!(table.contains("ops/yearly") && status == 0, "{table}");
    assert!(
        said.contains("note: no `cronctl up` runs on") && said.contains("until one is started"),
        "{said}"
    );
    let (_, said, status) = on(&data, &["kill", "ops/long"]);
    assert!(said.contains("so nothing runs") && status == 1, "{said}");

    let arguments = ["logs", "-f", "ops/tick", "--data", data.to_str().unwrap()];
    let mut following = command(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).split(b'\n');
    assert_eq!(lines.next().unwrap().unwrap(), b"tick");
    let up = world.up();
    for _ in 0..3 {
        assert!(lines.next().unwrap().unwrap().ends_with(b"tick"), "runs of the new one");
    }
    // It ends by itself when nobody reads it any more.
    drop(lines);
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = following.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "it goes on writing to nobody");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(status.success(), "{status}");
    up.stop();
}

#[test]
fn a_killed_up_is_no_longer_asked() {
    let world = World::new();
    let data = world.data();
    world.up().kill();
    assert!(data.join("address").exists(), "it could not take it back");
    let (table, said, status) = on(&data, &["get"]);
    assert!(
        table.contains("ops/yearly") && said.contains("no `cronctl up` runs") && status == 0,
        "{table}{said}"
    );
}

#[test]
fn a_mistake_says_what_to_write() {
    let world = World::new();
    let data = world.data();
    let up = world.up();
    let data = data.to_str().unwrap();
    let empty = world.folder.path().to_str().unwrap();
    let cases: &[(&[&str], i32, &str)] = &[
        (
            &["get", "--data", data, "ops/yearli", "nosuch"],
            1,
            "there is no job ops/yearli; did you mean ops/yearly?",
        ),
        (
            &["get", "--data", data, "nosuch"],
            1,
            "there is no job nosuch; `cronctl get` lists those there are",
        ),
        (&["history", "--data", data, "tic"], 1, "did you mean ops/tick?"),
        (&["kill", "--data", data, "lonk"], 1, "did you mean ops/long?"),
        (
            &["logs", "--data", data, "ops/tick", "--run", "7"],
            1,
            "ops/tick has no run 7; `cronctl history ops/tick`",
        ),
        (&["suspend", "--data", data, "nosuch"], 1, "there is no job nosuch"),
        (&["get", "--data", empty], 2, "has no jobs in it; give the folder of a `cronctl up` with --data"),
        (&["get"], 2, "where are the jobs? There is no cluster"),
        (
            &["get", "--data", data, "--master", "http://127.0.0.1:1/"],
            2,
            "--master and --data name two places",
        ),
        (&["get", "--master", "127.0.0.1:1"], 2, "write an address such as http://127.0.0.1:8070/"),
        (&["get", "--master", "http://a:b@127.0.0.1:1/"], 2, "give --master-user and --master-password-file"),
        (&["get", "--master", "http://127.0.0.1:1/"], 1, "http://127.0.0.1:1/ can't be reached"),
        (&["get", "--etcd-endpoints", "nonsense://x"], 2, "nonsense://x"),
        (&["get", "--context", "none"], 2, "--context"),
        (&["suspend", "--data", data], 2, "<NAME>"),
        (&["get", "-o", "xml"], 2, "possible values: table, wide, json, yaml"),
    ];
    for (arguments, status, wanted) in cases {
        let (_, said, ended) = run(arguments);
        assert!(
            said.contains(wanted) && ended == *status,
            "{arguments:?} ends with {ended} and says: {said}"
        );
    }
    let (_, said, _) = run(&["get"]);
    for option in ["--context", "--master", "--etcd-endpoints", "--data"] {
        assert!(said.contains(option), "{said}");
    }
    // Whoever reads may go before the end.
    let mut child =
        command(&["get", "--data", data]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
    up.stop();
}

#[test]
fn a_shell_reads_the_completions() {
    let (script, said, status) = run(&["completions", "bash"]);
    assert!(script.contains("--etcd-endpoints") && script.contains("history"), "{said}");
    assert_eq!(status, 0);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script");
    fs::write(&file, script).unwrap();
    let read = Command::new("bash").arg("-n").arg(&file).output().unwrap();
    assert!(read.status.success() && read.stderr.is_empty(), "{read:?}");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let (script, _, status) = run(&["completions", shell]);
        assert!(script.contains("cronctl") && status == 0, "{shell}");
    }
}
