//! Rules that are left out on purpose, to see that the checker notices.

use model::keys::Key;
use store::{Compare, Txn};
use worker::core::Broken;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Transactions do not compare the cursor.
    CursorNotCompared,
    /// Transactions do not compare the fencing token of a run.
    TokenNotCompared,
    /// Transactions do not compare registrations, neither the worker's own nor a dead one's.
    SessionNotCompared,
    /// Transactions do not compare the job's definition.
    DefinitionNotCompared,
    /// A claim does not ask whether the job has a run.
    RunsNotCompared,
    /// Executors do not keep the fence.
    FenceIgnored,
    /// A spool is empty after a crash of its worker.
    SpoolDropped,
    /// Executors do not end their processes when their worker is gone.
    OrphansLive,
    /// The answer to a refused transaction says what an earlier one found, as of its own revision.
    Forged,
    /// Executors give half of the grace.
    GraceCut,
    /// A worker does not hear SIGTERM.
    StopUnheard,
    /// A watch that breaks does not list again.
    NeverListedAgain,
    /// The core leaves out a rule of its own.
    Core(Broken),
}

impl Sabotage {
    /// The transaction as it reaches the tree.
    pub(crate) fn of_txn(self, mut txn: Txn) -> Txn {
        let left_out = |compare: &Compare| {
            matches!(
                (self, compare),
                (Self::CursorNotCompared, Compare::Modified(Key::Cursor(_), _))
                    | (Self::TokenNotCompared, Compare::Modified(Key::Run(..), _))
                    | (Self::SessionNotCompared, Compare::Created(Key::Worker(_), _))
                    | (Self::DefinitionNotCompared, Compare::Modified(Key::Job(_), _))
                    | (Self::RunsNotCompared, Compare::Empty(_))
            )
        };
        txn.when.retain(|compare| !left_out(compare));
        txn
    }

    /// What the core is told.
    pub(crate) fn of_core(self) -> Option<Broken> {
        match self {
            Self::Core(broken) => Some(broken),
            _ => None,
        }
    }
}

/// Every sabotage by its name.
pub const ALL: [(&str, Sabotage); 23] = [
    ("cursor-not-compared", Sabotage::CursorNotCompared),
    ("token-not-compared", Sabotage::TokenNotCompared),
    ("session-not-compared", Sabotage::SessionNotCompared),
    ("definition-not-compared", Sabotage::DefinitionNotCompared),
    ("runs-not-compared", Sabotage::RunsNotCompared),
    ("fence-ignored", Sabotage::FenceIgnored),
    ("spool-dropped", Sabotage::SpoolDropped),
    ("orphans-live", Sabotage::OrphansLive),
    ("forged", Sabotage::Forged),
    ("grace-cut", Sabotage::GraceCut),
    ("stop-unheard", Sabotage::StopUnheard),
    ("never-listed-again", Sabotage::NeverListedAgain),
    ("older-answer-believed", Sabotage::Core(Broken::OlderAnswerBelieved)),
    ("session-change-forgotten", Sabotage::Core(Broken::SessionChangeForgotten)),
    ("read-back-started", Sabotage::Core(Broken::ReadBackStarted)),
    ("kill-compares-token", Sabotage::Core(Broken::KillComparesToken)),
    ("absence-stamped-early", Sabotage::Core(Broken::AbsenceStampedEarly)),
    ("skips-not-carried", Sabotage::Core(Broken::SkipsNotCarried)),
    ("nothing-given-back", Sabotage::Core(Broken::NothingGivenBack)),
    ("incarnation-forgotten", Sabotage::Core(Broken::IncarnationForgotten)),
    ("deaf-while-ending", Sabotage::Core(Broken::DeafWhileEnding)),
    ("place-in-line-lost", Sabotage::Core(Broken::PlaceInLineLost)),
    ("needs-ignored", Sabotage::Core(Broken::NeedsIgnored)),
];

impl Sabotage {
    /// Finds one by its name. The error says which there are.
    pub fn by_name(name: &str) -> Result<Self, String> {
        let found = ALL.iter().find(|(known, _)| *known == name).map(|(_, sabotage)| *sabotage);
        let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        found.ok_or_else(|| format!("write one of {}", names.join(", ")))
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(_, sabotage)| *sabotage == self).map_or("unnamed", |(name, _)| name)
    }
}
