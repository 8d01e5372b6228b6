//! etcd away, and a watch that ends (fault 7).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use e2e::{Worker, documents, until};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::world::{EACH_SECOND, World, slots};

#[test]
fn runs_go_on_by_themselves_after_etcd_was_away_for_twenty_seconds() {
    let mut world = World::start();
    let worker = world.worker("w1");
    world.put_job("noted", EACH_SECOND, &world.note_slot("noted"));
    world.until_lines("noted", 2);
    world.etcd.kill();
    let begun = Instant::now();
    until("the worker to be no longer ready", || (!worker.is_ready()).then_some(()));
    until("twenty seconds to pass", || (begun.elapsed() > Duration::from_secs(20)).then_some(()));
    let before = world.lines("noted").len();
    world.etcd.start_again();
    let back = Instant::now();
    world.until_lines("noted", before + 1);
    println!("the first run came {:.1} s after etcd's return", back.elapsed().as_secs_f64());
    worker.until_ready();
    world.until_lines("noted", before + 4);
    let twice: Vec<_> = slots(&world.lines("noted")).into_iter().filter(|(_, times)| *times != 1).collect();
    assert!(twice.is_empty(), "ran more than once: {twice:?}");
}

#[test]
fn a_watch_that_breaks_before_a_compaction_is_begun_again() {
    let mut world = World::start();
    let worker = world.worker("w1");
    world.put_job("deleted", EACH_SECOND, &world.note_slot("deleted"));
    world.put_job("edited", EACH_SECOND, &world.note_slot("edited"));
    world.put_job("replaced", EACH_SECOND, &world.note_slot("replaced"));
    world.until_lines("deleted", 1);
    // The stream breaks while the worker can't read, and all that it misses is compacted away.
    worker.process().signal(Signal::STOP);
    world.etcd.kill();
    world.etcd.start_again();
    world.delete("jobs/deleted");
    world.put_job("edited", EACH_SECOND, &world.append("edited", "0 anew"));
    world.delete("jobs/replaced");
    world.put_job("replaced", EACH_SECOND, &world.append("replaced", "0 anew"));
    world.put_job("new", EACH_SECOND, &world.note_slot("new"));
    world.etcd.ctl(&["compact", "--physical", &world.revision().to_string()]);
    let (deleted, edited, replaced) =
        (world.lines("deleted").len(), world.lines("edited").len(), world.lines("replaced").len());
    worker.process().signal(Signal::CONT);

    world.until_lines("new", 3);
    world.until_lines("edited", edited + 3);
    world.until_lines("replaced", replaced + 3);
    for (file, before) in [("edited", edited), ("replaced", replaced)] {
        let later = world.lines(file).split_off(before);
        assert!(later.iter().all(|line| line == "0 anew"), "{file} runs as it was: {later:?}");
    }
    assert_eq!(world.lines("deleted").len(), deleted, "a deleted job runs on");
    worker.until_ready();
}

#[test]
fn a_worker_that_reads_changes_too_late_because_they_were_compacted_reads_all_again() {
    let world = World::start();
    let worker = world.worker("w1");
    world.put_job("deleted", EACH_SECOND, &world.note_slot("deleted"));
    world.until_lines("deleted", 1);
    worker.process().signal(Signal::STOP);
    // More than the buffers between etcd and the worker hold, so that etcd has to come back to the rest.
    world.put_filler(1_500);
    world.delete("jobs/deleted");
    world.put_job("new", EACH_SECOND, &world.note_slot("new"));
    world.etcd.ctl(&["compact", "--physical", &world.revision().to_string()]);
    let deleted = world.lines("deleted").len();
    worker.process().signal(Signal::CONT);
    world.until_lines("new", 3);
    assert_eq!(world.lines("deleted").len(), deleted, "a deleted job runs on");
    let said = worker.process().log();
    assert!(said.contains("were compacted away"), "it does not say so");
}

#[test]
fn a_worker_started_while_etcd_is_away_waits_for_it() {
    let mut world = World::start();
    world.put_job("noted", EACH_SECOND, &world.note_slot("noted"));
    world.etcd.kill();
    let worker = e2e::Worker::start_unready(e2e::WorkerOptions::new(&world.etcd, &world.mongo, "w1"));
    until("the worker to answer", || (!worker.log().is_empty()).then_some(()));
    assert!(!worker.is_ready());
    world.etcd.start_again();
    worker.until_ready();
    let lines = world.until_lines("noted", 4);
    world.assert_each_once("noted", &lines);
}

#[test]
fn with_all_each_slot_of_an_outage_of_everything_runs_in_order() {
    let mut world = World::start();
    let mut workers = ["w1", "w2"].map(|name| world.worker(name));
    let command = world.note_slot("noted");
    let spec = json!({
        "schedule": "* * * * * *", "missedRunPolicy": "All", "missedRunLimit": 1000, "template": {"command": command},
    });
    world.put("jobs/noted", json!({ "command": command, "cronExpr": EACH_SECOND, "spec": spec }).to_string());
    world.until_lines("noted", 2);
    workers.iter_mut().for_each(Worker::kill);
    world.etcd.kill();
    let before = world.lines("noted");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    let newest = *slots(&before).keys().next_back().unwrap();
    until("eight slots to pass", || (now() > newest + 8).then_some(()));
    world.etcd.start_again();
    let back = now();
    // Whoever is there runs what the others owe.
    let _third = world.worker("w3");
    let lines = until("the job to have caught up", || {
        Some(world.lines("noted")).filter(|lines| slots(lines).keys().next_back() > Some(&(back + 2)))
    });
    world.assert_each_once("noted", &lines);
    let ran: Vec<i64> = lines.iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(ran.is_sorted(), "out of order: {ran:?}");
    let owed = (newest + 1..=back).filter(|slot| !ran.contains(slot)).count();
    let lost = world.records("noted").iter().filter(|record| record["outcome"] == "Lost").count();
    assert!(
        owed <= lost,
        "of the outage's slots {owed} did not run, and {lost} runs were lost with a worker"
    );
    assert_eq!(documents(&world.mongo, "slots"), Vec::<Value>::new(), "none is skipped");
}
