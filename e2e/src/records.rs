//! The log as somebody else's program reads it, with Python's driver.

use std::process::Command;

use serde_json::Value;

use crate::{Mongo, tool};

/// Every document of a collection: `log` by job and slot, `slots` by job.
///
/// # Panics
/// If the server does not answer.
pub fn documents(mongo: &Mongo, collection: &str) -> Vec<Value> {
    let server = tool("secantusd-py").canonicalize().expect("the server's file is there");
    // The driver is in the environment that the server is in.
    let output = Command::new(server.with_file_name("python"))
        .arg("-c")
        .arg(include_str!("records.py"))
        .arg(mongo.uri())
        .arg(collection)
        .output()
        .expect("python starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "the log can't be read: {}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(|line| serde_json::from_str(line).expect("a line is a document")).collect()
}
