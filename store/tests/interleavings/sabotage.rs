//! Ways to break the protocol. Each of them must be found.

use model::keys::Key;
use model::run::Revision;
use model::values::Cursor;
use store::{Compare, Op, Range, Txn};

use crate::asks::Kind;
use crate::view::View;
use crate::world::{Lab, number, slot};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// A claim, or whatever else moves the cursor, does not compare it.
    ClaimWithoutCursor,
    /// A claim does not compare the definition.
    ClaimWithoutDefinition,
    /// A claim does not compare the worker's registration.
    ClaimWithoutSession,
    /// A claim of a job that forbids overlaps does not look for runs.
    ClaimOfBusyJob,
    /// A retry does not compare the run's token.
    RetryWithoutToken,
    /// A retry does not compare the definition.
    RetryWithoutDefinition,
    /// A retry does not compare the worker's registration.
    RetryWithoutSession,
    /// A retry does not compare the kill request.
    RetryWithoutKill,
    /// A worker that retries does not know the kill request that is there.
    KillKeyForgotten,
    /// A move of the cursor without a run does not compare it.
    PassWithoutCursor,
    /// One does not compare the status that it counts in.
    PassWithoutStatus,
    /// The skip of a waiting run does not compare its token.
    SkipWithoutToken,
    /// A waiting run is declared killed without a comparison of its token.
    KillWaitingWithoutToken,
    /// The end of a run does not compare its token.
    FinishWithoutToken,
    /// The end of a run does not compare the status that it counts in.
    FinishWithoutStatus,
    /// A give-back does not compare the claim's token.
    GiveBackWithoutToken,
    /// A claim is given back by moving the cursor back, instead of by a run that waits.
    GiveBackByCursor,
    /// Nothing is given back.
    NothingGivenBack,
    /// A run is declared lost without a comparison of its token.
    LoseWithoutToken,
    /// A run is declared lost without a look at its session.
    LoseWithoutSession,
    /// A run is declared lost before its processes must have ended.
    LoseBeforeFence,
    /// A lost run is recorded and counted without being declared lost first.
    LostBeforeDeclared,
    /// A run is moved to a later session without a comparison of its token.
    ReadoptWithoutToken,
    /// What a deleted job left is removed without a look at whether there is a job again.
    CollectWithoutJob,
    /// It is removed while a run is there.
    CollectWithoutRuns,
    /// A process is started from a record that was read.
    ReadBackStarted,
    /// A process is started upon a reply that came after the fence.
    LateReplyStarted,
}

impl Sabotage {
    /// What becomes of a transaction.
    pub(crate) fn of(self, lab: &Lab, kind: Kind, view: &View, mut txn: Txn) -> Txn {
        let without: fn(&Compare) -> bool = match (self, kind) {
            (Self::ClaimWithoutCursor, Kind::Claim) | (Self::PassWithoutCursor, Kind::Pass) => {
                |compare| matches!(compare, Compare::Modified(Key::Cursor(_), _))
            }
            (Self::ClaimWithoutDefinition, Kind::Claim) | (Self::RetryWithoutDefinition, Kind::Retry) => {
                |compare| matches!(compare, Compare::Modified(Key::Job(_), _))
            }
            (Self::ClaimWithoutSession, Kind::Claim)
            | (Self::RetryWithoutSession, Kind::Retry)
            | (Self::LoseWithoutSession, Kind::Lose) => {
                |compare| matches!(compare, Compare::Created(Key::Worker(_), _))
            }
            (Self::ClaimOfBusyJob, Kind::Claim) | (Self::CollectWithoutRuns, Kind::Collect) => {
                |compare| matches!(compare, Compare::Empty(Range::RunsOf(_)))
            }
            (Self::RetryWithoutToken, Kind::Retry)
            | (Self::SkipWithoutToken, Kind::SkipWaiting)
            | (Self::KillWaitingWithoutToken, Kind::KillWaiting)
            | (Self::FinishWithoutToken, Kind::Finish)
            | (Self::GiveBackWithoutToken, Kind::GiveBack)
            | (Self::LoseWithoutToken, Kind::Lose)
            | (Self::ReadoptWithoutToken, Kind::Readopt) => {
                |compare| matches!(compare, Compare::Modified(Key::Run(..), _))
            }
            (Self::RetryWithoutKill, Kind::Retry) => {
                |compare| matches!(compare, Compare::Modified(Key::Kill(_), _))
            }
            (Self::PassWithoutStatus, Kind::Pass) | (Self::FinishWithoutStatus, Kind::Finish) => {
                |compare| matches!(compare, Compare::Modified(Key::Status(_), _))
            }
            (Self::CollectWithoutJob, Kind::Collect) => {
                |compare| matches!(compare, Compare::Created(Key::Job(_), Revision::NONE))
            }
            (Self::GiveBackByCursor, Kind::GiveBack) => return by_cursor(lab, view, txn),
            _ => |_| false,
        };
        txn.when.retain(|compare| !without(compare));
        txn
    }
}

/// Deletes the run and puts the cursor before its slot.
fn by_cursor(lab: &Lab, view: &View, mut txn: Txn) -> Txn {
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
        txn.then.push(Op::Put(Key::Cursor(lab.name.clone()), value));
    }
    txn
}
