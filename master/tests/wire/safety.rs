//! What is refused, and what every answer carries.

use serde_json::json;

use crate::client::{FORM, Server, save_form};

#[tokio::test]
async fn only_its_own_names_reach_it() {
    let server = Server::start().await;
    let port = server.address.port();
    for (host, status) in [
        ("localhost".to_owned(), 200),
        ("LocalHost:1234".to_owned(), 200),
        ("127.0.0.1".to_owned(), 200),
        (format!("127.0.0.1:{port}"), 200),
        ("[::1]:8070".to_owned(), 200),
        ("evil.example".to_owned(), 421),
        (format!("evil.example:{port}"), 421),
        ("localhost.evil.example".to_owned(), 421),
        ("127.0.0.1.nip.io".to_owned(), 421),
        ("10.0.0.1".to_owned(), 421),
        ("localhost@evil.example".to_owned(), 400),
        ("a b".to_owned(), 400),
        (String::new(), 400),
    ] {
        for target in ["/job/list", "/", "/api/v1/jobs", "/nothing"] {
            let answer = server.send("GET", target, &format!("Host: {host}\r\n"), "").await;
            let expected = if target == "/nothing" && status == 200 { 404 } else { status };
            assert_eq!(answer.status, expected, "{host:?} {target}");
        }
    }
    let foreign = server.send("GET", "/job/list", "Host: evil.example\r\n", "").await;
    assert_eq!(
        foreign.json()["error"]["message"],
        "this server is not evil.example; it answers to localhost, 127.0.0.1, [::1]: use one of these in the address"
    );
    let twice =
        "GET /job/list HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(server.raw(twice.as_bytes()).await.status, 400);
    let none = "GET /job/list HTTP/1.1\r\nConnection: close\r\n\r\n";
    assert_eq!(server.raw(none.as_bytes()).await.status, 400);
    // The target's own host is the one that counts.
    let absolute =
        "GET http://evil.example/job/list HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(server.raw(absolute.as_bytes()).await.status, 421);
    // A probe asks by the address of a pod.
    assert_eq!(server.send("GET", "/healthz", "Host: 10.1.2.3:8070\r\n", "").await.status, 200);
}

#[tokio::test]
async fn a_form_posted_from_a_foreign_page_changes_nothing() {
    let server = Server::start().await;
    server.save("a", "true", "* * * * *").await;
    server.put_active("a").await;
    let port = server.address.port();
    let foreign = [
        "Origin: http://evil.example\r\n".to_owned(),
        "Origin: null\r\n".to_owned(),
        "Origin: http://localhost\r\n".to_owned(),
        format!("Origin: http://localhost:{}\r\n", port.wrapping_add(1)),
        format!("Origin: http://127.0.0.1:{port}\r\n"),
        "Sec-Fetch-Site: cross-site\r\n".to_owned(),
        "Sec-Fetch-Site: same-site\r\n".to_owned(),
        format!("Sec-Fetch-Site: cross-site\r\nOrigin: http://localhost:{port}\r\n"),
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n".to_owned(),
    ];
    for headers in foreign {
        for (target, form) in [
            ("/job/save", save_form("a", "evil", "* * * * *")),
            ("/job/delete", "name=a".to_owned()),
            ("/job/kill", "name=a".to_owned()),
        ] {
            let headers = format!("Host: localhost:{port}\r\n{FORM}{headers}");
            let answer = server.send("POST", target, &headers, &form).await;
            assert_eq!(answer.status, 403, "{headers}{target}");
            assert!(answer.body.contains("nothing was changed"), "{answer:?}");
        }
    }
    assert_eq!(server.get("/job/list").await.json()["data"][0]["command"], "true");
    let kill = server.store.clone();
    let asked = store::Tree::get(&kill, model::keys::Key::Kill(crate::client::job("a"))).await.unwrap();
    assert_eq!(asked, None);

    for headers in [
        format!("Origin: http://localhost:{port}\r\nSec-Fetch-Site: same-origin\r\n"),
        format!("Origin: https://LOCALHOST:{port}\r\n"),
        "Sec-Fetch-Site: none\r\n".to_owned(),
        String::new(),
    ] {
        let headers = format!("Host: localhost:{port}\r\n{FORM}{headers}");
        let answer = server.send("POST", "/job/save", &headers, &save_form("a", "true", "* * * * *")).await;
        assert_eq!((answer.status, &answer.json()["errno"]), (200, &json!(0)), "{headers}");
    }
    // A preflight gets no permission.
    let answer = server.send("OPTIONS", "/job/save", "Origin: http://evil.example\r\n", "").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, None));
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let server = Server::start().await;
    for (method, target, allowed) in [
        ("GET", "/job/save", "POST"),
        ("GET", "/job/delete", "POST"),
        ("DELETE", "/job/kill", "POST"),
        ("POST", "/job/list", "GET,HEAD"),
        ("POST", "/job/log", "GET,HEAD"),
        ("PUT", "/worker/list", "GET,HEAD"),
        ("POST", "/api/v1/jobs", "GET,HEAD"),
        ("POST", "/", "GET,HEAD"),
    ] {
        let answer = server.send(method, target, "", "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{method} {target}");
        assert!(answer.body.contains("the header Allow names it"), "{answer:?}");
    }
    assert_eq!(server.send("HEAD", "/job/list", "", "").await.status, 200);
    let answer = server.get("/no/such/thing").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"]["message"], "there is nothing at /no/such/thing; the page is at /");
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_scripts_out() {
    let server = Server::start().await;
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                  form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    for (target, host, cached) in [
        ("/", "localhost", "no-cache"),
        ("/app.js", "localhost", "no-cache"),
        ("/job/list", "localhost", "no-store"),
        ("/api/v1/jobs", "localhost", "no-store"),
        ("/nothing", "localhost", "no-store"),
        ("/", "evil.example", "no-store"),
    ] {
        let answer = server.send("GET", target, &format!("Host: {host}\r\n"), "").await;
        for (name, value) in [
            ("content-security-policy", policy),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", cached),
        ] {
            assert_eq!(answer.header(name), Some(value), "{target} {name}");
        }
    }
}

#[tokio::test]
async fn the_page_brings_everything_itself() {
    let server = Server::start().await;
    let page = server.get("/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let mut files: Vec<String> = page
        .body
        .split([' ', '>'])
        .filter_map(|part| part.strip_prefix("src=\"").or_else(|| part.strip_prefix("href=\"")))
        .map(|rest| rest.trim_end_matches('"').to_owned())
        .filter(|target| !target.starts_with('#'))
        .collect();
    let app = server.get("/app.js").await.body;
    files.extend(app.split("from \".").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    assert!(files.len() >= 10, "{files:?}");
    for file in files {
        assert!(file.starts_with('/'), "{file} is of another host");
        let answer = server.get(&file).await;
        assert_eq!(answer.status, 200, "{file}");
        let tag = answer.header("etag").unwrap();
        let again = server.send("GET", &file, &format!("If-None-Match: {tag}\r\n"), "").await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{file}");
    }
    // The policy would forbid them, and the page would fail in silence.
    for forbidden in ["<style", "style=\"", " onclick=", "<script>", "http://", "https://"] {
        assert!(!page.body.contains(forbidden), "{forbidden}");
    }
}
