//! The six calls, held against a table of requests and their exact answers: `calls.json`.
//!
//! The requests are those of the replaced system's page, of curl, and of mistakes. The answers were recorded from this
//! master and checked against the description of those calls; the replaced system itself was not at hand. With
//! `RECORD_CALLS` set they are recorded anew.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::world::World;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/master/calls.json");

/// A request and its answer. They build on each other, so they are sent in order.
#[derive(Serialize, Deserialize)]
struct Call {
    /// What it shows; as the one before where it is empty.
    about: String,
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: String,
    status: u16,
    answer: String,
}

#[test]
fn the_six_calls_answer_to_the_letter() {
    let world = World::start();
    // What the replaced system wrote, run id and all else of ours left out.
    let record = |second: i64, err: &str, output: &str| {
        let at = 1_764_000_000_000 + second * 1000;
        json!({
            "jobName": "old", "command": "a && b < c", "err": err, "output": output,
            "planTime": at, "scheduleTime": at + 1, "startTime": at + 3, "endTime": at + 250,
        })
    };
    e2e::insert_documents(
        &world.mongo,
        "log",
        &[record(0, "", "first\n"), record(2, "exit status 1", "<b>third</b> & \"é\"\n"), record(1, "", "")],
    );
    let mut calls: Vec<Call> = serde_json::from_str(&fs::read_to_string(FILE).unwrap()).unwrap();
    let record = std::env::var_os("RECORD_CALLS").is_some();
    for (number, call) in calls.iter_mut().enumerate() {
        let headers: String =
            call.headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
        let answer = world.master.send(&call.method, &call.target, &headers, &call.body);
        if record {
            (call.status, call.answer) = (answer.status, answer.body);
            continue;
        }
        let Call { about, method, target, body, .. } = &call;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (call.status, call.answer.as_str()),
            "call {number}, {about}: {method} {target} {body}"
        );
        if answer.status == 200 {
            assert_eq!(answer.header("content-type"), Some("application/json"), "{method} {target}");
        }
    }
    if record {
        fs::write(FILE, serde_json::to_string_pretty(&calls).unwrap() + "\n").unwrap();
    }
}
