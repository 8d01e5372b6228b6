//! `crontab-worker`, the program.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use model::keys::{Key, KeyPrefix};
use model::run::Outcome;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use store::embedded::Embedded;

use crate::world::{World, eventually, name};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crontab-worker");

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).env_remove("RUST_LOG").output().unwrap()
}

#[tokio::test]
async fn it_runs_the_jobs_of_a_data_folder_and_ends_cleanly_on_sigterm() {
    let world = World::new();
    let marker = world.file("ran");
    world.job("a", &format!("touch {}", marker.display()), json!({})).await;
    world.store.close().await;
    let data = world.folder.path().join("data");
    let mut command = Command::new(PROGRAM);
    command
        .arg("--data")
        .arg(&data)
        .args(["--node-name", "n7", "--log-format", "json"])
        .env_remove("RUST_LOG");
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    eventually("a run", || async { if marker.exists() { Ok(()) } else { Err("none".to_owned()) } }).await;

    let second = run(&["--data", data.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(second.status.code() == Some(1) && said.contains("in use"), "{said}");

    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    let mut log = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut log).unwrap();
    assert!(child.wait().unwrap().success(), "{log}");
    let ended = log.lines().find(|line| line.contains("a run ended")).expect(&log);
    let ended: serde_json::Value = serde_json::from_str(ended).unwrap();
    assert_eq!((&ended["job"], &ended["outcome"]), (&json!("a"), &json!("Succeeded")));

    let store = Embedded::open(&data, KeyPrefix::default(), Duration::from_secs(5)).unwrap();
    let world = World { folder: world.folder, store };
    let records = world.records("a").await;
    assert!(
        records.iter().any(|record| record.outcome == Outcome::Succeeded && record.node == "n7"),
        "{records:?}"
    );
    assert!(world.get(Key::Job(name("a"))).await.is_some());
    assert_eq!(world.active("a").await, 0);
}

#[test]
fn a_wrong_argument_is_status_2_and_help_names_every_variable() {
    for (arguments, sentence) in [
        (&["--data", "x", "--time-zone", "Europe/Pariss"][..], "did you mean Europe/Paris?"),
        (&["--data", "x", "--etcd-prefix", "cron"], "write one such as /cron"),
        (&["--data", "x", "--log", "a=b=c"], "write a level"),
        (&["--node-name", "n"], "give --etcd-endpoints, such as http://etcd:2379, or --data"),
        (&["--etcd-endpoints", "http://e:1"], "give --mongodb-uri"),
        (&["--data", "x", "--etcd-endpoints", "http://e:1"], "cannot be used with"),
        (
            &["--etcd-endpoints", "ftp://e", "--mongodb-uri", "mongodb://h/"],
            "write it like http://127.0.0.1:2379",
        ),
        (&["--etcd-endpoints", "https://e:1", "--mongodb-uri", "mongodb://h/"], "--etcd-cacert"),
        (&["--etcd-endpoints", "http://e:1", "--mongodb-uri", "h"], "write mongodb://"),
        (
            &["--etcd-endpoints", "http://e:1", "--mongodb-uri", "mongodb://h/", "--etcd-cert", "a"],
            "--etcd-key",
        ),
        (&["--data", "x", "--label", "disk"], "write KEY=VALUE"),
        (&["--data", "x", "--session-seconds", "3"], "3 is not in 6..=600"),
        (&["--data", "x", "--max-runs", "0"], "--max-runs"),
    ] {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(sentence), "{arguments:?}: {said}");
    }
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    for variable in
        "CRONTAB_DATA ETCD_PREFIX NODE_NAME CRONTAB_TIME_ZONE LOG_FORMAT RUST_LOG ETCD_ENDPOINTS ETCD_CACERT \
         ETCD_CERT ETCD_KEY ETCD_USER ETCD_PASSWORD_FILE MONGODB_URI CRONTAB_RETENTION_DAYS CRONTAB_SPOOL_DIR \
         CRONTAB_SPOOL_LIMIT_MIB CRONTAB_WORKER_ID CRONTAB_LABELS CRONTAB_MAX_RUNS CRONTAB_SESSION_SECONDS \
         CRONTAB_HEALTH_LISTEN"
            .split_whitespace()
    {
        assert!(help.contains(variable), "{variable} is not in the help:\n{help}");
    }
}
