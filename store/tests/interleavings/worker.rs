//! A worker: what it holds, what it has asked for, and what it makes of the replies. It does at once what the reply calls
//! for; what waits for a time is in [`crate::look`].

use std::rc::Rc;

use model::run::{Outcome, Revision, RunId};
use model::values::{ActiveRun, LockValue};
use store::{Session, protocol};

use crate::asks::{Ask, Asker, Kind};
use crate::sabotage::Sabotage;
use crate::view::View;
use crate::world::{Body, Fact, Lab, read_session};

/// What became of a request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) succeeded: bool,
    pub(crate) revision: Revision,
    pub(crate) found: Vec<Fact>,
}

#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// It has not come to the tree yet.
    Sent,
    /// It was committed or refused, and the reply is on its way.
    Answered(Rc<Answer>),
    /// The worker was told that its request failed. It will come to the tree all the same.
    Forgotten,
}

/// A request under way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) ask: Rc<Ask>,
    pub(crate) way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its claim is not answered yet.
    Claiming,
    /// Its process lives.
    Running,
    /// Its process has ended, or was never started because of a kill, and that is being counted.
    Ending,
}

/// A run that the worker holds.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) run: RunId,
    pub(crate) active: Rc<ActiveRun>,
    pub(crate) token: Revision,
    /// The first token of the run.
    pub(crate) created: Revision,
    pub(crate) stage: Stage,
}

/// What a worker did in the world.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// It started a process of a run under a token.
    Started(RunId, Revision),
    /// It put the record of an end into the run log.
    Recorded(RunId),
}

#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) view: Rc<View>,
    /// The present session; those before it have smaller counts.
    pub(crate) session: Rc<Session>,
    /// Nothing starts any more under the present session, and its exclusive processes have ended.
    pub(crate) fenced: bool,
    pub(crate) dead: bool,
    pub(crate) held: Vec<Held>,
    pub(crate) flights: Vec<Flight>,
}

impl Worker {
    pub(crate) fn view(&mut self) -> &mut View {
        Rc::make_mut(&mut self.view)
    }

    /// Takes in all changes up to the present.
    pub(crate) fn watch(&mut self, fresh: &Rc<View>) {
        if self.view.killed > fresh.killed {
            self.view().watch(fresh);
        } else {
            self.view = Rc::clone(fresh);
        }
    }

    pub(crate) fn asker<'a>(&'a self, lab: &'a Lab) -> Asker<'a> {
        Asker { lab, view: &self.view, session: &self.session }
    }

    pub(crate) fn send(&mut self, ask: Ask) {
        self.flights.push(Flight { ask: Rc::new(ask), way: Way::Sent });
    }

    /// Whether a decision about the job is under way.
    pub(crate) fn is_deciding(&self) -> bool {
        self.flights.iter().any(|Flight { ask, way }| {
            let of_no_run_held = match ask.kind {
                Kind::Finish => !ask.held,
                Kind::GiveBack | Kind::Readopt => false,
                _ => true,
            };
            !matches!(way, Way::Forgotten) && of_no_run_held
        })
    }

    fn is_mine(&self, active: &ActiveRun) -> bool {
        read_session(&active.session).0 == read_session(&self.session.id).0
    }

    fn held(&mut self, run: &RunId, stage: Stage) -> Option<&mut Held> {
        self.held.iter_mut().find(|held| held.run == *run && held.stage == stage)
    }

    fn holds(&self, run: &RunId) -> bool {
        self.held.iter().any(|held| held.run == *run)
    }

    fn forget(&mut self, run: &RunId, stage: Stage) {
        self.held.retain(|held| held.run != *run || held.stage != stage);
    }

    /// A run that is held if its transaction commits.
    pub(crate) fn hold(&mut self, ask: Ask) {
        let (run, active) = (ask.run().clone(), ask.active());
        let (token, created) = (Revision::NONE, Revision::NONE);
        self.held.push(Held { run, active, token, created, stage: Stage::Claiming });
        self.send(ask);
    }

    /// A process has ended: its record goes to the run log, and its end is counted.
    pub(crate) fn end(&mut self, lab: &Lab, run: &RunId, from: Stage, deeds: &mut Vec<Deed>) {
        let Some(held) = self.held(run, from) else { return };
        held.stage = Stage::Ending;
        let (active, token) = (Rc::clone(&held.active), held.token);
        deeds.push(Deed::Recorded(run.clone()));
        let ask = self.asker(lab).finish(run, &active, token, Outcome::Succeeded, true);
        self.send(ask);
    }

    /// Records and counts the end of a run that nobody executes.
    pub(crate) fn finish_for(
        &mut self,
        lab: &Lab,
        run: &RunId,
        active: &ActiveRun,
        token: Revision,
        outcome: Outcome,
        deeds: &mut Vec<Deed>,
    ) {
        deeds.push(Deed::Recorded(run.clone()));
        let ask = self.asker(lab).finish(run, active, token, outcome, false);
        self.send(ask);
    }

    /// Gives back what the tree says is this worker's and is not.
    pub(crate) fn give_back_strays(&mut self, lab: &Lab, deeds: &mut Vec<Deed>) {
        if self.dead || lab.breaks(Sabotage::NothingGivenBack) {
            return;
        }
        let view = Rc::clone(&self.view);
        for (run, seen, active) in view.records() {
            let asked = self.flights.iter().any(|Flight { ask, way }| {
                let same = ask.kind == Kind::GiveBack && ask.run() == run && ask.token == seen.token;
                same && !matches!(way, Way::Forgotten)
            });
            if !active.is_held() || !self.is_mine(active) || self.holds(run) || asked {
                continue;
            }
            if lab.breaks(Sabotage::ReadBackStarted) {
                if !self.fenced {
                    let (token, created) = (seen.token, seen.created);
                    let active = Rc::clone(active);
                    self.held.push(Held { run: run.clone(), active, token, created, stage: Stage::Running });
                    deeds.push(Deed::Started(run.clone(), token));
                }
                continue;
            }
            let ask = self.asker(lab).give_back(run, active, seen.token);
            self.send(ask);
        }
    }

    /// A request failed, as far as the worker knows.
    pub(crate) fn untold(&mut self, lab: &Lab, ask: &Ask) {
        match ask.kind {
            Kind::Claim | Kind::Retry => self.forget(ask.run(), Stage::Claiming),
            Kind::Finish => {
                let again = self.asker(lab).again(&Ask { unsure: true, ..ask.clone() }, ask.token);
                self.send(again);
            }
            Kind::Readopt => self.readopt(lab, ask.run()),
            // These are decided anew.
            Kind::Pass
            | Kind::SkipWaiting
            | Kind::Collect
            | Kind::Lose
            | Kind::KillWaiting
            | Kind::GiveBack => {}
        }
    }

    /// Moves a run of a former session to the present one.
    pub(crate) fn readopt(&mut self, lab: &Lab, run: &RunId) {
        let present = self.session.id.clone();
        let Some(held) = self.held(run, Stage::Running) else { return };
        if held.active.session == present {
            return;
        }
        let (active, token) = (Rc::clone(&held.active), held.token);
        let ask = self.asker(lab).readopt(run, &active, token);
        self.send(ask);
    }

    /// A reply is there.
    pub(crate) fn answered(&mut self, lab: &Lab, ask: &Ask, answer: &Answer, deeds: &mut Vec<Deed>) {
        let revision = answer.revision;
        if !answer.succeeded {
            return self.refused(lab, ask, answer);
        }
        match ask.kind {
            Kind::Claim | Kind::Retry => self.claimed(lab, ask, revision, deeds),
            Kind::Pass => self.passed(lab, ask, revision),
            Kind::SkipWaiting => {
                self.view().delete_run(ask.run(), revision);
                self.passed(lab, ask, revision);
            }
            Kind::Collect => self.view().refresh(&answer.found, revision),
            Kind::GiveBack | Kind::Lose | Kind::KillWaiting => {
                if let Some(created) = self.view.run(ask.run()).map(|run| run.created) {
                    self.view().put_run(ask.run(), created, revision, ask.active());
                }
                if let Some(end) = &ask.active().ended {
                    self.finish_for(lab, ask.run(), &ask.active(), revision, end.outcome, deeds);
                }
            }
            Kind::Readopt => {
                let Some(held) = self.held.iter_mut().find(|held| held.run == *ask.run()) else { return };
                (held.token, held.active) = (revision, ask.active());
                let created = held.created;
                self.view().put_run(ask.run(), created, revision, ask.active());
            }
            Kind::Finish => {
                self.view().set_status(revision, ask.status.clone());
                self.ended(ask, revision, true);
            }
        }
    }

    fn claimed(&mut self, lab: &Lab, ask: &Ask, revision: Revision, deeds: &mut Vec<Deed>) {
        let seen = self.view.run(ask.run()).map(|run| run.created);
        let created = if ask.kind == Kind::Retry { seen.unwrap_or(revision) } else { revision };
        let Some(held) = self.held(ask.run(), Stage::Claiming) else { return };
        (held.token, held.created) = (revision, created);
        self.view().put_run(ask.run(), created, revision, ask.active());
        if ask.to.is_some() {
            self.passed(lab, ask, revision);
        }
        if lab.config.exclusive && ask.known.lock == Revision::NONE {
            let (session, run) = (ask.session.id.clone(), ask.run().clone());
            let lock = LockValue::Held { session, run, attempt: 0 };
            self.view().set_lock(revision, Some(Rc::new(lock)));
        }
        let in_time = !self.fenced && ask.session.id == self.session.id;
        if !in_time && !lab.breaks(Sabotage::LateReplyStarted) {
            return self.forget(ask.run(), Stage::Claiming);
        }
        if self.view.created() != ask.active().job || self.view.killed > created {
            return self.end(lab, ask.run(), Stage::Claiming, deeds);
        }
        if let Some(held) = self.held(ask.run(), Stage::Claiming) {
            held.stage = Stage::Running;
            deeds.push(Deed::Started(ask.run().clone(), revision));
        }
    }

    /// The cursor was moved.
    fn passed(&mut self, lab: &Lab, ask: &Ask, revision: Revision) {
        let to = ask.to.clone().expect("it moves the cursor");
        let cursor = protocol::cursor(lab.job(ask.suspended), ask.known, to);
        self.view().set_cursor(revision, Some(Rc::new(cursor)));
        if let Some(status) = &ask.status {
            self.view().set_status(revision, Some(Rc::clone(status)));
        }
    }

    fn refused(&mut self, lab: &Lab, ask: &Ask, answer: &Answer) {
        let revision = answer.revision;
        match ask.kind {
            Kind::Claim | Kind::Retry => {
                self.forget(ask.run(), Stage::Claiming);
                self.view().refresh(&answer.found, revision);
            }
            Kind::Pass | Kind::SkipWaiting | Kind::Collect => self.view().refresh(&answer.found, revision),
            Kind::GiveBack | Kind::Lose | Kind::KillWaiting => self.found_run(ask.run(), answer),
            Kind::Readopt => {
                self.found_run(ask.run(), answer);
                let found = answer.found.first().map(|fact| (fact.modified, fact.body.clone()));
                if let Some((token, Body::Run(run, active))) = found
                    && active.is_held()
                    && self.is_mine(&active)
                    && let Some(held) = self.held(&run, Stage::Running)
                {
                    // An earlier request of ours had moved it.
                    (held.token, held.active) = (token, active);
                    self.readopt(lab, &run);
                }
            }
            Kind::Finish => self.end_refused(lab, ask, answer),
        }
    }

    fn found_run(&mut self, run: &RunId, answer: &Answer) {
        for fact in &answer.found {
            self.view().put(fact);
        }
        if answer.found.is_empty() {
            self.view().delete_run(run, answer.revision);
        }
    }

    /// The run or the status is not as it was thought to be.
    fn end_refused(&mut self, lab: &Lab, ask: &Ask, answer: &Answer) {
        let (mut present, mut status) = (None, Revision::NONE);
        for fact in &answer.found {
            match &fact.body {
                Body::Run(_, active) => present = Some((fact.modified, Rc::clone(active))),
                Body::Status(_) => status = fact.modified,
                _ => {}
            }
            self.view().put(fact);
        }
        if status == Revision::NONE {
            self.view().set_status(answer.revision, None);
        }
        if present.is_none() {
            self.view().delete_run(ask.run(), answer.revision);
        }
        match present {
            // The status had moved.
            Some((token, _)) if token == ask.token => {
                let again = self.asker(lab).again(ask, token);
                self.send(again);
            }
            // Our own request to move it to a later session had been committed.
            Some((token, active)) if ask.held && active.is_held() && self.is_mine(&active) => {
                let again = self.asker(lab).again(ask, token);
                self.send(again);
            }
            Some(_) => self.ended(ask, answer.revision, false),
            None => {
                let status = self.view.status.value.as_ref();
                let ours = ask.end.as_ref().zip(status);
                let counted = ask.unsure && ours.is_some_and(|(end, status)| status.recent.contains(end));
                self.ended(ask, answer.revision, counted);
            }
        }
    }

    /// The run is not in the tree any more, or is another worker's to end.
    fn ended(&mut self, ask: &Ask, revision: Revision, counted: bool) {
        if ask.held || counted {
            self.view().delete_run(ask.run(), revision);
        }
        if counted && self.view.lock.revision == ask.token {
            self.view().set_lock(revision, None);
        }
        if ask.held {
            self.forget(ask.run(), Stage::Ending);
        }
    }
}
