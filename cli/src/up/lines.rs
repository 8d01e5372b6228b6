//! Messages on their way to a terminal or a pipe, which may take them slowly or not at all.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// How many bytes of messages may wait. A single one may be longer.
const MOST_WAITING: usize = 4 << 20;

/// A queue whose thread writes, so that a reader who stops holds up nothing else.
#[derive(Debug, Default)]
pub(super) struct Lines {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    texts: VecDeque<String>,
    /// Of all texts, and of the one that is being written.
    bytes: usize,
    /// How many had no room since it was last said.
    not_shown: u64,
}

impl State {
    fn has_room(&self, text: &str) -> bool {
        self.bytes == 0 || self.bytes + text.len() <= MOST_WAITING
    }

    fn push(&mut self, text: String) {
        self.say_what_is_missing();
        self.bytes += text.len();
        self.texts.push_back(text);
    }

    fn say_what_is_missing(&mut self) {
        let text = match std::mem::take(&mut self.not_shown) {
            0 => return,
            1 => "(1 message was not shown: nobody read the earlier ones)".to_owned(),
            count => format!("({count} messages were not shown: nobody read the earlier ones)"),
        };
        self.bytes += text.len();
        self.texts.push_back(text);
    }
}

impl Lines {
    pub(super) fn start(out: impl Write + Send + 'static) -> Arc<Self> {
        let lines = Arc::new(Self::default());
        let writer = Arc::clone(&lines);
        thread::Builder::new()
            .name("printer".to_owned())
            .spawn(move || writer.write_all(out))
            .expect("a thread can be started when nothing runs yet");
        lines
    }

    /// Adds a message, or counts it where too much waits.
    pub(super) fn offer(&self, text: String) {
        let mut state = self.lock();
        if state.has_room(&text) {
            state.push(text);
        } else {
            state.not_shown += 1;
        }
        self.changed.notify_all();
    }

    /// Counts messages that were lost before they came here.
    pub(super) fn missed(&self, count: u64) {
        self.lock().not_shown += count;
        self.changed.notify_all();
    }

    /// Adds a message once there is room.
    pub(super) fn wait(&self, text: String) {
        let state = self.lock();
        let state = self.changed.wait_while(state, |state| !state.has_room(&text));
        state.expect(NO_PANIC).push(text);
        self.changed.notify_all();
    }

    /// Adds a message, whatever waits: for the few of the end.
    pub(super) fn push(&self, text: String) {
        self.lock().push(text);
        self.changed.notify_all();
    }

    /// Returns once all is written, or after this time.
    pub(super) fn flush(&self, most: Duration) {
        let state = self.lock();
        let unwritten = |state: &mut State| state.bytes > 0 || state.not_shown > 0;
        drop(self.changed.wait_timeout_while(state, most, unwritten).expect(NO_PANIC));
    }

    fn write_all(&self, mut out: impl Write) {
        let mut closed = false;
        loop {
            let text = self.next();
            // Whoever read the output is gone: the jobs go on without.
            closed = closed || writeln!(out, "{text}").and_then(|()| out.flush()).is_err();
            self.lock().bytes -= text.len();
            self.changed.notify_all();
        }
    }

    fn next(&self) -> String {
        let state = self.lock();
        let nothing = |state: &mut State| state.texts.is_empty() && state.not_shown == 0;
        let mut state = self.changed.wait_while(state, nothing).expect(NO_PANIC);
        if state.texts.is_empty() {
            state.say_what_is_missing();
        }
        state.texts.pop_front().expect("it waited for one")
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(NO_PANIC)
    }
}

const NO_PANIC: &str = "nothing panics while it holds the queue";
