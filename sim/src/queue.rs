//! What happens next: events by their time, and at one time in the order in which they were put in.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::time::At;

/// A queue of events.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    heap: BinaryHeap<Reverse<Queued<E>>>,
    count: u64,
}

#[derive(Debug)]
struct Queued<E> {
    at: At,
    number: u64,
    /// Boxed, because the heap moves what is in it.
    event: Box<E>,
}

impl<E> PartialEq for Queued<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Queued<E> {}

impl<E> PartialOrd for Queued<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Queued<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), count: 0 }
    }

    pub(crate) fn put(&mut self, at: At, event: E) {
        self.count += 1;
        self.heap.push(Reverse(Queued { at, number: self.count, event: Box::new(event) }));
    }

    pub(crate) fn pop(&mut self) -> Option<(At, E)> {
        self.heap.pop().map(|Reverse(queued)| (queued.at, *queued.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_time_keep_their_order() {
        let mut queue = Queue::new();
        for (at, event) in [(2, "c"), (1, "a"), (2, "d"), (1, "b")] {
            queue.put(At(at), event);
        }
        let order: Vec<&str> = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
    }
}
