//! The run log as a value.

use std::collections::{BTreeMap, BTreeSet};

use model::record::{Output, RunRecord, SkipRecord};
use model::run::{Outcome, RunId, Slot};
use model::{JobName, UnixMillis};

use crate::log::{KEPT_SKIPS, LogEntry, RunQuery};

/// Where a record is in a list, oldest first: its start or its slot, its run, its attempt.
type Place = (UnixMillis, RunId, u32);

/// A run log, with the promises of [`crate::RunLog`]. What is too old to be kept is removed at once.
#[derive(Clone, Debug, Default)]
pub struct LogState {
    runs: BTreeMap<Place, RunRecord>,
    /// The places of all runs by what identifies them.
    places: BTreeMap<(RunId, u32), Place>,
    jobs: BTreeMap<JobName, OfJob>,
}

#[derive(Clone, Debug, Default)]
struct OfJob {
    succeeded: BTreeSet<Place>,
    others: BTreeSet<Place>,
    /// By their first slot, the text of their reason and the id of the first run, as the other backends sort them.
    skips: BTreeMap<(Slot, &'static str, RunId), SkipRecord>,
}

impl OfJob {
    fn places(&mut self, outcome: Outcome) -> &mut BTreeSet<Place> {
        if outcome == Outcome::Succeeded { &mut self.succeeded } else { &mut self.others }
    }
}

impl LogState {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds entries. One that is there already changes nothing, unless it supersedes a record that says `Lost`.
    pub fn append(&mut self, entries: Vec<LogEntry>) {
        for entry in entries {
            match entry {
                LogEntry::Run { record, keep } => {
                    let job = record.job.clone();
                    if self.add_run(record) {
                        self.forget_runs(&job, true, keep.succeeded);
                        self.forget_runs(&job, false, keep.failed);
                    }
                }
                LogEntry::Skipped(record) => self.add_skip(record),
            }
        }
    }

    /// Records of ended runs, newest start first.
    pub fn runs(&self, query: &RunQuery) -> Vec<RunRecord> {
        let of_job = |record: &&RunRecord| query.job.as_ref().is_none_or(|job| *job == record.job);
        let found = self.runs.values().rev().filter(of_job);
        let found = found.skip(count(query.skip)).take(count(query.limit));
        found.map(|record| if query.with_output { record.clone() } else { without_output(record) }).collect()
    }

    /// The record of one attempt, without its output.
    pub fn find(&self, run: &RunId, attempt: u32) -> Option<RunRecord> {
        self.record(run, attempt).map(without_output)
    }

    /// What one attempt wrote; `None` where there is no record of it.
    pub fn output(&self, run: &RunId, attempt: u32) -> Option<Output> {
        self.record(run, attempt).map(|record| record.output.clone())
    }

    /// Skipped slots of a job, latest first.
    pub fn skipped(&self, job: &JobName, limit: u32) -> Vec<SkipRecord> {
        let Some(of_job) = self.jobs.get(job) else { return Vec::new() };
        of_job.skips.values().rev().take(count(limit)).cloned().collect()
    }

    /// All records of runs, output and all, oldest start first, for whoever checks the log as a whole.
    pub fn records(&self) -> impl Iterator<Item = &RunRecord> {
        self.runs.values()
    }

    /// All records of skipped slots, by job and slot, for whoever checks the log as a whole.
    pub fn skips(&self) -> impl Iterator<Item = &SkipRecord> {
        self.jobs.values().flat_map(|of_job| of_job.skips.values())
    }

    fn record(&self, run: &RunId, attempt: u32) -> Option<&RunRecord> {
        self.places.get(&(run.clone(), attempt)).and_then(|place| self.runs.get(place))
    }

    /// Adds a record unless it is there; returns whether it was added. A lost run's gives way to one that tells more.
    fn add_run(&mut self, record: RunRecord) -> bool {
        if let Some(former) = self.record(&record.run, record.attempt) {
            if former.outcome != Outcome::Lost || record.outcome == Outcome::Lost {
                return false;
            }
            let former = place(former);
            self.remove(&former);
        }
        let place = place(&record);
        self.places.insert((record.run.clone(), record.attempt), place.clone());
        let of_job = self.jobs.entry(record.job.clone()).or_default();
        of_job.places(record.outcome).insert(place.clone());
        self.runs.insert(place, record);
        true
    }

    /// Removes the oldest records of a job beyond what is kept.
    fn forget_runs(&mut self, job: &JobName, succeeded: bool, kept: u32) {
        let Some(of_job) = self.jobs.get(job) else { return };
        let places = if succeeded { &of_job.succeeded } else { &of_job.others };
        let beyond = places.len().saturating_sub(count(kept));
        for place in places.iter().take(beyond).cloned().collect::<Vec<_>>() {
            self.remove(&place);
        }
    }

    fn remove(&mut self, place: &Place) {
        let Some(record) = self.runs.remove(place) else { return };
        if let Some(of_job) = self.jobs.get_mut(&record.job) {
            of_job.places(record.outcome).remove(place);
        }
        self.places.remove(&(record.run, record.attempt));
    }

    fn add_skip(&mut self, record: SkipRecord) {
        let skips = &mut self.jobs.entry(record.job.clone()).or_default().skips;
        let key = (record.skipped.from, record.skipped.reason.as_str(), record.first_run.clone());
        skips.entry(key).or_insert(record);
        while skips.len() > count(KEPT_SKIPS) {
            skips.pop_first();
        }
    }
}

fn place(record: &RunRecord) -> Place {
    (record.started.unwrap_or(record.slot.0), record.run.clone(), record.attempt)
}

fn without_output(record: &RunRecord) -> RunRecord {
    RunRecord { output: Output::default(), ..record.clone() }
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
