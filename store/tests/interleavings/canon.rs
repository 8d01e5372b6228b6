//! Which states are the same. The two workers are alike. Revisions and sessions are named in the order in which they
//! are come across: what counts of a revision is which others it equals. Where one is compared by its size with another
//! that is there already, which of them is larger counts too. Every later revision is larger.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::rc::Rc;

use model::run::{Outcome, Revision, RunId, SessionId, Skipped};
use model::values::{ActiveRun, Cursor, JobStatus, LockValue, PendingSkip};
use store::memory::TreeState;

use crate::asks::Kind;
use crate::rules::skipped;
use crate::state::{State, is_in_vain};
use crate::view::{Seen, View};
use crate::worker::{Answer, Flight, Held, Way, Worker};
use crate::world::{Body, Fact, Lab, number, read_session, slots};

/// What all states that are the same have in common, and no others.
pub(crate) fn fingerprint(lab: &Lab, state: &State) -> u128 {
    let [first, second] = [[0, 1], [1, 0]].map(|order| Canon::of(lab, state, order).words);
    let bytes = first.min(second);
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(seed);
        hasher.write(&bytes);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

struct Canon<'a> {
    lab: &'a Lab,
    /// The new number of each worker.
    numbers: [i64; 2],
    words: Vec<u8>,
    /// By name.
    revisions: Vec<Revision>,
    sessions: Vec<(u8, u8)>,
}

impl<'a> Canon<'a> {
    fn of(lab: &'a Lab, state: &State, order: [usize; 2]) -> Self {
        let numbers = if order[0] == 0 { [0, 1] } else { [1, 0] };
        let (words, revisions) = (Vec::with_capacity(256), vec![Revision::NONE]);
        let mut canon = Self { lab, numbers, words, revisions, sessions: Vec::new() };
        canon.number(state.budget);
        canon.view(&state.fresh, false);
        for at in order {
            let session = &state.workers[at].session.id;
            canon.number(state.fresh.sessions.contains(session));
        }
        for at in order {
            canon.worker(&state.workers[at], state);
        }
        canon.book(state);
        canon
    }

    fn number(&mut self, number: impl Into<i64>) {
        self.words.push(u8::try_from(number.into() + 8).expect("a small number"));
    }

    fn count(&mut self, count: usize) {
        self.number(u8::try_from(count).expect("there are few of everything"));
    }

    /// None is always named 0.
    fn revision(&mut self, revision: Revision) {
        let known = self.revisions.iter().position(|known| *known == revision);
        self.count(known.unwrap_or(self.revisions.len()));
        if known.is_none() {
            self.revisions.push(revision);
        }
    }

    fn session(&mut self, id: &SessionId) {
        let session = read_session(id);
        let known = self.sessions.iter().position(|known| *known == session);
        self.number(self.numbers[usize::from(session.0)]);
        self.count(known.unwrap_or(self.sessions.len()));
        if known.is_none() {
            self.sessions.push(session);
        }
    }

    /// In which order these are.
    fn order(&mut self, mut revisions: Vec<Revision>) {
        let all = revisions.clone();
        revisions.sort_unstable();
        revisions.dedup();
        for revision in all {
            self.count(revisions.partition_point(|other| *other < revision));
        }
    }

    fn run(&mut self, id: &RunId) {
        let (created, slot) = self.lab.run(id);
        self.revision(created);
        self.number(slot);
    }

    /// Runs in the order of what they stand for; their ids are in that of a hash.
    fn runs<'b>(&mut self, runs: impl Iterator<Item = &'b RunId>) {
        let mut runs: Vec<(Revision, u8)> = runs.map(|run| self.lab.run(run)).collect();
        runs.sort_unstable();
        self.slots(&runs);
    }

    fn slots(&mut self, slots: &[(Revision, u8)]) {
        self.count(slots.len());
        for (created, slot) in slots {
            self.revision(*created);
            self.number(*slot);
        }
    }

    /// A set of slots.
    fn stretches(&mut self, stretches: &[Skipped]) {
        let mut all: Vec<u8> = stretches.iter().flat_map(slots).collect();
        all.sort_unstable();
        self.count(all.len());
        for slot in all {
            self.number(slot);
        }
    }

    /// A set of slots, each with its incarnation.
    fn pending(&mut self, pending: &[PendingSkip]) {
        let of_skip =
            |skip: &PendingSkip| slots(&skip.skipped).map(|slot| (skip.job, slot)).collect::<Vec<_>>();
        let mut all: Vec<(Revision, u8)> = pending.iter().flat_map(of_skip).collect();
        all.sort_unstable();
        self.slots(&all);
    }

    fn active(&mut self, active: &ActiveRun) {
        self.session(&active.session);
        self.number(number(active.slot));
        self.revision(active.job);
        self.number(active.waiting.is_some());
        match &active.ended {
            None => self.number(-1),
            Some(end) => self.outcome(end.outcome),
        }
        self.stretches(&active.skipped);
    }

    fn cursor(&mut self, cursor: &Cursor) {
        self.number(number(cursor.slot));
        self.revision(cursor.job);
        self.number(cursor.timetable.suspended);
        self.pending(&cursor.skips);
    }

    fn status(&mut self, status: &JobStatus) {
        let mut ends: Vec<_> =
            status.recent.iter().map(|end| (self.lab.run(&end.run), end.outcome)).collect();
        ends.sort_unstable();
        self.count(ends.len());
        for ((created, slot), outcome) in ends {
            self.revision(created);
            self.number(slot);
            self.outcome(outcome);
        }
        self.number(u8::try_from(skipped(status)).expect("there are few slots"));
    }

    fn outcome(&mut self, outcome: Outcome) {
        let place = Outcome::ALL.iter().position(|known| *known == outcome);
        self.number(place.and_then(|place| u8::try_from(place).ok()).expect("it is one of ours"));
    }

    fn lock(&mut self, lock: &LockValue) {
        match lock {
            LockValue::Held { session, run, .. } => {
                self.session(session);
                self.run(run);
            }
            LockValue::Reserved | LockValue::Foreign => self.number(9),
        }
    }

    fn seen<T>(&mut self, seen: &Seen<T>, floors: bool, value: impl FnOnce(&mut Self, &T)) {
        if let Some(known) = &seen.value {
            self.revision(seen.revision);
            value(self, known);
        } else {
            self.number(-4);
            self.revision(if floors { seen.revision } else { Revision::NONE });
        }
    }

    /// `floors`: with the revisions as of which something is known not to exist. They matter only while there are replies
    /// on their way, which may be older.
    fn view(&mut self, view: &View, floors: bool) {
        self.seen(&view.job, floors, |canon, job| {
            canon.revision(job.created);
            canon.number(job.suspended);
        });
        self.seen(&view.cursor, floors, |canon, cursor| canon.cursor(cursor));
        self.seen(&view.status, floors, |canon, status| canon.status(status));
        self.seen(&view.lock, floors, |canon, lock| canon.lock(lock));
        self.seen(&view.kill, floors, |_, ()| {});
        let runs = || view.runs.iter().filter(|(_, run)| floors || run.active.is_some());
        self.count(runs().count());
        for (id, run) in runs() {
            self.run(id);
            self.revision(run.created);
            self.revision(run.token);
            match &run.active {
                Some(active) => self.active(active),
                None => self.number(-2),
            }
        }
        self.count(view.sessions.len());
        if floors {
            self.revision(view.complete);
            self.revision(view.followed);
        }
    }

    fn worker(&mut self, worker: &Worker, state: &State) {
        let fresh = &state.fresh;
        self.number(u8::from(worker.dead) + 2 * u8::from(worker.fenced));
        self.session(&worker.session.id);
        let answers = worker.flights.iter().filter_map(|flight| match &flight.way {
            Way::Answered(answer) => Some(answer),
            _ => None,
        });
        let told: Vec<Revision> = answers
            .flat_map(|answer| {
                answer.found.iter().map(|fact| fact.modified).chain([answer.revision]).collect::<Vec<_>>()
            })
            .collect();
        if worker.view.followed == fresh.followed {
            self.number(-3);
        } else {
            self.view(&worker.view, !told.is_empty());
        }
        if !told.is_empty() {
            self.order(told.clone());
            for revision in worker.view.revisions() {
                self.count(told.iter().filter(|told| **told > revision).count());
            }
        }
        self.count(worker.held.len());
        for Held { run, active, token, created, stage } in &worker.held {
            self.run(run);
            self.active(active);
            self.revision(*token);
            self.revision(*created);
            self.number(*stage as u8);
        }
        self.count(worker.flights.len());
        worker.flights.iter().for_each(|flight| self.flight(flight, &state.tree));
        self.killed(worker, fresh);
    }

    /// A kill request hits the runs that were created before it.
    fn killed(&mut self, worker: &Worker, fresh: &View) {
        let kills = [worker.view.killed, fresh.killed];
        if kills == [Revision::NONE; 2] {
            return self.number(-3);
        }
        let records = fresh.records().chain(worker.view.records());
        let hit: Vec<[bool; 2]> =
            records.map(|(_, run, _)| kills.map(|killed| killed > run.created)).collect();
        hit.as_flattened().iter().for_each(|hit| self.number(*hit));
        for held in &worker.held {
            for killed in kills {
                self.number(killed > held.created);
            }
        }
        for Flight { way, .. } in &worker.flights {
            if let Way::Answered(answer) = way {
                let revisions = answer.found.iter().map(|fact| fact.created).chain([answer.revision]);
                self.order(revisions.chain(kills).collect());
            }
        }
    }

    /// What its transaction compares and what its reply is understood by.
    fn flight(&mut self, flight: &Flight, tree: &TreeState) {
        let Flight { ask, way } = flight;
        let answered = matches!(way, Way::Answered(_));
        self.number(ask.kind as u8);
        let refreshes = ask.kind.decides() || ask.kind == Kind::Collect;
        let refused = match way {
            Way::Sent => is_in_vain(tree, &ask.txn),
            Way::Answered(answer) => !answer.succeeded,
            Way::Forgotten => false,
        };
        if refreshes && refused {
            // Only what is found matters, and that the run is not under way any more.
            if let Some(run) = &ask.run {
                self.run(run);
            }
            return match way {
                Way::Answered(answer) => self.answer(answer),
                Way::Sent | Way::Forgotten => self.number(4),
            };
        }
        let known = &ask.known;
        if ask.kind.decides() {
            self.revision(known.created);
            self.revision(known.lock);
        }
        if ask.kind.decides() && !answered {
            self.revision(known.definition);
        }
        if matches!(ask.kind, Kind::Claim | Kind::Pass | Kind::SkipWaiting | Kind::Collect) && !answered {
            self.revision(known.cursor);
        }
        if matches!(ask.kind, Kind::Retry) && !answered {
            self.revision(known.kill);
        }
        if let Some(status) = ask.status.as_ref().filter(|_| !matches!(way, Way::Forgotten)) {
            self.status(status);
        }
        if ask.status.is_some() {
            self.revision(known.status);
        }
        if ask.kind.needs_session() {
            self.session(&ask.session.id);
        }
        if let Some(run) = &ask.run {
            self.revision(ask.token);
            self.run(run);
            self.active(&ask.active());
        }
        if let Some(to) = &ask.to {
            self.number(number(to.slot));
            self.pending(&to.skips);
            self.number(ask.suspended);
        }
        self.stretches(&ask.skipped);
        if let Some(end) = &ask.end {
            self.outcome(end.outcome);
        }
        self.number(u8::from(ask.held) + 2 * u8::from(ask.unsure));
        match way {
            Way::Sent => self.number(0),
            Way::Forgotten => self.number(1),
            Way::Answered(answer) => self.answer(answer),
        }
    }

    fn answer(&mut self, answer: &Rc<Answer>) {
        self.number(2 + u8::from(answer.succeeded));
        self.revision(answer.revision);
        self.count(answer.found.len());
        answer.found.iter().for_each(|fact| self.fact(fact));
    }

    fn fact(&mut self, fact: &Fact) {
        self.revision(fact.created);
        self.revision(fact.modified);
        match &fact.body {
            Body::Job { suspended } => self.number(*suspended),
            Body::Cursor(cursor) => self.cursor(cursor),
            Body::Status(status) => self.status(status),
            Body::Run(run, active) => {
                self.run(run);
                self.active(active);
            }
            Body::Worker(session) => self.session(session),
            Body::Kill => self.number(3),
            Body::Lock(lock) => self.lock(lock),
        }
    }

    fn book(&mut self, state: &State) {
        let book = &state.book;
        self.count(book.lives.len());
        for life in &book.lives {
            self.revision(life.created);
            self.number(life.armed);
            self.number(life.slot);
        }
        self.runs(book.started.iter());
        self.runs(book.recorded.iter());
        self.runs(book.ended.iter());
        let mut skipped = book.skipped.clone();
        skipped.sort_unstable();
        self.slots(&skipped);
        if self.lab.config.exclusive {
            let flights = state.workers.iter().flat_map(|worker| &worker.flights);
            let later = flights
                .map(|flight| matches!(&flight.way, Way::Answered(answer) if answer.revision > book.token));
            later.collect::<Vec<_>>().into_iter().for_each(|later| self.number(later));
        }
    }
}
