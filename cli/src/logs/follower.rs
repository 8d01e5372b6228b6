//! Which runs of a job have ended since somebody began to look.
//!
//! The log lists records by their start, so that of a short run is near the top, and that of a long one may be below any
//! number of others. Therefore the runs that go on are noted, and what is no longer among them is looked for as far back
//! as it began.

use std::collections::{HashMap, HashSet};

use model::UnixMillis;

use crate::target::{Pages, RestError, Session};
use crate::view::{Active, Run};

/// How many records are asked for at a time.
pub(super) const PAGE: u32 = 100;

/// How many records are known at least, and how many ends are waited for at most.
const KNOWN: usize = 10_000;

pub(super) struct Follower {
    job: String,
    /// Records that were there at the beginning or have been shown, with the begin of each.
    known: HashMap<(String, u32), UnixMillis>,
    /// What began earlier was there at the beginning, unless it is waited for.
    since: UnixMillis,
    /// Runs that were seen going on and have no record yet.
    awaited: HashMap<(String, u32), Awaited>,
}

struct Awaited {
    slot: UnixMillis,
    /// How many looks have found that it does not go on any more.
    looks: u64,
}

impl Follower {
    /// Begins with the runs that go on and, read after these, the first page of records.
    pub(super) fn new(job: String, active: &[Active], first: &[Run]) -> Self {
        let known: HashMap<_, _> = first.iter().map(|run| (run.attempt_id(), run.began())).collect();
        let since = first.last().map(Run::began).unwrap_or_default();
        let mut follower = Self { job, known, since, awaited: HashMap::new() };
        follower.wait_for(active);
        follower
    }

    /// Records of runs that have ended and were not shown yet, in the order of their ends.
    pub(super) async fn ended(&mut self, session: &Session) -> Result<Vec<Run>, RestError> {
        let back_to = match session.job(&self.job).await {
            Ok(job) => self.back_to(&job.map(|job| job.active).unwrap_or_default()),
            // The log may be there all the same.
            Err(why) if why.may_pass() => UnixMillis::MAX,
            Err(why) => return Err(why),
        };
        let mut new = Vec::new();
        let mut pages = Pages::new(session, &self.job);
        loop {
            let page = pages.next(PAGE).await?;
            let Some(oldest) = page.last().map(Run::began) else { break };
            let meets_known = page.iter().any(|run| self.known.contains_key(&run.attempt_id()));
            new.extend(page.into_iter().filter(|run| self.is_new(run)));
            if meets_known && oldest < back_to || new.len() >= KNOWN {
                break;
            }
        }
        new.sort_by_key(|run| run.ended.parse::<UnixMillis>().ok());
        Ok(new)
    }

    /// Notes that a record is not to be shown again.
    pub(super) fn shown(&mut self, run: &Run) {
        self.awaited.remove(&run.attempt_id());
        self.known.insert(run.attempt_id(), run.began());
        if self.known.len() > 2 * KNOWN {
            let mut known: Vec<_> = self.known.drain().collect();
            known.sort_unstable_by_key(|(_, began)| *began);
            self.known.extend(known.split_off(known.len() - KNOWN));
            self.since = self.known.values().min().copied().unwrap_or_default().max(self.since);
        }
    }

    fn is_new(&self, run: &Run) -> bool {
        let id = run.attempt_id();
        !self.known.contains_key(&id) && (run.began() >= self.since || self.awaited.contains_key(&id))
    }

    fn wait_for(&mut self, active: &[Active]) {
        for run in active {
            let id = (run.run.clone(), run.attempt);
            if self.awaited.len() < KNOWN && !self.known.contains_key(&id) {
                let slot = run.slot.parse().unwrap_or_default();
                self.awaited.entry(id).or_insert(Awaited { slot, looks: 0 });
            }
        }
    }

    /// How far back this look has to go. A record may be late, or never come because so few are kept: the longer it has
    /// not been found, the more seldom it is looked for.
    fn back_to(&mut self, active: &[Active]) -> UnixMillis {
        self.wait_for(active);
        let active: HashSet<_> = active.iter().map(|run| (run.run.as_str(), run.attempt)).collect();
        let mut back_to = UnixMillis::MAX;
        for ((run, attempt), awaited) in &mut self.awaited {
            if !active.contains(&(run.as_str(), *attempt)) {
                awaited.looks += 1;
                if awaited.looks.is_power_of_two() {
                    back_to = back_to.min(awaited.slot);
                }
            }
        }
        back_to
    }
}

#[cfg(test)]
mod tests;
