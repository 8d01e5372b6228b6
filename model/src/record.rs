//! What is kept of a run after it ended, and of slots that never became one.

use serde::{Deserialize, Serialize};

use crate::run::{Outcome, RunId, SessionId, Skipped, Slot};
use crate::{JobName, UnixMillis};

/// The record of one ended attempt. (`run`, `attempt`) identifies it: to append it twice is to append it once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// The run.
    pub run: RunId,
    /// Which try of the run, counted from 0.
    pub attempt: u32,
    /// The job's name when the run was claimed.
    pub job: JobName,
    /// The command on one line, as [`crate::job::Command::display`] writes it.
    pub command: String,
    /// The node whose worker had claimed it.
    pub node: String,
    /// That worker's session.
    pub session: SessionId,
    /// The instant it was scheduled for.
    pub slot: Slot,
    /// When a worker claimed it; up to the claim lead before the slot.
    pub claimed: UnixMillis,
    /// When the process was started; absent if none was, or if its worker died before it could say so.
    pub started: Option<UnixMillis>,
    /// When the last process of the run was gone, or when the loss was noticed.
    pub ended: UnixMillis,
    /// How it ended.
    pub outcome: Outcome,
    /// The exit status of the command's own process, if it exited by itself.
    pub exit_status: Option<i32>,
    /// The signal that ended that process, if one did.
    pub signal: Option<i32>,
    /// One sentence on anything but success; empty on success.
    pub message: String,
    /// What the command wrote.
    pub output: Output,
}

/// What a command wrote to standard output and standard error, in the order it wrote it, within the job's limit.
///
/// Up to the limit all of it is in `head`. Beyond, half of the limit is the beginning (`head`), half is the end
/// (`tail`), and `cut` says how many bytes between them were dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The beginning.
    pub head: Vec<u8>,
    /// How many bytes were dropped after it.
    pub cut: u64,
    /// The end; empty when nothing was dropped.
    pub tail: Vec<u8>,
}

impl Output {
    /// The output as people read it: invalid UTF-8 becomes U+FFFD, NUL bytes stay, and a cut is marked by a line.
    pub fn to_text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        if self.cut > 0 {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            let mark = format!("[... {} bytes cut ...]\n", self.cut);
            text.push_str(&mark);
            text.push_str(&String::from_utf8_lossy(&self.tail));
        }
        text
    }
}

/// The record of a stretch of slots that did not run. `job`, `skipped.from`, `skipped.reason` and `first_run` identify it:
/// to append it twice is to append it once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkipRecord {
    /// The id that a run of the first slot would have had. It depends on the lane, the incarnation and the epoch.
    #[serde(default = "RunId::unknown", skip_serializing_if = "RunId::is_unknown")]
    pub first_run: RunId,
    /// The job.
    pub job: JobName,
    /// The node whose worker decided it.
    pub node: String,
    /// When it was decided.
    pub decided: UnixMillis,
    /// The slots and the reason.
    pub skipped: Skipped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_reads_as_text() {
        let all = Output { head: b"a\0b\xff\n".to_vec(), cut: 0, tail: Vec::new() };
        assert_eq!(all.to_text(), "a\0b\u{fffd}\n");
        let cut = Output { head: b"begin".to_vec(), cut: 12, tail: b"end\n".to_vec() };
        assert_eq!(cut.to_text(), "begin\n[... 12 bytes cut ...]\nend\n");
    }
}
