//! The part of a command's output that is kept: its beginning goes out at once, its end when the run has ended.

use std::collections::VecDeque;

/// What has been written so far, in memory of at most half the limit.
#[derive(Debug)]
pub(super) struct Kept {
    /// How much of the beginning is still to go out.
    head_left: u64,
    tail: VecDeque<u8>,
    tail_limit: usize,
    cut: u64,
}

impl Kept {
    pub(super) fn new(limit: u64) -> Self {
        let tail_limit = limit / 2;
        Self {
            head_left: limit - tail_limit,
            tail: VecDeque::new(),
            tail_limit: usize::try_from(tail_limit).unwrap_or(usize::MAX),
            cut: 0,
        }
    }

    /// Takes what was written, and returns what of it is to go out now.
    pub(super) fn take<'a>(&mut self, written: &'a [u8]) -> &'a [u8] {
        let split = usize::try_from(self.head_left).map_or(written.len(), |left| left.min(written.len()));
        let (head, rest) = written.split_at(split);
        self.head_left -= head.len() as u64;
        let kept = &rest[rest.len().saturating_sub(self.tail_limit)..];
        let too_many = (self.tail.len() + kept.len()).saturating_sub(self.tail_limit);
        self.tail.drain(..too_many);
        self.tail.extend(kept);
        self.cut += (rest.len() - kept.len() + too_many) as u64;
        head
    }

    /// How many bytes are lost between what went out and what is left.
    pub(super) fn cut(&self) -> u64 {
        self.cut
    }

    /// The end, piece by piece.
    pub(super) fn next_piece(&mut self, longest: usize) -> Option<Vec<u8>> {
        let length = self.tail.len().min(longest);
        (length > 0).then(|| self.tail.drain(..length).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes out at once, what at the end, and what is lost.
    fn kept(limit: u64, pieces: &[&str]) -> (String, String, u64) {
        let mut kept = Kept::new(limit);
        let mut head = Vec::new();
        for piece in pieces {
            head.extend_from_slice(kept.take(piece.as_bytes()));
        }
        let cut = kept.cut();
        let mut tail = Vec::new();
        while let Some(piece) = kept.next_piece(3) {
            assert!(piece.len() <= 3);
            tail.extend(piece);
        }
        (String::from_utf8(head).unwrap(), String::from_utf8(tail).unwrap(), cut)
    }

    #[test]
    fn the_beginning_and_the_end_are_kept_and_the_rest_is_counted() {
        for (limit, pieces, head, tail, cut) in [
            (10, &["abc"][..], "abc", "", 0),
            (10, &["abcde", "fghij"], "abcde", "fghij", 0),
            (10, &["abcdefghij"], "abcde", "fghij", 0),
            (10, &["abcdefghijk"], "abcde", "ghijk", 1),
            (10, &["abcdefgh", "ij", "klmno", "p"], "abcde", "lmnop", 6),
            (10, &["abcdef", "a very long line indeed"], "abcde", "ndeed", 19),
            (7, &["abcdefgh"], "abcd", "fgh", 1),
            (1, &["abc"], "a", "", 2),
            (0, &["abc", "d"], "", "", 4),
        ] {
            assert_eq!(kept(limit, pieces), (head.to_owned(), tail.to_owned(), cut), "{limit} of {pieces:?}");
        }
    }
}
