//! One GET request, for health and metrics on loopback.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context;

const PATIENCE: Duration = Duration::from_secs(10);

/// The status and the body of the answer. `address` is a host and a port.
pub(super) fn get(address: &str, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("{address} does not listen"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // To a request of HTTP/1.0 the whole body follows, and then the connection ends.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("{address}{path} does not answer"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.context("an answer without a status")?, body.to_owned()))
}
