//! The worker's side of the pipes.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_util::bytes::Bytes;
use tokio_util::codec::{FramedRead, FramedWrite};

use super::protocol::{MAX_MESSAGE, MAX_REQUEST, Message, Request, codec, decode, encode};
use super::{
    ARGUMENT, Ended, Event, ExecutorError, ExitResult, Fence, RunKey, SESSION_VARIABLE, Start, StopReason,
};

/// How many events wait for a slow worker. Beyond them the pipe fills, and then the commands wait for it, as they do for
/// a slow terminal.
const EVENTS_QUEUED: usize = 64;

/// How many requests are written at once.
const REQUESTS_AT_ONCE: usize = 64;

/// A running executor. No call waits and none fails: what became of a request, the events say. When the last clone is
/// dropped, the executor kills everything and ends.
#[derive(Clone, Debug)]
pub struct Executor {
    requests: mpsc::UnboundedSender<Request>,
}

impl Executor {
    /// Starts `program` as an executor; its `main` must begin with [`super::become_executor_if_asked`].
    ///
    /// To be called within a tokio runtime. The executor also ends, with everything it runs, when the runtime does, and
    /// when the receiver is dropped.
    pub fn spawn(program: &Path) -> Result<(Self, mpsc::Receiver<Event>), ExecutorError> {
        let failed = |source| ExecutorError { program: program.to_owned(), source };
        let mut child = Command::new(program)
            .arg(ARGUMENT)
            // A worker may itself be a command of another one. Should that one hunt for what it lost, this process must
            // live until it has ended its own commands.
            .env_remove(SESSION_VARIABLE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let stdin = child.stdin.take().expect("it was just made");
        let stdout = child.stdout.take().expect("it was just made");
        let (requests, queued) = mpsc::unbounded_channel();
        let (events, received) = mpsc::channel(EVENTS_QUEUED);
        let writer = tokio::spawn(write(queued, stdin, events.clone()));
        tokio::spawn(follow(child, stdout, writer.abort_handle(), events));
        Ok((Self { requests }, received))
    }

    /// Starts a command at its instant.
    pub fn start(&self, start: Start) {
        self.send(Request::Start(start));
    }

    /// Stops a run: SIGTERM to its group, after its grace SIGKILL. One that has not started never will. A run that has
    /// ended is left alone, and one that is being stopped keeps its first reason.
    pub fn stop(&self, key: RunKey, reason: StopReason) {
        self.send(Request::Stop(key, reason));
    }

    /// Sets the fence; without one, runs start and live for as long as the worker does.
    pub fn fence(&self, fence: Option<Fence>) {
        self.send(Request::Fence(fence));
    }

    /// Stops every run with at most this grace, and starts none any more. A second call can shorten the grace.
    pub fn stop_all(&self, grace: Duration) {
        self.send(Request::StopAll(grace));
    }

    /// Asks for an [`Event::Alive`]. It comes unless the executor is stuck: what starts commands and what follows them
    /// both take part in it. A burst of starts comes first, which holds it up by at most 200 ms.
    pub fn ping(&self) {
        self.send(Request::Ping);
    }

    fn send(&self, request: Request) {
        // Without a receiver the executor is gone, which the events say.
        let _ = self.requests.send(request);
    }
}

/// Writes requests until there can be no more or the pipe is closed; then closes it.
async fn write(mut queued: mpsc::UnboundedReceiver<Request>, stdin: ChildStdin, events: mpsc::Sender<Event>) {
    let mut frames = FramedWrite::new(stdin, codec(MAX_REQUEST));
    let mut requests = Vec::with_capacity(REQUESTS_AT_ONCE);
    while queued.recv_many(&mut requests, REQUESTS_AT_ONCE).await > 0 {
        for request in requests.drain(..) {
            let frame = encode(&request);
            if let Request::Start(start) = &request
                && frame.len() > MAX_REQUEST
            {
                // Without a receiver nobody waits for this run.
                let _ = events.send(too_long(start.key)).await;
            } else if frames.feed(frame).await.is_err() {
                return;
            }
        }
        if SinkExt::<Bytes>::flush(&mut frames).await.is_err() {
            return;
        }
    }
}

fn too_long(key: RunKey) -> Event {
    let why =
        "the command and its environment are longer than the system takes; put the long part into a file";
    Event::Ended {
        key,
        ended: Ended {
            started: None,
            at: crate::now(),
            result: ExitResult::NotStarted(why.to_owned()),
            stopped: None,
            cut: 0,
            tail: Vec::new(),
        },
    }
}

/// Passes events on until the executor ends, or nobody listens, or it can't be understood.
async fn follow(mut child: Child, stdout: ChildStdout, writer: AbortHandle, events: mpsc::Sender<Event>) {
    let mut frames = FramedRead::new(stdout, codec(MAX_MESSAGE));
    let mut tails = HashMap::new();
    let misunderstood = loop {
        let message = match frames.next().await {
            None => break None,
            Some(Err(why)) => break Some(why.to_string()),
            Some(Ok(frame)) => decode(&frame),
        };
        let event = match message {
            Ok(message) => event(message, &mut tails),
            Err(why) => break Some(why.to_string()),
        };
        if let Some(event) = event
            && events.send(event).await.is_err()
        {
            break None;
        }
    };
    // When either of its pipes closes, it ends its commands and then itself.
    writer.abort();
    drop(frames);
    let why = match (misunderstood, child.wait().await) {
        (Some(why), _) => format!("it was not understood: {why}"),
        (None, Ok(status)) => how_it_ended(status),
        (None, Err(why)) => format!("it can't be waited for: {why}"),
    };
    // Nobody may be left to be told.
    let _ = events.send(Event::Gone { why }).await;
}

fn event(message: Message, tails: &mut HashMap<RunKey, Vec<u8>>) -> Option<Event> {
    match message {
        Message::Started { key, at, pid } => Some(Event::Started { key, at, pid }),
        Message::Alive => Some(Event::Alive),
        Message::Output { key, bytes } => Some(Event::Output { key, bytes }),
        Message::Tail { key, bytes } => {
            tails.entry(key).or_default().extend(bytes);
            None
        }
        Message::Ended { key, started, at, result, stopped, cut } => {
            let tail = tails.remove(&key).unwrap_or_default();
            Some(Event::Ended { key, ended: Ended { started, at, result, stopped, cut, tail } })
        }
    }
}

fn how_it_ended(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("it was killed by signal {signal}"),
        (None, Some(0)) => "its pipe was closed".to_owned(),
        (None, code) => format!("it exited with status {}", code.unwrap_or_default()),
    }
}
