//! Whether each job gets its turn, where a worker takes only so many runs at once.
//!
//! A job **waits for a place** while its slot is due and nothing but the number of runs keeps it from running. Whose slot
//! is the oldest comes first. So while a job waits, another one may be claimed for a newer slot once or twice, but not
//! again and again. That is looked at only while one worker lives and no fault lasts: otherwise jobs are different
//! workers', and requests are lost.

use std::collections::BTreeMap;
use std::time::Duration;

use model::run::Slot;
use model::{JobName, UnixMillis};

use super::invariant::{Broken, Invariant, broken};
use super::ledger::Ledger;

/// A slot is sure to be due when a true clock is so much past it.
const SURELY_DUE: Duration = Duration::from_secs(5);

/// How often one job may be claimed for a newer slot while another one waits.
const MOST_TURNS: u32 = 12;

/// The jobs that wait for a place: where their cursors stand, and how often others were claimed since.
#[derive(Debug, Default)]
pub(super) struct Fair {
    waits: BTreeMap<JobName, (Slot, BTreeMap<JobName, u32>)>,
}

impl Fair {
    /// Nothing is known any more of who waits.
    pub(super) fn forget(&mut self) {
        self.waits.clear();
    }

    /// A slot of a job was claimed. `wall` is what a true clock reads.
    pub(super) fn claimed<'a>(
        &mut self,
        (job, claimed): (&JobName, Slot),
        ledgers: impl Iterator<Item = &'a Ledger>,
        wall: UnixMillis,
    ) -> Result<(), (JobName, Broken)> {
        self.waits.remove(job);
        for ledger in ledgers.filter(|ledger| ledger.name != *job) {
            let Some((slot, due)) = ledger.waits_for_place(wall) else {
                self.waits.remove(&ledger.name);
                continue;
            };
            let (at, turns) = self.waits.entry(ledger.name.clone()).or_insert((slot, BTreeMap::new()));
            if *at != slot {
                (*at, *turns) = (slot, BTreeMap::new());
            }
            if claimed.0 <= due {
                continue;
            }
            let turns = turns.entry(job.clone()).or_default();
            *turns += 1;
            if *turns > MOST_TURNS {
                let text = format!("{job} was claimed {turns} times while a slot of {} was due", ledger.name);
                return broken(Invariant::FairShare, text).map_err(|broken| (ledger.name.clone(), broken));
            }
        }
        Ok(())
    }
}

impl Ledger {
    /// Where the cursor stands, and the slot that is due, if the job waits for nothing but a place. A job with a starting deadline may give its slot
    /// up.
    fn waits_for_place(&self, wall: UnixMillis) -> Option<(Slot, UnixMillis)> {
        let job = self.job().filter(|job| !job.suspend && job.starting_deadline.is_none())?;
        let definition = self.definition.as_ref()?;
        let seen = self.cursor.as_ref()?;
        let armed = seen.cursor.job == definition.created && seen.cursor.timetable.is_of(job);
        let free = self.runs.is_empty() && !self.has_foreign_lock();
        let due = job.schedule.next_after(seen.cursor.slot.0)?;
        (armed && free && due + SURELY_DUE <= wall).then_some((seen.cursor.slot, due))
    }
}
