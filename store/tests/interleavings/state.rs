//! The whole of a moment: the tree, the workers, the book; and the steps that lead to the next one.

use std::rc::Rc;
use std::time::Duration;

use model::keys::Key;
use model::run::{Revision, SessionId};
use model::values::{LockValue, WorkerInfo};
use model::{Lane, UnixMillis};
use store::memory::TreeState;
use store::{Compare, Op, Session, Txn, protocol};

use crate::asks::{Ask, Kind};
use crate::look::{self, Around};
use crate::rules::{Book, Rule};
use crate::sabotage::Sabotage;
use crate::view::View;
use crate::worker::{Answer, Deed, Flight, Stage, Way, Worker};
use crate::world::{Fault, LASTS, Lab, read_session, session_id, slot};

/// No time passes.
const NOW: Duration = Duration::ZERO;

/// One step; `u8`s are a worker's number and the place of what it is about among that worker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A worker takes in all changes of the tree.
    Watch(u8),
    /// A worker decides; the second number is which of its options.
    Look(u8, u8),
    /// A request comes to the tree.
    Commit(u8, u8),
    /// The reply comes to the worker.
    Reply(u8, u8),
    /// The worker is told that its request failed; the request never comes to the tree, or its reply was lost.
    Unknown(u8, u8),
    /// The worker is told that its request failed, and it is still under way.
    Postponed(u8, u8),
    /// A process ends.
    End(u8, u8),
    /// A session was not renewed in time: nothing starts under it any more, and exclusive processes have ended.
    Fence(u8),
    /// It is renewed after all.
    Renew(u8),
    /// The tree ends a session.
    Expire(u8),
    /// A worker whose session has ended opens the next one.
    Open(u8),
    /// A worker and all its processes die.
    Death(u8),
    /// The job is put, suspended or not.
    Put(bool),
    Delete,
    Kill,
}

pub(crate) struct Step {
    pub(crate) event: Event,
    /// What is asked for by a look.
    pub(crate) ask: Option<Ask>,
}

impl From<Event> for Step {
    fn from(event: Event) -> Self {
        Self { event, ask: None }
    }
}

#[derive(Clone)]
pub(crate) struct State {
    pub(crate) tree: Rc<TreeState>,
    /// What the tree tells.
    pub(crate) fresh: Rc<View>,
    pub(crate) workers: [Worker; 2],
    pub(crate) book: Book,
    /// How many faults there may be yet.
    pub(crate) budget: u8,
}

impl State {
    pub(crate) fn first(lab: &Lab) -> Self {
        let mut tree = TreeState::new(lab.prefix.clone());
        let session = |tree: &mut TreeState, worker: u8| open(tree, worker, 0);
        let sessions = [session(&mut tree, 0), session(&mut tree, 1)];
        let mut put = |key: Key, value: Vec<u8>| {
            let txn = Txn { then: vec![Op::Put(key, value)], ..Txn::default() };
            tree.commit(NOW, &txn).expect("the tree takes it").revision
        };
        let created = put(Key::Job(lab.name.clone()), Lab::definition(false));
        if lab.config.reserved {
            put(Key::Lock(lab.name.clone()), LockValue::Reserved.to_bytes());
        }
        let known = protocol::Known { created, ..View::of(lab, &tree).known() };
        let arm = protocol::pass(&Lane::from(&lab.name), lab.job(false), known, &sessions[0], slot(0), None);
        tree.commit(NOW, &arm).expect("the tree takes it");
        let fresh = Rc::new(View::of(lab, &tree));
        let worker = |session: Session| Worker {
            view: Rc::clone(&fresh),
            session: Rc::new(session),
            fenced: false,
            dead: false,
            held: Vec::new(),
            flights: Vec::new(),
        };
        let mut book = Book::default();
        book.changed(&fresh);
        Self { workers: sessions.map(worker), tree: Rc::new(tree), fresh, book, budget: lab.config.budget }
    }

    /// Every step that is possible now.
    pub(crate) fn steps(&self, lab: &Lab) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let faults = |fault| self.budget > 0 && lab.may(fault);
        for (number, worker) in (0..).zip(&self.workers) {
            let mut step = |event: Event| steps.push(event.into());
            for (at, flight) in (0..).zip(&worker.flights) {
                match flight.way {
                    Way::Sent | Way::Forgotten => step(Event::Commit(number, at)),
                    Way::Answered(_) => step(Event::Reply(number, at)),
                }
                if faults(Fault::Unknown) && !matches!(flight.way, Way::Forgotten) {
                    step(Event::Unknown(number, at));
                    if matches!(flight.way, Way::Sent) {
                        step(Event::Postponed(number, at));
                    }
                }
            }
            let lives = self.fresh.sessions.contains(&worker.session.id);
            if lives && (worker.dead || faults(Fault::Session)) {
                step(Event::Expire(number));
            }
            if worker.dead {
                continue;
            }
            if !worker.view.tells(&self.fresh) {
                step(Event::Watch(number));
            }
            for (at, held) in (0..).zip(&worker.held) {
                if held.stage == Stage::Running {
                    step(Event::End(number, at));
                }
            }
            if !worker.fenced && (!lives || faults(Fault::Fence)) {
                step(Event::Fence(number));
            }
            if worker.fenced {
                step(if lives { Event::Renew(number) } else { Event::Open(number) });
            }
            let other_lives = self.workers.iter().filter(|worker| !worker.dead).count() == 2;
            if other_lives && faults(Fault::Death) {
                step(Event::Death(number));
            }
            let around = Around {
                gone: &|session| self.is_gone(lab, session),
                over: &|session| self.is_over(lab, session),
                recorded: &|run| self.book.recorded.contains(run),
            };
            let options = look::options(lab, worker, &around);
            // One that is bound to be refused would tell nothing that a watch does not.
            let options = options.into_iter().filter(|ask| !is_in_vain(&self.tree, &ask.txn));
            let looks = (0..).zip(options);
            steps.extend(looks.map(|(at, ask)| Step { event: Event::Look(number, at), ask: Some(ask) }));
        }
        if faults(Fault::Edit) && self.fresh.job.value.is_some() {
            steps.push(Event::Put(false).into());
            if self.fresh.job.value.is_some_and(|job| !job.suspended) {
                steps.push(Event::Put(true).into());
            }
        }
        if faults(Fault::Delete) {
            let deleted = self.fresh.job.value.is_none();
            steps.push(if deleted { Event::Put(false).into() } else { Event::Delete.into() });
        }
        if faults(Fault::Kill) && self.fresh.present_runs().next().is_some() {
            steps.push(Event::Kill.into());
        }
        steps
    }

    fn is_gone(&self, lab: &Lab, session: &SessionId) -> bool {
        !self.fresh.sessions.contains(session) || lab.breaks(Sabotage::LivingDeclaredLost)
    }

    /// A worker that finds a run of a session that has ended waits until no exclusive process of it can be left.
    fn is_over(&self, lab: &Lab, session: &SessionId) -> bool {
        let (worker, count) = read_session(session);
        let worker = &self.workers[usize::from(worker)];
        let former = count < read_session(&worker.session.id).1;
        former
            || worker.fenced
            || lab.breaks(Sabotage::LoseBeforeFence)
            || lab.breaks(Sabotage::LivingDeclaredLost)
    }

    /// The state after a step, and the rules that it breaks.
    pub(crate) fn after(&self, lab: &Lab, step: &Step) -> (Self, Vec<Rule>) {
        let mut next = self.clone();
        let mut deeds = Vec::new();
        let mut broken = Vec::new();
        match step.event {
            Event::Watch(number) => {
                let fresh = Rc::clone(&next.fresh);
                next.workers[usize::from(number)].watch(&fresh);
            }
            Event::Look(number, _) => {
                let ask = step.ask.clone().expect("a look asks for something");
                let worker = &mut next.workers[usize::from(number)];
                if ask.kind == Kind::Finish {
                    deeds.push(Deed::Recorded(ask.run().clone()));
                }
                match ask.kind {
                    Kind::Claim | Kind::Retry => worker.hold(ask),
                    _ => worker.send(ask),
                }
            }
            Event::Commit(number, at) => broken.extend(next.commit(lab, number.into(), at.into())),
            Event::Reply(number, at) => {
                let worker = &mut next.workers[usize::from(number)];
                let Flight { ask, way } = worker.flights.remove(at.into());
                if let Way::Answered(answer) = way {
                    worker.answered(lab, &ask, &answer, &mut deeds);
                }
            }
            Event::Unknown(number, at) => {
                next.budget -= 1;
                let worker = &mut next.workers[usize::from(number)];
                let Flight { ask, .. } = worker.flights.remove(at.into());
                if !worker.dead {
                    worker.untold(lab, &ask);
                }
            }
            Event::Postponed(number, at) => {
                next.budget -= 1;
                let worker = &mut next.workers[usize::from(number)];
                let flight = &mut worker.flights[usize::from(at)];
                flight.way = Way::Forgotten;
                let ask = Rc::clone(&flight.ask);
                worker.untold(lab, &ask);
            }
            Event::End(number, at) => {
                let worker = &mut next.workers[usize::from(number)];
                let run = worker.held[usize::from(at)].run.clone();
                worker.end(lab, &run, Stage::Running, &mut deeds);
            }
            Event::Fence(number) => next.fence(lab, number, &mut deeds),
            Event::Renew(number) => next.workers[usize::from(number)].fenced = false,
            Event::Expire(number) => next.expire(lab, number),
            Event::Open(number) => next.open(lab, number),
            Event::Death(number) => {
                next.budget -= 1;
                next.workers[usize::from(number)].die();
            }
            Event::Put(_) | Event::Delete | Event::Kill => broken.extend(next.change(lab, step.event)),
        }
        for worker in &mut next.workers {
            worker.give_back_strays(lab, &mut deeds);
        }
        for deed in deeds {
            broken.extend(next.book.done(lab, &next.fresh, deed));
        }
        next.level();
        broken.extend(next.book.check(lab, &next.fresh, &next.workers));
        (next, broken)
    }

    /// A view that tells what the tree tells, and that no reply can change, is that of now. A request that nobody waits
    /// for and that can never be committed is over.
    fn level(&mut self) {
        for worker in &mut self.workers {
            let quiet = worker.flights.iter().all(|flight| matches!(flight.way, Way::Forgotten));
            if quiet && worker.view.followed < self.fresh.followed && worker.view.tells(&self.fresh) {
                worker.watch(&self.fresh);
            }
            let tree = &self.tree;
            worker
                .flights
                .retain(|flight| !matches!(flight.way, Way::Forgotten) || !is_in_vain(tree, &flight.ask.txn));
        }
    }

    fn tree_changed(&mut self, lab: &Lab) {
        let tree = Rc::make_mut(&mut self.tree);
        tree.compact(tree.revision());
        self.fresh = Rc::new(View::of(lab, &self.tree));
    }

    fn commit(&mut self, lab: &Lab, number: usize, at: usize) -> Vec<Rule> {
        let worker = &mut self.workers[number];
        let ask: Rc<Ask> = Rc::clone(&worker.flights[at].ask);
        let forgotten = matches!(worker.flights[at].way, Way::Forgotten);
        let before = Rc::clone(&self.fresh);
        let Ok(reply) = Rc::make_mut(&mut self.tree).commit(NOW, &ask.txn) else {
            // It puts a key under a lease that has ended, which is an error and no reply.
            worker.flights.remove(at);
            if !forgotten {
                worker.untold(lab, &ask);
            }
            return Vec::new();
        };
        if forgotten {
            worker.flights.remove(at);
        } else {
            let found = reply.found.iter().map(|pair| lab.read(pair)).collect();
            let answer = Answer { succeeded: reply.succeeded, revision: reply.revision, found };
            worker.flights[at].way = Way::Answered(Rc::new(answer));
        }
        if !reply.succeeded {
            return Vec::new();
        }
        self.tree_changed(lab);
        self.book.committed(&before, &self.fresh, &ask)
    }

    fn fence(&mut self, lab: &Lab, number: u8, deeds: &mut Vec<Deed>) {
        let worker = &mut self.workers[usize::from(number)];
        if self.fresh.sessions.contains(&worker.session.id) {
            self.budget -= 1;
        }
        worker.fenced = true;
        if lab.config.exclusive {
            for held in worker.held.clone() {
                worker.end(lab, &held.run, Stage::Running, deeds);
            }
        }
    }

    fn expire(&mut self, lab: &Lab, number: u8) {
        let worker = &self.workers[usize::from(number)];
        if !worker.dead {
            self.budget -= 1;
        }
        Rc::make_mut(&mut self.tree).close_session(NOW, &worker.session);
        self.tree_changed(lab);
    }

    fn open(&mut self, lab: &Lab, number: u8) {
        let worker = &mut self.workers[usize::from(number)];
        let count = read_session(&worker.session.id).1 + 1;
        worker.session = Rc::new(open(Rc::make_mut(&mut self.tree), number, count));
        worker.fenced = false;
        for held in worker.held.clone() {
            worker.readopt(lab, &held.run);
        }
        self.tree_changed(lab);
    }

    /// Somebody who is no worker changes the job.
    fn change(&mut self, lab: &Lab, event: Event) -> Vec<Rule> {
        self.budget -= 1;
        let (name, seen) = (&lab.name, self.fresh.job.compared());
        let txn = match event {
            Event::Put(suspended) => protocol::put_job(name, Lab::definition(suspended), seen),
            Event::Delete => protocol::delete_job(name, seen),
            _ => protocol::kill(name, UnixMillis(0)),
        };
        Rc::make_mut(&mut self.tree).commit(NOW, &txn).expect("the tree takes it");
        self.tree_changed(lab);
        self.book.changed(&self.fresh)
    }
}

impl Worker {
    /// All that it knows is gone. What it has sent may come to the tree yet.
    fn die(&mut self) {
        self.dead = true;
        self.fenced = true;
        self.held.clear();
        self.view = Rc::default();
        self.flights.retain(|flight| !matches!(flight.way, Way::Answered(_)));
        for flight in &mut self.flights {
            flight.way = Way::Forgotten;
        }
    }
}

/// Whether a transaction can never be committed, because a key that it compares was written since.
pub(crate) fn is_in_vain(tree: &TreeState, txn: &Txn) -> bool {
    txn.when.iter().any(|compare| match compare {
        Compare::Modified(key, seen) => {
            *seen != Revision::NONE && tree.get(key).is_none_or(|pair| pair.modified != *seen)
        }
        Compare::Created(key, seen) => {
            *seen != Revision::NONE && tree.get(key).is_none_or(|pair| pair.created != *seen)
        }
        Compare::Empty(_) => false,
    })
}

fn open(tree: &mut TreeState, worker: u8, count: u8) -> Session {
    let info = WorkerInfo::new("worker", "node", "0", UnixMillis(0));
    tree.open_session(NOW, session_id(worker, count), &info, LASTS).expect("the id is new")
}
