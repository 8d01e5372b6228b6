//! The six calls: requests and their exact answers.

use model::UnixMillis;
use model::keys::Key;
use model::legacy::JobValue;
use model::run::SessionId;
use model::values::WorkerInfo;
use serde_json::{Value, json};
use store::Tree;

use crate::client::{FORM, OLD_PAGE, Server, encode, job, save_form};

const EMPTY: &str = r#"{"errno":0,"msg":"success","data":[]}"#;
const NULL: &str = r#"{"errno":0,"msg":"success","data":null}"#;

#[tokio::test]
async fn a_job_is_saved_listed_replaced_and_deleted() {
    let server = Server::start().await;
    let one = r#"{"name":"ops/夜 间","command":"a && b < c","cronExpr":"0 3 * * *"}"#;
    let two = r#"{"name":"ops/夜 间","command":"d","cronExpr":"*/5 * * * * * *"}"#;
    let success = |data: &str| format!(r#"{{"errno":0,"msg":"success","data":{data}}}"#);
    let save = |job: &str| format!("job={}", encode(job));
    let name = format!("name={}", encode("ops/夜 间"));
    let table = [
        ("GET", "/job/list", String::new(), EMPTY.to_owned()),
        ("POST", "/job/save", save(one), NULL.to_owned()),
        ("GET", "/job/list", String::new(), success(&format!("[{one}]"))),
        ("POST", "/job/save", save(two), success(one)),
        // Fields that the form does not know are ignored, and null is empty.
        (
            "POST",
            "/job/save",
            save(r#"{"name":"b","command":"true","cronExpr":"@daily","x":1}"#),
            NULL.to_owned(),
        ),
        (
            "GET",
            "/job/list",
            String::new(),
            success(&format!(r#"[{{"name":"b","command":"true","cronExpr":"@daily"}},{two}]"#)),
        ),
        ("POST", "/job/delete", name.clone(), success(two)),
        ("POST", "/job/delete", name, NULL.to_owned()),
        ("GET", "/job/log?name=never-heard-of", String::new(), EMPTY.to_owned()),
        ("GET", "/worker/list", String::new(), EMPTY.to_owned()),
    ];
    for (method, target, form, expected) in table {
        let answer = server.send(method, target, FORM, &form).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, expected.as_str()), "{method} {target}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_errno_minus_one_and_says_what_to_write() {
    let server = Server::start().await;
    let save = |name: &str, command: &str, expr: &str| save_form(name, command, expr);
    let table = [
        ("/job/save", String::new(), "job is missing"),
        ("/job/save", "job=".to_owned(), "not valid JSON"),
        ("/job/save", "job={".to_owned(), r#"write {"name":"…","command":"…","cronExpr":"…"}"#),
        ("/job/save", "job=[]".to_owned(), "not valid JSON"),
        ("/job/save", format!("job={}", encode(r#"{"name":1}"#)), "not valid JSON"),
        ("/job/save", "job=%FF".to_owned(), "not UTF-8"),
        ("/job/save", save("", "true", "* * * * *"), "name: a job needs a name; write one such as backup"),
        ("/job/save", save("a//b", "true", "* * * * *"), "write it as name or namespace/name"),
        ("/job/save", save("../a", "true", "* * * * *"), "write it as name or namespace/name"),
        ("/job/save", save("a\0", "true", "* * * * *"), "control character"),
        ("/job/save", save(&"x".repeat(600), "true", "* * * * *"), "at most 512"),
        ("/job/save", save("a", " ", "* * * * *"), "command: the command is blank; write the line to run"),
        ("/job/save", save("a", "a\0b", "* * * * *"), "command: there is a NUL byte at offset 1"),
        ("/job/save", save("a", &"x".repeat(128_001), "* * * * *"), "command: the command has 128001 bytes"),
        (
            "/job/save",
            save("a", "true", "61 * * * *"),
            "cronExpr: field 1 (minute) says 61 at character 1; minutes are 0 to 59",
        ),
        ("/job/save", save("a", "true", "0 0 31 2 *"), "cronExpr: "),
        ("/job/save", save("a", "true", ""), "cronExpr: "),
        ("/job/delete", String::new(), "name is missing"),
        ("/job/delete", "name=a//b".to_owned(), "name: "),
        ("/job/kill", "other=a".to_owned(), "name is missing"),
        ("/job/kill", "name=a".to_owned(), "nothing runs under the name a now"),
    ];
    for (target, form, why) in table {
        let answer = server.post(target, &form).await;
        assert_eq!(answer.status, 200, "{target} {form:.80}");
        let body = answer.json();
        assert_eq!((&body["errno"], &body["data"]), (&json!(-1), &Value::Null), "{target} {form:.80}");
        let message = body["msg"].as_str().unwrap();
        assert!(message.contains(why), "{target} {form:.80}: {message}");
    }
    for (query, why) in [
        ("", "name is missing"),
        ("?name=", "a job needs a name"),
        ("?name=%FF", "not UTF-8"),
        ("?name=a&skip=-1", r#"skip is "-1"; write a whole number"#),
        ("?name=a&limit=ten", r#"limit is "ten"; write a whole number"#),
        ("?name=a&limit=99999999999", "write a whole number"),
    ] {
        let body = server.get(&format!("/job/log{query}")).await.json();
        assert_eq!(body["errno"], -1, "{query}");
        assert!(body["msg"].as_str().unwrap().contains(why), "{query}: {body}");
    }
    // Nothing of it was saved.
    assert_eq!(server.get("/job/list").await.body, EMPTY);
}

#[tokio::test]
async fn other_content_types_are_not_read_as_forms() {
    let server = Server::start().await;
    for kind in
        ["", "Content-Type: text/plain\r\n", "Content-Type: application/json\r\n", "Content-Type: \u{e9}\r\n"]
    {
        let answer = server.send("POST", "/job/save", kind, &save_form("a", "true", "* * * * *")).await;
        assert_eq!((answer.status, answer.json()["errno"].clone()), (200, json!(-1)), "{kind}");
        assert!(answer.body.contains("application/x-www-form-urlencoded"), "{answer:?}");
    }
    let jquery = "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n";
    let answer = server.send("POST", "/job/save", jquery, &save_form("a", "true", "* * * * *")).await;
    assert_eq!(answer.body, NULL);
}

#[tokio::test]
async fn a_job_from_a_manifest_is_changed_in_its_file_only() {
    let server = Server::start().await;
    let spec = json!({ "schedule": "0 3 * * *", "template": { "command": "true" } });
    server.put_spec("filed", spec.clone(), Some("examples/a.yaml")).await;
    server.put_spec("piped", spec, Some("-")).await;
    server.put(Key::Job(job("newer")), r#"{"name":"newer","owner":{"galaxy":"x"}}"#).await;
    let before = server.get("/job/list").await.body;
    for (name, why) in [
        ("filed", "the job filed comes from examples/a.yaml; edit that file and start again"),
        ("piped", "the job piped comes from standard input; edit that manifest and start again"),
        (
            "newer",
            "the job newer comes from a program of another version; edit that manifest and start again",
        ),
    ] {
        for answer in [
            server.save(name, "false", "0 3 * * *").await,
            server.post("/job/delete", &format!("name={name}")).await,
        ] {
            assert_eq!(answer.json(), json!({ "errno": -1, "msg": why, "data": null }));
        }
    }
    assert_eq!(server.get("/job/list").await.body, before);

    server.put_active("filed").await;
    assert_eq!(server.post("/job/kill", "name=filed").await.body, NULL);
    assert!(server.store.get(Key::Kill(job("filed"))).await.unwrap().is_some());
}

#[tokio::test]
async fn of_a_job_in_full_a_save_changes_command_and_expression_only() {
    let server = Server::start().await;
    let spec = json!({
        "schedule": "30 2 * * MON-FRI", "timeZone": "Europe/Paris", "suspend": true,
        "template": { "exec": ["echo", "a b"], "env": [{ "name": "A", "value": "b" }] },
    });
    server.put_spec("x", spec, None).await;
    let stored = async || {
        let pair = server.store.get(Key::Job(job("x"))).await.unwrap().unwrap();
        JobValue::from_bytes(&pair.value).unwrap().spec.unwrap()
    };
    let shown = server.get("/job/list").await.json()["data"][0].clone();
    let before = stored().await;
    // What was shown is what is meant.
    let answer = server.post("/job/save", &format!("job={}", encode(&shown.to_string()))).await;
    assert_eq!(answer.json()["data"], shown);
    assert_eq!(stored().await, before);

    server.save("x", "echo c", shown["cronExpr"].as_str().unwrap()).await;
    let mut expected = before;
    expected.template.command = Some("echo c".to_owned());
    expected.template.exec.clear();
    assert_eq!(stored().await, expected);

    server.save("x", "echo c", "0 4 * * *").await;
    let edited = stored().await;
    assert_eq!((edited.schedule.as_str(), edited.time_zone.as_str()), ("0 4 * * *", "Europe/Paris"));
    assert_eq!((edited.suspend, edited.template), (true, expected.template));
}

#[tokio::test]
async fn a_value_that_is_no_job_is_listed_and_can_be_replaced_or_deleted() {
    let server = Server::start().await;
    server.put(Key::Job(job("broken")), "{").await;
    server.put(Key::Job(job("key")), r#"{"name":"other","command":"true","cronExpr":null}"#).await;
    assert_eq!(
        server.get("/job/list").await.json()["data"],
        json!([{ "name": "broken", "command": "", "cronExpr": "" }, { "name": "key", "command": "true", "cronExpr": "" }])
    );
    let empty = json!({ "name": "broken", "command": "", "cronExpr": "" });
    assert_eq!(server.save("broken", "true", "* * * * *").await.json()["data"], empty);
    server.put(Key::Job(job("broken")), "\u{0}").await;
    assert_eq!(server.post("/job/delete", "name=broken").await.json()["data"], empty);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn saves_at_the_same_time_replace_each_other_one_by_one() {
    let server = Server::start().await;
    let mut sent: Vec<String> = Vec::new();
    let mut replaced: Vec<String> = Vec::new();
    for round in 0..40 {
        let commands: Vec<String> = (0..6).map(|i| format!("echo {round} {i}")).collect();
        let saves = commands.iter().map(|command| server.save("a", command, "* * * * *"));
        for answer in futures::future::join_all(saves).await {
            let body = answer.json();
            assert_eq!(body["errno"], 0, "{body}");
            replaced.push(body["data"]["command"].as_str().unwrap_or("nothing").to_owned());
        }
        sent.extend(commands);
    }
    // Each saved command was replaced once, but for the last one; the first replaced nothing.
    let listed = server.get("/job/list").await.json();
    replaced.push(listed["data"][0]["command"].as_str().unwrap().to_owned());
    replaced.sort();
    sent.push("nothing".to_owned());
    sent.sort();
    assert_eq!(replaced, sent);
}

#[tokio::test]
async fn a_kill_reaches_what_runs_and_nothing_else() {
    let server = Server::start().await;
    server.save("idle", "true", "* * * * *").await;
    server.put_active("ops/rotate").await;
    for (name, errno) in [("idle", -1), ("unknown", -1), ("ops", -1), ("ops/rotate", 0)] {
        let body = server.post("/job/kill", &format!("name={}", encode(name))).await.json();
        assert_eq!((&body["errno"], &body["data"]), (&json!(errno), &Value::Null), "{name}");
        let asked = server.store.get(Key::Kill(job(name))).await.unwrap().is_some();
        assert_eq!(asked, errno == 0, "{name}");
    }
}

#[tokio::test]
async fn the_log_has_the_newest_first_and_pages() {
    let server = Server::start().await;
    for second in 0..25 {
        server.add_run("a/b", second, format!("{second}\0é\n").as_bytes()).await;
    }
    server.add_run("a", 99, b"another job's").await;
    let log = async |query: &str| {
        let body = server.get(&format!("/job/log?name=a%2Fb{query}")).await.json();
        assert_eq!((&body["errno"], &body["msg"]), (&json!(0), &json!("success")));
        let records = body["data"].as_array().unwrap().clone();
        (records.len(), records.first().map(|record| record["output"].as_str().unwrap().to_owned()))
    };
    let first = |output: &str| Some(output.to_owned());
    assert_eq!(log("").await, (20, first("24\0é\n")));
    assert_eq!(log("&skip=20").await, (5, first("4\0é\n")));
    assert_eq!(log("&skip=3&limit=2").await, (2, first("21\0é\n")));
    assert_eq!(log("&limit=0").await, (0, None));
    assert_eq!(log("&limit=4000000000").await.0, 25);
    assert_eq!(
        server.get("/job/log?name=a").await.body,
        r#"{"errno":0,"msg":"success","data":[{"jobName":"a","command":"a && b < c","err":"exit status 3","output":"another job's","planTime":1764000099000,"scheduleTime":1764000099000,"startTime":1764000099004,"endTime":1764000099250}]}"#
    );
}

#[tokio::test]
async fn the_log_stays_within_memory_and_says_what_was_cut() {
    let server = Server::start().await;
    for second in 0..3 {
        server.add_run("a", second, &vec![b'x'; 9 << 20]).await;
    }
    let body = server.get("/job/log?name=a").await.json();
    let lengths: Vec<usize> = body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["output"].as_str().unwrap().len())
        .collect();
    assert_eq!(lengths[0], 9 << 20);
    assert!(lengths.iter().sum::<usize>() < (16 << 20) + 200, "{lengths:?}");
    assert!(body["data"][1]["output"].as_str().unwrap().contains("[... 2097152 bytes cut ...]"));
    assert!(body["data"][2]["output"].as_str().unwrap().contains("[... 9437184 bytes cut ...]"));
}

#[tokio::test]
async fn workers_are_listed_by_address() {
    let server = Server::start().await;
    let info = WorkerInfo::new("10.0.0.7", "n", "1", UnixMillis(0));
    server.store.open_session(SessionId("n-1".to_owned()), &info).await.unwrap();
    // One of the replaced system: its address is the key, its value is empty.
    server.put(Key::Worker(SessionId("10.0.0.9".to_owned())), "").await;
    assert_eq!(
        server.get("/worker/list").await.body,
        r#"{"errno":0,"msg":"success","data":["10.0.0.9","10.0.0.7"]}"#
    );
}

#[tokio::test]
async fn the_old_page_gets_html_and_everybody_else_exact_text() {
    let server = Server::start().await;
    let script = "<img src=x onerror=\"alert('1')\">&amp;\r\n";
    server.save("<b>&x</b>", script, "0 3 * * *").await;
    server.add_run("<b>&x</b>", 0, script.as_bytes()).await;
    let escaped = "&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;amp;&#13;\n";
    let name = encode("<b>&x</b>");

    let old = async |method: &str, target: &str, form: &str| {
        server.send(method, target, &format!("{FORM}{OLD_PAGE}"), form).await.json()
    };
    let listed = old("GET", "/job/list", "").await;
    assert_eq!(
        listed["data"][0],
        json!({ "name": "&lt;b&gt;&amp;x&lt;/b&gt;", "command": escaped, "cronExpr": "0 3 * * *" })
    );
    let log = old("GET", &format!("/job/log?name={name}"), "").await;
    assert_eq!(
        (&log["data"][0]["output"], &log["data"][0]["command"]),
        (&json!(escaped), &json!("a &amp;&amp; b &lt; c"))
    );
    assert_eq!(log["data"][0]["jobName"], "&lt;b&gt;&amp;x&lt;/b&gt;");
    let failed = old("POST", "/job/kill", &format!("name={name}")).await;
    assert_eq!(
        failed["msg"],
        "nothing runs under the name &lt;b&gt;&amp;x&lt;/b&gt; now, so nothing was killed"
    );
    assert_eq!(old("POST", "/job/delete", &format!("name={name}")).await["data"]["command"], escaped);

    assert_eq!(server.get(&format!("/job/log?name={name}")).await.json()["data"][0]["output"], script);
}

#[tokio::test]
async fn list_edit_save_in_the_old_page_keeps_a_command_exactly() {
    // What a browser makes of HTML that was set as a cell's content and is read as its text.
    fn in_browser(html: &str) -> String {
        assert!(!html.contains(['<', '>', '"']), "markup: {html}");
        let known =
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#13;", "\r"), ("&amp;", "&")];
        known.iter().fold(html.to_owned(), |text, (reference, character)| text.replace(reference, character))
    }
    let server = Server::start().await;
    for command in ["a && b < c", "a &amp;&amp; b", "echo '&lt;' \"q\" > f", "x &#13; y", "tab\tand\nline"] {
        server.save("a", command, "0 3 * * *").await;
        for _ in 0..3 {
            let listed = server.send("GET", "/job/list", OLD_PAGE, "").await.json();
            let shown = in_browser(listed["data"][0]["command"].as_str().unwrap());
            assert_eq!(shown, command);
            let form = save_form("a", &shown, "0 3 * * *");
            let saved = server.send("POST", "/job/save", &format!("{FORM}{OLD_PAGE}"), &form).await;
            assert_eq!(saved.json()["errno"], 0);
        }
        assert_eq!(server.get("/job/list").await.json()["data"][0]["command"], command);
    }
}
