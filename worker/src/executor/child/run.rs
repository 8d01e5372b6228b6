//! One run, from its spawn until its process group is gone.

use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use tokio::net::unix::pipe;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, sleep_until};

use super::output::Kept;
use super::starter::Spawned;
use super::table::{Stop, Table};
use super::{groups, refusal};
use crate::executor::protocol::{MAX_PIECE, Message};
use crate::executor::{ExitResult, RunKey, Start, StopReason};

/// How soon, and then how often, to look whether what a command left behind is gone.
const LOOK_FIRST: Duration = Duration::from_millis(2);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How many pieces are read after the group is gone. That is more than a pipe commonly holds; without a bound, a process
/// that left the group could write for ever.
const MOST_LAST_PIECES: usize = (1 << 20) / MAX_PIECE;

struct Run {
    key: RunKey,
    group: Pid,
    grace: Duration,
    child: Child,
    control: UnboundedReceiver<Stop>,
    /// What waits for room among the messages; nothing more is read meanwhile.
    outgoing: Option<Message>,
    kept: Kept,
    /// When it is to be stopped without being asked.
    deadline: Option<Instant>,
    stopping: Stopping,
    reason: Option<StopReason>,
    /// How the command's own process ended.
    status: Option<ExitStatus>,
    /// What that process left in its group, until that is gone too.
    rest: Option<Rest>,
    table: Arc<Table>,
}

/// How far the stopping of a group is.
#[derive(Clone, Copy)]
enum Stopping {
    No,
    /// It got SIGTERM, and gets SIGKILL at this instant; without one, never.
    Asked(Option<Instant>),
    Killed,
}

/// When to look whether anything is left.
struct Rest {
    since: Instant,
    next: Instant,
    after: Duration,
}

/// Follows a run to its end and reports it.
pub(super) async fn follow(
    start: Start,
    spawned: Spawned,
    control: UnboundedReceiver<Stop>,
    table: Arc<Table>,
) {
    let Spawned { child, pid, output, at, since } = spawned;
    let mut run = Run {
        key: start.key,
        group: pid,
        grace: start.grace,
        child,
        control,
        outgoing: Some(Message::Started {
            key: start.key,
            at,
            pid: pid.as_raw_nonzero().get().unsigned_abs(),
        }),
        kept: Kept::new(start.output_limit),
        deadline: start.active_deadline.and_then(|deadline| since.checked_add(deadline)),
        stopping: Stopping::No,
        reason: None,
        status: None,
        rest: None,
        table,
    };
    let (ended, result) = match watch(pid, output) {
        Ok((exit, output)) => {
            let status = run.live(exit, &output).await;
            let ended = crate::now();
            run.table.forget(run.key);
            run.read_the_rest(output).await;
            (ended, result(status))
        }
        Err(why) => {
            groups::signal(pid, Signal::KILL);
            // It is dead or about to be, and its status means nothing.
            let _ = run.child.wait();
            run.table.forget(run.key);
            let why = refusal::explain(&why, Path::new(&start.argv[0]), None);
            let why = format!("the command was killed at once, because it could not be watched: {why}");
            (crate::now(), ExitResult::NotStarted(why))
        }
    };
    run.send_outgoing().await;
    let cut = run.kept.cut();
    while let Some(bytes) = run.kept.next_piece(MAX_PIECE) {
        run.send(Message::Tail { key: run.key, bytes }).await;
    }
    run.send(Message::Ended { key: run.key, started: Some(at), at: ended, result, stopped: run.reason, cut })
        .await;
}

/// What becomes readable when a process has ended, and what it writes.
fn watch(pid: Pid, output: PipeReader) -> io::Result<(pipe::Receiver, pipe::Receiver)> {
    // Not a pipe, and never read. But this is the one type of tokio that waits for any descriptor to become readable; a
    // `tokio::process::Child` does too, but a command that it fails to watch runs on unknown to everybody.
    let exit = pipe::Receiver::from_owned_fd_unchecked(pidfd_open(pid, PidfdFlags::empty())?)?;
    Ok((exit, pipe::Receiver::from_owned_fd(output.into())?))
}

async fn exited(child: &mut Child, exit: &pipe::Receiver) -> ExitStatus {
    loop {
        exit.readable().await.expect("the runtime outlives its tasks");
        if let Some(status) = child.try_wait().expect("nobody else waits for this process") {
            return status;
        }
        sleep(LOOK_FIRST).await;
    }
}

fn result(status: ExitStatus) -> ExitResult {
    match (status.code(), status.signal()) {
        (Some(status), _) => ExitResult::Exited(status),
        (None, signal) => ExitResult::Signaled(signal.unwrap_or_default()),
    }
}

impl Run {
    /// Keeps the deadlines and takes the output, until the group is gone.
    async fn live(&mut self, exit: pipe::Receiver, output: &pipe::Receiver) -> ExitStatus {
        let messages = self.table.messages.clone();
        let mut open = true;
        loop {
            if let (Some(status), None) = (self.status, &self.rest) {
                return status;
            }
            let alarm = self.next_alarm();
            tokio::select! {
                biased;
                Some(Stop { reason, grace }) = self.control.recv() => self.stop(reason, grace),
                status = exited(&mut self.child, &exit), if self.status.is_none() => self.own_process_ended(status),
                () = sleep_until(alarm.unwrap_or_else(Instant::now).into()), if alarm.is_some() => self.alarm(),
                room = messages.reserve(), if self.outgoing.is_some() => {
                    if let (Some(message), Ok(room)) = (self.outgoing.take(), room) {
                        room.send(message);
                    }
                }
                ready = output.readable(), if open && self.outgoing.is_none() => {
                    open = ready.is_ok() && self.read(|piece| output.try_read(piece));
                    // One that writes without a pause must let the others have their turn.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn next_alarm(&self) -> Option<Instant> {
        let kill_at = match self.stopping {
            Stopping::Asked(at) => at,
            Stopping::No | Stopping::Killed => None,
        };
        let look_at = self.rest.as_ref().map(|rest| rest.next);
        [self.deadline, kill_at, look_at].into_iter().flatten().min()
    }

    fn alarm(&mut self) {
        let now = Instant::now();
        if self.deadline.take_if(|deadline| *deadline <= now).is_some() {
            self.stop(StopReason::Deadline, Duration::MAX);
        }
        if let Stopping::Asked(Some(at)) = self.stopping
            && at <= now
        {
            self.stopping = Stopping::Killed;
            groups::signal(self.group, Signal::KILL);
        }
        if self.rest.as_ref().is_some_and(|rest| rest.next <= now) {
            self.look();
        }
    }

    /// Stops the run. The first request gives the reason, the shortest one the grace.
    fn stop(&mut self, reason: StopReason, grace: Duration) {
        if self.status.is_none() {
            self.reason.get_or_insert(reason);
        }
        self.ask_to_end(grace);
    }

    fn ask_to_end(&mut self, grace: Duration) {
        let kill_at = Instant::now().checked_add(self.grace.min(grace));
        match self.stopping {
            Stopping::No => {
                self.terminate();
                self.stopping = Stopping::Asked(kill_at);
            }
            Stopping::Asked(before) => {
                self.stopping = Stopping::Asked(before.into_iter().chain(kill_at).min());
            }
            Stopping::Killed => {}
        }
    }

    fn terminate(&self) {
        groups::signal(self.group, Signal::TERM);
        // A stopped process takes nothing but SIGKILL until it is continued.
        groups::signal(self.group, Signal::CONT);
    }

    /// What the command's own process left in its group is ended too.
    fn own_process_ended(&mut self, status: ExitStatus) {
        self.status = Some(status);
        self.deadline = None;
        if groups::is_empty(self.group) {
            return;
        }
        let since = Instant::now();
        self.rest = Some(Rest { since, next: since + LOOK_FIRST, after: LOOK_FIRST });
        match self.stopping {
            Stopping::No => self.ask_to_end(Duration::MAX),
            // Once more: a shell that was just forking has taken the first for what it forked.
            Stopping::Asked(_) => self.terminate(),
            Stopping::Killed => {}
        }
    }

    fn look(&mut self) {
        let Some(rest) = &mut self.rest else { return };
        if groups::is_empty(self.group) {
            self.rest = None;
        } else if rest.after == LOOK_EVERY && self.table.nothing_lives_in(self.group, rest.since) {
            // For one that was forked while it was looked.
            groups::signal(self.group, Signal::KILL);
            self.rest = None;
        } else {
            rest.after = (rest.after * 2).min(LOOK_EVERY);
            rest.next = Instant::now() + rest.after;
        }
    }

    /// Reads once. Says whether there may be more.
    fn read(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> bool {
        let mut piece = [0; MAX_PIECE];
        match read(&mut piece) {
            Ok(length) => {
                let head = self.kept.take(&piece[..length]);
                if !head.is_empty() {
                    self.outgoing = Some(Message::Output { key: self.key, bytes: head.to_vec() });
                }
                length > 0
            }
            Err(why) => matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }

    /// Reads what is in the pipe now. Who still holds its other end has left the group, and is not waited for.
    async fn read_the_rest(&mut self, output: pipe::Receiver) {
        // Read directly: whether there is something would otherwise be known only after the next look at all pipes.
        let Ok(output) = output.into_nonblocking_fd() else { return };
        let mut output = File::from(output);
        for _ in 0..MOST_LAST_PIECES {
            self.send_outgoing().await;
            let mut empty = false;
            let open = self.read(|piece| output.read(piece).inspect_err(|_| empty = true));
            if empty || !open {
                return;
            }
        }
    }

    async fn send_outgoing(&mut self) {
        if let Some(message) = self.outgoing.take() {
            self.send(message).await;
        }
    }

    async fn send(&self, message: Message) {
        // Without a receiver the process is about to end.
        let _ = self.table.messages.send(message).await;
    }
}
