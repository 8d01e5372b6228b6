//! A proxy between a tree and its etcd, for breaking their connection in ways that neither end can.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What it does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes everything on.
    Open,
    /// Keeps connections and takes new ones, and swallows every byte.
    Silent,
    /// Ends connections, and takes no new ones.
    Cut,
}

pub(crate) struct Proxy {
    port: u16,
    mode: Arc<watch::Sender<Mode>>,
}

impl Proxy {
    /// In front of `http://host:port`.
    pub(crate) async fn start(endpoint: &str) -> Self {
        let upstream = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let mode = Arc::new(watch::Sender::new(Mode::Open));
        let modes = Arc::clone(&mode);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *modes.borrow() == Mode::Cut {
                    continue;
                }
                let Ok(far) = TcpStream::connect(&upstream).await else { continue };
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(pump(near_read, far_write, modes.subscribe()));
                tokio::spawn(pump(far_read, near_write, modes.subscribe()));
            }
        });
        Self { port, mode }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn cut(mode: &mut watch::Receiver<Mode>) {
    // Without a sender the test is over.
    let _ = mode.wait_for(|mode| *mode == Mode::Cut).await;
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin + Send,
    mut to: impl AsyncWriteExt + Unpin + Send,
    mode: watch::Receiver<Mode>,
) {
    let mut bytes = vec![0; 64 << 10];
    // A connection that has swallowed anything can never be one again.
    let mut swallowed = false;
    let mut changes = mode.clone();
    loop {
        tokio::select! {
            () = cut(&mut changes) => return,
            read = from.read(&mut bytes) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) if swallowed || *mode.borrow() == Mode::Silent => swallowed = true,
                Ok(count) => if to.write_all(&bytes[..count]).await.is_err() { return },
            },
        }
    }
}
