//! The known faults of the replaced system that its master shows, each as the situation that shows it. That it listens
//! on all interfaces without a password is with the arguments of `crontab-master`.

use std::time::{Duration, Instant};

use e2e::{encode, until};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::world::{OLD_PAGE, World, save_form};

#[test]
fn an_expression_that_no_worker_can_read_is_refused_and_the_old_one_stays() {
    let world = World::start();
    let good = world.master.save("a", "true", "0 3 * * *");
    assert_eq!(good.json()["errno"], 0);
    let before = world.value("jobs/a");
    for expression in ["every day", "61 * * * *", "0 0 31 2 *", "* * * *", "", "22-2 * * * *", "@midnight"] {
        let answer = world.master.save("a", "true", expression).json();
        assert_eq!(answer["errno"], -1, "{expression}: {answer}");
        assert!(answer["msg"].as_str().unwrap().starts_with("cronExpr: "), "{expression}: {answer}");
        assert_eq!(world.value("jobs/a"), before, "{expression}");
    }
}

#[test]
fn a_value_put_by_hand_that_is_no_job_is_listed_said_and_can_be_deleted() {
    let world = World::start();
    world.put("jobs/broken", "{\"name\":");
    world.put("jobs/odd", "{\"name\":\"another\",\"command\":\"true\",\"cronExpr\":\"never\"}");
    until("both to be listed", || (world.master.get("/api/v1/jobs").json()["total"] == 2).then_some(()));
    assert_eq!(
        world.master.get("/job/list").json()["data"],
        json!([
            { "name": "broken", "command": "", "cronExpr": "" },
            { "name": "odd", "command": "true", "cronExpr": "never" },
        ])
    );
    let jobs = world.master.get("/api/v1/jobs").json()["jobs"].clone();
    for (job, why) in
        jobs.as_array().unwrap().iter().zip(["the value is not a job", "the schedule has 1 field"])
    {
        assert_eq!(job["state"], "invalid", "{job}");
        assert!(job["message"].as_str().unwrap().contains(why), "{job}");
    }
    for name in ["broken", "odd"] {
        assert_eq!(world.master.post("/job/delete", &format!("name={name}")).json()["errno"], 0);
    }
    assert_eq!(world.master.get("/job/list").json()["data"], json!([]));
}

#[test]
fn output_of_a_job_reaches_the_old_page_as_text_and_everybody_else_exactly() {
    let world = World::start();
    let _worker = world.worker("10.0.0.1");
    let output = "<script>alert(1)</script> & \"é\"";
    assert_eq!(world.master.save("x", &format!("echo '{output}'"), "* * * * * * *").json()["errno"], 0);
    let record = until("a record", || {
        let log = world.master.get("/job/log?name=x&limit=1").json();
        log["data"].as_array().unwrap().first().cloned()
    });
    assert_eq!(record["output"], format!("{output}\n"));
    assert_eq!(record["err"], "");
    for time in ["planTime", "scheduleTime", "startTime", "endTime"] {
        assert!(record[time].as_i64().unwrap() > 1_700_000_000_000, "{record}");
    }
    assert!(record["planTime"].as_i64() <= record["startTime"].as_i64(), "{record}");
    let old = world.master.send("GET", "/job/log?name=x&limit=1", OLD_PAGE, "").json();
    assert_eq!(old["data"][0]["output"], "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;é&quot;\n");
    assert_eq!(world.master.get("/worker/list").json()["data"], json!(["10.0.0.1"]));
}

#[test]
fn a_kill_reaches_a_worker_that_was_away_when_it_was_asked_for() {
    let world = World::start();
    let worker = world.worker("w");
    assert_eq!(world.master.save("long", "sleep 600", "* * * * * * *").json()["errno"], 0);
    until("a run", || {
        let job = world.master.get("/api/v1/job?name=long").json();
        (job["activeCount"] == 1).then_some(())
    });
    worker.process().signal(Signal::STOP);
    let asked = world.master.post("/job/kill", "name=long").json();
    assert_eq!(asked, json!({ "errno": 0, "msg": "success", "data": null }));
    // Longer than the replaced system's signal lasts.
    let begun = Instant::now();
    until("three seconds to pass", || (begun.elapsed() > Duration::from_secs(3)).then_some(()));
    worker.process().signal(Signal::CONT);
    let record = until("a record", || {
        let runs = world.master.get("/api/v1/runs?job=long").json();
        runs["runs"].as_array().unwrap().last().cloned()
    });
    assert_eq!(record["outcome"], "Killed", "{record}");
}

#[test]
fn a_kill_of_what_does_not_run_is_a_failure_and_a_delete_of_what_is_not_there_is_none() {
    let world = World::start();
    assert_eq!(world.master.save("idle", "true", "0 3 * * *").json()["errno"], 0);
    for name in ["idle", "unknown"] {
        let answer = world.master.post("/job/kill", &format!("name={name}")).json();
        assert_eq!((&answer["errno"], &answer["data"]), (&json!(-1), &Value::Null), "{answer}");
        assert!(answer["msg"].as_str().unwrap().contains("nothing runs under the name"), "{answer}");
    }
    let answer = world.master.post("/job/delete", "name=unknown");
    assert_eq!(answer.body, r#"{"errno":0,"msg":"success","data":null}"#);
}

#[test]
fn names_and_commands_that_could_never_run_are_refused_and_nothing_is_stored() {
    let world = World::start();
    let long = "x".repeat(600);
    for (name, command) in [
        ("", "true"),
        (" ", "true"),
        ("a\nb", "true"),
        ("a\u{202e}b", "true"),
        ("..", "true"),
        ("../workers/w", "true"),
        ("/a", "true"),
        (&long, "true"),
        ("a", ""),
        ("a", " \t"),
        ("a", "a\0b"),
    ] {
        let answer = world.master.save(name, command, "* * * * *").json();
        assert_eq!(answer["errno"], -1, "{name:?} {command:?}");
    }
    assert_eq!(world.etcd.ctl(&["get", "--prefix", "--keys-only", "/"]).trim(), "");
    // A slash within a name was always possible.
    assert_eq!(world.master.save("x/y", "true", "* * * * *").json()["errno"], 0);
    assert!(world.value("jobs/x/y").contains("\"command\":\"true\""));
}

#[test]
fn a_form_posted_from_a_foreign_page_changes_nothing() {
    let world = World::start();
    let port = world.master.port();
    assert_eq!(world.master.save("a", "true", "0 3 * * *").json()["errno"], 0);
    let before = world.value("jobs/a");
    for foreign in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
    ] {
        let headers = format!("Content-Type: application/x-www-form-urlencoded\r\n{foreign}");
        for (target, form) in
            [("/job/save", save_form("a", "evil", "* * * * *")), ("/job/delete", "name=a".to_owned())]
        {
            let answer = world.master.send("POST", target, &headers, &form);
            assert_eq!(answer.status, 403, "{foreign}{target}: {}", answer.body);
        }
    }
    assert_eq!(world.value("jobs/a"), before);
    // A name of somebody else's that leads here.
    let rebound = format!("GET /job/list HTTP/1.1\r\nHost: evil.example:{port}\r\nConnection: close\r\n\r\n");
    assert_eq!(world.master.raw(rebound.as_bytes()).status, 421);
}

#[test]
fn list_edit_and_save_in_the_old_page_keeps_a_command_exactly() {
    let world = World::start();
    let command = "a && b < c > 'd' \"e\" &amp; 1+1 100%";
    let saved = world.master.send("POST", "/job/save", OLD_PAGE, &save_form("a", command, "0 3 * * *"));
    assert_eq!(saved.json()["errno"], 0);
    let listed = world.master.send("GET", "/job/list", OLD_PAGE, "").json()["data"][0]["command"].clone();
    // The page writes this into a cell as HTML, and reads the cell's text when the row is edited.
    let listed = listed.as_str().unwrap();
    assert!(!listed.contains(['<', '>', '"', '\'']), "{listed}");
    let references = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    let read = references.iter().fold(listed.to_owned(), |text, (reference, c)| text.replace(reference, c));
    assert_eq!(read, command);
    world.master.send("POST", "/job/save", OLD_PAGE, &save_form("a", &read, "0 3 * * *"));
    assert_eq!(world.master.get("/job/list").json()["data"][0]["command"], command);
    let name = encode("a");
    let deleted = world.master.post("/job/delete", &format!("name={name}")).json();
    assert_eq!(deleted["data"]["command"], command);
}
