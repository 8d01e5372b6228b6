//! When a job runs next: the one answer of all that show it.

use crate::UnixMillis;
use crate::decide::CURSOR_AHEAD;
use crate::run::Slot;
use crate::schedule::Schedule;

/// The first slot that is neither past nor decided; `decided` is the slot of the cursor of the job's incarnation, where
/// there is one.
pub fn next_slot(schedule: &Schedule, decided: Option<Slot>, now: UnixMillis) -> Option<UnixMillis> {
    schedule.next_after(decided.map_or(now, |slot| slot.0.max(now)))
}

/// One sentence where slots long before `next`, which is a [`next_slot`], are still to come and decided already. The
/// clock was ahead when that happened, and the job stands still until it has caught up.
pub fn held_back(schedule: &Schedule, next: Option<UnixMillis>, now: UnixMillis) -> Option<String> {
    let next = next?;
    let first = schedule.next_after(now + CURSOR_AHEAD)?;
    (first < next).then(|| format!("the clock was set back: no run before {next}"))
}

/// What is said of a job whose cursor stands at `decided`, which is more than [`CURSOR_AHEAD`] ahead of the clock.
pub fn stands_still(decided: Slot) -> String {
    format!(
        "slots up to {decided} were decided while a clock was ahead; the job runs again when that has passed, or from now \
         on when it is edited, or suspended and resumed"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobName;
    use crate::schedule::{Dialect, TimeZone};

    #[test]
    fn the_next_slot_is_neither_past_nor_decided_and_a_clock_that_was_set_back_is_said() {
        let job = JobName::new("a").unwrap();
        let schedule = Schedule::parse("*/10 * * * * *", Dialect::Standard, TimeZone::UTC, &job).unwrap();
        let at = |second: i64| UnixMillis(1_767_225_600_000 + second * 1000);
        let now = at(5);
        for (decided, next, said) in [
            (None, 10, None),
            (Some(-3600), 10, None),
            (Some(0), 10, None),
            (Some(10), 20, None),
            (Some(60), 70, None),
            (Some(70), 80, Some("the clock was set back: no run before 2026-01-01T00:01:20Z")),
            (Some(7200), 7210, Some("the clock was set back: no run before 2026-01-01T02:00:10Z")),
        ] {
            let found = next_slot(&schedule, decided.map(|second| Slot(at(second))), now);
            assert_eq!(found, Some(at(next)), "{decided:?}");
            assert_eq!(held_back(&schedule, found, now).as_deref(), said, "{decided:?}");
        }
    }
}
