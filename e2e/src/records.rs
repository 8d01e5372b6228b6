//! The log as somebody else's program reads it, with Python's driver.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{Mongo, tool};

/// Every document of a collection: `log` by job and slot, `slots` by job.
///
/// # Panics
/// If the server does not answer.
pub fn documents(mongo: &Mongo, collection: &str) -> Vec<Value> {
    let output = python(mongo, collection, include_str!("records.py")).output().expect("python starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "the log can't be read: {}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(|line| serde_json::from_str(line).expect("a line is a document")).collect()
}

/// Inserts documents into a collection, as the replaced system did: numbers are int64 where they have to be.
///
/// # Panics
/// If the server does not take them.
pub fn insert_documents(mongo: &Mongo, collection: &str, documents: &[Value]) {
    let mut command = python(mongo, collection, include_str!("insert.py"));
    let mut child = command.stdin(Stdio::piped()).spawn().expect("python starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    for document in documents {
        writeln!(stdin, "{document}").expect("python reads");
    }
    drop(stdin);
    assert!(child.wait().expect("python runs").success(), "the documents can't be inserted");
}

/// A script with Python's driver, which is in the environment that the server is in.
fn python(mongo: &Mongo, collection: &str, script: &str) -> Command {
    let server = tool("secantusd-py").canonicalize().expect("the server's file is there");
    let mut command = Command::new(server.with_file_name("python"));
    command.arg("-c").arg(script).arg(mongo.uri()).arg(collection);
    command
}
