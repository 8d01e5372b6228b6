//! The clock of this process; everything that decides is given what it reads.

use std::time::{SystemTime, UNIX_EPOCH};

use model::UnixMillis;

/// The wall clock. A clock before 1970 reads as 1970.
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
