//! A proxy between a log and its server that answers each deletion itself and removes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mongodb::bson::{Document, doc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// The length of a message, its id, the id of what it answers, and its kind.
const HEAD: usize = 16;
/// The head of a message, its flags, and the kind of its first section.
const BEFORE_DOCUMENT: usize = HEAD + 4 + 1;

pub(crate) struct Keeper {
    pub(crate) uri: String,
    shared: Arc<Shared>,
}

struct Shared {
    /// How many documents it says that it removed.
    claims: i32,
    removes: AtomicBool,
    asked: AtomicUsize,
}

impl Keeper {
    /// In front of the server at this port of this machine.
    pub(crate) async fn start(server: u16, claims: i32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared { claims, removes: AtomicBool::new(false), asked: AtomicUsize::new(0) });
        let uri = format!("mongodb://127.0.0.1:{port}/?directConnection=true");
        let keeper = Self { uri, shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                let near_write = Arc::new(Mutex::new(near_write));
                tokio::spawn(answers(far_read, Arc::clone(&near_write)));
                tokio::spawn(requests(near_read, far_write, near_write, Arc::clone(&shared)));
            }
        });
        keeper
    }

    /// How many deletions it was asked for.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// From now on the server gets deletions too.
    pub(crate) fn remove(&self) {
        self.shared.removes.store(true, Ordering::SeqCst);
    }
}

/// The next message; nothing once the connection has ended.
async fn message(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut message = vec![0; HEAD];
    from.read_exact(&mut message).await.ok()?;
    let length = u32::from_le_bytes(message[..4].try_into().expect("four bytes"));
    message.resize(usize::try_from(length).expect("it fits"), 0);
    from.read_exact(&mut message[HEAD..]).await.ok()?;
    Some(message)
}

async fn answers(mut from: OwnedReadHalf, to: Arc<Mutex<OwnedWriteHalf>>) {
    while let Some(message) = message(&mut from).await {
        if to.lock().await.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    back: Arc<Mutex<OwnedWriteHalf>>,
    shared: Arc<Shared>,
) {
    while let Some(message) = message(&mut from).await {
        let document = message.get(BEFORE_DOCUMENT..).unwrap_or_default();
        let command = Document::from_reader(document).unwrap_or_default();
        let is_deletion = command.keys().next().is_some_and(|key| key == "delete");
        if is_deletion {
            shared.asked.fetch_add(1, Ordering::SeqCst);
        }
        let sent = if is_deletion && !shared.removes.load(Ordering::SeqCst) {
            let answer = answer(&message[4..8], &doc! { "ok": 1.0, "n": shared.claims });
            back.lock().await.write_all(&answer).await
        } else {
            to.write_all(&message).await
        };
        if sent.is_err() {
            return;
        }
    }
}

/// A message that answers the request of this id.
fn answer(request: &[u8], document: &Document) -> Vec<u8> {
    const MSG: u32 = 2013;
    let document = document.to_vec().expect("it is a document");
    let length = u32::try_from(BEFORE_DOCUMENT + document.len()).expect("it is short");
    let head = [&length.to_le_bytes(), &[0; 4], request, &MSG.to_le_bytes(), &[0; 4]].concat();
    [&head[..], &[0], &document].concat()
}
