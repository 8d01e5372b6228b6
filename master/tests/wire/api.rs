//! `/api/v1`: what the page is made of.

use model::UnixMillis;
use model::keys::Key;
use model::run::SessionId;
use model::values::WorkerInfo;
use serde_json::{Value, json};
use store::{Op, Tree, Txn};

use crate::client::{Server, encode, job};

#[tokio::test]
async fn a_job_is_shown_with_all_that_is_known_of_it() {
    let server = Server::start().await;
    server.save("ops/a", "a && b < c", "0 0 1 1 * 2099").await;
    let ended = server.add_run("ops/a", 0, b"out").await;
    let active = server.put_active("ops/a").await;
    let mut expected = json!({
        "name": "ops/a", "state": "running", "message": null,
        "command": "a && b < c", "commandCut": false, "cronExpr": "0 0 1 1 * 2099",
        "schedule": {
            "text": "0 0 1 1 * 2099", "dialect": "Legacy", "timeZone": "UTC",
            "description": "At 00:00 on the 1st of January, in 2099, UTC",
        },
        "suspended": false, "owner": null, "editable": true, "next": "2099-01-01T00:00:00Z",
        "activeCount": 1,
        "active": [{
            "run": active.as_str(), "attempt": 0, "node": "node-1",
            "slot": "2025-11-24T16:00:00Z", "claimed": "2025-11-24T16:00:00Z",
        }],
        "status": {
            "runs": { "Failed": 1 }, "skipped": {},
            "recent": [{ "run": ended.as_str(), "slot": "2025-11-24T16:00:00Z", "outcome": "Failed", "ended": "2025-11-24T16:00:00.250Z" }],
            "lastScheduleTime": "2025-11-24T16:00:00Z", "lastSuccessfulTime": null,
            "lastFailureTime": "2025-11-24T16:00:00.250Z", "lastSkipped": null,
        },
    });
    assert_eq!(server.get("/api/v1/job?name=ops/a").await.json(), expected);
    let list = server.get("/api/v1/jobs").await.json();
    assert_eq!((&list["total"], &list["matched"], &list["next"]), (&json!(1), &json!(1), &Value::Null));
    assert_eq!(list["jobs"], json!([expected]));

    let deactivate = Txn { then: vec![Op::Delete(Key::Run(job("ops/a").into(), active))], ..Txn::default() };
    server.store.commit(deactivate).await.unwrap();
    expected["state"] = json!("idle");
    expected["activeCount"] = json!(0);
    expected["active"] = json!([]);
    assert_eq!(server.get("/api/v1/job?name=ops%2Fa").await.json(), expected);
}

#[tokio::test]
async fn jobs_that_cannot_run_say_why() {
    let server = Server::start().await;
    server.put(Key::Job(job("broken")), "{").await;
    server.put(Key::Job(job("expression")), r#"{"name":"x","command":"true","cronExpr":"61 * * * *"}"#).await;
    let spec = json!({ "schedule": "@every 90s", "suspend": true, "template": { "command": "true" } });
    server.put_spec("suspended", spec, Some("a.yaml")).await;
    for (name, state, message) in [
        ("broken", "invalid", "the value is not a job; write"),
        ("expression", "invalid", "field 1 (minute) says 61 at character 1"),
        ("suspended", "idle", ""),
    ] {
        let shown = server.get(&format!("/api/v1/job?name={name}")).await.json();
        assert_eq!((&shown["state"], &shown["next"]), (&json!(state), &Value::Null), "{shown}");
        assert!(shown["message"].as_str().unwrap_or_default().starts_with(message), "{shown}");
    }
    let shown = server.get("/api/v1/job?name=suspended").await.json();
    assert_eq!(
        (&shown["suspended"], &shown["owner"]),
        (&json!(true), &json!({ "manifest": { "path": "a.yaml" } }))
    );
}

#[tokio::test]
async fn the_next_run_is_not_before_a_slot_that_was_decided() {
    let server = Server::start().await;
    server.save("ops/a", "true", "0 0 1 1 *").await;
    let created = server.store.get(Key::Job(job("ops/a"))).await.unwrap().unwrap().created.0;
    let now = server.get("/api/v1/jobs").await.json()["now"].as_str().unwrap().to_owned();
    let new_year = |year: i32| format!("{year}-01-01T00:00:00Z");
    let next = now[..4].parse::<i32>().unwrap() + 1;
    for (cursor, incarnation, next, message) in [
        (1999, created, next, None),
        (2098, created, 2099, Some("the clock was set back: no run before 2099-01-01T00:00:00Z")),
        // Another job had the name.
        (2098, created - 1, next, None),
    ] {
        let cursor = json!({
            "slot": new_year(cursor).parse::<UnixMillis>().unwrap(), "job": incarnation,
            "schedule": "0 0 1 1 *", "dialect": "Legacy", "zone": "UTC",
        });
        server.put(Key::Cursor(job("ops/a").into()), cursor.to_string()).await;
        let shown = server.get("/api/v1/jobs").await.json()["jobs"][0].clone();
        assert_eq!(
            (&shown["next"], &shown["message"]),
            (&json!(new_year(next)), &json!(message)),
            "{cursor}"
        );
        assert_eq!(
            (&shown["state"], &server.get("/api/v1/job?name=ops/a").await.json()),
            (&json!("idle"), &shown)
        );
    }
}

#[tokio::test]
async fn a_list_is_searched_and_paged_and_bounded() {
    let server = Server::start().await;
    let puts = (0..450).map(|i| {
        Op::Put(
            Key::Job(job(&format!("{}/Job-{i:04}", if i % 3 == 0 { "Ops" } else { "夜" }))),
            br#"{"command":"true","cronExpr":"* * * * *"}"#.to_vec(),
        )
    });
    server.store.commit(Txn { then: puts.collect(), ..Txn::default() }).await.unwrap();
    // The last job of the commit is saved by a call, which returns once lists show it.
    server.save("zz", &"x".repeat(400), "* * * * *").await;

    let list = async |query: &str| server.get(&format!("/api/v1/jobs{query}")).await.json();
    let names = |list: &Value| -> Vec<String> {
        list["jobs"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = list("").await;
    assert_eq!((&all["total"], &all["matched"], names(&all).len()), (&json!(451), &json!(451), 50));
    assert_eq!(names(&list("?limit=4000000000").await).len(), 200);
    assert_eq!(names(&list("?limit=0").await).len(), 1);

    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = list(&format!("?search=oPS&limit=40&after={}", encode(&after))).await;
        assert_eq!((&page["total"], &page["matched"]), (&json!(451), &json!(150)));
        seen.extend(names(&page));
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    let expected: Vec<String> = (0..450).step_by(3).map(|i| format!("Ops/Job-{i:04}")).collect();
    assert_eq!(seen, expected);

    assert_eq!(names(&list("?search=nothing").await), [""; 0]);
    let long = &list("?search=ZZ").await["jobs"][0];
    assert_eq!((long["command"].as_str().unwrap().len(), &long["commandCut"]), (300, &json!(true)));
    assert_eq!(server.get("/api/v1/job?name=zz").await.json()["command"].as_str().unwrap().len(), 400);

    server.post("/job/delete", "name=zz").await;
    assert_eq!(list("").await["total"], 450);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_saved_or_deleted_is_so_in_the_next_list() {
    let server = Server::start().await;
    for i in 0..50 {
        server.save("a", &format!("echo {i}"), "* * * * *").await;
        assert_eq!(server.get("/api/v1/jobs").await.json()["total"], 1, "saved {i}");
        server.post("/job/delete", "name=a").await;
        assert_eq!(server.get("/api/v1/jobs").await.json()["total"], 0, "deleted {i}");
    }
}

#[tokio::test]
async fn runs_and_their_output_are_read_by_id() {
    let server = Server::start().await;
    let output = "<script>é</script>\n".as_bytes();
    let run = server.add_run("ops/a b", 1, output).await;
    server.add_run("ops", 2, b"of another job").await;
    let page = server.get("/api/v1/runs?job=ops/a+b").await.json();
    assert_eq!(
        page,
        json!({
            "runs": [{
                "run": run.as_str(), "attempt": 0, "job": "ops/a b", "command": "a && b < c", "node": "node-1",
                "slot": "2025-11-24T16:00:01Z", "claimed": "2025-11-24T16:00:01Z",
                "started": "2025-11-24T16:00:01.004Z", "ended": "2025-11-24T16:00:01.250Z",
                "outcome": "Failed", "exitStatus": 3, "signal": null, "message": "exit status 3",
            }],
            "skipped": [],
        })
    );
    assert_eq!(server.get("/api/v1/runs?job=ops/a+b&skip=1").await.json()["runs"], json!([]));
    let answer = server.get(&format!("/api/v1/runs/{run}")).await;
    assert_eq!(answer.body.as_bytes(), output);
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("content-length"), Some("20"));
    let missing = server.get(&format!("/api/v1/runs/{run}?attempt=1")).await;
    assert_eq!(missing.status, 404);
    assert!(
        missing.json()["error"]["message"].as_str().unwrap().starts_with("there is no record of attempt 1")
    );
}

#[tokio::test]
async fn a_schedule_is_explained_before_it_is_saved() {
    let server = Server::start().await;
    let preview = async |query: &str| server.get(&format!("/api/v1/schedule?{query}")).await.json();
    assert_eq!(
        preview("expr=0+0+1+1+*+2097-2099").await,
        json!({
            "description": "At 00:00 on the 1st of January, in 2097 to 2099, UTC",
            "timeZone": "UTC",
            "next": ["2097-01-01T00:00:00Z", "2098-01-01T00:00:00Z", "2099-01-01T00:00:00Z"],
        })
    );
    let paris = preview("expr=0+0+0+1+1+*+2098&zone=Europe/Paris&dialect=standard").await;
    assert_eq!(paris["next"], json!(["2097-12-31T23:00:00Z"]));
    assert_eq!(preview("expr=*+*+*+*+*").await["next"].as_array().unwrap().len(), 5);
    let wrong = preview("expr=%C3%A9+25+*+*+*").await;
    assert_eq!((&wrong["error"]["offset"], &wrong["error"]["length"]), (&json!(0), &json!(1)), "{wrong}");
    let wrong = preview("expr=0+25+*+*+*").await;
    assert_eq!((&wrong["error"]["offset"], &wrong["error"]["length"]), (&json!(2), &json!(2)), "{wrong}");
    assert!(wrong["error"]["message"].as_str().unwrap().contains("hours are 0 to 23"), "{wrong}");
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused_with_a_sentence() {
    let server = Server::start().await;
    for (target, status, why) in [
        ("/api/v1/job", 400, "name is missing"),
        ("/api/v1/job?name=a//b", 400, "write it as name or namespace/name"),
        ("/api/v1/job?name=unknown", 404, "there is no job unknown"),
        ("/api/v1/jobs?limit=x", 400, "write a whole number"),
        ("/api/v1/jobs?search=%FF", 400, "not UTF-8"),
        ("/api/v1/runs", 400, "job is missing"),
        ("/api/v1/runs?job=a&skip=-1", 400, "write a whole number"),
        ("/api/v1/runs/..%2F..%2Fetc", 400, "not a run id: it looks like"),
        ("/api/v1/runs/%FF", 400, "UTF-8"),
        ("/api/v1/schedule", 400, "expr is missing"),
        ("/api/v1/schedule?expr=@daily&zone=Paris", 400, "did you mean Europe/Paris?"),
        ("/api/v1/schedule?expr=@daily&dialect=go", 400, "write legacy or standard"),
    ] {
        let answer = server.get(target).await;
        assert_eq!(answer.status, status, "{target}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(why), "{target}: {message}");
    }
}

#[tokio::test]
async fn workers_and_health() {
    let server = Server::start().await;
    assert_eq!(server.get("/api/v1/workers").await.json(), json!({ "workers": [] }));
    let info = WorkerInfo::new("10.0.0.7", "n", "1", UnixMillis(1_764_000_000_000));
    server.store.open_session(SessionId("n-1".to_owned()), &info).await.unwrap();
    server.put(Key::Worker(SessionId("10.0.0.9".to_owned())), "").await;
    assert_eq!(
        server.get("/api/v1/workers").await.json()["workers"],
        json!([
            { "session": "10.0.0.9", "address": "10.0.0.9", "node": null, "version": null, "since": null },
            { "session": "n-1", "address": "10.0.0.7", "node": "n", "version": "1", "since": "2025-11-24T16:00:00Z" },
        ])
    );
    assert_eq!(
        server.get("/healthz").await.json(),
        json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") })
    );
}

#[tokio::test]
async fn a_job_is_suspended_and_resumed_and_keeps_all_else() {
    let server = Server::start().await;
    server.save("old", "a && b", "30 2 * * * 2099").await;
    let spec = json!({ "schedule": "@every 90s", "template": { "exec": ["echo", "a b"] } });
    server.put_spec("full", spec.clone(), None).await;
    server.put_spec("filed", spec, Some("a.yaml")).await;
    let patch = async |name: &str, body: &str| {
        let headers = "Content-Type: application/json\r\n";
        server.send("PATCH", &format!("/api/v1/job?name={name}"), headers, body).await
    };
    for name in ["old", "full"] {
        let before = server.get(&format!("/api/v1/job?name={name}")).await.json();
        // What is so already changes nothing.
        assert_eq!(patch(name, r#"{"suspend":false}"#).await.json(), before);
        let shown = patch(name, r#"{"suspend":true}"#).await.json();
        assert_eq!((&shown["suspended"], &shown["next"]), (&json!(true), &json!(null)), "{shown}");
        // A worker of the replaced system knows nothing of it, so it can't have the job.
        let lock = server.store.get(Key::Lock(job(name))).await.unwrap().unwrap();
        assert_eq!(lock.value, b"reserved");
        let shown = patch(name, r#"{"suspend":false}"#).await.json();
        assert_eq!((&shown["suspended"], &shown["command"]), (&json!(false), &before["command"]));
        assert_eq!(shown["schedule"]["description"], before["schedule"]["description"]);
    }
    // What an old worker runs now is left alone.
    server.put(Key::Job(job("theirs")), r#"{"command":"true","cronExpr":"* * * * *"}"#).await;
    server.put(Key::Lock(job("theirs")), "").await;
    for (name, body, status, why) in [
        ("theirs", r#"{"suspend":true}"#, 409, "a worker of the replaced system runs the job theirs now"),
        ("filed", r#"{"suspend":true}"#, 409, "edit that file"),
        ("unknown", r#"{"suspend":true}"#, 404, "there is no job unknown"),
        ("..", r#"{"suspend":true}"#, 400, "'..'"),
        ("old", "", 400, "send {"),
        ("old", r#"{"suspend":"yes"}"#, 422, "send {"),
        ("old", r#"{"suspend":true,"command":"x"}"#, 422, "send {"),
    ] {
        let answer = patch(name, body).await;
        assert_eq!(answer.status, status, "{name} {body}: {answer:?}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(why), "{answer:?}");
    }
    let form = server.send("PATCH", "/api/v1/job?name=old", crate::client::FORM, "suspend=true").await;
    assert_eq!(form.status, 415);
    let foreign = "Content-Type: application/json\r\nOrigin: http://evil.example\r\n";
    let answer = server.send("PATCH", "/api/v1/job?name=old", foreign, r#"{"suspend":true}"#).await;
    assert_eq!(answer.status, 403);
}
