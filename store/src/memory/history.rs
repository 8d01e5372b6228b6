//! What was changed, revision by revision.

use std::collections::VecDeque;

use model::run::Revision;
use thiserror::Error;

use crate::tree::Change;

/// The changes that were asked for are not all there any more; list again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("changes before revision {0} were compacted away")]
pub struct Compacted(
    /// The first revision whose changes are there.
    pub Revision,
);

/// The changes of every revision from `first` on, without gaps.
#[derive(Clone, Debug)]
pub(super) struct History {
    first: Revision,
    groups: VecDeque<Vec<Change>>,
    /// What was compacted last. Nothing until then, although there are no changes before `first`.
    compacted: Revision,
}

impl History {
    /// That of a tree without keys at revision `now`.
    pub(super) fn new(now: Revision) -> Self {
        Self { first: Revision(now.0 + 1), groups: VecDeque::new(), compacted: Revision::NONE }
    }

    /// Adds the changes of the next revision.
    pub(super) fn push(&mut self, changes: Vec<Change>) {
        self.groups.push_back(changes);
    }

    /// The changes of each revision after `after`.
    pub(super) fn since(&self, after: Revision) -> Result<impl Iterator<Item = &Vec<Change>>, Compacted> {
        if after.0.saturating_add(1) < self.compacted.0 {
            return Err(Compacted(self.compacted));
        }
        let known = after.0.saturating_add(1).saturating_sub(self.first.0);
        let known = usize::try_from(known.max(0)).unwrap_or(usize::MAX);
        Ok(self.groups.range(known.min(self.groups.len())..))
    }

    /// Forgets the changes before a revision.
    pub(super) fn compact(&mut self, revision: Revision) {
        self.compacted = self.compacted.max(revision);
        while self.first < revision && self.groups.pop_front().is_some() {
            self.first.0 += 1;
        }
    }
}

/// The key that was changed.
pub(super) fn key(change: &Change) -> &str {
    match change {
        Change::Put(pair) => &pair.key,
        Change::Deleted { key, .. } => key,
    }
}
