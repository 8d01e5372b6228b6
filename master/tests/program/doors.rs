use std::fs;
use std::os::unix::fs::symlink;

use crate::process::{Master, basic, run};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[test]
fn with_servers_away_it_listens_says_what_is_wrong_and_ends_cleanly() {
    let health = free_port();
    let master = Master::start(&["--health-listen", &health]);
    for (method, target, body) in [
        ("GET", "/job/list", ""),
        ("GET", "/worker/list", ""),
        ("GET", "/job/log?name=a", ""),
        (
            "POST",
            "/job/save",
            "job=%7B%22name%22%3A%22a%22%2C%22command%22%3A%22b%22%2C%22cronExpr%22%3A%22*+*+*+*+*%22%7D",
        ),
        ("POST", "/job/delete", "name=a"),
        ("POST", "/job/kill", "name=a"),
    ] {
        let answer = master.send(method, target, FORM, body);
        assert_eq!(answer.status, 200, "{target}: {}", answer.body);
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(
            (&body["errno"], &body["data"]),
            (&(-1).into(), &serde_json::Value::Null),
            "{target}: {body}"
        );
        assert!(body["msg"].as_str().unwrap().contains("is not available"), "{target}: {body}");
    }
    for target in ["/api/v1/jobs", "/api/v1/job?name=a", "/api/v1/workers", "/api/v1/runs?job=a"] {
        let answer = master.get(target);
        assert_eq!(answer.status, 503, "{target}: {}", answer.body);
        assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
    }
    assert_eq!(master.get("/").status, 200);
    assert!(master.log().contains("etcd at http://127.0.0.1:1: nobody listens there"), "{}", master.log());

    let (status, ready) = get(&health, "/readyz");
    assert!(status == 503 && ready.contains("tree: "), "{ready}");
    assert_eq!(get(&health, "/healthz").0, 200);
    let metrics = get(&health, "/metrics").1;
    assert!(metrics.contains("crontab_master_server_up{server=\"tree\"} 0"), "{metrics}");
    assert!(master.stop().success());
}

#[test]
fn a_port_in_use_is_said() {
    let master = Master::start(&[]);
    let output = run(&[&crate::process::AWAY[..], &["--listen", &master.address]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("another process listens there"), "{said}");
}

#[test]
fn every_route_asks_for_a_password_and_health_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    fs::write(&file, format!("alice:{}\n", bcrypt::hash("pass:word", 4).unwrap())).unwrap();
    let health = free_port();
    let master = Master::start(&["--auth", file.to_str().unwrap(), "--health-listen", &health]);
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/app.js"),
        ("GET", "/healthz"),
        ("GET", "/job/list"),
        ("GET", "/job/log?name=a"),
        ("GET", "/worker/list"),
        ("POST", "/job/save"),
        ("POST", "/job/delete"),
        ("POST", "/job/kill"),
        ("GET", "/api/v1/jobs"),
        ("GET", "/api/v1/job?name=a"),
        ("GET", "/api/v1/runs?job=a"),
        ("GET", "/api/v1/runs/x"),
        ("GET", "/api/v1/schedule?expr=x"),
        ("GET", "/api/v1/workers"),
        ("GET", "/no/such/thing"),
        ("DELETE", "/job/list"),
    ] {
        for headers in [String::new(), basic("alice", "wrong")] {
            // Wrong ones are slow, so not all of them.
            if !headers.is_empty() && target != "/job/list" {
                continue;
            }
            let answer = master.send(method, target, &headers, "");
            assert_eq!(answer.status, 401, "{method} {target}: {}", answer.body);
            assert!(answer.head.contains("www-authenticate: Basic realm=\"crontab\""), "{}", answer.head);
        }
        let answer = master.send(method, target, &basic("alice", "pass:word"), "");
        assert_ne!(answer.status, 401, "{method} {target}: {}", answer.body);
    }
    // Whoever has a password may know it by any name; other pages still write nothing.
    let (alice, foreign) = (basic("alice", "pass:word"), "Origin: http://evil.example\r\n");
    assert_eq!(master.send("POST", "/job/kill", &format!("{FORM}{alice}{foreign}"), "name=a").status, 403);
    assert_eq!(get(&health, "/healthz").0, 200);
    assert_eq!(get(&health, "/metrics").0, 200);
    assert!(!master.log().contains("pass:word") && !master.log().contains("wrong\""), "{}", master.log());
}

#[test]
fn another_page_is_served_from_its_folder_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("page");
    fs::create_dir_all(root.join("sub/..data")).unwrap();
    fs::write(root.join("index.html"), "<p>the old page").unwrap();
    fs::write(root.join("sub/a b.js"), "1").unwrap();
    fs::write(root.join("sub/..data/x"), "2").unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    symlink("../secret", root.join("out")).unwrap();
    symlink("/etc/passwd", root.join("passwd")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("sub/..data/x", root.join("within")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(root.join("pipe")).status().unwrap();
    assert!(pipe.success());
    fs::File::create(root.join("large")).unwrap().set_len(17 << 20).unwrap();

    let master = Master::start(&["--web-root", root.to_str().unwrap()]);
    for (target, kind, body) in [
        ("/", "text/html; charset=utf-8", "<p>the old page"),
        ("/index.html?x=1", "text/html; charset=utf-8", "<p>the old page"),
        ("/sub/a%20b.js", "text/javascript; charset=utf-8", "1"),
        ("/within", "application/octet-stream", "2"),
    ] {
        let answer = master.get(target);
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{target}");
        assert!(answer.head.contains(&format!("content-type: {kind}")), "{}", answer.head);
        assert!(answer.head.contains("default-src 'self' https: data: 'unsafe-inline'; connect-src 'self'"));
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{}", answer.head);
        assert_eq!(answer.head.matches("content-security-policy").count(), 1, "{}", answer.head);
    }
    for target in [
        "/app.js",
        "/../secret",
        "/sub/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/out",
        "/passwd",
        "/up/secret",
        "/up/page/index.html",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/proc/self/environ",
        "/sub",
        "/sub/",
        "/pipe",
        "/index.html/x",
        "/a%00b",
        "/index.html%00",
        "/%ff",
        &format!("/{}", "x".repeat(5000)),
    ] {
        let answer = master.get(target);
        assert!(matches!(answer.status, 400 | 404), "{target}: {} {}", answer.status, answer.body);
        assert!(!answer.body.contains("root:"), "{target}");
    }
    assert_eq!(master.get("/large").status, 413);
    assert_eq!(master.send("POST", "/index.html", "", "").status, 404);
    // The calls are where they were, and our page is gone.
    assert_eq!(master.get("/job/list").status, 200);
}

fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// From the health port.
fn get(address: &str, path: &str) -> (u16, String) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
