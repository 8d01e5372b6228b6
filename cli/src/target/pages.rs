//! A job's records, page by page, while runs end and old records are removed.

use std::collections::HashSet;

use super::rest::{PAGE_RUNS, RestError, Session};
use crate::view::{Records, Run, Skipped};

/// The records of one job in the order of the master's list. Each comes once, and none that is there all the time is
/// left out: the master counts from the newest, so records move while others come and go. Each page is therefore asked
/// for from the last record of the page before, and from further up where that one is not found.
pub(crate) struct Pages<'a> {
    session: &'a Session,
    job: &'a str,
    seen: HashSet<(String, u32)>,
    /// How many records of the list have been passed.
    passed: u32,
    /// The stretches of skipped slots that came with the first page.
    pub(crate) skipped: Option<Vec<Skipped>>,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(session: &'a Session, job: &'a str) -> Self {
        Self { session, job, seen: HashSet::new(), passed: 0, skipped: None }
    }

    /// The next records, about so many at most. None at the end of the list.
    pub(crate) async fn next(&mut self, wanted: u32) -> Result<Vec<Run>, RestError> {
        let limit = wanted.saturating_add(self.passed.min(1)).min(PAGE_RUNS);
        loop {
            let mut from = self.passed.saturating_sub(1);
            let page = loop {
                let Records { runs, skipped } = self.session.records(self.job, from, limit).await?;
                self.skipped.get_or_insert(skipped);
                if from == 0 || runs.iter().any(|run| self.seen.contains(&run.attempt_id())) {
                    break runs;
                }
                from = from.saturating_sub(limit);
            };
            let count = u32::try_from(page.len()).unwrap_or(limit);
            self.passed = from + count;
            let new: Vec<Run> = page.into_iter().filter(|run| self.seen.insert(run.attempt_id())).collect();
            if !new.is_empty() || count < limit {
                return Ok(new);
            }
        }
    }
}
