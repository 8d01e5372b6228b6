//! How runs end, and what is kept of it.

use std::fs;

use model::keys::{Folder, Key};
use model::run::Outcome;
use serde_json::json;

use crate::world::{World, eventually, lives, name, stop};

#[tokio::test]
async fn each_way_to_end_has_its_outcome_and_its_sentence() {
    let world = World::new();
    let worker = world.worker().await;
    let cases = [
        ("exit", "echo out; echo err >&2; exit 3", json!({}), Outcome::Failed, "exit status 3"),
        ("signal", "kill -SEGV $$", json!({}), Outcome::Failed, "ended by signal 11 (SIGSEGV)"),
        (
            "slow",
            "sleep 30",
            json!({"template": {"activeDeadlineSeconds": 1}}),
            Outcome::TimedOut,
            "activeDeadlineSeconds (1 s)",
        ),
        (
            "folder",
            "true",
            json!({"template": {"workingDir": "/no/such/folder"}}),
            Outcome::Failed,
            "/no/such/folder",
        ),
        (
            "shell",
            "true",
            json!({"template": {"shell": ["/no/such/shell"]}}),
            Outcome::Failed,
            "/no/such/shell",
        ),
    ];
    for (job, command, fields, ..) in &cases {
        world.job(job, command, fields.clone()).await;
    }
    for (job, _, _, outcome, sentence) in cases {
        let record = world.first_record(job).await;
        assert_eq!(record.outcome, outcome, "{record:?}");
        assert!(record.message.contains(sentence), "{job}: {}", record.message);
    }
    let record = world.first_record("exit").await;
    assert_eq!((record.exit_status, record.output.to_text().as_str()), (Some(3), "out\nerr\n"));
    assert_eq!((record.node.as_str(), &record.session), ("node1", worker.session()));
    stop(worker).await;
}

#[tokio::test]
async fn a_command_gets_what_describes_its_run_and_no_more() {
    let world = World::new();
    let worker = world.worker().await;
    let fields = json!({"template": {"command": null, "exec": ["/usr/bin/env"], "workingDir": "/", "env": [{"name": "A", "value": "b c"}]}});
    world.job("ops/env", "", fields).await;
    let records = world.records_until("ops/env", |records| records.len() >= 2).await;
    stop(worker).await;
    let output = records[1].output.to_text();
    let value = |name: &str| output.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    assert_eq!(value("A"), Some("b c"));
    assert_eq!(value("CRON_JOB_NAME"), Some("ops/env"));
    assert_eq!(value("CRON_RUN_ID"), Some(records[1].run.as_str()));
    assert_eq!(value("CRON_SCHEDULED_TIME"), Some(records[1].slot.to_string().as_str()));
    assert_eq!(value("CRON_ATTEMPT"), Some("0"));
    assert_eq!(value("CRON_LAST_SUCCESS_TIME"), Some(records[0].ended.to_string().as_str()));
    let token = |output: &str| -> i64 {
        output.lines().find_map(|line| line.strip_prefix("CRON_FENCING_TOKEN=")).unwrap().parse().unwrap()
    };
    assert!(token(&records[0].output.to_text()) < token(&output));
    // Cargo runs tests with this one set.
    assert!(std::env::var_os("CARGO_PKG_NAME").is_some() && value("CARGO_PKG_NAME").is_none(), "{output}");
}

#[tokio::test]
async fn kill_ends_what_runs_now_with_all_its_children_and_the_job_goes_on() {
    let world = World::new();
    let worker = world.worker().await;
    let pids = world.file("pids");
    let command = format!("sleep 1000 & echo $! >> {0}; sleep 1001 & echo $! >> {0}; wait", pids.display());
    world.job("a", &command, json!({"template": {"terminationGracePeriodSeconds": 1}})).await;
    let children = eventually("children", || async {
        let text = fs::read_to_string(&pids).unwrap_or_default();
        if text.lines().count() == 2 && text.ends_with('\n') { Ok(text) } else { Err(text) }
    })
    .await;
    assert!(world.kill("a").await);
    let record = world.first_record("a").await;
    assert_eq!((record.outcome, record.message.as_str()), (Outcome::Killed, "killed on request"));
    for child in children.lines() {
        assert!(!lives(child), "{child} lives on");
    }
    eventually("the next run", || async {
        if world.active("a").await == 1 { Ok(()) } else { Err("none".to_owned()) }
    })
    .await;
    stop(worker).await;
}

#[tokio::test]
async fn killing_what_does_not_run_says_so_and_kills_nothing_later() {
    let world = World::new();
    let worker = world.worker().await;
    assert!(!world.kill("a").await);
    world.job("a", "true", json!({})).await;
    assert_eq!(world.first_record("a").await.outcome, Outcome::Succeeded);
    stop(worker).await;
}

#[tokio::test]
async fn deleting_a_job_ends_its_run_and_leaves_only_its_records() {
    let world = World::new();
    let worker = world.worker().await;
    world.job("a", "sleep 1000", json!({})).await;
    eventually("a run", || async {
        if world.active("a").await == 1 { Ok(()) } else { Err("none".to_owned()) }
    })
    .await;
    world.delete("a").await;
    let record = world.first_record("a").await;
    assert_eq!(record.outcome, Outcome::Killed);
    // Its slot is claimed ahead, so that the command may not have been started.
    assert!(record.message.starts_with("killed because the job was deleted"), "{}", record.message);
    eventually("an empty tree", || async {
        let mut keys = Vec::new();
        for folder in [Folder::Jobs, Folder::Cursors, Folder::Runs, Folder::Statuses, Folder::Kills] {
            keys.extend(world.keys(folder).await);
        }
        if keys.is_empty() { Ok(()) } else { Err(format!("{keys:?}")) }
    })
    .await;
    stop(worker).await;
}

#[tokio::test]
async fn a_worker_that_is_stopped_lets_commands_end_and_records_what_it_cut() {
    let world = World::new();
    let worker = world.worker().await;
    world
        .job("kind", "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.05; done", json!({}))
        .await;
    world
        .job(
            "deaf",
            "trap '' TERM; echo hello; while :; do sleep 0.05; done",
            json!({"template": {"terminationGracePeriodSeconds": 1}}),
        )
        .await;
    for job in ["kind", "deaf"] {
        eventually("a run", || async {
            if world.active(job).await == 1 { Ok(()) } else { Err("none".to_owned()) }
        })
        .await;
    }
    // The commands have set their traps once they have said hello, which takes a moment after the claim.
    let slot = worker::now();
    eventually("the commands to be up", || async {
        if worker::now().since(slot).as_millis() > 1500 { Ok(()) } else { Err(String::new()) }
    })
    .await;
    stop(worker).await;
    let kind = world.first_record("kind").await;
    let output = kind.output.to_text();
    assert!(
        kind.outcome == Outcome::Killed && output.starts_with("hello\n") && output.ends_with("bye\n"),
        "{kind:?}"
    );
    let deaf = world.first_record("deaf").await;
    assert_eq!((deaf.outcome, deaf.signal), (Outcome::Killed, Some(9)));
    assert!(deaf.message.contains("the worker was stopped"), "{}", deaf.message);
    assert_eq!(world.keys(Folder::Workers).await, Vec::<String>::new());
    assert_eq!(world.keys(Folder::Runs).await, Vec::<String>::new());
}

#[tokio::test]
async fn output_beyond_the_limit_keeps_its_beginning_and_its_end() {
    let world = World::new();
    let worker = world.worker().await;
    world.job("a", "seq 1 100000", json!({"template": {"output": {"limitBytes": 20}}})).await;
    let record = world.first_record("a").await;
    stop(worker).await;
    assert_eq!(record.output.head, b"1\n2\n3\n4\n5\n");
    assert_eq!(record.output.tail, b"99\n100000\n");
    assert_eq!(record.output.cut, 588_895 - 20);
}

#[tokio::test]
async fn the_history_keeps_as_many_records_as_the_job_says() {
    let world = World::new();
    let worker = world.worker().await;
    world.job("a", "true", json!({"successfulRunsHistoryLimit": 2})).await;
    eventually("four runs", || async {
        let runs = world.status("a").await.runs;
        if runs.values().sum::<u64>() >= 4 { Ok(()) } else { Err(format!("{runs:?}")) }
    })
    .await;
    assert_eq!(world.records("a").await.len(), 2);
    stop(worker).await;
    assert!(world.get(Key::Status(name("a").into())).await.is_some());
}
