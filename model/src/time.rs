//! Instants as the project stores and compares them.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An instant of the wall clock: milliseconds since the Unix epoch, leap seconds not counted.
///
/// The legacy documents store times in this unit, so one type serves them, the tree and the domain. Arithmetic
/// saturates at the ends of the range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The first instant that calendars here can express: 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// The last one: 9999-12-31T23:59:59.999Z, where RFC 3339 ends.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The same instant as a calendar value. Instants outside of [`Self::EPOCH`]..=[`Self::MAX`] are moved to the nearer end.
    pub fn to_utc(self) -> DateTime<Utc> {
        let within = self.0.clamp(Self::EPOCH.0, Self::MAX.0);
        DateTime::from_timestamp_millis(within).unwrap_or_default()
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<DateTime<Utc>> for UnixMillis {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_millis())
    }
}

impl Add<Duration> for UnixMillis {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for UnixMillis {
    type Output = Self;
    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// Why a text is not an instant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0} is not a time; write one such as 2026-03-29T00:00:00Z or 2026-03-29T02:30:00+02:00")]
pub struct TimeError(String);

/// RFC 3339, with any offset; what is finer than a millisecond is cut off.
impl FromStr for UnixMillis {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| TimeError(text.to_owned()))?;
        Ok(Self(time.timestamp_millis()))
    }
}

/// RFC 3339 in UTC, with milliseconds only where there are any.
impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_as_rfc_3339() {
        assert_eq!(UnixMillis(1_764_000_000_000).to_string(), "2025-11-24T16:00:00Z");
        assert_eq!(UnixMillis(1_764_000_000_250).to_string(), "2025-11-24T16:00:00.250Z");
    }

    #[test]
    fn reads_rfc_3339_with_any_offset() {
        for (text, millis) in [
            ("2025-11-24T16:00:00Z", 1_764_000_000_000),
            ("2025-11-24T17:00:00.2504+01:00", 1_764_000_000_250),
        ] {
            assert_eq!(text.parse(), Ok(UnixMillis(millis)), "{text}");
        }
        for text in ["", "now", "2025-11-24", "2025-11-24T16:00:00", "2025-02-30T16:00:00Z"] {
            let error = text.parse::<UnixMillis>().unwrap_err().to_string();
            assert!(error.starts_with(text) && error.contains("write one such as"), "{error}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(UnixMillis(i64::MAX) + Duration::from_secs(1), UnixMillis(i64::MAX));
        assert_eq!(UnixMillis(5).since(UnixMillis(9)), Duration::ZERO);
        assert_eq!(UnixMillis(i64::MIN).to_utc().to_rfc3339(), "1970-01-01T00:00:00+00:00");
    }
}
