//! What a worker asks of the tree: the transactions of [`protocol`], with what the reply is understood by.

use std::rc::Rc;

use model::run::{Outcome, Revision, RunId, Skipped};
use model::values::{ActiveRun, JobStatus, PendingSkip, RecentRun, Waiting};
use model::{Job, Lane, UnixMillis};
use store::protocol::{self, Known, Move};
use store::{Session, Txn};

use crate::sabotage::{Part, Sabotage};
use crate::view::{SeenRun, View};
use crate::world::Lab;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Claim,
    Retry,
    Pass,
    SkipWaiting,
    KillWaiting,
    Collect,
    GiveBack,
    Lose,
    Readopt,
    Finish,
}

impl Kind {
    /// Whether it decides about a job as its definition stands.
    pub(crate) fn decides(self) -> bool {
        matches!(self, Self::Claim | Self::Retry | Self::Pass | Self::SkipWaiting)
    }

    /// Whether only a worker that lives may do it.
    pub(crate) fn needs_session(self) -> bool {
        self.decides() || matches!(self, Self::KillWaiting | Self::Lose | Self::Readopt)
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) kind: Kind,
    /// What the worker knew of the job.
    pub(crate) known: Known,
    /// Whether the job was suspended then.
    pub(crate) suspended: bool,
    pub(crate) session: Rc<Session>,
    /// The run that it is about.
    pub(crate) run: Option<RunId>,
    /// What it puts as the run's record; of an end, what the record said.
    pub(crate) active: Option<Rc<ActiveRun>>,
    /// The run's token as the worker knew it.
    pub(crate) token: Revision,
    pub(crate) to: Option<Move>,
    /// The slots that it skips.
    pub(crate) skipped: Vec<Skipped>,
    /// The status that it puts.
    pub(crate) status: Option<Rc<JobStatus>>,
    pub(crate) end: Option<RecentRun>,
    /// An end of a run that the worker holds.
    pub(crate) held: bool,
    /// An earlier request for the same may have been committed.
    pub(crate) unsure: bool,
    pub(crate) txn: Rc<Txn>,
}

impl Ask {
    fn new(lab: &Lab, kind: Kind, view: &View, session: &Rc<Session>, txn: Txn) -> Self {
        lab.compared.borrow_mut().extend(txn.when.iter().map(|compare| (kind, Part::of(compare))));
        let txn = match lab.sabotage {
            Some(sabotage) => sabotage.of(lab, kind, view, txn),
            None => txn,
        };
        Self {
            kind,
            known: view.known(),
            suspended: view.job.value.is_some_and(|job| job.suspended),
            session: Rc::clone(session),
            run: None,
            active: None,
            token: Revision::NONE,
            to: None,
            skipped: Vec::new(),
            status: None,
            end: None,
            held: false,
            unsure: false,
            txn: Rc::new(txn),
        }
    }

    fn about(self, run: &RunId, active: ActiveRun, token: Revision) -> Self {
        Self { run: Some(run.clone()), active: Some(Rc::new(active)), token, ..self }
    }

    pub(crate) fn run(&self) -> &RunId {
        self.run.as_ref().expect("it is about a run")
    }

    pub(crate) fn active(&self) -> Rc<ActiveRun> {
        Rc::clone(self.active.as_ref().expect("it is about a run"))
    }
}

/// Who asks, and for what job.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) view: &'a View,
    pub(crate) session: &'a Rc<Session>,
}

impl Asker<'_> {
    fn ask(&self, kind: Kind, txn: Txn) -> Ask {
        Ask::new(self.lab, kind, self.view, self.session, txn)
    }

    fn lane(&self) -> Lane {
        Lane::from(&self.lab.name)
    }

    fn node(&self) -> String {
        format!("node-{}", &self.session.id.0[..1])
    }

    /// A move of the cursor, which carries the stretches that are in it.
    /// `job` is the incarnation in which slots are skipped.
    fn move_to(&self, slot: u8, job: Revision, skipped: &[Skipped]) -> Move {
        let mut to = Move::from(crate::world::slot(slot));
        to.skips = self.view.cursor.value.iter().flat_map(|cursor| cursor.skips.iter().copied()).collect();
        let epoch = Revision::NONE;
        to.skips.extend(skipped.iter().map(|skipped| PendingSkip { skipped: *skipped, job, epoch }));
        to
    }

    fn status(&self) -> JobStatus {
        self.view.status.value.as_deref().cloned().unwrap_or_default()
    }

    pub(crate) fn claim(&self, job: &Job, slot: u8, skipped: Vec<Skipped>) -> Ask {
        let known = self.view.known();
        let (to, node) = (self.move_to(slot, known.created, &[]), self.node());
        let (run, active, txn) = protocol::claim(
            &self.lane(),
            job,
            known,
            self.session,
            &node,
            to.clone(),
            skipped,
            UnixMillis(0),
        );
        self.lab.name_run(&run, &active);
        Ask { to: Some(to), ..self.ask(Kind::Claim, txn).about(&run, active, Revision::NONE) }
    }

    pub(crate) fn retry(&self, job: &Job, run: &RunId, seen: &SeenRun, waits: &ActiveRun) -> Ask {
        let (known, token) = (self.view.known(), seen.token);
        let node = self.node();
        let (active, txn) = protocol::retry(
            &self.lane(),
            job,
            known,
            self.session,
            &node,
            (run, waits),
            token,
            UnixMillis(0),
        );
        self.ask(Kind::Retry, txn).about(run, active, token)
    }

    pub(crate) fn pass(&self, job: &Job, slot: u8, skipped: Vec<Skipped>) -> Ask {
        let known = self.view.known();
        let to = self.move_to(slot, known.created, &skipped);
        let mut status = self.status();
        status.add_skipped(&skipped);
        let counted = (!skipped.is_empty()).then_some(&status);
        let txn = protocol::pass(&self.lane(), job, known, self.session, to.clone(), counted);
        let status = counted.map(|status| Rc::new(status.clone()));
        Ask { to: Some(to), skipped, status, ..self.ask(Kind::Pass, txn) }
    }

    pub(crate) fn skip_waiting(
        &self,
        job: &Job,
        run: &RunId,
        seen: &SeenRun,
        waits: &ActiveRun,
        skipped: Vec<Skipped>,
        at: u8,
    ) -> Ask {
        let to = self.move_to(at, waits.job, &skipped);
        let mut status = self.status();
        status.add_skipped(&skipped);
        let known = self.view.known();
        let (lane, waiting) = (self.lane(), (run, seen.token));
        let txn = protocol::skip_waiting(&lane, job, known, self.session, waiting, to.clone(), &status);
        let ask = self.ask(Kind::SkipWaiting, txn).about(run, waits.clone(), seen.token);
        Ask { to: Some(to), skipped, status: Some(Rc::new(status)), ..ask }
    }

    pub(crate) fn collect(&self) -> Ask {
        let known = self.view.known();
        self.ask(Kind::Collect, protocol::collect(&self.lane(), known.cursor, known.lock))
    }

    pub(crate) fn give_back(&self, run: &RunId, active: &ActiveRun, token: Revision) -> Ask {
        let because = "its command did not start";
        let txn = protocol::give_back(&self.lane(), (run, active), token, because);
        let waiting = Some(Waiting { because: because.to_owned(), unknown: model::Unknown::default() });
        let waits = ActiveRun { waiting, ..active.clone() };
        self.ask(Kind::GiveBack, txn).about(run, waits, token)
    }

    pub(crate) fn lose(&self, run: &RunId, active: &ActiveRun, token: Revision) -> Ask {
        let message = "its worker ended".to_owned();
        let (lost, txn) = protocol::lose(&self.lane(), (run, active), token, self.session, message);
        self.ask(Kind::Lose, txn).about(run, lost, token)
    }

    /// Declares a run that waits killed.
    pub(crate) fn kill_waiting(&self, run: &RunId, active: &ActiveRun, token: Revision) -> Ask {
        let message = "it was killed while it waited".to_owned();
        let run_seen = (run, active);
        let (killed, txn) = protocol::kill_waiting(&self.lane(), run_seen, token, self.session, message);
        self.ask(Kind::KillWaiting, txn).about(run, killed, token)
    }

    pub(crate) fn readopt(&self, run: &RunId, active: &ActiveRun, token: Revision) -> Ask {
        let (moved, txn) = protocol::readopt(&self.lane(), (run, active), token, self.session);
        self.ask(Kind::Readopt, txn).about(run, moved, token)
    }

    /// Counts an end. `held`: of a run that the worker holds.
    pub(crate) fn finish(
        &self,
        run: &RunId,
        active: &ActiveRun,
        token: Revision,
        outcome: Outcome,
        held: bool,
    ) -> Ask {
        let unknown = model::Unknown::default();
        let end = RecentRun { run: run.clone(), slot: active.slot, outcome, ended: UnixMillis(0), unknown };
        let mut status = self.status();
        status.add_skipped(&active.skipped);
        status.add_run(end.clone());
        let forgotten = self.lab.breaks(Sabotage::StatusForgotten);
        let seen = if forgotten { Revision::NONE } else { self.view.known().status };
        let txn = protocol::finish(&self.lane(), run, token, seen, &status);
        let ask = self.ask(Kind::Finish, txn).about(run, active.clone(), token);
        Ask { status: Some(Rc::new(status)), end: Some(end), held, ..ask }
    }

    /// The same end once more, on what is known now.
    pub(crate) fn again(&self, ask: &Ask, token: Revision) -> Ask {
        let outcome = ask.end.as_ref().expect("it counts an end").outcome;
        let again = self.finish(ask.run(), &ask.active(), token, outcome, ask.held);
        Ask { unsure: ask.unsure, ..again }
    }
}
