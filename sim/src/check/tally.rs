//! The tally: what happened in a simulation, in numbers.

/// What happened, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Claims that were committed.
    pub claims: u64,
    /// Runs whose end was counted.
    pub ends: u64,
    /// Those of them that were lost.
    pub lost: u64,
    /// Skipped slots that were counted.
    pub skipped: u64,
    /// Claims that were given back.
    pub given_back: u64,
    /// Runs that were taken again after that.
    pub retried: u64,
    /// Processes.
    pub processes: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self { claims, ends, lost, skipped, given_back, retried, processes } = other;
        self.claims += claims;
        self.ends += ends;
        self.lost += lost;
        self.skipped += skipped;
        self.given_back += given_back;
        self.retried += retried;
        self.processes += processes;
    }
}
