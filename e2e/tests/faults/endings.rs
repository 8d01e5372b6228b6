//! SIGTERM to a worker: its commands get the grace they were promised, it ends whatever etcd does, and nothing that it
//! claimed and did not start is lost.

use std::time::{Duration, Instant};

use e2e::{Worker, WorkerOptions, until};
use rustix::process::Signal;
use serde_json::json;

use crate::world::{EACH_SECOND, World, slots};

#[test]
fn an_exclusive_run_gets_all_of_its_grace_although_that_is_longer_than_a_session() {
    let world = World::start();
    let mut options = WorkerOptions::new(&world.etcd, &world.mongo, "w1");
    options.arguments = vec!["--session-seconds=6".to_owned()];
    let mut worker = Worker::start(options);
    // It takes 10 of its 30 seconds; with no renewal, the fence would cut it after 4 to 6.
    let command = format!(
        "trap '' TERM; {}; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1; done; {}",
        world.append("did", "began"),
        world.append("did", "ended")
    );
    let spec = json!({"schedule": "* * * * * *", "template": {"command": command, "terminationGracePeriodSeconds": 30}});
    world.put("jobs/long", json!({"command": command, "cronExpr": EACH_SECOND, "spec": spec}).to_string());
    world.until_lines("did", 1);
    let status = worker.process_mut().stop();
    assert!(status.success(), "{status}");
    assert_eq!(world.lines("did"), ["began", "ended"]);
    assert_eq!(world.keys("runs/"), Vec::<String>::new(), "its end is recorded");
}

#[test]
fn a_worker_ends_although_etcd_does_not_answer() {
    let world = World::start();
    let mut worker = world.worker("w1");
    world.put_job("noted", EACH_SECOND, &world.note_slot("noted"));
    world.until_lines("noted", 2);
    world.etcd.process().signal(Signal::STOP);
    // Requests about the next slots are under way, and nobody answers them.
    let asked = Instant::now();
    until("two seconds to pass", || (asked.elapsed() > Duration::from_secs(2)).then_some(()));
    let begun = Instant::now();
    let status = worker.process_mut().stop();
    println!("it took {:.1} s to end", begun.elapsed().as_secs_f64());
    assert!(status.success(), "{status}");
    world.etcd.process().signal(Signal::CONT);
}

#[test]
fn workers_that_are_replaced_one_after_the_other_lose_no_slot() {
    let world = World::start();
    let mut workers = ["w1", "w2"].map(|name| world.worker(name));
    for job in ["a", "b", "c", "d"] {
        world.put_job(job, EACH_SECOND, &world.note_slot(job));
    }
    world.until_lines("d", 2);
    for round in 0..4 {
        let worker = &mut workers[round % 2];
        worker.process_mut().stop();
        worker.start_again();
        worker.until_ready();
        world.until_more("d", 2);
    }
    for job in ["a", "b", "c", "d"] {
        let lines = world.lines(job);
        world.assert_each_once(job, &lines);
        let count = slots(&lines).len();
        assert!(count > 8, "{job}: {count}");
        until(&format!("{job}: no claim to be left without a command"), || {
            let waiting = world.keys(&format!("runs/{job}/")).len();
            (waiting <= 1).then_some(())
        });
    }
}
