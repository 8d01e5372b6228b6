//! What answers a ping, and what does not.

use std::time::Duration;

use rustix::process::Signal;

use crate::deaths::signal;
use crate::host::{Host, sh};

async fn is_answered(host: &mut Host, count: usize) {
    host.until("an answer", |host| host.answers == count).await;
}

#[tokio::test]
async fn an_executor_answers_each_ping_also_while_it_starts_many() {
    let mut host = Host::new();
    host.executor.ping();
    is_answered(&mut host, 1).await;
    for key in 0..300 {
        host.executor.start(sh(key, "true"));
        host.executor.ping();
    }
    is_answered(&mut host, 301).await;
}

#[tokio::test]
async fn a_stopped_executor_does_not_answer_and_a_continued_one_does() {
    let mut host = Host::new();
    let executor = host.pid().await;
    signal(executor, Signal::STOP);
    host.executor.ping();
    assert!(host.is_silent_for(Duration::from_millis(500)).await);
    signal(executor, Signal::CONT);
    is_answered(&mut host, 1).await;
}
