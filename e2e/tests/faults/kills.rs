//! Kill requests (faults 4 and 14).

use e2e::{Process, Worker};
use rustix::process::Signal;

use crate::world::{EACH_SECOND, World, three_processes, until_ended};

fn running(world: &World, job: &str) -> Vec<u32> {
    world.put_job(job, EACH_SECOND, &three_processes(world, job));
    world.until_processes(job)
}

#[test]
fn a_key_below_killer_ends_everything_that_the_command_has_started() {
    let world = World::start();
    let _worker = world.worker("w1");
    for job in ["plain", "a/b"] {
        let file = job.replace('/', "-");
        world.put_job(job, EACH_SECOND, &three_processes(&world, &file));
        let processes = world.until_processes(&file);
        // As the replaced system does: the key lives for a second.
        let lease = world.etcd.ctl(&["lease", "grant", "1"]);
        let lease = lease.split(' ').nth(1).unwrap();
        world.etcd.ctl(&["put", &format!("/cron/killer/{job}"), "", &format!("--lease={lease}")]);
        until_ended(&processes);
        assert_eq!(world.until_recorded(job)["outcome"], "Killed");
        // It was a signal and no state: the next slot runs.
        world.until_lines(&file, 2);
    }
}

#[test]
fn a_key_below_kill_ends_everything_that_the_command_has_started_once() {
    let world = World::start();
    let _worker = world.worker("w1");
    let processes = running(&world, "plain");
    world.put("kill/plain", "");
    until_ended(&processes);
    assert_eq!(world.until_recorded("plain")["outcome"], "Killed");
    // The key stays, and hits no run that was claimed after it.
    let second = world.until_lines("plain", 2).remove(1);
    world.put_job("other", EACH_SECOND, &world.note_slot("other"));
    world.until_lines("other", 3);
    assert_eq!(world.lines("plain")[1..], [second], "the second run was ended too");
}

#[test]
fn a_worker_that_was_away_when_a_kill_was_put_obeys_it() {
    let world = World::start();
    let worker: Worker = world.worker("w1");
    let processes = running(&world, "plain");
    let process: &Process = worker.process();
    process.signal(Signal::STOP);
    world.put("kill/plain", "");
    world.etcd.ctl(&["compact", &world.revision().to_string()]);
    process.signal(Signal::CONT);
    until_ended(&processes);
    assert_eq!(world.until_recorded("plain")["outcome"], "Killed");
}

#[test]
fn a_run_that_ignores_being_asked_is_ended_all_the_same() {
    let world = World::start();
    let _worker = world.worker("w1");
    let note = world.append("stubborn", "$$");
    world.put_job("stubborn", EACH_SECOND, &format!("trap '' TERM; {note}; while true; do sleep 1; done"));
    let processes = world.until_processes("stubborn");
    world.put("kill/stubborn", "");
    until_ended(&processes);
}
