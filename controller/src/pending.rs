//! What waits for its turn: subjects to look at, and statuses to write.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::resources::ObjectKey;
use crate::status::Urgency;
use crate::view::Subject;

/// Between two attempts at what failed.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Subjects to look at, each at most once.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    queue: VecDeque<Subject>,
    queued: HashSet<Subject>,
    later: BTreeSet<(Instant, Subject)>,
    /// How often the last attempts failed in a row, and why.
    failures: HashMap<Subject, (u32, String)>,
}

impl Dirty {
    pub(crate) fn mark(&mut self, subject: Subject) {
        if self.queued.insert(subject.clone()) {
            self.queue.push_back(subject);
        }
    }

    /// The next one, after those whose time has come were marked.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Subject> {
        while let Some((at, _)) = self.later.first()
            && *at <= now
        {
            let Some((_, subject)) = self.later.pop_first() else { break };
            self.mark(subject);
        }
        let subject = self.queue.pop_front()?;
        self.queued.remove(&subject);
        Some(subject)
    }

    /// An attempt failed: there will be another one, each time after a longer while.
    pub(crate) fn failed(&mut self, subject: Subject, why: String, now: Instant) {
        let (count, said) = self.failures.entry(subject.clone()).or_default();
        let wait = FIRST_RETRY.saturating_mul(1 << (*count).min(5)).min(LONGEST_RETRY);
        *count += 1;
        *said = why;
        self.later.insert((now + wait, subject));
    }

    pub(crate) fn succeeded(&mut self, subject: &Subject) {
        self.failures.remove(subject);
    }

    /// Why the last attempt failed.
    pub(crate) fn failure(&self, subject: &Subject) -> Option<&str> {
        self.failures.get(subject).map(|(_, why)| why.as_str())
    }

    /// When there is something to do.
    pub(crate) fn at(&self, now: Instant) -> Option<Instant> {
        if self.queue.is_empty() { self.later.first().map(|(at, _)| *at) } else { Some(now) }
    }
}

/// How many statuses may be written each second that nobody waits for, in the long run and at once.
const PER_SECOND: f64 = 20.0;
const AT_ONCE: f64 = 100.0;

/// Resources whose status is to be written, the urgent ones first. Of the others only so many go each second, however
/// many jobs there are: an API server has other things to do.
#[derive(Debug)]
pub(crate) struct Statuses {
    queues: [BTreeSet<(Instant, ObjectKey)>; 3],
    places: HashMap<ObjectKey, (Urgency, Instant)>,
    tokens: f64,
    filled: Instant,
}

impl Statuses {
    pub(crate) fn new(now: Instant) -> Self {
        Self { queues: Default::default(), places: HashMap::new(), tokens: AT_ONCE, filled: now }
    }

    /// Gives a resource its place. One that it has already is kept where that is the earlier of its kind.
    pub(crate) fn place(&mut self, key: &ObjectKey, urgency: Urgency, at: Instant) {
        if let Some((present, time)) = self.places.get(key)
            && (*present, *time) <= (urgency, at)
        {
            return;
        }
        self.remove(key);
        self.places.insert(key.clone(), (urgency, at));
        self.queues[urgency as usize].insert((at, key.clone()));
    }

    pub(crate) fn remove(&mut self, key: &ObjectKey) {
        if let Some((urgency, at)) = self.places.remove(key) {
            self.queues[urgency as usize].remove(&(at, key.clone()));
        }
    }

    /// The next one whose time has come.
    pub(crate) fn next(&mut self, now: Instant) -> Option<ObjectKey> {
        self.tokens = (self.tokens + now.duration_since(self.filled).as_secs_f64() * PER_SECOND).min(AT_ONCE);
        self.filled = now;
        for urgency in [Urgency::Now, Urgency::Soon, Urgency::Later] {
            let due = self.queues[urgency as usize].first().filter(|(at, _)| *at <= now);
            let Some((_, key)) = due else { continue };
            if urgency != Urgency::Now {
                if self.tokens < 1.0 {
                    return None;
                }
                self.tokens -= 1.0;
            }
            let key = key.clone();
            self.remove(&key);
            return Some(key);
        }
        None
    }

    /// When the next one's time comes.
    pub(crate) fn at(&self) -> Option<Instant> {
        let first = self.queues.iter().filter_map(|queue| queue.first()).map(|(at, _)| *at).min()?;
        let refilled = self.filled + Duration::from_secs_f64(1.0 / PER_SECOND);
        let waits = self.queues[Urgency::Now as usize].is_empty() && self.tokens < 1.0;
        Some(if waits { first.max(refilled) } else { first })
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests;
