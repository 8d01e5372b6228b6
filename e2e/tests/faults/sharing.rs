//! Several workers on one tree (faults 3, 5, 12 and 15), also of the replaced system.

use std::collections::BTreeSet;

use e2e::{LegacyWorker, Worker, WorkerOptions, until};

use crate::world::{EACH_SECOND, World, until_ended};

/// A command that appends a line as it starts, and another one if an earlier run of it, or anything that one started,
/// is still there: the kernel has the lock as long as any of them lives.
fn alone(world: &World, file: &str, then: &str) -> String {
    let overlap = world.append(&format!("{file}-overlap"), "$CRON_SCHEDULED_TIME");
    let lock = world.file(&format!("{file}-lock"));
    format!("exec 9> {}; flock --nonblock 9 || {overlap}; {then}", lock.display())
}

fn assert_never_overlapped(world: &World, file: &str) {
    assert_eq!(world.lines(&format!("{file}-overlap")), Vec::<String>::new(), "{file} ran twice at once");
}

/// The sessions in lines that end with one; `-` is none.
fn sessions(lines: &[String]) -> BTreeSet<String> {
    lines.iter().filter_map(|line| line.split(' ').nth(1)).map(str::to_owned).collect()
}

#[test]
fn with_three_workers_every_slot_runs_once() {
    let world = World::start();
    let _workers = ["w1", "w2", "w3"].map(|name| world.worker(name));
    let files: Vec<String> = (0..12).map(|n| format!("job-{n}")).collect();
    for file in &files {
        world.put_job(file, EACH_SECOND, &world.note_slot(file));
    }
    let mut seen = BTreeSet::new();
    for file in &files {
        let lines = world.until_lines(file, 15);
        world.assert_each_once(file, &lines);
        seen.extend(sessions(&lines));
    }
    assert_eq!(seen.len(), 3, "the jobs are not spread over the workers: {seen:?}");
}

#[test]
fn every_slot_runs_once_while_workers_come_and_go() {
    let world = World::start();
    let first = world.worker("w1");
    let files: Vec<String> = (0..12).map(|n| format!("job-{n}")).collect();
    for file in &files {
        world.put_job(file, EACH_SECOND, &world.note_slot(file));
    }
    world.until_lines(&files[11], 3);
    let _second = world.worker("w2");
    world.until_more(&files[0], 3);
    let _third = world.worker("w3");
    world.until_more(&files[0], 3);
    let mut first = first;
    assert_eq!(first.process_mut().stop().code(), Some(0));
    for file in &files {
        world.until_more(file, 5);
        world.assert_each_once(file, &world.lines(file));
    }
}

#[test]
fn a_worker_killed_in_mid_run_takes_the_run_with_it_and_another_takes_the_job_over() {
    let world = World::start();
    let mut first = world.worker("w1");
    let note = world.append("pids", "$$");
    world.put_job("long", EACH_SECOND, &alone(&world, "long", &format!("{note}; sleep 600")));
    let processes = world.until_processes("pids");
    let _second = world.worker("w2");
    first.kill();
    until_ended(&processes);
    // The second worker's run is there.
    world.until_lines("pids", 2);
    assert_never_overlapped(&world, "long");
    let lost = world.until_recorded("long");
    assert_eq!((&lost["outcome"], &lost["node"]), (&"Lost".into(), &"w1".into()), "{lost}");
    assert_eq!(world.records("long").len(), 1, "the run that goes on is no record yet");
}

#[test]
fn two_workers_with_one_address_are_both_listed_and_both_work() {
    let world = World::start();
    let _workers = [(); 2].map(|()| Worker::start(WorkerOptions::new(&world.etcd, &world.mongo, "10.0.0.7")));
    assert_eq!(world.keys("workers/").len(), 2);
    for n in 0..20 {
        world.put_job(&format!("job-{n}"), EACH_SECOND, &world.note_slot("noted"));
    }
    until("both to work", || (sessions(&world.lines("noted")).len() == 2).then_some(()));
}

#[test]
fn a_job_whose_lock_somebody_else_has_waits_for_it() {
    let world = World::start();
    world.put("lock/held", "");
    world.put_job("held", EACH_SECOND, &world.note_slot("held"));
    world.put_job("free", EACH_SECOND, &world.note_slot("free"));
    let mut worker = world.worker("w1");
    world.until_lines("free", 4);
    assert!(world.lines("held").is_empty(), "it ran beside the holder");
    world.delete("lock/held");
    world.until_lines("held", 2);
    assert!(worker.process_mut().ended().is_none());
}

#[test]
fn a_worker_of_the_replaced_system_never_runs_a_job_at_the_same_time() {
    let world = World::start();
    let files = ["one", "two", "three", "four"];
    for file in files {
        let note = world.append(file, "$CRON_SCHEDULED_TIME ${CRON_SESSION:--}");
        world.put_job(file, EACH_SECOND, &alone(&world, file, &format!("{note}; sleep 0.4")));
    }
    let _legacy = LegacyWorker::start(&world.etcd, "/cron", "10.0.0.8");
    let _worker = world.worker("w1");
    for file in files {
        until("both to run the job", || {
            let lines = world.lines(file);
            let theirs = lines.iter().filter(|line| line.ends_with(" -")).count();
            (theirs >= 5 && lines.len() - theirs >= 5).then_some(())
        });
        assert_never_overlapped(&world, file);
    }
    assert!(world.keys("workers/").contains(&"workers/10.0.0.8".to_owned()));
}

#[test]
fn a_reserved_job_is_never_run_by_a_worker_of_the_replaced_system() {
    let world = World::start();
    for file in ["reserved", "shared"] {
        let note = world.append(file, "$CRON_SCHEDULED_TIME ${CRON_SESSION:--}");
        world.put_job(file, EACH_SECOND, &note);
    }
    world.put("lock/reserved", "reserved");
    let _legacy = LegacyWorker::start(&world.etcd, "/cron", "10.0.0.8");
    let _worker = world.worker("w1");
    until("the legacy worker to run what it may", || {
        (world.lines("shared").iter().filter(|line| line.ends_with(" -")).count() >= 8).then_some(())
    });
    let lines = world.until_lines("reserved", 8);
    let theirs: Vec<_> = lines.iter().filter(|line| line.ends_with(" -")).collect();
    assert!(theirs.is_empty(), "{theirs:?}");
    let value = world.etcd.ctl(&["get", "--print-value-only", "/cron/lock/reserved"]);
    assert_eq!(value.trim(), "reserved");
}
