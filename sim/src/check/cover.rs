//! Whether stretches of slots cover a part of a schedule exactly.

use model::run::{Skipped, Slot};
use model::schedule::Schedule;
use model::{UnixMillis, decide};
use std::time::Duration;

/// One slot that runs, or a stretch that does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    from: UnixMillis,
    to: UnixMillis,
    /// How many slots it says it has; `None` where it says that there are too many to count.
    count: Option<u32>,
}

impl From<Slot> for Piece {
    fn from(slot: Slot) -> Self {
        Self { from: slot.0, to: slot.0, count: Some(1) }
    }
}

impl From<Skipped> for Piece {
    fn from(Skipped { from, to, count, reason: _ }: Skipped) -> Self {
        Self { from: from.0, to: to.0, count }
    }
}

/// Whether the pieces are exactly the slots after `after` up to `to`, each in one piece. The error is a sentence.
pub(super) fn exactly(
    schedule: &Schedule,
    (after, to): (Slot, Slot),
    mut pieces: Vec<Piece>,
) -> Result<(), String> {
    pieces.sort_unstable_by_key(|piece| piece.from);
    let mut expected = schedule.next_after(after.0).filter(|slot| *slot <= to.0);
    for piece in pieces {
        let Some(slot) = expected else {
            return Err(format!(
                "there is a decision about {}, which is no slot after {after} up to {to}",
                piece.from
            ));
        };
        if piece.from > slot {
            return Err(format!(
                "nothing decides the slot {slot}, which the cursor passed from {after} to {to}"
            ));
        }
        if piece.from < slot {
            return Err(format!("the slot {} is decided twice or is no slot (expected {slot})", piece.from));
        }
        let is_slot = schedule.previous_before(piece.to + Duration::from_millis(1)) == Some(piece.to);
        if piece.to < piece.from || piece.to > to.0 || !is_slot {
            return Err(format!("a stretch from {slot} ends at {}, which is no slot up to {to}", piece.to));
        }
        counted(schedule, piece)?;
        expected = schedule.next_after(piece.to).filter(|slot| *slot <= to.0);
    }
    match expected {
        None => Ok(()),
        Some(slot) => {
            Err(format!("nothing decides the slot {slot}, which the cursor passed from {after} to {to}"))
        }
    }
}

fn counted(schedule: &Schedule, piece: Piece) -> Result<(), String> {
    let slots = std::iter::successors(Some(piece.from), |slot| schedule.next_after(*slot));
    let most = decide::COUNTED_SLOTS as usize + 1;
    let count = slots.take_while(|slot| *slot <= piece.to).take(most).count();
    let count = u32::try_from(count).ok().filter(|count| *count <= decide::COUNTED_SLOTS);
    if count == piece.count {
        return Ok(());
    }
    Err(format!(
        "the stretch from {} to {} has {count:?} slots and says {:?}",
        piece.from, piece.to, piece.count
    ))
}

#[cfg(test)]
mod tests {
    use model::run::SkipReason;
    use model::{Dialect, JobName, TimeZone};

    use super::*;

    fn every_ten_seconds() -> Schedule {
        let name = JobName::new("a").unwrap();
        Schedule::parse("*/10 * * * * *", Dialect::Standard, TimeZone::UTC, &name).unwrap()
    }

    fn slot(seconds: i64) -> Slot {
        Slot(UnixMillis(seconds * 1000))
    }

    fn stretch(from: i64, to: i64, count: u32) -> Piece {
        let reason = SkipReason::Missed;
        Skipped { from: slot(from), to: slot(to), count: Some(count), reason }.into()
    }

    #[test]
    fn every_slot_is_in_one_piece() {
        let check = |pieces: &[Piece]| exactly(&every_ten_seconds(), (slot(0), slot(40)), pieces.to_vec());
        let run = |seconds| Piece::from(slot(seconds));
        assert_eq!(check(&[run(40), stretch(10, 30, 3)]), Ok(()));
        assert_eq!(check(&[stretch(10, 10, 1), stretch(20, 40, 3)]), Ok(()));
        for (pieces, why) in [
            (vec![], "nothing decides"),
            (vec![stretch(10, 30, 3)], "nothing decides"),
            (vec![stretch(20, 40, 3)], "nothing decides"),
            (vec![stretch(10, 40, 4), run(40)], "no slot after"),
            (vec![stretch(10, 20, 2), stretch(20, 40, 3)], "twice"),
            (vec![stretch(10, 50, 5)], "ends at"),
            (vec![stretch(10, 35, 3), run(40)], "ends at"),
            (vec![stretch(10, 40, 5)], "says"),
            (vec![stretch(5, 40, 4)], "twice or is no slot"),
        ] {
            let error = check(&pieces).unwrap_err();
            assert!(error.contains(why), "{pieces:?}: {error}");
        }
    }

    #[test]
    fn a_cursor_that_stands_decides_nothing() {
        assert_eq!(exactly(&every_ten_seconds(), (slot(40), slot(40)), vec![]), Ok(()));
        assert_eq!(exactly(&every_ten_seconds(), (slot(41), slot(47)), vec![]), Ok(()));
        assert!(exactly(&every_ten_seconds(), (slot(40), slot(40)), vec![slot(40).into()]).is_err());
    }
}
