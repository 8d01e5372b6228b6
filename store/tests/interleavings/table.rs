//! Every sabotage, where it shows and which rule it breaks.

use crate::asks::Kind;
use crate::asks::Kind::{
    Claim, Collect, Finish, GiveBack, KillWaiting, Lose, Pass, Readopt, Retry, SkipWaiting,
};
use crate::rules::Rule;
use crate::sabotage::Part;
use crate::sabotage::Sabotage::{self, Without};
use crate::world::Config;
use crate::world::Fault::{Delete, Edit, Kill, Session, Unknown};
use crate::{allow, forbid, reserved};

pub(crate) const SABOTAGES: &[(Sabotage, Config, Rule)] = &[
    (Without(Claim, Part::Cursor), forbid(1, 0, &[]), Rule::StartsOnce),
    (Without(Claim, Part::Cursor), forbid(2, 0, &[]), Rule::Forward),
    (Without(Claim, Part::Definition), forbid(1, 1, &[Edit]), Rule::Definition),
    (Without(Claim, Part::Session), allow(1, 1, &[Session]), Rule::Session),
    (Without(Retry, Part::Token), forbid(1, 1, &[Unknown]), Rule::StartsOnce),
    (Without(Retry, Part::Definition), forbid(1, 2, &[Unknown, Edit]), Rule::Definition),
    (Without(Retry, Part::Session), allow(1, 2, &[Unknown, Session]), Rule::Session),
    (Without(Retry, Part::Kill), forbid(1, 2, &[Unknown, Kill]), Rule::Killed),
    (Without(Pass, Part::Definition), forbid(2, 1, &[Edit]), Rule::Definition),
    (Without(Pass, Part::Cursor), forbid(2, 0, &[]), Rule::OneOutcome),
    (Without(Pass, Part::Session), forbid(2, 1, &[Session]), Rule::Session),
    (Without(Pass, Part::Status), forbid(2, 0, &[]), Rule::Counted),
    (Without(SkipWaiting, Part::Definition), forbid(2, 2, &[Unknown, Edit]), Rule::Definition),
    (Without(SkipWaiting, Part::Cursor), allow(2, 1, &[Unknown]), Rule::Forward),
    (Without(SkipWaiting, Part::Session), forbid(2, 2, &[Unknown, Session]), Rule::Session),
    (Without(SkipWaiting, Part::Status), allow(2, 1, &[Unknown]), Rule::Counted),
    (Without(SkipWaiting, Part::Token), forbid(2, 1, &[Unknown]), Rule::Backed),
    (Without(KillWaiting, Part::Token), forbid(1, 2, &[Unknown, Kill]), Rule::OneOutcome),
    (Without(KillWaiting, Part::Session), forbid(1, 3, &[Unknown, Kill, Session]), Rule::Session),
    (Without(Collect, Part::NoJob), forbid(1, 2, &[Delete]), Rule::Counted),
    (Without(GiveBack, Part::Token), forbid(1, 2, &[Unknown]), Rule::StartsOnce),
    (Without(Lose, Part::Token), forbid(1, 2, &[Unknown, Session]), Rule::OneOutcome),
    (Without(Lose, Part::Session), forbid(1, 2, &[Session]), Rule::Session),
    (Without(Readopt, Part::Token), allow(1, 2, &[Unknown, Session]), Rule::OneOutcome),
    (Without(Readopt, Part::Session), allow(1, 2, &[Session]), Rule::Session),
    (Without(Finish, Part::Token), forbid(1, 1, &[Unknown]), Rule::Counted),
    (Without(Finish, Part::Status), allow(2, 0, &[]), Rule::Counted),
    (Sabotage::BusyJobClaimed, reserved(2, 0, &[]), Rule::Alone),
    (Sabotage::GiveBackByCursor, forbid(2, 1, &[Unknown]), Rule::OneOutcome),
    (Sabotage::NothingGivenBack, forbid(1, 1, &[Unknown]), Rule::Settled),
    (Sabotage::LivingDeclaredLost, forbid(1, 0, &[]), Rule::Backed),
    (Sabotage::LoseBeforeFence, forbid(2, 1, &[Session]), Rule::Alone),
    (Sabotage::LostBeforeDeclared, forbid(1, 2, &[Unknown, Session]), Rule::Recorded),
    (Sabotage::LockLeft, forbid(1, 0, &[]), Rule::Settled),
    (Sabotage::StatusForgotten, forbid(2, 0, &[]), Rule::ComesToAnEnd),
    (Sabotage::ReadBackStarted, forbid(1, 2, &[Unknown, Session]), Rule::Backed),
    (Sabotage::LateReplyStarted, forbid(2, 1, &[Session]), Rule::TokensGrow),
];

/// Comparisons without which nothing here breaks, and why.
pub(crate) const NEEDLESS_HERE: &[(Kind, Part, &str)] = &[
    (
        Claim,
        Part::NoRuns,
        "the claim of another run moved the cursor, so a worker that knows the cursor knows the run",
    ),
    (Claim, Part::NewRun, "as before"),
    (Claim, Part::Lock, "it is for the replaced system's workers"),
    (Retry, Part::Lock, "as before"),
    (Retry, Part::Incarnation, "a job that is created again has another definition too"),
    (
        Collect,
        Part::Cursor,
        "it is for stretches that are not in the run log yet, which takes them at once here",
    ),
    (Collect, Part::NoRuns, "the end of the run puts a new status, which is collected later"),
    (Lose, Part::Holder, "a worker that is not mistaken knows that the session has ended"),
];
