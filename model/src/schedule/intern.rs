//! One parsed value for equal schedules: clusters have many jobs and few expressions.
//!
//! The table holds weak references, so a schedule that no job has any more is freed. Dead entries are swept whenever
//! the table has doubled since the last sweep.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use super::zone::TimeZone;
use super::{Dialect, Inner, Rule};

/// Sweeps are not worth their time below this.
const SMALL: usize = 256;

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Table {
    hasher: RandomState,
    known: HashMap<u64, Weak<Inner>>,
    alive: usize,
}

impl Table {
    fn key(&self, text: &str, dialect: Dialect, zone: TimeZone, resolved: Option<&Rule>) -> u64 {
        self.hasher.hash_one((text, dialect, zone, resolved))
    }
}

fn table() -> MutexGuard<'static, Table> {
    // The table is whole after each statement, so a panic elsewhere leaves nothing to repair.
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The value of a text that means the same for each job, if some job has it.
pub(super) fn find(text: &str, dialect: Dialect, zone: TimeZone) -> Option<Arc<Inner>> {
    let table = table();
    let found = table.known.get(&table.key(text, dialect, zone, None))?.upgrade()?;
    (!found.by_name && found.is(text, dialect, zone)).then_some(found)
}

/// The value that equals `new` if some job has it, else `new` for the next to find.
pub(super) fn share(new: Inner) -> Arc<Inner> {
    let mut table = table();
    let key = table.key(&new.text, new.dialect, new.zone, new.by_name.then_some(&new.rule));
    if let Some(found) = table.known.get(&key).and_then(Weak::upgrade) {
        // Where two different values have one key, the second stays unshared.
        return if *found == new { found } else { Arc::new(new) };
    }
    if table.known.len() >= 2 * table.alive.max(SMALL) {
        table.known.retain(|_, value| value.strong_count() > 0);
        table.alive = table.known.len();
        let alive = table.alive;
        table.known.shrink_to(2 * alive);
    }
    let shared = Arc::new(new);
    table.known.insert(key, Arc::downgrade(&shared));
    shared
}

/// How many entries the table has, dead ones included.
#[cfg(test)]
pub(super) fn size() -> usize {
    table().known.len()
}
