//! Workers whose clocks disagree.

use std::collections::BTreeSet;

use e2e::{Worker, WorkerOptions, until};

use crate::world::{EACH_SECOND, World};

fn ahead(world: &World, name: &str, seconds: i64) -> Worker {
    let options = WorkerOptions::new(&world.etcd, &world.mongo, name);
    Worker::start(WorkerOptions { clock_ahead: seconds, ..options })
}

#[test]
fn with_clocks_a_minute_apart_every_slot_runs_once_also_when_one_dies() {
    let world = World::start();
    let mut slow = world.worker("slow");
    let fast = ahead(&world, "fast", 60);
    let files: Vec<String> = (0..12).map(|n| format!("job-{n}")).collect();
    for file in &files {
        world.put_job(file, EACH_SECOND, &world.note_slot(file));
    }
    let mut sessions = BTreeSet::new();
    for file in &files {
        let lines = world.until_lines(file, 5);
        world.assert_each_once(file, &lines);
        sessions.extend(lines.iter().filter_map(|line| line.split(' ').nth(1)).map(str::to_owned));
    }
    assert_eq!(sessions.len(), 2, "both have a share");
    // What the slow one leaves is late by the other's clock, and runs there all the same, or is recorded as missed.
    slow.kill();
    for file in &files {
        world.until_more(file, 3);
        world.assert_each_once(file, &world.lines(file));
    }
    drop(fast);
}

#[test]
fn a_worker_whose_clock_is_wrong_among_three_says_so_and_leaves_the_jobs_to_the_others() {
    let world = World::start();
    let _workers = ["one", "two"].map(|name| world.worker(name));
    let wrong = ahead(&world, "wrong", 600);
    let registered = || world.etcd.ctl(&["get", "--prefix", "/cron/workers/"]);
    until("it to say so", || registered().contains("ClockSkew").then_some(()));
    until("its log to say so", || {
        wrong.process().log().contains("it takes no jobs until that is mended").then_some(())
    });
    let files: Vec<String> = (0..12).map(|n| format!("job-{n}")).collect();
    for file in &files {
        world.put_job(file, EACH_SECOND, &world.note_slot(file));
    }
    for file in &files {
        for line in world.until_lines(file, 3) {
            assert!(!line.contains("wrong"), "{file}: {line}");
        }
    }
}
