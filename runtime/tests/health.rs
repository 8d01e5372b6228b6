//! Health and metrics over a real socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use runtime::health::{Health, ListenError, listen, serve};
use runtime::metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long anything may take before a test gives up on it; longer than a connection may last.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server that ends with the test's runtime.
async fn serving(health: &Health) -> SocketAddr {
    let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut registry = metrics::registry("test", "1.2.3");
    let eggs: Counter = Counter::default();
    registry.sub_registry_with_prefix("crontab_hen").register("eggs", "Laid", eggs.clone());
    eggs.inc_by(7);
    tokio::spawn(serve(listener, health.clone(), Arc::new(registry)));
    address
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let exchanged = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    timeout(PATIENCE, exchanged).await.expect("no answer")
}

/// The status and the body of an answer.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn ok() -> (u16, String) {
    (200, "ok\n".to_owned())
}

#[tokio::test]
async fn readiness_names_each_part_that_is_not_ready_and_why() {
    let health = Health::default();
    let address = serving(&health).await;
    assert_eq!(get(address, "/readyz").await, ok());
    health.register("watch");
    health.register("session");
    assert_eq!(get(address, "/readyz").await, (503, "session: starting\nwatch: starting\n".to_owned()));
    health.set_ready("session", Ok(()));
    health.set_ready("watch", Err("behind\nby 12 s".to_owned()));
    assert_eq!(get(address, "/readyz").await, (503, "watch: behind by 12 s\n".to_owned()));
    health.set_ready("watch", Ok(()));
    health.register("watch");
    assert_eq!(get(address, "/readyz").await, ok());
    health.set_ready("session", Err("lost".to_owned()));
    assert_eq!(get(address, "/readyz").await, (503, "session: lost\n".to_owned()));
    assert_eq!(get(address, "/healthz").await, ok());
}

#[tokio::test]
async fn liveness_is_there_from_the_start_and_names_each_part_that_is_stuck() {
    let health = Health::default();
    let address = serving(&health).await;
    health.register("scheduler");
    assert_eq!(get(address, "/healthz").await, ok());
    health.set_live("scheduler", Err("no step for 30 s".to_owned()));
    health.set_live("executor", Ok(()));
    assert_eq!(get(address, "/healthz").await, (503, "scheduler: no step for 30 s\n".to_owned()));
    health.set_live("scheduler", Ok(()));
    assert_eq!(get(address, "/healthz").await, ok());
}

#[tokio::test]
async fn metrics_have_what_was_registered_and_what_every_process_has() {
    let address = serving(&Health::default()).await;
    let (status, text) = get(address, "/metrics").await;
    assert_eq!(status, 200);
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    };
    assert_eq!(value("crontab_hen_eggs_total").to_string(), "7");
    assert_eq!(value("crontab_build_info{program=\"test\",version=\"1.2.3\"}").to_string(), "1");
    assert!(value("process_resident_memory_bytes") > 1e6, "{text}");
    assert!(value("process_cpu_seconds_total") < 60.0, "{text}");
    assert!(value("process_open_fds") > 3.0, "{text}");
    assert!(value("process_max_fds") >= value("process_open_fds"), "{text}");
    assert!(value("process_start_time_seconds") > 1.7e9, "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    let head = exchange(address, "HEAD /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await.to_lowercase();
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
}

#[tokio::test]
async fn any_other_path_names_the_three() {
    let address = serving(&Health::default()).await;
    for path in ["/", "/health", "/metrics/", "/healthz/x", "/%ff"] {
        let (status, body) = get(address, path).await;
        assert_eq!((status, body.as_str()), (404, "here are /healthz, /readyz and /metrics\n"), "{path}");
    }
}

#[tokio::test]
async fn requests_that_can_not_be_answered_are_refused() {
    let address = serving(&Health::default()).await;
    let path = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20_000));
    let headers = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(1000));
    for (request, status) in [
        ("POST /healthz HTTP/1.1\r\nContent-Length: 0\r\n\r\n", " 405 "),
        ("hello\r\n\r\n", " 400 "),
        (&path[..], " 431 "),
        (&headers, " 431 "),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = [0; 64];
        let read = timeout(PATIENCE, stream.read(&mut answer)).await.expect("no answer");
        // Closed before it read the whole request, the server's socket may take its answer back.
        let Ok(length) = read else { continue };
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.contains(status), "{request:.40} got {answer}");
    }
    assert_eq!(get(address, "/healthz").await, ok());
}

#[tokio::test]
async fn a_connection_carries_one_request() {
    let address = serving(&Health::default()).await;
    let request = "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n";
    let answer = exchange(address, &request.repeat(2)).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
}

#[tokio::test]
async fn a_client_that_says_nothing_or_half_is_cut_after_a_while() {
    let address = serving(&Health::default()).await;
    let (silent, half) = tokio::join!(exchange(address, ""), exchange(address, "GET /healthz HTTP/1.1\r\n"));
    assert_eq!((silent.as_str(), half.as_str()), ("", ""));
}

#[tokio::test]
async fn slow_clients_in_any_number_do_not_hold_up_others() {
    let address = serving(&Health::default()).await;
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The oldest are cut while more come.
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\n").await;
        slow.push(stream);
    }
    assert_eq!(get(address, "/healthz").await, ok());
    let mut cut = 0;
    for stream in &mut slow {
        let mut byte = [0];
        let read = timeout(Duration::ZERO, stream.read(&mut byte)).await;
        cut += usize::from(read.is_ok());
    }
    assert!((200..300).contains(&cut), "{cut} of 300 were cut");
}

#[tokio::test]
async fn an_address_that_can_not_be_had_says_what_to_change() {
    let taken = listen("127.0.0.1:0".parse().unwrap()).await.unwrap().local_addr().unwrap();
    let _holder = listen(taken).await.unwrap();
    let why = listen(taken).await.unwrap_err();
    assert!(matches!(why, ListenError::Taken(..)), "{why:?}");
    assert_eq!(
        why.to_string(),
        format!(
            "--health-listen {taken}: another process listens there; give another port, or end that process (ss -ltnp names it)"
        )
    );
    // TEST-NET-1, which no machine has.
    let why = listen("192.0.2.1:9470".parse().unwrap()).await.unwrap_err();
    assert!(matches!(why, ListenError::NotHere(..)), "{why:?}");
    assert!(why.to_string().contains("0.0.0.0 or [::] stands for all"), "{why}");
}
