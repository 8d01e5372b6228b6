//! Instants as the project stores and compares them.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

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
    fn arithmetic_saturates() {
        assert_eq!(UnixMillis(i64::MAX) + Duration::from_secs(1), UnixMillis(i64::MAX));
        assert_eq!(UnixMillis(5).since(UnixMillis(9)), Duration::ZERO);
        assert_eq!(UnixMillis(i64::MIN).to_utc().to_rfc3339(), "1970-01-01T00:00:00+00:00");
    }
}
