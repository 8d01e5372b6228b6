//! Requests that are too large, broken or meant badly: clear answers, bounded memory, nothing executed.

use std::io::{Read, Write};
use std::net::TcpStream;

use e2e::{encode, peak_memory};
use serde_json::json;

use crate::world::{OLD_PAGE, World, save_form};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[test]
fn a_body_of_100_megabytes_is_refused_and_not_kept() {
    let world = World::start();
    let before = peak_memory(world.master.process().id());
    let port = world.master.port();
    let head = format!(
        "POST /job/save HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n{FORM}Content-Length: 100000000\r\n\r\n"
    );
    let announced = world.master.raw(&[head.as_bytes(), &vec![b'x'; 100_000_000]].concat());
    assert_eq!(announced.status, 413);
    assert!(announced.body.contains("more than 1 MiB"), "{}", announced.body);
    // Without a length, as far as it is read.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                let head = format!(
                    "POST /job/save HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{FORM}Transfer-Encoding: chunked\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).unwrap();
                let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
                let sent = (0..100).take_while(|_| stream.write_all(chunk.as_bytes()).is_ok()).count();
                assert!(sent < 100, "all of it was read");
            });
        }
    });
    let after = peak_memory(world.master.process().id());
    assert!(after - before < 64 << 10, "{before} KiB, then {after} KiB");
    assert_eq!(world.master.save("a", "true", "* * * * *").json()["errno"], 0);
}

#[test]
fn script_in_every_field_comes_back_as_text() {
    let world = World::start();
    let script = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&{{7*7}}${7*7}`id`$(id)";
    let name = script.replace('/', "");
    assert_eq!(world.master.save(&name, script, "0 3 * * *").json()["errno"], 0);
    world.put("workers/<b>old</b>", "");
    let encoded = encode(&name);
    let targets = [
        "/job/list".to_owned(),
        "/worker/list".to_owned(),
        format!("/job/log?name={encoded}"),
        format!("/job/log?name=a&skip={}", encode(script)),
        format!("/api/v1/jobs?search={encoded}"),
        format!("/api/v1/job?name={encoded}"),
        format!("/api/v1/job?name=x{encoded}"),
        format!("/api/v1/runs?job={encoded}"),
        format!("/api/v1/runs/{encoded}"),
        format!("/api/v1/schedule?expr={}", encode(script)),
        "/api/v1/workers".to_owned(),
        format!("/{encoded}"),
    ];
    for target in &targets {
        for headers in ["", OLD_PAGE] {
            let answer = world.master.send("GET", target, headers, "");
            assert_eq!(answer.header("content-type"), Some("application/json"), "{target}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{target}");
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
            if !headers.is_empty() && target.starts_with("/job") | target.starts_with("/worker") {
                assert!(!answer.body.contains('<'), "{target}: {}", answer.body);
            }
            answer.json();
        }
    }
    let listed = world.master.get("/job/list").json();
    assert_eq!(listed["data"], json!([{ "name": name, "command": script, "cronExpr": "0 3 * * *" }]));
    for (target, form) in [
        ("/job/save", save_form("b", "true", script)),
        ("/job/save", format!("job={}", encode(script))),
        ("/job/kill", format!("name={encoded}")),
    ] {
        let headers = OLD_PAGE.replace("; charset=UTF-8", "");
        let answer = world.master.send("POST", target, &headers, &form);
        assert_eq!(answer.json()["errno"], -1, "{target}");
        assert!(!answer.body.contains('<'), "{}", answer.body);
    }
}

#[test]
fn what_does_not_exist_is_said_and_paths_lead_nowhere_else() {
    let world = World::start();
    world.put("secret", "s3cret");
    world.put("workers/w", "s3cret");
    for (target, status) in [
        ("/api/v1/job?name=unknown", 404),
        ("/api/v1/job?name=", 400),
        ("/api/v1/job?name=..%2Fsecret", 400),
        ("/api/v1/job?name=..%2Fworkers%2Fw", 400),
        ("/api/v1/job", 400),
        ("/api/v1/job?name=%FF", 400),
        ("/api/v1/runs/unknown", 400),
        ("/api/v1/runs/1764000000000-0123456789abcdef", 404),
        ("/api/v1/runs/1764000000000-0123456789abcdef?attempt=-1", 400),
        ("/api/v1/runs/..%2F..%2Fsecret", 400),
        ("/api/v1/runs/%FF", 400),
        ("/api/v1/runs?job=unknown", 200),
        ("/../../etc/passwd", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", 404),
        ("/app.js/../../secret", 404),
    ] {
        let answer = world.master.get(target);
        assert_eq!(answer.status, status, "{target}: {}", answer.body);
        assert!(!answer.body.contains("s3cret") && !answer.body.contains("root:"), "{target}");
        if status != 200 {
            assert!(!answer.json()["error"]["message"].as_str().unwrap().is_empty(), "{target}");
        }
    }
    for (target, form) in [
        ("/job/delete", "name=..%2Fsecret"),
        ("/job/delete", "name=..%2Fworkers%2Fw"),
        ("/job/kill", "name=..%2Fworkers%2Fw"),
        ("/job/save", &save_form("../secret", "true", "* * * * *")),
    ] {
        assert_eq!(world.master.post(target, form).json()["errno"], -1, "{target} {form}");
    }
    assert_eq!((world.value("secret"), world.value("workers/w")), ("s3cret".to_owned(), "s3cret".to_owned()));
}

#[test]
fn broken_and_slow_clients_keep_nobody_out() {
    let world = World::start();
    let port = world.master.port();
    let connect = || TcpStream::connect(("127.0.0.1", port)).unwrap();
    let begun =
        format!("POST /job/save HTTP/1.1\r\nHost: localhost\r\n{FORM}Content-Length: 1000\r\n\r\njob=");
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut stream = connect();
        stream.write_all(begun.as_bytes()).unwrap();
        slow.push(stream);
    }
    for bytes in
        [&b"\x16\x03\x01\x02\x00"[..], b"\0\0\0\0\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n"]
    {
        let mut stream = connect();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(world.master.save("a", "true", "* * * * *").json()["errno"], 0);
    assert_eq!(world.master.get("/job/list").json()["errno"], 0);
}
