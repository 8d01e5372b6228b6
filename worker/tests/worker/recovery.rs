//! What is made of runs whose worker or executor died.

use model::keys::{Folder, Key};
use model::record::{Output, RunRecord};
use model::run::{Outcome, Revision, RunId, SessionId, Slot};
use model::values::ActiveRun;
use serde_json::json;
use store::{LogEntry, RunLog};

use crate::world::{World, eventually, lives, name, stop};

/// A run that a dead worker left in the tree.
async fn orphan(world: &World) -> (RunId, ActiveRun) {
    world.job("a", "true", json!({"schedule": "0 0 0 1 1 *"})).await;
    let definition = world.get(Key::Job(name("a"))).await.unwrap().modified;
    let slot = Slot(worker::now());
    let active = ActiveRun {
        session: SessionId("node0-dead".to_owned()),
        node: "node0".to_owned(),
        slot,
        attempt: 0,
        claimed: slot.0,
        definition,
        lost_after: 0,
        skipped: Vec::new(),
        job: definition,
        epoch: Revision::NONE,
        waiting: None,
        ended: None,
        needs: model::Words::default(),
        unknown: model::Unknown::default(),
    };
    let run = RunId::of_slot(name("a"), definition, slot);
    world.put(Key::Run(name("a").into(), run.clone()), serde_json::to_vec(&active).unwrap()).await;
    (run, active)
}

#[tokio::test]
async fn a_run_of_a_dead_worker_is_recorded_as_lost() {
    let world = World::new();
    let (run, active) = orphan(&world).await;
    let worker = world.worker().await;
    let record = world.first_record("a").await;
    assert_eq!((&record.run, record.outcome), (&run, Outcome::Lost));
    assert_eq!((&record.session, record.node.as_str()), (&active.session, "node0"));
    assert!(record.message.contains("node0-dead"), "{}", record.message);
    eventually("the run to be given back", || async {
        let keys = world.keys(Folder::Runs).await;
        if keys.is_empty() { Ok(()) } else { Err(format!("{keys:?}")) }
    })
    .await;
    assert_eq!(world.status("a").await.runs, [(Outcome::Lost, 1)].into());
    stop(worker).await;
}

#[tokio::test]
async fn a_run_whose_end_was_written_before_its_worker_died_keeps_that_end() {
    let world = World::new();
    let (run, active) = orphan(&world).await;
    let ActiveRun { session, node, slot, attempt, claimed, .. } = active;
    let record = RunRecord {
        run,
        attempt,
        job: name("a"),
        command: "true".to_owned(),
        node,
        session,
        slot,
        claimed,
        started: Some(slot.0),
        ended: slot.0,
        outcome: Outcome::Succeeded,
        exit_status: Some(0),
        signal: None,
        message: String::new(),
        output: Output { head: b"done\n".to_vec(), cut: 0, tail: Vec::new() },
    };
    let keep = model::job::History::default();
    world.store.append(vec![LogEntry::Run { record: record.clone(), keep }]).await.unwrap();
    let worker = world.worker().await;
    eventually("the run to be counted", || async {
        let runs = world.status("a").await.runs;
        if runs == [(Outcome::Succeeded, 1)].into() { Ok(()) } else { Err(format!("{runs:?}")) }
    })
    .await;
    assert_eq!(world.records("a").await, [record]);
    assert_eq!(world.active("a").await, 0);
    stop(worker).await;
}

#[tokio::test]
async fn a_run_of_a_dead_worker_whose_job_is_gone_is_recorded_and_cleared_away() {
    let world = World::new();
    orphan(&world).await;
    world.delete("a").await;
    let worker = world.worker().await;
    assert_eq!(world.first_record("a").await.outcome, Outcome::Lost);
    eventually("an empty tree", || async {
        let keys = [world.keys(Folder::Runs).await, world.keys(Folder::Statuses).await].concat();
        if keys.is_empty() { Ok(()) } else { Err(format!("{keys:?}")) }
    })
    .await;
    stop(worker).await;
}

#[tokio::test]
async fn an_executor_that_is_killed_is_replaced_and_its_runs_are_lost_not_doubled() {
    let world = World::new();
    let worker = world.worker().await;
    let (pid, beats) = (world.file("pid"), world.file("beats"));
    // $PPID is the executor.
    let command = format!(
        "echo $PPID > {0}.new; mv {0}.new {0}; while :; do echo $$ >> {1}; sleep 0.05; done",
        pid.display(),
        beats.display()
    );
    world.job("a", &command, json!({"schedule": "* * * * * *"})).await;
    let executor = eventually("the executor's pid", || async {
        std::fs::read_to_string(&pid).map_err(|why| why.to_string())
    })
    .await;
    std::fs::remove_file(&pid).unwrap();
    let executor = rustix::process::Pid::from_raw(executor.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(executor, rustix::process::Signal::KILL).unwrap();
    let record = world.first_record("a").await;
    assert_eq!(record.outcome, Outcome::Lost, "{record:?}");
    // The next run starts under another executor, and the first command does not write any more.
    let other =
        eventually("the next run", || async { std::fs::read_to_string(&pid).map_err(|why| why.to_string()) })
            .await;
    assert_ne!(other.trim(), executor.as_raw_nonzero().to_string());
    let text = std::fs::read_to_string(&beats).unwrap();
    let (first, last) = (text.lines().next().unwrap(), text.lines().last().unwrap());
    assert_ne!(first, last);
    assert!(!lives(first), "the first command lives on");
    stop(worker).await;
}
