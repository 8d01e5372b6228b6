//! The executor's process.
//!
//! Four threads, so that none can be held up by another's work. One reads requests; when the pipe closes it ends
//! everything. One waits for the instants of starts and spawns. One keeps the fence. The first runs a small tokio runtime
//! with a task for each command that lives, and the writing of messages. What they share is the [`Table`].

mod groups;
mod output;
mod refusal;
mod run;
mod starter;
mod table;

use std::convert::Infallible;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::{Arc, mpsc as blocking};
use std::thread;
use std::time::{Duration, Instant};

use futures::SinkExt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout_at;
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder, FramedWrite};

use self::starter::{Order, Waiting};
use self::table::Table;
use super::protocol::{MAX_MESSAGE, MAX_REQUEST, Message, Request, codec, decode, encode};

/// How many messages wait to be written; the tasks of the runs wait for room.
const MESSAGES_QUEUED: usize = 64;

/// How long messages wait at most while commands are being started. What a worker does with a message takes time that
/// the next start would have to wait for; ends may come late, starts may not.
const STARTS_FIRST: Duration = Duration::from_millis(200);

/// Signals that a terminal or a service manager sends to every process of a session. The worker decides what they mean
/// and says so through the pipe. They have handlers, because ignored signals would be ignored in the commands too;
/// SIGCHLD has one because a parent may have ignored it, and then no exit status could be read.
const HANDLED: [SignalKind; 4] =
    [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::child()];

/// Serves the worker until the pipe to it closes.
pub(super) fn main() -> ! {
    let Err(why) = serve();
    eprintln!("the executor can't work: {why}");
    std::process::exit(1)
}

fn serve() -> io::Result<Infallible> {
    end_at_a_panic();
    let files = raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _within = runtime.enter();
    for kind in HANDLED {
        // The handler stays without its stream.
        let _ = signal(kind)?;
    }
    let stdout = pipe::Sender::from_owned_fd(io::stdout().as_fd().try_clone_to_owned()?)?;
    let (messages, queued) = mpsc::channel(MESSAGES_QUEUED);
    let (orders, ordered) = blocking::channel();
    let table = Arc::new(Table::new(runtime.handle().clone(), messages));
    let shared = Arc::clone(&table);
    thread::Builder::new().name("requests".to_owned()).spawn(move || {
        read(io::stdin().lock(), &shared, &orders);
        shared.end()
    })?;
    let shared = Arc::clone(&table);
    let (burst, starting) = watch::channel(None);
    thread::Builder::new()
        .name("starts".to_owned())
        .spawn(move || starter::work(&shared, &ordered, files, &burst))?;
    let shared = Arc::clone(&table);
    thread::Builder::new().name("fence".to_owned()).spawn(move || shared.keep_fence())?;
    runtime.block_on(write(queued, stdout, starting));
    table.end()
}

/// A defect in one thread must not leave a process that only seems to work. The worker sees it end, kills the commands
/// and starts another.
fn end_at_a_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(101);
    }));
}

/// Allows as many open files as this process may have, two for each run. Returns the limit that commands are to have.
fn raise_open_files() -> Rlimit {
    let limit = getrlimit(Resource::Nofile);
    // With the limit as it is there is only room for fewer runs, and each that finds none says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    limit
}

/// Takes requests until the pipe closes or says something that can't be understood.
fn read(mut stdin: impl Read, table: &Arc<Table>, orders: &blocking::Sender<Order>) {
    let (mut codec, mut received) = (codec(MAX_REQUEST), BytesMut::new());
    let mut piece = [0; 16 << 10];
    loop {
        match codec.decode(&mut received) {
            Ok(Some(frame)) => match decode(&frame) {
                Ok(request) => take(request, table, orders),
                Err(_) => return,
            },
            Ok(None) => match stdin.read(&mut piece) {
                Ok(0) => return,
                Ok(length) => received.extend_from_slice(&piece[..length]),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            },
            Err(_) => return,
        }
    }
}

fn take(request: Request, table: &Arc<Table>, orders: &blocking::Sender<Order>) {
    let order = |order| orders.send(order).expect("the thread of starts ends with the process");
    match request {
        Request::Start(start) => {
            if let Some(control) = table.expect(start.key, start.exclusive) {
                order(Order::Start(Waiting { start, control }));
            }
        }
        Request::Ping => order(Order::Ping),
        Request::Stop(key, reason) => table.stop(key, reason),
        Request::StopAll(grace) => table.stop_all(grace),
        Request::Fence(fence) => table.set_fence(fence),
    }
}

/// Writes messages until the worker does not take them any more.
async fn write(
    mut queued: mpsc::Receiver<Message>,
    stdout: pipe::Sender,
    mut starting: watch::Receiver<Option<Instant>>,
) {
    let mut frames = FramedWrite::new(stdout, codec(MAX_MESSAGE));
    let mut messages = Vec::with_capacity(MESSAGES_QUEUED);
    while queued.recv_many(&mut messages, MESSAGES_QUEUED).await > 0 {
        let since = *starting.borrow();
        if let Some(since) = since {
            // Over in time, or not: either way they are written now. Without end it would not be first but only.
            let _ = timeout_at((since + STARTS_FIRST).into(), starting.wait_for(Option::is_none)).await;
        }
        for message in messages.drain(..) {
            if frames.feed(encode(&message)).await.is_err() {
                return;
            }
        }
        if SinkExt::<Bytes>::flush(&mut frames).await.is_err() {
            return;
        }
    }
}
