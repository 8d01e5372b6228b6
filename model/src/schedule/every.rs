//! The instants of `@every`: a fixed number of seconds apart, counted from the Unix epoch.

/// A period and where its first instant lies, both in seconds; the offset is less than the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Every {
    pub(super) period: u32,
    pub(super) offset: u32,
}

/// Where slots end: 2100-01-01T00:00:00Z.
const END: i64 = 4_102_444_800;

impl Every {
    /// The first instant after `after`.
    pub(super) fn next(self, after: i64) -> Option<i64> {
        let (period, offset) = (i64::from(self.period), i64::from(self.offset));
        Some(((after - offset).div_euclid(period) + 1) * period + offset).filter(|instant| *instant < END)
    }

    /// The last instant before `before`.
    pub(super) fn previous(self, before: i64) -> i64 {
        let (period, offset) = (i64::from(self.period), i64::from(self.offset));
        (before.min(END) - 1 - offset).div_euclid(period) * period + offset
    }
}
