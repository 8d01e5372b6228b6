//! What people put into the tree (faults 1, 2, 13 and 16).

use e2e::{Worker, until};
use serde_json::Value;

use crate::malformed::{Malformed, malformed};
use crate::world::{EACH_SECOND, World, job, three_processes, until_ended};

/// The lines of the log that name one of the keys as the one that is meant.
fn reports(worker: &Worker, key: &[u8]) -> Vec<Value> {
    // Bytes that are no text are shown with a mark in their place.
    let key = format!("/cron/{}", String::from_utf8_lossy(key));
    worker.log().into_iter().filter(|line| line["key"] == key.as_str()).collect()
}

fn assert_each_reported(worker: &Worker, table: &[Malformed], times: usize) {
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|Malformed { key, value }| {
            let reports = reports(worker, key);
            let shown = String::from_utf8_lossy(&value[..value.len().min(80)]).into_owned();
            let why = |report: &Value| report["why"].as_str().is_some_and(|why| !why.is_empty());
            let right = reports.len() == times && reports.iter().all(why);
            (!right).then(|| format!("{:?} {shown:?}: {reports:?}", String::from_utf8_lossy(key)))
        })
        .collect();
    assert!(wrong.is_empty(), "not reported {times} times each:\n{}", wrong.join("\n"));
}

#[test]
fn malformed_values_are_reported_once_each_and_harm_nothing_at_the_start_and_on_update() {
    let world = World::start();
    let table = malformed();
    assert!(table.len() >= 60);
    world.put_job("neighbour", EACH_SECOND, &world.note_slot("neighbour"));
    for Malformed { key, value } in &table {
        world.put(key, value);
    }
    let mut worker = world.worker("w1");
    world.until_more("neighbour", 3);
    assert_each_reported(&worker, &table, 1);

    for Malformed { key, value } in &table {
        world.put(key, value);
    }
    // Changes are taken in their order, so whoever sees this one has seen those before it.
    world.put_job("last", EACH_SECOND, &world.note_slot("last"));
    world.until_lines("last", 1);
    world.until_more("neighbour", 3);
    assert_each_reported(&worker, &table, 2);
    assert!(worker.process_mut().ended().is_none());
    assert!(world.keys("cursor/value-").is_empty(), "a job that can't be used has taken a slot");
}

#[test]
fn a_job_whose_update_is_malformed_runs_no_more_until_it_is_put_right() {
    let world = World::start();
    let worker = world.worker("w1");
    world.put_job("edited", EACH_SECOND, &world.note_slot("edited"));
    world.until_lines("edited", 2);
    world.put_job("edited", "every minute", &world.note_slot("edited"));
    until("the report", || (!reports(&worker, b"jobs/edited").is_empty()).then_some(()));
    world.put_job("other", EACH_SECOND, &world.note_slot("other"));
    // A run that was claimed before the edit may still write its line.
    world.until_lines("other", 2);
    let lines = world.lines("edited").len();
    world.until_more("other", 3);
    assert_eq!(world.lines("edited").len(), lines, "the old schedule goes on");
    world.put_job("edited", EACH_SECOND, &world.note_slot("edited"));
    world.until_more("edited", 2);
}

#[test]
fn a_job_put_with_etcdctl_runs_and_one_whose_name_is_of_several_parts_too() {
    let world = World::start();
    world.put_job("before", EACH_SECOND, &world.note_slot("before"));
    let _worker = world.worker("w1");
    world.put_job("after", EACH_SECOND, &world.note_slot("after"));
    world.put_job("a/b/c", EACH_SECOND, &world.note_slot("parts"));
    world.put_job("ünï cödé", EACH_SECOND, &world.note_slot("unicode"));
    for file in ["before", "after", "parts", "unicode"] {
        world.until_lines(file, 2);
    }
    let record = world.until_recorded("a/b/c");
    assert_eq!((&record["err"], &record["output"]), (&"".into(), &"".into()), "{record}");
    assert_eq!(record["planTime"].as_i64().unwrap() % 1000, 0, "{record}");
}

#[test]
fn deleting_the_key_ends_the_run_and_the_schedule_whatever_name_the_value_has() {
    let world = World::start();
    let _worker = world.worker("w1");
    for (key, name) in [("same", "same"), ("folder/key", "another"), ("nameless", "")] {
        let file = name.to_owned() + "-processes";
        world.put(format!("jobs/{key}"), job(name, EACH_SECOND, &three_processes(&world, &file)));
        let processes = world.until_processes(&file);
        world.delete(&format!("jobs/{key}"));
        until_ended(&processes);
        let record = world.until_recorded(key);
        assert_eq!(record["outcome"], "Killed", "{record}");
    }
    world.put_job("later", EACH_SECOND, &world.note_slot("later"));
    world.until_lines("later", 3);
    for name in ["same", "another", ""] {
        assert_eq!(world.lines(&(name.to_owned() + "-processes")).len(), 1, "{name:?} has run again");
    }
}

#[test]
fn an_expression_without_a_future_never_runs_and_one_with_a_year_runs_once() {
    let world = World::start();
    let worker = world.worker("w1");
    world.put_job("february", "0 0 0 31 2 * *", &world.note_slot("never"));
    world.put_job("past", "0 0 0 1 1 * 2001", &world.note_slot("never"));
    // The second after next of this year, in the worker's zone.
    let date = |format: &str| {
        let output = std::process::Command::new("date").args(["--utc", "--date=3 seconds", format]).output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
    };
    world.put_job("once", &date("+%-S %-M %-H %-d %-m * %Y"), &world.note_slot("once"));
    world.until_lines("once", 1);
    world.put_job("clock", EACH_SECOND, &world.note_slot("clock"));
    world.until_lines("clock", 4);
    assert_eq!(world.lines("once").len(), 1);
    assert!(world.lines("never").is_empty());
    // A date that never comes is a mistake. One that is over is not.
    assert_eq!(reports(&worker, b"jobs/february").len(), 1);
    assert_eq!(reports(&worker, b"jobs/past").len(), 0);
    // Neither is a job whose last slot has passed when the worker starts.
    drop(worker);
    let _worker = world.worker("w2");
    world.until_more("clock", 3);
    assert_eq!((world.lines("once").len(), world.lines("never").len()), (1, 0));
}
