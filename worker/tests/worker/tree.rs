//! What is wrong in the tree stays where it is.

use model::keys::Key;
use model::run::Outcome;
use serde_json::json;
use tokio::sync::broadcast::error::TryRecvError;
use worker::Report;

use crate::world::{World, name, stop};

/// Values that are no jobs.
fn malformed() -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> = [
        "", " ", "{", "}", "[]", "null", "true", "7", "\"text\"", "{}", "{\"name\":\"x\"}",
        r#"{"name":7,"command":"true","cronExpr":"* * * * *"}"#,
        r#"{"name":"x","command":["true"],"cronExpr":"* * * * *"}"#,
        r#"{"name":"x","command":"","cronExpr":"* * * * *"}"#,
        r#"{"name":"x","command":"   ","cronExpr":"* * * * *"}"#,
        r#"{"name":"x","command":"a\u0000b","cronExpr":"* * * * *"}"#,
        r#"{"name":"x","command":"true","cronExpr":""}"#,
        r#"{"name":"x","command":"true","cronExpr":"* * * *"}"#,
        r#"{"name":"x","command":"true","cronExpr":"61 * * * *"}"#,
        r#"{"name":"x","command":"true","cronExpr":"0 0 31 2 *"}"#,
        r#"{"name":"x","command":"true","cronExpr":"@often"}"#,
        r#"{"name":"x","command":"true","cronExpr":"* * * * *","spec":{}}"#,
        r#"{"name":"x","command":"true","cronExpr":"* * * * *","spec":{"schedule":"bad","template":{"command":"true"}}}"#,
        r#"{"name":"x","command":"true","cronExpr":"* * * * *","spec":{"schedule":"* * * * *","timeZone":"Mars/Base","template":{"command":"true"}}}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    values.push(b"\xff\xfe\x00".to_vec());
    values.push(vec![b'['; 100_000]);
    values.push(vec![b' '; (1 << 20) + 1]);
    values.push(
        [br#"{"command":""#.to_vec(), vec![b'x'; 200_000], br#"","cronExpr":"* * * * *"}"#.to_vec()].concat(),
    );
    values
}

fn reported(reports: &mut tokio::sync::broadcast::Receiver<Report>) -> Vec<String> {
    let mut keys = Vec::new();
    loop {
        match reports.try_recv() {
            Ok(Report::Malformed(what)) => {
                assert!(what.message.len() > 10, "{what:?}");
                keys.push(what.key.clone());
            }
            Ok(_) => {}
            Err(TryRecvError::Empty) => return keys,
            Err(why) => panic!("{why}"),
        }
    }
}

#[tokio::test]
async fn malformed_values_are_reported_once_each_and_hurt_no_neighbour() {
    let world = World::new();
    let worker = world.worker().await;
    let mut reports = worker.reports();
    world.job("good", "echo good", json!({})).await;
    let values = malformed();
    for (i, value) in values.iter().enumerate() {
        world.put(Key::Job(name(&format!("bad{i:03}"))), value.clone()).await;
    }
    let from = world.records("good").await.len();
    world.records_until("good", |records| records.len() >= from + 3).await;
    let mut keys = reported(&mut reports);
    keys.sort();
    let expected: Vec<String> = (0..values.len()).map(|i| format!("/cron/jobs/bad{i:03}")).collect();
    assert_eq!(keys, expected);
    for record in world.records("good").await {
        assert_eq!(record.outcome, Outcome::Succeeded);
    }
    stop(worker).await;
}

#[tokio::test]
async fn a_malformed_update_stops_the_job_and_a_good_one_starts_it_again() {
    let world = World::new();
    let worker = world.worker().await;
    let mut reports = worker.reports();
    world.job("a", "echo one", json!({})).await;
    world.first_record("a").await;
    world.put(Key::Job(name("a")), b"{".to_vec()).await;
    world.job("good", "true", json!({})).await;
    world.records_until("good", |records| records.len() >= 2).await;
    assert_eq!(reported(&mut reports), ["/cron/jobs/a"]);
    let stopped = world.records("a").await.len();
    world.records_until("good", |records| records.len() >= 4).await;
    assert_eq!(world.records("a").await.len(), stopped);
    world.job("a", "echo two", json!({})).await;
    let records = world.records_until("a", |records| records.len() > stopped).await;
    assert_eq!(records[stopped].output.to_text(), "two\n");
    stop(worker).await;
}

#[tokio::test]
async fn jobs_that_are_malformed_at_the_start_do_not_keep_a_worker_from_starting() {
    let world = World::new();
    for (i, value) in malformed().into_iter().enumerate() {
        world.put(Key::Job(name(&format!("bad{i}"))), value).await;
    }
    world.job("good", "true", json!({})).await;
    world.put(Key::Cursor(name("good").into()), b"{".to_vec()).await;
    world.put(Key::Status(name("good").into()), b"[]".to_vec()).await;
    let worker = world.worker().await;
    assert_eq!(world.first_record("good").await.outcome, Outcome::Succeeded);
    stop(worker).await;
}
