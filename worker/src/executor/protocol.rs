//! What the worker and its executor say to each other: frames of a length and a `postcard` value.

use std::time::Duration;

use model::UnixMillis;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio_util::bytes::Bytes;
use tokio_util::codec::LengthDelimitedCodec;

use super::{ExitResult, Fence, RunKey, Start, StopReason};

/// The longest request. Linux takes at most 6 MiB of arguments and environment, and with usual limits 2.
pub(super) const MAX_REQUEST: usize = 8 << 20;

/// The longest piece of output in one message, so that no run's output holds up the others' messages.
pub(super) const MAX_PIECE: usize = 16 << 10;

/// The longest message: a piece of output, or a sentence with shortened names in it.
pub(super) const MAX_MESSAGE: usize = 2 * MAX_PIECE;

/// From the worker to the executor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    Start(Start),
    Stop(RunKey, StopReason),
    /// Stop everything with at most this grace, and start nothing any more.
    StopAll(Duration),
    Fence(Option<Fence>),
    /// Answered by [`Message::Alive`].
    Ping,
}

/// From the executor to the worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    Started {
        key: RunKey,
        at: UnixMillis,
        pid: u32,
    },
    Output {
        key: RunKey,
        bytes: Vec<u8>,
    },
    /// A piece of what [`Message::Ended`] then completes.
    Tail {
        key: RunKey,
        bytes: Vec<u8>,
    },
    Ended {
        key: RunKey,
        started: Option<UnixMillis>,
        at: UnixMillis,
        result: ExitResult,
        stopped: Option<StopReason>,
        cut: u64,
    },
    Alive,
}

pub(super) fn codec(longest: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(longest).new_codec()
}

pub(super) fn encode<T: Serialize>(value: &T) -> Bytes {
    postcard::to_stdvec(value).expect("these types have no value that postcard refuses").into()
}

pub(super) fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, postcard::Error> {
    postcard::from_bytes(frame)
}
