//! What can go wrong at the server, and what to do then.

use mongodb::error::{Error, ErrorKind, WriteFailure};

use super::config::Target;
use crate::log::LogError;

/// Why a call was not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// What the driver reports.
    Driver(Error),
    /// An index could not be made.
    Index { index: String, source: Error },
    /// No answer within the time that a call has.
    Silent,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

/// The same for people.
#[derive(Debug, thiserror::Error)]
enum Told {
    #[error("no MongoDB server answers; check that it runs, the hosts and the TLS options in the URI")]
    Away(#[source] Error),
    #[error(
        "the MongoDB server refuses the user or the password; check both, and the option authSource, in the URI"
    )]
    User(#[source] Error),
    #[error("the TLS options in the MongoDB URI can't be used; check the files that they name")]
    Tls(#[source] Error),
    #[error(
        "the user in the MongoDB URI may not do this; grant it the role readWrite on the database `{database}`"
    )]
    Role { database: String, source: Error },
    #[error(
        "the MongoDB server refuses the index {index} of the database `{database}`; remove an index in its way, or grant the user the role readWrite, and it is made before the next write"
    )]
    Index { index: String, database: String, source: Error },
    #[error("the MongoDB server is connected but does not answer; check its load and its disk")]
    Silent,
    #[error(
        "not enough members of the replica set confirm writes; start those that are down, or remove them from the set"
    )]
    Majority(#[source] Error),
    #[error("the MongoDB server reports an error")]
    Other(#[source] Error),
}

impl Trouble {
    /// The error for the caller of a log at `target`.
    pub(super) fn of(self, target: &Target) -> LogError {
        let database = target.database.clone();
        let told = match self {
            Self::Silent => Told::Silent,
            Self::Index { source, .. } | Self::Driver(source) if is_full(&source) => {
                return LogError::NoSpace(source.into());
            }
            Self::Index { source, .. } | Self::Driver(source) if is_away(&source) => Told::Away(source),
            Self::Index { source, .. } | Self::Driver(source) if is_unknown_user(&source) => {
                Told::User(source)
            }
            Self::Index { index, source } => Told::Index { index, database, source },
            Self::Driver(source) if is_refused(&source) => return LogError::Refused(source.into()),
            Self::Driver(source) if codes(&source).contains(&13) => Told::Role { database, source },
            Self::Driver(source) if matches!(source.kind.as_ref(), ErrorKind::InvalidTlsConfig { .. }) => {
                Told::Tls(source)
            }
            Self::Driver(source) if is_unconfirmed(&source) => Told::Majority(source),
            Self::Driver(source) => Told::Other(source),
        };
        LogError::Unavailable(told.into())
    }
}

/// The codes that the server gave.
fn codes(error: &Error) -> Vec<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(error) => vec![error.code],
        ErrorKind::Write(WriteFailure::WriteError(error)) => vec![error.code],
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => vec![error.code],
        ErrorKind::InsertMany(many) => {
            let errors = many.write_errors.iter().flatten().map(|error| error.code);
            errors.chain(many.write_concern_error.iter().map(|error| error.code)).collect()
        }
        _ => Vec::new(),
    }
}

/// `OutOfDiskSpace`.
fn is_full(error: &Error) -> bool {
    codes(error).contains(&14031)
}

fn is_away(error: &Error) -> bool {
    use ErrorKind::{ConnectionPoolCleared, DnsResolve, Io, ServerSelection};
    matches!(
        error.kind.as_ref(),
        ServerSelection { .. } | Io(_) | ConnectionPoolCleared { .. } | DnsResolve { .. }
    )
}

/// `AuthenticationFailed`, found by the server or by the driver's side of the handshake.
fn is_unknown_user(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Authentication { .. }) || codes(error).contains(&18)
}

/// Documents that are too large (`BSONObjectTooLarge`; found by the driver too) or that a rule of the collection does
/// not let in (`DocumentValidationFailure`).
fn is_refused(error: &Error) -> bool {
    codes(error).iter().any(|code| matches!(code, 10334 | 121))
        || matches!(error.kind.as_ref(), ErrorKind::InvalidArgument { .. } | ErrorKind::Bson(_))
}

/// A write concern that was not reached in time, or can't be.
fn is_unconfirmed(error: &Error) -> bool {
    codes(error).iter().any(|code| matches!(code, 64 | 100))
}
