//! Random numbers that depend on the seed and on what they are for, and on nothing else. So what is drawn for one node
//! or one process stays the same when another one is left out of a plan.

use std::ops::RangeInclusive;
use std::time::Duration;

use model::hash::stable_hash;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Rng(fastrand::Rng);

impl Rng {
    /// The stream of a seed for one purpose.
    pub fn new(seed: u64, purpose: &[&str]) -> Self {
        let seed = seed.to_string();
        let words: Vec<&str> = std::iter::once(seed.as_str()).chain(purpose.iter().copied()).collect();
        Self(fastrand::Rng::with_seed(stable_hash(&words)))
    }

    /// A number of the range.
    pub fn range(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0.u64(range)
    }

    /// A number of the range, which may be negative.
    pub fn signed(&mut self, range: RangeInclusive<i64>) -> i64 {
        self.0.i64(range)
    }

    /// An index below `length`, which is not 0.
    pub fn index(&mut self, length: usize) -> usize {
        self.0.usize(0..length)
    }

    /// Whether an event of this probability happens.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.0.u64(0..100) < percent
    }

    /// A time of so many milliseconds, finer than them.
    pub fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_micros(self.0.u64(range.start() * 1000..=range.end() * 1000))
    }

    /// A time of so many seconds, finer than them.
    pub fn seconds(&mut self, range: RangeInclusive<u64>) -> Duration {
        self.millis(range.start() * 1000..=range.end() * 1000)
    }

    /// One of these, which are not none.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }
}
