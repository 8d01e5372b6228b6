//! What the log has in the end, and what it costs (faults 6 and 8).

use std::collections::BTreeMap;

use e2e::{MongoOptions, Worker, WorkerOptions, children, peak_memory, until};
use serde_json::Value;

use crate::world::{EACH_SECOND, World, slots};

/// How often each slot, in seconds, is among the records.
fn recorded(records: &[Value]) -> BTreeMap<i64, usize> {
    let mut slots = BTreeMap::new();
    for record in records {
        *slots.entry(record["planTime"].as_i64().expect("milliseconds") / 1000).or_default() += 1;
    }
    slots
}

/// Waits until each run that has written a line has one record, and checks that none has two.
fn until_each_recorded(world: &World, job: &str) {
    let ran = slots(&world.lines(job));
    until("every run to be recorded", || {
        let recorded = recorded(&world.records(job));
        assert!(recorded.values().all(|times| *times == 1), "recorded more than once: {recorded:?}");
        ran.keys().all(|slot| recorded.contains_key(slot)).then_some(())
    });
}

#[test]
fn runs_that_ended_while_mongodb_was_away_are_recorded_once_each_when_it_is_back() {
    let mut world = World::start();
    world.mongo.kill();
    world.put_job("noted", EACH_SECOND, &world.note_slot("noted"));
    let mut worker = Worker::start_unready(WorkerOptions::new(&world.etcd, &world.mongo, "w1"));
    world.until_lines("noted", 5);
    // The worker may go as well.
    worker.kill();
    worker.start_again();
    world.until_more("noted", 5);
    world.delete("jobs/noted");
    world.mongo.start_again(MongoOptions::default());
    until_each_recorded(&world, "noted");
}

#[test]
fn a_mongodb_killed_between_writes_costs_no_record() {
    let mut world = World::start();
    world.put_job("noted", EACH_SECOND, &world.note_slot("noted"));
    let _worker = world.worker("w1");
    for _ in 0..3 {
        world.until_more("noted", 3);
        world.mongo.kill();
        world.until_more("noted", 2);
        world.mongo.start_again(MongoOptions::default());
    }
    world.until_more("noted", 2);
    world.delete("jobs/noted");
    until_each_recorded(&world, "noted");
}

#[test]
fn a_worker_asked_to_end_gives_its_runs_their_grace_and_keeps_their_records() {
    let world = World::start();
    let mut worker = world.worker("w1");
    let jobs: Vec<String> = (0..5).map(|n| format!("slow-{n}")).collect();
    for job in &jobs {
        let (begun, ended) = (world.append("begun", "x"), world.append("ended", "x"));
        let command = format!("trap 'sleep 1; {ended}; exit 3' TERM; {begun}; sleep 600 & wait");
        world.put_job(job, EACH_SECOND, &command);
    }
    world.until_lines("begun", jobs.len());
    let status = worker.process_mut().stop();
    assert_eq!(status.code(), Some(0));
    assert_eq!(world.lines("begun").len(), jobs.len(), "a run started after the request to end");
    assert_eq!(world.lines("ended").len(), jobs.len(), "runs got no grace");
    for job in &jobs {
        let records = world.records(job);
        assert_eq!(records.len(), 1, "{records:?}");
        assert_eq!((&records[0]["outcome"], &records[0]["exitStatus"]), (&"Killed".into(), &3.into()));
    }
    for folder in ["runs/", "workers/", "lock/"] {
        assert_eq!(world.keys(folder), Vec::<String>::new(), "left over");
    }
}

#[test]
fn two_hundred_megabytes_of_output_are_cut_and_take_no_memory() {
    let world = World::start();
    let worker = world.worker("w1");
    // What it takes for a small run is taken before.
    world.put_job("small", EACH_SECOND, "echo small");
    world.until_recorded("small");
    let mut processes = children(worker.process().id());
    processes.push(worker.process().id());
    let before: u64 = processes.iter().map(|id| peak_memory(*id)).sum();
    world.put_job(
        "large",
        "*/20 * * * * * *",
        "echo first; head -c 200000000 /dev/zero | tr '\\0' x; echo last",
    );
    let record = world.until_recorded("large");
    let after: u64 = processes.iter().map(|id| peak_memory(*id)).sum();
    println!("peak memory of worker and executor: {before} KiB before, {after} KiB after");
    assert_eq!((&record["outcome"], &record["err"]), (&"Succeeded".into(), &"".into()));
    let output = record["output"].as_str().unwrap();
    assert!(output.starts_with("first\nxxx") && output.ends_with("xxxlast\n"), "{} bytes", output.len());
    // 1 MiB is kept of it; the aim is that the rest makes no difference.
    assert!(after < before + (32 << 10), "it grew from {before} KiB to {after} KiB");
}
