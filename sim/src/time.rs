//! True time, and the clocks of a node that differ from it.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use model::UnixMillis;

/// True time: microseconds since the simulation began. No node can read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At(pub u64);

impl At {
    /// The instant that many seconds after the beginning.
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds * 1_000_000)
    }

    /// How long after the beginning.
    pub fn elapsed(self) -> Duration {
        Duration::from_micros(self.0)
    }

    /// How long after `earlier`; zero when it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for At {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Minutes, seconds and microseconds: `12:34.567890`.
impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minutes, rest) = (self.0 / 60_000_000, self.0 % 60_000_000);
        write!(f, "{minutes:02}:{:02}.{:06}", rest / 1_000_000, rest % 1_000_000)
    }
}

/// What the clocks of one node read.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// What a true wall clock reads at the beginning.
    epoch: UnixMillis,
    /// How many microseconds the wall clock is ahead, apart from its drift.
    ahead: i64,
    /// How many microseconds it gains in a second.
    wall_ppm: i64,
    /// The same for the boot clock.
    boot_ppm: i64,
    /// When the machine was started.
    booted: At,
}

impl Clocks {
    /// Clocks of a machine that is started at the beginning. `ahead` is in milliseconds, the drifts in microseconds a
    /// second.
    pub fn new(epoch: UnixMillis, ahead: i64, wall_ppm: i64, boot_ppm: i64) -> Self {
        Self { epoch, ahead: ahead * 1000, wall_ppm, boot_ppm, booted: At(0) }
    }

    /// The wall clock.
    pub fn wall(&self, now: At) -> UnixMillis {
        let micros = signed(now.0) + self.ahead + drift(now.0, self.wall_ppm);
        UnixMillis(self.epoch.0 + micros.div_euclid(1000))
    }

    /// The boot clock.
    pub fn boot(&self, now: At) -> Duration {
        let since = now.0.saturating_sub(self.booted.0);
        Duration::from_micros(since.saturating_add_signed(drift(since, self.boot_ppm)))
    }

    /// When the wall clock reads `wall` if nobody sets it: never early, and late by at most two milliseconds for each
    /// hour. An instant that has passed may be any earlier one.
    pub fn when_wall(&self, wall: UnixMillis) -> At {
        let micros = (wall.0 - self.epoch.0) * 1000 - self.ahead;
        At(undo(u64::try_from(micros).unwrap_or(0), self.wall_ppm) + 1000)
    }

    /// When the boot clock reads `boot`, as [`Clocks::when_wall`].
    pub fn when_boot(&self, boot: Duration) -> At {
        let micros = u64::try_from(boot.as_micros()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4);
        At(self.booted.0 + undo(micros, self.boot_ppm) + 1)
    }

    /// Somebody sets the wall clock, by so many milliseconds forward.
    pub fn step(&mut self, by: i64) {
        self.ahead += by * 1000;
    }

    /// The machine is started again.
    pub fn reboot(&mut self, now: At) {
        self.booted = now;
    }
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

fn drift(micros: u64, ppm: i64) -> i64 {
    let product = i128::from(micros) * i128::from(ppm) / 1_000_000;
    i64::try_from(product).unwrap_or(i64::MAX)
}

/// The true time in which a clock with this drift shows `micros`, rounded up.
fn undo(micros: u64, ppm: i64) -> u64 {
    let (rate, micros) = (1_000_000 + i128::from(ppm), i128::from(micros));
    u64::try_from((micros * 1_000_000 + rate - 1) / rate).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_never_early_and_hardly_late() {
        let epoch = UnixMillis(1_772_323_200_000);
        for (ahead, ppm) in [(0, 0), (250, 4000), (-700, -5000), (3_600_000, 13)] {
            let mut clocks = Clocks::new(epoch, ahead, ppm, -ppm);
            clocks.reboot(At::seconds(5));
            for seconds in [10, 3000, 7200] {
                let at = At::seconds(seconds);
                let wall = clocks.wall(at);
                let when = clocks.when_wall(wall);
                assert!(clocks.wall(when) >= wall, "{ahead} {ppm} {seconds}");
                assert!(when.0 <= at.0 + 2000 && when.0 + 2000 >= at.0, "{ahead} {ppm}: {when} for {at}");
                let boot = clocks.boot(at);
                let when = clocks.when_boot(boot);
                assert!(clocks.boot(when) >= boot, "{ahead} {ppm} {seconds}");
                assert!(when.0 <= at.0 + 10 && when.0 + 10 >= at.0, "{ahead} {ppm}: {when} for {at}");
            }
        }
    }

    #[test]
    fn a_step_moves_the_wall_clock_alone() {
        let mut clocks = Clocks::new(UnixMillis(0), 0, 0, 0);
        clocks.step(-1500);
        assert_eq!(clocks.wall(At::seconds(2)), UnixMillis(500));
        assert_eq!(clocks.boot(At::seconds(2)), Duration::from_secs(2));
    }
}
