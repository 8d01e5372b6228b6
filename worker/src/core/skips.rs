//! Skipped stretches on their way to the run log.
//!
//! The transaction that skips slots counts them and leaves them in the cursor. Whoever committed it puts them into the
//! log; should that worker die before, the next one whose job it is does. To put them twice changes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use model::Lane;
use model::record::SkipRecord;
use model::values::PendingSkip;
use store::{LogEntry, LogError};

use super::transactions::Ask;
use super::view::Entry;
use super::{Act, Core, RETRY_AFTER, Timer};
use crate::Report;

/// The stretches that this worker skipped and that are not known to be in the log.
#[derive(Debug, Default)]
pub(super) struct Skips {
    mine: HashMap<Lane, Vec<PendingSkip>>,
}

impl Skips {
    /// This worker asked to skip these.
    pub(super) fn asked(&mut self, lane: &Lane, skipped: &[PendingSkip]) {
        if !skipped.is_empty() {
            let mine = self.mine.entry(lane.clone()).or_default();
            mine.extend(
                skipped.iter().filter(|skipped| !mine.contains(skipped)).copied().collect::<Vec<_>>(),
            );
        }
    }

    pub(super) fn has(&self, lane: &Lane) -> bool {
        self.mine.contains_key(lane)
    }
}

impl Core {
    /// Puts the skipped stretches in a job's cursor into the log, unless that is under way.
    pub(super) fn note_skips(&mut self, lane: &Lane) {
        let Some(entry) = self.view.get(lane) else { return };
        if entry.lane.noting {
            return;
        }
        let pending = entry.pending();
        if pending.is_empty() {
            self.skips.mine.remove(lane);
            return;
        }
        self.view.lane(lane).noting = true;
        let records = pending.iter().map(|skipped| self.skip_record(lane, *skipped));
        let entries = records.map(LogEntry::Skipped).collect();
        let ask = self.ask(Ask::Note { lane: lane.clone(), skipped: pending });
        self.act(Act::Append(ask, entries));
    }

    /// The log did not take the stretches a while ago.
    pub(super) fn note_skips_again(&mut self, lane: &Lane) {
        self.view.lane(lane).noting = false;
        self.note_skips(lane);
        self.view.forget_if_gone(&lane.job);
    }

    fn skip_record(&self, lane: &Lane, skip: PendingSkip) -> SkipRecord {
        SkipRecord {
            first_run: skip.first_run(lane),
            job: lane.job.clone(),
            node: self.config.node.clone(),
            decided: self.now.wall,
            skipped: skip.skipped,
        }
    }

    pub(super) fn noted(&mut self, lane: &Lane, skipped: &[PendingSkip], reply: Result<(), LogError>) {
        if let Err(why) = reply {
            // Nothing else is sent for this job meanwhile.
            self.trouble_with(&why);
            return self.after(RETRY_AFTER, Timer::Note(lane.clone()));
        }
        let of_lane = self.view.lane(lane);
        of_lane.noting = false;
        of_lane.noted(skipped);
        let deleted = self.view.get(lane).is_some_and(Entry::is_deleted);
        let mine = self.skips.mine.get(lane).cloned().unwrap_or_default();
        for skipped in skipped.iter().filter(|skipped| mine.contains(skipped)) {
            let record = self.skip_record(lane, *skipped);
            self.act(Act::Tell(Report::Skipped(Arc::new(record))));
        }
        if let Some(mine) = self.skips.mine.get_mut(lane) {
            mine.retain(|mine| !skipped.contains(mine));
        }
        self.note_skips(lane);
        if deleted {
            self.look_again(lane);
        }
        self.view.forget_if_gone(&lane.job);
    }
}
