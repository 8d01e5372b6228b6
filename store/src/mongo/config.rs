//! Which database, and what can be wrong with its URI.

use std::fmt;
use std::time::Duration;

use mongodb::options::ConnectionString;
use thiserror::Error;

/// Where the log is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct MongoConfig {
    /// A connection string: `mongodb://user:password@host:port,host:port/database?options`, or one with `mongodb+srv`.
    pub uri: String,
    /// The database; by default the one in the URI's path, or else `cron`.
    pub database: Option<String>,
    /// How long after their end records are removed by the server; never by default.
    pub retention: Option<Duration>,
}

/// Without the URI, in which there may be a password.
impl fmt::Debug for MongoConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uri: _, database, retention } = self;
        f.debug_struct("MongoConfig")
            .field("database", database)
            .field("retention", retention)
            .finish_non_exhaustive()
    }
}

/// Why a configuration can't be used. No part of a user's name or password is in it.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// It does not begin as such a URI does.
    #[error("not a MongoDB URI; write mongodb://host:port/database, or mongodb+srv://name/database")]
    Scheme,
    /// The part before the last `@`.
    #[error(
        "the user or the password in the MongoDB URI can't be read; percent-encode special characters in them: %40 for @, %3A for :, %2F for /, %3F for ?, %23 for #, %5B for [, %5D for ], %25 for %"
    )]
    User,
    /// Anything else; the text says what.
    #[error(
        "the MongoDB URI can't be read: {0}; write mongodb://user:password@host:port/database?option=value"
    )]
    Uri(String),
    /// A name that no database has.
    #[error("{0:?} can't be the name of a database; write letters, digits, - and _, at most 63 of them")]
    Database(String),
}

/// A configuration that was read.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) uri: ConnectionString,
    pub(super) database: String,
    pub(super) retention: Option<Duration>,
}

/// Without the URI, as above.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("database", &self.database).finish_non_exhaustive()
    }
}

impl MongoConfig {
    pub(super) fn read(self) -> Result<Target, ConfigError> {
        let Self { uri, database, retention } = self;
        let rest = uri.strip_prefix("mongodb://").or_else(|| uri.strip_prefix("mongodb+srv://"));
        let rest = rest.ok_or(ConfigError::Scheme)?;
        let parsed = ConnectionString::parse(&uri).map_err(|_| {
            // Told of the same URI with another user, so that nothing secret is repeated.
            let scheme = &uri[..uri.len() - rest.len()];
            let shown = match rest.rsplit_once('@') {
                Some((_, hosts)) => format!("{scheme}user:password@{hosts}"),
                None => uri.clone(),
            };
            match ConnectionString::parse(&shown) {
                Ok(_) => ConfigError::User,
                Err(error) => {
                    let text = error.kind.to_string();
                    let text = text.strip_prefix("An invalid argument was provided: ").unwrap_or(&text);
                    ConfigError::Uri(text.to_owned())
                }
            }
        })?;
        let database =
            database.or_else(|| parsed.default_database.clone()).unwrap_or_else(|| "cron".to_owned());
        let odd = |c: char| {
            matches!(c, '/' | '\\' | '.' | ' ' | '"' | '$' | '*' | '<' | '>' | ':' | '|' | '?' | '\0')
        };
        if database.is_empty() || database.len() > 63 || database.contains(odd) {
            return Err(ConfigError::Database(database));
        }
        Ok(Target { uri: parsed, database, retention })
    }
}
