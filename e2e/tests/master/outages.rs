//! Servers that go away and come back. The master is never restarted.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use e2e::{Etcd, Master, MasterOptions, Mongo, MongoOptions, until};

use crate::world::World;

#[test]
fn without_etcd_calls_fail_with_a_message_in_bounded_time_and_it_is_found_again() {
    let mut world = World::start();
    assert_eq!(world.master.save("a", "true", "0 3 * * *").json()["errno"], 0);
    world.etcd.kill();
    for _ in 0..3 {
        for target in ["/job/list", "/worker/list"] {
            let asked = Instant::now();
            let answer = world.master.get(target);
            assert_eq!((answer.status, &answer.json()["errno"]), (200, &(-1).into()), "{target}");
            assert!(answer.body.contains("the job tree is not available"), "{}", answer.body);
            assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
        }
        let answer = world.master.get("/api/v1/jobs");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.body);
    }
    until("it to be no longer ready", || (!world.master.is_ready()).then_some(()));
    // The log does not need etcd, and the page is there.
    assert_eq!(world.master.get("/job/log?name=a").json()["errno"], 0);
    assert_eq!(world.master.get("/").status, 200);

    world.etcd.start_again();
    // Put while the master does not follow the tree.
    world.put("jobs/b", r#"{"name":"b","command":"true","cronExpr":"0 4 * * *"}"#);
    until("it to be ready", || world.master.is_ready().then_some(()));
    until("both jobs", || (world.master.get("/api/v1/jobs").json()["total"] == 2).then_some(()));
    assert_eq!(world.master.save("c", "true", "0 3 * * *").json()["errno"], 0);
    assert_eq!(world.master.get("/job/list").json()["data"].as_array().unwrap().len(), 3);
}

#[test]
fn what_was_saved_with_success_while_etcd_restarts_is_there_afterwards() {
    let mut world = World::start();
    let (stop, saved) = (AtomicBool::new(false), AtomicU32::new(0));
    let (succeeded, failed) = std::thread::scope(|scope| {
        let (master, stop, saved) = (&world.master, &stop, &saved);
        let client = |client: u32| {
            let (mut succeeded, mut failed) = (Vec::new(), 0);
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let name = format!("job-{client}-{number}");
                let answer = master.save(&name, "true", "0 3 * * *");
                assert_eq!(answer.status, 200, "{}", answer.body);
                if answer.json()["errno"] == 0 {
                    saved.fetch_add(1, Ordering::Relaxed);
                    succeeded.push(name);
                } else {
                    failed += 1;
                }
            }
            (succeeded, failed)
        };
        let clients: Vec<_> = (0..4).map(|number| scope.spawn(move || client(number))).collect();
        for _ in 0..2 {
            let before = saved.load(Ordering::Relaxed);
            until("some saves", || (saved.load(Ordering::Relaxed) > before + 20).then_some(()));
            world.etcd.kill();
            world.etcd.start_again();
        }
        let before = saved.load(Ordering::Relaxed);
        until("some more saves", || (saved.load(Ordering::Relaxed) > before + 20).then_some(()));
        stop.store(true, Ordering::Relaxed);
        let all = clients.into_iter().map(|client| client.join().unwrap());
        all.fold((Vec::new(), 0), |(mut names, failed), (more, missed)| {
            names.extend(more);
            (names, failed + missed)
        })
    });
    println!("{} saved, {failed} refused while etcd was away", succeeded.len());
    let listed = world.master.get("/job/list").json();
    let listed: Vec<&str> =
        listed["data"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect();
    let lost: Vec<&String> = succeeded.iter().filter(|name| !listed.contains(&name.as_str())).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn without_mongodb_only_the_log_fails_and_it_is_found_again() {
    let mut world = World::start();
    let _worker = world.worker("w");
    assert_eq!(world.master.save("a", "echo out", "* * * * * * *").json()["errno"], 0);
    let records = |world: &World| world.master.get("/job/log?name=a").json();
    until("a record", || (records(&world)["data"].as_array().unwrap().len() == 1).then_some(()));
    world.mongo.kill();
    let asked = Instant::now();
    let answer = records(&world);
    assert_eq!(answer["errno"], -1, "{answer}");
    assert!(answer["msg"].as_str().unwrap().contains("the run log is not available"), "{answer}");
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
    assert_eq!(world.master.get("/api/v1/runs?job=a").status, 503);
    // Jobs are seen and changed as ever.
    assert!(world.master.is_ready());
    assert_eq!(world.master.save("b", "true", "0 3 * * *").json()["errno"], 0);
    assert_eq!(world.master.get("/job/list").json()["data"].as_array().unwrap().len(), 2);
    world.mongo.start_again(MongoOptions::default());
    until("the records", || {
        (records(&world)["data"].as_array().is_some_and(|all| all.len() >= 3)).then_some(())
    });
}

#[test]
fn a_master_started_before_its_servers_finds_them() {
    let (mut etcd, mut mongo) = (Etcd::start(), Mongo::start());
    etcd.kill();
    mongo.kill();
    let mut master = Master::start_unready(MasterOptions::new(&etcd, &mongo));
    assert!(!master.is_ready());
    let answer = master.get("/job/list").json();
    assert!(answer["msg"].as_str().unwrap().contains("the job tree is not available"), "{answer}");
    until("it to say why", || master.process().log().contains("nobody listens there").then_some(()));
    etcd.start_again();
    mongo.start_again(MongoOptions::default());
    until("it to be ready", || master.is_ready().then_some(()));
    assert_eq!(master.get("/job/list").json()["errno"], 0);
    until("the log", || (master.get("/job/log?name=a").json()["errno"] == 0).then_some(()));
    assert!(master.process_mut().stop().success());
}
