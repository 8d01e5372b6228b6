//! What must hold, and the book that is kept to check it.

use std::collections::BTreeSet;

use model::run::{Revision, RunId};
use model::values::JobStatus;

use crate::asks::{Ask, Kind};
use crate::view::View;
use crate::worker::{Deed, Stage, Worker};
use crate::world::{Lab, number, slots};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A run starts a process at most once.
    StartsOnce,
    /// Exclusive processes never overlap.
    Alone,
    /// A process starts, and an exclusive one lives, only while the run's record is held under its token.
    Backed,
    /// Exclusive runs start in the order of their tokens.
    TokensGrow,
    /// Every slot from where the cursor was armed to the cursor has exactly one run or outcome.
    OneOutcome,
    /// The status counts every end and every skip once.
    Counted,
    /// The cursor never moves back within an incarnation.
    Forward,
    /// Nothing is decided on a definition that was edited, suspended or deleted.
    Definition,
    /// Nothing that needs a session is done by one that has ended, and nothing of one that lives is declared lost.
    Session,
    /// No run is taken that somebody asked to end before.
    Killed,
    /// Once the record of its end is in the run log, a run is not taken, given back or skipped.
    Recorded,
    /// When nothing is left to do, no run, lock or rest is left and no slot is undecided.
    Settled,
    /// Whatever has happened, everything can come to an end.
    ComesToAnEnd,
}

impl Rule {
    pub(crate) const ALL: [Self; 13] = [
        Self::StartsOnce,
        Self::Alone,
        Self::Backed,
        Self::TokensGrow,
        Self::OneOutcome,
        Self::Counted,
        Self::Forward,
        Self::Definition,
        Self::Session,
        Self::Killed,
        Self::Recorded,
        Self::Settled,
        Self::ComesToAnEnd,
    ];
}

/// An incarnation of the job, as far as its cursor went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) created: Revision,
    pub(crate) armed: u8,
    pub(crate) slot: u8,
}

/// What happened, as told by what was committed and started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    /// The incarnations since the rest of a deleted job was removed last.
    pub(crate) lives: Vec<Life>,
    pub(crate) started: BTreeSet<RunId>,
    /// The runs whose record is in the run log and whose end is not counted yet.
    pub(crate) recorded: BTreeSet<RunId>,
    /// The token of the latest start.
    pub(crate) token: Revision,
    /// Since the rest of a deleted job was removed last: the ends that were counted, and the slots that were skipped.
    pub(crate) ended: Vec<RunId>,
    pub(crate) skipped: Vec<(Revision, u8)>,
}

/// The slots that a status says were skipped.
pub(crate) fn skipped(status: &JobStatus) -> u64 {
    status.skipped.values().sum()
}

impl Book {
    /// The tree was changed by somebody who is no worker.
    pub(crate) fn changed(&mut self, after: &View) -> Vec<Rule> {
        self.cursor_moved(after)
    }

    /// A request was committed.
    pub(crate) fn committed(&mut self, before: &View, after: &View, ask: &Ask) -> Vec<Rule> {
        let mut broken = Vec::new();
        if ask.kind.decides() && before.job.compared() != ask.known.definition {
            broken.push(Rule::Definition);
        }
        let suspended = before.job.value.is_none_or(|job| job.suspended);
        if matches!(ask.kind, Kind::Claim | Kind::Retry) && suspended {
            broken.push(Rule::Definition);
        }
        if ask.kind.needs_session() && !before.sessions.contains(&ask.session.id) {
            broken.push(Rule::Session);
        }
        if ask.kind == Kind::Lose && before.sessions.contains(&ask.active().session) {
            broken.push(Rule::Session);
        }
        if ask.kind == Kind::Retry
            && before.run(ask.run()).is_some_and(|run| before.kill.compared() > run.created)
        {
            broken.push(Rule::Killed);
        }
        if matches!(ask.kind, Kind::Retry | Kind::GiveBack | Kind::SkipWaiting)
            && self.recorded.contains(ask.run())
        {
            broken.push(Rule::Recorded);
        }
        self.count(before, after, ask);
        broken.extend(self.cursor_moved(after));
        broken
    }

    fn count(&mut self, before: &View, after: &View, ask: &Ask) {
        match ask.kind {
            Kind::Finish => {
                let Some(active) = before.run(ask.run()).and_then(|run| run.active.as_ref()) else { return };
                if after.run(ask.run()).is_none() {
                    self.recorded.remove(ask.run());
                    self.ended.push(ask.run().clone());
                    let slots = active.skipped.iter().flat_map(slots);
                    self.skipped.extend(slots.map(|slot| (active.job, slot)));
                }
            }
            Kind::Pass | Kind::SkipWaiting => {
                let slots = ask.skipped.iter().flat_map(slots);
                self.skipped.extend(slots.map(|slot| (ask.known.created, slot)));
            }
            Kind::Collect => {
                if after.cursor.value.is_none() && after.job.value.is_none() {
                    self.lives.clear();
                    self.ended.clear();
                    self.skipped.clear();
                }
            }
            Kind::Claim | Kind::Retry | Kind::GiveBack | Kind::Lose | Kind::KillWaiting | Kind::Readopt => {}
        }
    }

    fn cursor_moved(&mut self, after: &View) -> Vec<Rule> {
        let Some(cursor) = &after.cursor.value else {
            let lives = |life: &Life| life.created == after.created();
            return if self.lives.iter().any(lives) { vec![Rule::Forward] } else { Vec::new() };
        };
        let slot = number(cursor.slot);
        let Some(life) = self.lives.iter_mut().find(|life| life.created == cursor.job) else {
            self.lives.push(Life { created: cursor.job, armed: slot, slot });
            return Vec::new();
        };
        let back = slot < life.slot;
        life.slot = slot;
        if back { vec![Rule::Forward] } else { Vec::new() }
    }

    /// A worker did something. `after` is the tree.
    pub(crate) fn done(&mut self, lab: &Lab, after: &View, deed: Deed) -> Vec<Rule> {
        let mut broken = Vec::new();
        match deed {
            Deed::Recorded(run) => drop(self.recorded.insert(run)),
            Deed::Started(run, token) => {
                let record = after.run(&run).filter(|record| record.token == token);
                if !record.and_then(|record| record.active.as_ref()).is_some_and(|active| active.is_held()) {
                    broken.push(Rule::Backed);
                }
                if lab.config.exclusive && token <= self.token {
                    broken.push(Rule::TokensGrow);
                }
                self.token = token;
                if !self.started.insert(run) {
                    broken.push(Rule::StartsOnce);
                }
            }
        }
        broken
    }

    /// What must hold at every moment.
    pub(crate) fn check(&self, lab: &Lab, tree: &View, workers: &[Worker]) -> Vec<Rule> {
        let mut broken = Vec::new();
        if lab.config.exclusive {
            let running = workers.iter().flat_map(|worker| &worker.held);
            let running: Vec<_> = running.filter(|held| held.stage == Stage::Running).collect();
            if running.len() > 1 {
                broken.push(Rule::Alone);
            }
            if running.iter().any(|held| tree.run(&held.run).is_none_or(|run| run.token != held.token)) {
                broken.push(Rule::Backed);
            }
        }
        if !self.has_one_outcome_each(lab, tree) {
            broken.push(Rule::OneOutcome);
        }
        if !self.is_counted(tree) {
            broken.push(Rule::Counted);
        }
        broken
    }

    fn has_one_outcome_each(&self, lab: &Lab, tree: &View) -> bool {
        self.lives.iter().all(|life| {
            (life.armed + 1..=life.slot).all(|slot| {
                let this = |run: &RunId| lab.run(run) == (life.created, slot);
                let ended = self.ended.iter().filter(|run| this(run)).count();
                let skipped = self.skipped.iter().filter(|skipped| **skipped == (life.created, slot)).count();
                let runs = tree.records().map(|(run, _, active)| {
                    let passed_over = active.skipped.iter().flat_map(slots).filter(|other| *other == slot);
                    let passed_over = if active.job == life.created { passed_over.count() } else { 0 };
                    usize::from(this(run)) + passed_over
                });
                ended + skipped + runs.sum::<usize>() == 1
            })
        })
    }

    fn is_counted(&self, tree: &View) -> bool {
        let Some(status) = tree.status.value.as_ref() else {
            return self.ended.is_empty() && self.skipped.is_empty();
        };
        let mut recent: Vec<&RunId> = status.recent.iter().map(|end| &end.run).collect();
        let mut ended: Vec<&RunId> = self.ended.iter().collect();
        recent.sort_unstable();
        ended.sort_unstable();
        recent == ended
            && status.runs.values().sum::<u64>() == ended.len() as u64
            && skipped(status) == self.skipped.len() as u64
    }

    /// What must hold once no step is possible any more.
    pub(crate) fn is_settled(lab: &Lab, tree: &View, workers: &[Worker]) -> bool {
        let decided = match tree.job.value {
            Some(job) if !job.suspended => {
                let cursor = tree.cursor.value.as_ref();
                cursor.is_some_and(|cursor| number(cursor.slot) == lab.config.slots)
            }
            Some(_) => tree.cursor.value.is_some(),
            None => tree.cursor.value.is_none() && tree.status.value.is_none() && tree.kill.value.is_none(),
        };
        decided
            && tree.runs.is_empty()
            && !tree.is_locked()
            && workers.iter().all(|worker| worker.held.is_empty() && worker.flights.is_empty())
    }
}
