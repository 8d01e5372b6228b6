//! What is known of one job.

use std::sync::Arc;

use model::decide::{CURSOR_AHEAD, Seen, SeenCursor};
use model::run::{Revision, RunId, Skipped, Slot};
use model::values::{ActiveRun, Cursor, JobStatus, Timetable};
use model::{Job, UnixMillis, Unknown, Words};
use store::protocol::Known;

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
    fn compared(&self) -> Revision {
        if self.exists { self.revision } else { Revision::NONE }
    }
}

/// What `jobs/n` says.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    /// The create revision of the key: the job's incarnation.
    pub(crate) created: Revision,
    /// `None` where the value can't be used.
    pub(crate) job: Option<Arc<Job>>,
    /// What whoever runs it must understand. Where this worker does not, `job` is `None`.
    pub(crate) needs: Words,
}

/// A cursor. Nearly always it was armed for the job as it stands, and then the timetable is not kept twice.
#[derive(Clone, Debug)]
pub(crate) struct KnownCursor {
    pub(crate) slot: Slot,
    job: Revision,
    epoch: Revision,
    armed_for: Option<Box<Timetable>>,
    /// The skipped stretches in it.
    skips: Vec<Pending>,
    /// What a newer version put into it.
    unknown: Unknown,
}

/// A skipped stretch in a cursor.
#[derive(Clone, Copy, Debug)]
struct Pending {
    skipped: Skipped,
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

/// Who holds a job's lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Holder {
    #[default]
    Nobody,
    /// It keeps the replaced system's workers out, and is in nobody's way.
    Reserved,
    /// A worker of the replaced system, or one of ours whose run record tells more.
    Somebody,
}

/// What is known of a job's lock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lock {
    pub(crate) holder: Holder,
    pub(crate) revision: Revision,
}

impl Lock {
    /// Takes news, unless something as new is known. Returns whether the job must be looked at again.
    pub(crate) fn set(&mut self, revision: Revision, holder: Holder) -> bool {
        let news = revision > self.revision;
        let freed = news && self.holder != holder && holder != Holder::Somebody;
        if news {
            *self = Self { holder, revision };
        }
        freed
    }

    /// The lock that was put at `token` was deleted at `revision`, if it was still there.
    pub(crate) fn freed(&mut self, token: Revision, revision: Revision) {
        if self.revision == token {
            self.set(revision, Holder::Nobody);
        }
    }
}

/// What is known of the kill request of a job.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kill {
    /// The mod revision of the latest request ever seen. It hits the runs that were created before it.
    pub(crate) latest: Revision,
    exists: bool,
    revision: Revision,
}

impl Kill {
    /// Takes news. Returns whether there is a request that was not known.
    pub(super) fn set(&mut self, revision: Revision, exists: bool) -> bool {
        if revision > self.revision {
            (self.exists, self.revision) = (exists, revision);
        }
        let news = exists && revision > self.latest;
        if news {
            self.latest = revision;
        }
        news
    }

    /// A kill signal of the replaced system.
    pub(super) fn signal(&mut self, revision: Revision) {
        self.latest = self.latest.max(revision);
    }

    fn compared(&self) -> Revision {
        if self.exists { self.revision } else { Revision::NONE }
    }
}

/// One job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) definition: Versioned<Definition>,
    pub(crate) cursor: Versioned<KnownCursor>,
    pub(crate) status: Versioned<Box<JobStatus>>,
    /// The run records, this worker's included.
    pub(super) runs: Vec<KnownRun>,
    /// `runs` is complete as of this revision.
    pub(super) runs_as_of: Revision,
    /// `lock/n`.
    pub(crate) lock: Lock,
    pub(crate) kill: Kill,
    /// A transaction of this worker that decides about the job is not answered yet, or is to be repeated.
    pub(crate) deciding: bool,
    /// The skipped stretches in the cursor are being put into the run log.
    pub(crate) noting: bool,
    /// When the job is looked at next.
    pub(crate) due: Option<UnixMillis>,
}

impl Entry {
    /// The revisions that transactions about this job compare.
    pub(crate) fn known(&self) -> Known {
        Known {
            created: self.created(),
            definition: self.definition.compared(),
            cursor: self.cursor.compared(),
            status: self.status.compared(),
            lock: if self.lock.holder == Holder::Reserved { self.lock.revision } else { Revision::NONE },
            kill: self.kill.compared(),
        }
    }

    /// The incarnation of the job, [`Revision::NONE`] while there is none.
    pub(crate) fn created(&self) -> Revision {
        self.definition.value.as_ref().map_or(Revision::NONE, |definition| definition.created)
    }

    /// The job, if there is a valid one.
    pub(crate) fn job(&self) -> Option<&Arc<Job>> {
        self.definition.value.as_ref()?.job.as_ref()
    }

    /// The run records that exist, the oldest slot first.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &KnownRun> {
        self.runs.iter().filter(|run| !matches!(run.state, RunState::Gone))
    }

    /// The record of a run, if it exists.
    pub(crate) fn run(&self, run: &RunId) -> Option<&KnownRun> {
        self.runs().find(|known| known.run == *run)
    }

    /// The job, if there is a valid one, and what is known besides.
    pub(crate) fn to_decide(&self) -> Option<(&Arc<Job>, Seen<'_>)> {
        let cursor = self.cursor.value.as_ref().map(|cursor| SeenCursor {
            slot: cursor.slot,
            job: cursor.job,
            armed_for: cursor.armed_for.as_deref(),
        });
        let busy = self.runs().next().is_some() || self.lock.holder == Holder::Somebody;
        Some((self.job()?, Seen { created: self.created(), cursor, busy }))
    }

    /// The epoch that the cursor is in; a new incarnation begins with its first one.
    pub(crate) fn epoch(&self) -> Revision {
        let cursor = self.cursor.value.as_ref().filter(|cursor| cursor.job == self.created());
        cursor.map_or(Revision::NONE, |cursor| cursor.epoch)
    }

    /// What a newer version put into the cursor; a new incarnation begins without.
    pub(crate) fn unknown_of_cursor(&self) -> Unknown {
        let cursor = self.cursor.value.as_ref().filter(|cursor| cursor.job == self.created());
        cursor.map(|cursor| cursor.unknown.clone()).unwrap_or_default()
    }

    /// What whoever takes, ends or declares a run of the job must understand.
    pub(crate) fn needs(&self) -> Words {
        let of_job = self.definition.value.as_ref().map(|definition| &definition.needs);
        let of_runs = self.runs().filter_map(|run| match &run.state {
            RunState::Active(active) => Some(&active.needs),
            RunState::Beyond(needs) => Some(needs),
            RunState::Unreadable | RunState::Gone => None,
        });
        of_job
            .into_iter()
            .chain(of_runs)
            .filter(|needs| !needs.is_empty())
            .fold(Words::default(), |all, needs| all.and(needs))
    }

    /// Whether the cursor was armed for the job as it stands.
    pub(crate) fn is_armed(&self) -> bool {
        let cursor = self.cursor.value.as_ref();
        cursor.is_some_and(|cursor| cursor.job == self.created() && cursor.armed_for.is_none())
    }

    /// Whether the cursor is further ahead of the clock than a claim puts it.
    pub(crate) fn is_ahead(&self, now: UnixMillis) -> bool {
        self.cursor.value.as_ref().is_some_and(|cursor| cursor.slot.0 > now + CURSOR_AHEAD)
    }

    /// Nothing of it is in the tree.
    pub(super) fn is_gone(&self) -> bool {
        let Self { definition, cursor, status, runs, runs_as_of: _, lock, kill: _, deciding, noting, due: _ } =
            self;
        !definition.exists
            && !cursor.exists
            && !status.exists
            && runs.is_empty()
            && lock.holder == Holder::Nobody
            && !*deciding
            && !*noting
    }

    /// The latest revision at which something of it was seen to change.
    pub(super) fn latest(&self) -> Revision {
        let Self { definition, cursor, status, lock, runs_as_of, .. } = self;
        definition.revision.max(cursor.revision).max(status.revision).max(lock.revision).max(*runs_as_of)
    }

    /// Its key is not in the tree.
    pub(crate) fn is_deleted(&self) -> bool {
        !self.definition.exists
    }

    /// What a deleted job left, and nobody needs any more.
    pub(crate) fn is_litter(&self) -> bool {
        // A reserved lock alone is that of a job which is about to be put.
        let left = self.cursor.exists || self.status.exists;
        left && self.is_deleted() && self.runs().next().is_none() && !self.deciding && !self.noting
    }

    /// The skipped stretches in the cursor of which it is not known that they are in the run log.
    pub(crate) fn pending(&self) -> Vec<Skipped> {
        let skips = self.cursor.value.iter().flat_map(|cursor| &cursor.skips);
        skips.filter(|pending| !pending.durable).map(|pending| pending.skipped).collect()
    }

    /// These stretches are in the run log.
    pub(crate) fn noted(&mut self, skipped: &[Skipped]) {
        let skips = self.cursor.value.iter_mut().flat_map(|cursor| &mut cursor.skips);
        for pending in skips.filter(|pending| skipped.contains(&pending.skipped)) {
            pending.durable = true;
        }
    }

    pub(crate) fn set_cursor(&mut self, revision: Revision, cursor: Option<Cursor>) -> bool {
        if revision <= self.cursor.revision {
            return false;
        }
        let job = self.definition.value.as_ref().and_then(|d| d.job.as_deref());
        let durable = |skipped: &Skipped| {
            let skips = self.cursor.value.iter().flat_map(|cursor| &cursor.skips);
            skips.clone().any(|pending| pending.durable && pending.skipped == *skipped)
        };
        let cursor =
            cursor.map(|Cursor { slot, job: incarnation, timetable, epoch, skips, unknown }| KnownCursor {
                slot,
                job: incarnation,
                epoch,
                armed_for: match job {
                    Some(job) if timetable.is_of(job) => None,
                    _ => Some(Box::new(timetable)),
                },
                skips: skips
                    .into_iter()
                    .map(|skipped| Pending { durable: durable(&skipped), skipped })
                    .collect(),
                unknown,
            });
        self.cursor.set(revision, cursor)
    }

    /// Keeps the cursor's timetable right while the job it was compared with changes.
    pub(super) fn set_definition(&mut self, revision: Revision, definition: Option<Definition>) -> bool {
        if revision <= self.definition.revision {
            return false;
        }
        let new = definition.as_ref().and_then(|d| d.job.as_deref());
        let old = self.definition.value.as_ref().and_then(|d| d.job.as_deref());
        if let Some(cursor) = &mut self.cursor.value {
            let armed_for = cursor.armed_for.take().or_else(|| old.map(|old| Box::new(Timetable::of(old))));
            cursor.armed_for = match new {
                Some(new) => armed_for.filter(|timetable| !timetable.is_of(new)),
                None => armed_for,
            };
        }
        self.definition.set(revision, definition)
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
