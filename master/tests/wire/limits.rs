//! Requests that are too large, too slow or broken, and the end of the server.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{FORM, Server, save_form};

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_before_it_is_read() {
    let server = Server::start().await;
    let large = format!("job={}", "x".repeat(1 << 20));
    let answer = server.post("/job/save", &large).await;
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("more than 1 MiB"), "{answer:?}");
    // 100 MB are announced and never sent: the answer does not wait for them.
    let head = format!(
        "POST /job/save HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{FORM}Content-Length: 100000000\r\n\r\n"
    );
    assert_eq!(server.raw(head.as_bytes()).await.status, 413);
    // Without a length it is counted.
    let chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let chunked = format!(
        "POST /job/save HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{FORM}Transfer-Encoding: chunked\r\n\r\n{chunk}"
    );
    assert_eq!(server.raw(chunked.as_bytes()).await.status, 413);
    assert_eq!(server.save("a", "true", "* * * * *").await.status, 200);
}

#[tokio::test]
async fn broken_requests_end_their_connection_only() {
    let server = Server::start().await;
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is TLS\r\n\r\n".to_vec(),
        b"GET /job/list HTTP/9.9\r\nHost: localhost\r\n\r\n".to_vec(),
        b"GET /job/list HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n".to_vec(),
        [b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ".to_vec(), vec![b'x'; 200_000], b"\r\n\r\n".to_vec()]
            .concat(),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(server.get("/job/list").await.status, 200);
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_keep_others_out() {
    let server = Server::start().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"POST /job/save HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
        silent.push(stream);
    }
    assert_eq!(server.get("/job/list").await.status, 200);
}

#[tokio::test]
async fn the_end_waits_for_answers_and_not_for_idle_connections() {
    let mut server = Server::start().await;
    // An idle connection, after an answer.
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut some = [0; 12];
    idle.read_exact(&mut some).await.unwrap();
    assert_eq!(&some, b"HTTP/1.1 200");
    // A request whose body is still to come.
    let form = save_form("a", "true", "* * * * *");
    let mut open = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /job/save HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n{FORM}Content-Length: {}\r\n\r\n",
        form.len()
    );
    open.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    open.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");

    drop(server.stop.take());
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    open.write_all(form.as_bytes()).await.unwrap();
    let mut answer = String::new();
    open.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""errno":0"#), "{answer}");
    server.served.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
