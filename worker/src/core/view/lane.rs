//! What is known of one lane.

use model::run::{Revision, RunId, Slot};
use model::values::{ActiveRun, Cursor, JobStatus, PendingSkip, Timetable};
use model::{Job, UnixMillis, Unknown, Words};

/// The value of a key and the revision at which it became known. An absent key keeps the revision too.
#[derive(Clone, Debug)]
pub(crate) struct Versioned<T> {
    /// `None` where there is no such key, or where its value can't be read.
    pub(crate) value: Option<T>,
    pub(super) exists: bool,
    pub(crate) revision: Revision,
}

impl<T> Default for Versioned<T> {
    fn default() -> Self {
        Self { value: None, exists: false, revision: Revision::NONE }
    }
}

impl<T> Versioned<T> {
    /// Takes news, unless something as new is known. Returns whether it was news.
    pub(crate) fn set(&mut self, revision: Revision, value: Option<T>) -> bool {
        let news = revision > self.revision;
        if news {
            *self = Self { exists: value.is_some(), value, revision };
        }
        news
    }

    /// As [`Self::set`], for a key whose value can't be read: it is there, and a transaction can replace it.
    pub(crate) fn set_unreadable(&mut self, revision: Revision) -> bool {
        let news = self.set(revision, None);
        self.exists |= news;
        news
    }

    /// What a transaction compares the mod revision with.
    pub(crate) fn compared(&self) -> Revision {
        if self.exists { self.revision } else { Revision::NONE }
    }
}

/// A cursor. Nearly always it was armed for the job as it stands, and then the timetable is not kept twice.
#[derive(Clone, Debug)]
pub(crate) struct KnownCursor {
    pub(crate) slot: Slot,
    pub(super) job: Revision,
    pub(super) epoch: Revision,
    /// The timetable it was armed for; `None` where that is still the job's.
    pub(super) armed_for: Option<Box<Timetable>>,
    /// The skipped stretches in it.
    skips: Vec<Pending>,
    /// What a newer version put into it.
    pub(super) unknown: Unknown,
}

/// A skipped stretch in a cursor.
#[derive(Clone, Copy, Debug)]
struct Pending {
    skip: PendingSkip,
    /// It is known to be in the run log.
    durable: bool,
}

/// A run record.
#[derive(Clone, Debug)]
pub(crate) struct KnownRun {
    pub(crate) run: RunId,
    /// Its create revision: the first token of the run.
    pub(crate) created: Revision,
    /// Its mod revision: the present token. Of a record that is gone, the revision of its deletion.
    pub(crate) token: Revision,
    pub(crate) state: RunState,
}

/// What a run record says.
#[derive(Clone, Debug)]
pub(crate) enum RunState {
    /// A claimed slot.
    Active(Box<ActiveRun>),
    /// Its value can't be read; it keeps the job busy.
    Unreadable,
    /// This worker lacks some of what it needs. It keeps the job busy, and is left to those who have all of it.
    Beyond(Words),
    /// It was deleted, which the followed changes have not shown yet.
    Gone,
}

impl KnownRun {
    /// What the record says, if it is there and can be read.
    pub(crate) fn active(&self) -> Option<&ActiveRun> {
        match &self.state {
            RunState::Active(active) => Some(active),
            RunState::Unreadable | RunState::Beyond(_) | RunState::Gone => None,
        }
    }
}

/// One lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownLane {
    pub(crate) cursor: Versioned<KnownCursor>,
    pub(crate) status: Versioned<Box<JobStatus>>,
    /// The run records, this worker's included.
    runs: Vec<KnownRun>,
    /// `runs` is complete as of this revision.
    runs_as_of: Revision,
    /// A transaction of this worker that decides about the lane is not answered yet, or is to be repeated.
    pub(crate) deciding: bool,
    /// The skipped stretches in the cursor are being put into the run log.
    pub(crate) noting: bool,
    /// When the lane is looked at next.
    pub(crate) due: Option<UnixMillis>,
}

impl KnownLane {
    /// The run records that exist, the oldest slot first.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &KnownRun> {
        self.runs.iter().filter(|run| !matches!(run.state, RunState::Gone))
    }

    /// Nothing of it is in the tree.
    pub(super) fn is_gone(&self) -> bool {
        let Self { cursor, status, runs, runs_as_of: _, deciding, noting, due: _ } = self;
        !cursor.exists && !status.exists && runs.is_empty() && !*deciding && !*noting
    }

    /// The latest revision at which something of it was seen to change.
    pub(super) fn latest(&self) -> Revision {
        self.cursor.revision.max(self.status.revision).max(self.runs_as_of)
    }

    /// The skipped stretches in the cursor of which it is not known that they are in the run log.
    pub(crate) fn pending(&self) -> Vec<PendingSkip> {
        let skips = self.cursor.value.iter().flat_map(|cursor| &cursor.skips);
        skips.filter(|pending| !pending.durable).map(|pending| pending.skip).collect()
    }

    /// These stretches are in the run log.
    pub(crate) fn noted(&mut self, noted: &[PendingSkip]) {
        let skips = self.cursor.value.iter_mut().flat_map(|cursor| &mut cursor.skips);
        for pending in skips.filter(|pending| noted.contains(&pending.skip)) {
            pending.durable = true;
        }
    }

    /// Takes news of the cursor, which is compared with the job as it stands.
    pub(super) fn set_cursor(
        &mut self,
        revision: Revision,
        cursor: Option<Cursor>,
        job: Option<&Job>,
    ) -> bool {
        if revision <= self.cursor.revision {
            return false;
        }
        let durable = |skip: &PendingSkip| {
            let mut skips = self.cursor.value.iter().flat_map(|cursor| &cursor.skips);
            skips.any(|pending| pending.durable && pending.skip == *skip)
        };
        let cursor = cursor.map(|cursor| {
            let Cursor { slot, job: incarnation, timetable, epoch, skips, unknown } = cursor;
            let pending = |skip| Pending { durable: durable(&skip), skip };
            KnownCursor {
                slot,
                job: incarnation,
                epoch,
                armed_for: match job {
                    Some(job) if timetable.is_of(job) => None,
                    _ => Some(Box::new(timetable)),
                },
                skips: skips.into_iter().map(pending).collect(),
                unknown,
            }
        });
        self.cursor.set(revision, cursor)
    }

    /// Takes in a run record that was found as of a revision; `floor` is a revision as of which all records are known.
    /// Returns whether it was news.
    pub(super) fn put_run(&mut self, put: KnownRun, as_of: Revision, floor: Revision) -> bool {
        let floor = floor.max(self.runs_as_of);
        match self.runs.iter_mut().find(|known| known.run == put.run) {
            Some(known) if put.token > known.token => *known = put,
            // What is found later than its deletion is there.
            Some(known) if matches!(known.state, RunState::Gone) && as_of > known.token => *known = put,
            Some(_) => return false,
            // A record as old as this that is not known was deleted since, unless it was found later.
            None if put.token <= floor && as_of <= floor => return false,
            None => {
                self.runs.push(put);
                self.runs.sort_unstable_by(|a, b| a.run.cmp(&b.run));
            }
        }
        true
    }

    /// The record of a run was deleted; `floor` is a revision as of which all records are known. Returns whether that
    /// was news.
    pub(super) fn delete_run(&mut self, run: &RunId, revision: Revision, floor: Revision) -> bool {
        let floor = floor.max(self.runs_as_of);
        let known = self.runs.iter_mut().find(|known| known.run == *run);
        let news = match known {
            Some(known) if known.token < revision => {
                let news = !matches!(known.state, RunState::Gone);
                (known.state, known.token) = (RunState::Gone, revision);
                news
            }
            None if revision > floor => {
                let gone = RunState::Gone;
                self.runs.push(KnownRun {
                    run: run.clone(),
                    created: Revision::NONE,
                    token: revision,
                    state: gone,
                });
                false
            }
            Some(_) | None => false,
        };
        self.forget_gone(floor);
        news
    }

    /// The list of all its runs was complete as of `revision`: what was not in it is gone.
    pub(super) fn retain_runs(&mut self, listed: &[RunId], revision: Revision, floor: Revision) {
        self.runs.retain(|known| known.token > revision || listed.contains(&known.run));
        self.runs_as_of = self.runs_as_of.max(revision);
        self.forget_gone(floor.max(self.runs_as_of));
    }

    fn forget_gone(&mut self, floor: Revision) {
        self.runs.retain(|known| !matches!(known.state, RunState::Gone) || known.token > floor);
        if self.runs.is_empty() {
            self.runs = Vec::new();
        }
    }
}
