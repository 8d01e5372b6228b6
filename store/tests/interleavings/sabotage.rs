//! Ways to break the protocol. Each of them must be found.

use model::keys::Key;
use model::run::Revision;
use model::values::Cursor;
use store::{Compare, Op, Range, Txn};

use crate::asks::Kind;
use crate::view::View;
use crate::world::{Lab, number, slot};

/// What a transaction compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The token of the run.
    Token,
    /// That there is no record of the run.
    NewRun,
    /// That the job has no run.
    NoRuns,
    /// The job's definition.
    Definition,
    /// The job's incarnation.
    Incarnation,
    /// That there is no job.
    NoJob,
    /// The cursor.
    Cursor,
    /// The status.
    Status,
    /// The kill request.
    Kill,
    /// The lock.
    Lock,
    /// That the worker's own session lives.
    Session,
    /// That another session has ended.
    Holder,
}

impl Part {
    pub(crate) fn of(compare: &Compare) -> Self {
        match compare {
            Compare::Modified(Key::Run(..), _) => Self::Token,
            Compare::Created(Key::Run(..), _) => Self::NewRun,
            Compare::Empty(Range::RunsOf(_)) => Self::NoRuns,
            Compare::Modified(Key::Job(_), _) => Self::Definition,
            Compare::Created(Key::Job(_), Revision::NONE) => Self::NoJob,
            Compare::Created(Key::Job(_), _) => Self::Incarnation,
            Compare::Modified(Key::Cursor(_), _) => Self::Cursor,
            Compare::Modified(Key::Status(_), _) => Self::Status,
            Compare::Modified(Key::Kill(_), _) => Self::Kill,
            Compare::Modified(Key::Lock(_), _) => Self::Lock,
            Compare::Created(Key::Worker(_), Revision::NONE) => Self::Holder,
            Compare::Created(Key::Worker(_), _) => Self::Session,
            compare => panic!("no transaction of a worker has {compare:?}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// A transaction does not compare something.
    Without(Kind, Part),
    /// Neither the worker nor the claim of an exclusive job looks for runs.
    BusyJobClaimed,
    /// A claim is given back by moving the cursor back, instead of by a run that waits.
    GiveBackByCursor,
    /// Nothing is given back.
    NothingGivenBack,
    /// A worker takes sessions that live for ended ones, and the declaration does not look.
    LivingDeclaredLost,
    /// A run is declared lost before its processes must have ended.
    LoseBeforeFence,
    /// A lost run is recorded and counted without being declared lost first.
    LostBeforeDeclared,
    /// The end of a run leaves its lock.
    LockLeft,
    /// A worker that counts an end does not know the status that is there.
    StatusForgotten,
    /// A process is started from a record that was read.
    ReadBackStarted,
    /// A process is started upon a reply that came after the fence.
    LateReplyStarted,
}

impl Sabotage {
    /// What becomes of a transaction.
    pub(crate) fn of(self, lab: &Lab, kind: Kind, view: &View, mut txn: Txn) -> Txn {
        let mut drop = |part: Part| txn.when.retain(|compare| Part::of(compare) != part);
        match (self, kind) {
            (Self::Without(of, part), _) if of == kind => drop(part),
            (Self::BusyJobClaimed, Kind::Claim) => drop(Part::NoRuns),
            (Self::LivingDeclaredLost, Kind::Lose) => drop(Part::Holder),
            (Self::LockLeft, Kind::Finish) => txn.then.retain(|op| !matches!(op, Op::DeleteIf(..))),
            (Self::GiveBackByCursor, Kind::GiveBack) => by_cursor(lab, view, &mut txn),
            _ => {}
        }
        txn
    }
}

/// Deletes the run and puts the cursor before its slot.
fn by_cursor(lab: &Lab, view: &View, txn: &mut Txn) {
    let Some(Compare::Modified(Key::Run(name, run), _)) = txn.when.first().cloned() else {
        unreachable!("a give-back compares its token");
    };
    let before = slot(lab.run(&run).1.saturating_sub(1));
    txn.then.retain(|op| !matches!(op, Op::Put(..)));
    txn.then.push(Op::Delete(Key::Run(name, run)));
    if let Some(cursor) = &view.cursor.value
        && number(before) < number(cursor.slot)
    {
        let cursor = Cursor { slot: before, ..Cursor::clone(cursor) };
        let value = serde_json::to_vec(&cursor).expect("our values always make JSON");
        txn.then.push(Op::Put(Key::Cursor(lab.name.clone().into()), value));
    }
}
