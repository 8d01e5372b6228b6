//! Skipped stretches on their way to the run log.
//!
//! The transaction that skips slots counts them and leaves them in the cursor. Whoever committed it puts them into the
//! log; should that worker die before, the next one whose job it is does. To put them twice changes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use model::JobName;
use model::record::SkipRecord;
use model::run::Skipped;
use store::{LogEntry, LogError};

use super::transactions::Ask;
use super::{Act, Core, RETRY_AFTER, Timer};
use crate::Report;

/// The stretches that this worker skipped and that are not known to be in the log.
#[derive(Debug, Default)]
pub(super) struct Skips {
    mine: HashMap<JobName, Vec<Skipped>>,
}

impl Skips {
    /// This worker asked to skip these.
    pub(super) fn asked(&mut self, name: &JobName, skipped: &[Skipped]) {
        if !skipped.is_empty() {
            let mine = self.mine.entry(name.clone()).or_default();
            mine.extend(
                skipped.iter().filter(|skipped| !mine.contains(skipped)).copied().collect::<Vec<_>>(),
            );
        }
    }

    pub(super) fn has(&self, name: &JobName) -> bool {
        self.mine.contains_key(name)
    }
}

impl Core {
    /// Puts the skipped stretches in a job's cursor into the log, unless that is under way.
    pub(super) fn note_skips(&mut self, name: &JobName) {
        let Some(entry) = self.view.get(name) else { return };
        if entry.noting {
            return;
        }
        let pending = entry.pending();
        if pending.is_empty() {
            self.skips.mine.remove(name);
            return;
        }
        self.view.entry(name).noting = true;
        let records = pending.iter().map(|skipped| self.skip_record(name, *skipped));
        let entries = records.map(LogEntry::Skipped).collect();
        let ask = self.ask(Ask::Note { name: name.clone(), skipped: pending });
        self.act(Act::Append(ask, entries));
    }

    /// The log did not take the stretches a while ago.
    pub(super) fn note_skips_again(&mut self, name: &JobName) {
        self.view.entry(name).noting = false;
        self.note_skips(name);
        self.view.forget_if_gone(name);
    }

    fn skip_record(&self, name: &JobName, skipped: Skipped) -> SkipRecord {
        SkipRecord { job: name.clone(), node: self.config.node.clone(), decided: self.now.wall, skipped }
    }

    pub(super) fn noted(&mut self, name: &JobName, skipped: &[Skipped], reply: Result<(), LogError>) {
        if let Err(why) = reply {
            // Nothing else is sent for this job meanwhile.
            self.trouble_with(&why);
            return self.after(RETRY_AFTER, Timer::Note(name.clone()));
        }
        let entry = self.view.entry(name);
        entry.noting = false;
        entry.noted(skipped);
        let deleted = entry.is_deleted();
        let mine = self.skips.mine.get(name).cloned().unwrap_or_default();
        for skipped in skipped.iter().filter(|skipped| mine.contains(skipped)) {
            let record = self.skip_record(name, *skipped);
            self.act(Act::Tell(Report::Skipped(Arc::new(record))));
        }
        if let Some(mine) = self.skips.mine.get_mut(name) {
            mine.retain(|mine| !skipped.contains(mine));
        }
        self.note_skips(name);
        if deleted {
            self.look_again(name);
        }
        self.view.forget_if_gone(name);
    }
}
