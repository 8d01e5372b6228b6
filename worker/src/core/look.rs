//! Looking at a job: whether there is something to do about it now, and when to look next.

use std::sync::Arc;
use std::time::Duration;

use model::decide::{self, Decision};
use model::next::stands_still;
use model::run::{Revision, RunId, Skipped, Slot};
use model::values::{ActiveRun, MOST_PENDING, PendingSkip};
use model::{Job, JobName, Lane, UnixMillis};
use store::protocol::{self, Known};

use super::transactions::Ask;
use super::view::{Entry, Holder, KnownRun};
use super::{AT_ONCE, CLAIM_LEAD, Core, Level, MOST_ASKED, RETRY_AFTER};
use crate::times::OWNER_STUCK;

/// How often a job whose cursor is ahead is looked at: the clock may be set, and the others' clocks are told from time to
/// time.
const LOOK_AT_CLOCKS: Duration = Duration::from_secs(10);

/// Something to do about a job.
#[derive(Debug)]
enum Step {
    /// Nothing before this instant; `None` means nothing until something changes.
    Wait(Option<UnixMillis>),
    /// Take a run that waits.
    Retry { run: RunId, token: Revision, active: Box<ActiveRun> },
    /// End a run that waits.
    EndWaiting { run: RunId, token: Revision, active: Box<ActiveRun>, why: &'static str },
    /// Skip the slot of a run that waits.
    SkipWaiting { run: RunId, token: Revision, skipped: Vec<PendingSkip> },
    /// Claim a slot.
    Claim { slot: Slot, skipped: Vec<Skipped> },
    /// Move the cursor.
    Pass { slot: Slot, skipped: Vec<Skipped> },
    /// The cursor is ahead of the clock, and stands at this slot.
    Ahead(Slot),
    /// Remove what a deleted job left.
    Collect,
}

impl Step {
    fn needs_place(&self) -> bool {
        matches!(self, Self::Retry { .. } | Self::Claim { .. })
    }

    /// How many skipped stretches it adds to the cursor.
    fn skips(&self) -> usize {
        match self {
            Self::Pass { skipped, .. } => skipped.len(),
            Self::SkipWaiting { skipped, .. } => skipped.len(),
            _ => 0,
        }
    }
}

impl Core {
    /// Looks at a job as soon as there is room for its transaction.
    pub(super) fn look_again(&mut self, lane: &Lane) {
        self.look_at(lane, Some(UnixMillis::EPOCH));
    }

    /// As [`Self::look_again`], for all lanes of a job.
    pub(super) fn look_at_job_again(&mut self, name: &JobName) {
        for lane in self.view.lanes_of(name) {
            self.look_again(&lane);
        }
    }

    fn look_at(&mut self, lane: &Lane, at: Option<UnixMillis>) {
        let of_lane = self.view.lane(lane);
        self.line.set(lane, of_lane.due, at);
        of_lane.due = at;
    }

    pub(super) fn look_at_all_again(&mut self) {
        let lanes: Vec<Lane> = self.view.lanes().collect();
        for lane in lanes {
            self.look_again(&lane);
        }
    }

    pub(super) fn look_at_what_is_due(&mut self) {
        for _ in 0..AT_ONCE {
            if !self.may_look() {
                return;
            }
            if let Some(lane) = self.line.pop_again(self.now.boot) {
                self.look(&lane);
                continue;
            }
            let Some(lane) = self.line.pop(self.now.wall) else { return };
            self.view.lane(&lane).due = None;
            self.look(&lane);
        }
    }

    /// Gives free places to the jobs that wait for one, the longest wait first.
    pub(super) fn offer_places(&mut self) {
        while self.may_look()
            && let Some(lane) = self.capacity.call(self.runs.len())
        {
            self.look_with(&lane, true);
        }
    }

    fn look(&mut self, lane: &Lane) {
        self.look_with(lane, false);
    }

    /// Does what is to be done about a job now, and sets when to look next. While a transaction about it is under way
    /// there is nothing to do: its reply looks again. A job that is `called` has a place for a run.
    fn look_with(&mut self, lane: &Lane, called: bool) {
        let Some(entry) = self.view.get(lane) else { return };
        if entry.lane.deciding {
            return;
        }
        let Some(rank) = self.place(lane) else { return self.leave_to_others(lane) };
        self.unmet.remove(lane);
        if self.recover(lane) {
            return;
        }
        if rank == 0 || self.skips.has(lane) {
            self.note_skips(lane);
        }
        let Some(entry) = self.view.get(lane) else { return };
        let at = standing_at(entry);
        if rank > 0
            && !called
            && let Some(left) = self.standing.still(lane, at, patience(rank), self.now.boot)
        {
            // Another worker's backlog is not counted at each look.
            return self.look_after(lane, left);
        }
        let step = step(self.now.wall, entry);
        let (known, since) = (entry.known(), waits_since(self.now.wall, entry, &step));
        let waits_for_log = step.skips() > 0 && entry.pending().len() + step.skips() > MOST_PENDING;
        let job = entry.job().cloned();
        if !step.needs_place() {
            self.capacity.leave(lane);
        }
        if !matches!(step, Step::Ahead(_)) {
            self.ahead.remove(lane);
        }
        if rank == 0 {
            self.standing.forget(lane);
        } else if !called && !self.is_our_turn(lane, rank, at, &step) {
            self.ahead.remove(lane);
            return self.capacity.leave(lane);
        }
        if waits_for_log {
            return self.look_after(lane, RETRY_AFTER);
        }
        if step.needs_place() && !called && self.capacity.must_wait(self.runs.len()) {
            #[cfg(feature = "broken-rules")]
            let since = if self.breaks(super::Broken::PlaceInLineLost) { self.now.wall } else { since };
            self.capacity.wait(lane, since, self.now.boot);
            // A newer slot can change what is done about an older one.
            let next = job.and_then(|job| job.schedule.next_after(self.now.wall));
            return self.look_at(lane, next);
        }
        self.do_step(lane, job, known, step);
    }

    /// Our place in the order of those whose turn it is with a lane: to run its slots, or to tidy up what a deleted job left.
    /// `None` where we lack what the job needs.
    pub(super) fn place(&self, lane: &Lane) -> Option<usize> {
        let entry = self.view.get(lane)?;
        let (peers, needs) = (&self.view.peers, entry.needs());
        #[cfg(feature = "broken-rules")]
        let needs = if self.breaks(super::Broken::NeedsIgnored) { model::Words::default() } else { needs };
        if entry.is_deleted() { peers.steward(&lane.job, &needs) } else { peers.rank(&lane.job, &needs) }
    }

    /// Others understand what the job needs, or nobody does, which is told once.
    fn leave_to_others(&mut self, lane: &Lane) {
        self.standing.forget(lane);
        self.ahead.remove(lane);
        self.capacity.leave(lane);
        self.look_at(lane, None);
        let Some(needs) = self.view.get(lane).map(Entry::needs) else { return };
        if self.view.peers.anybody_has(&needs) {
            self.unmet.remove(lane);
        } else if self.unmet.insert(lane.clone()) {
            let text = format!("the job waits: it needs {needs}, and no live worker has all of that");
            self.note(Level::Warn, Some(&lane.job), text);
        }
    }

    fn do_step(&mut self, lane: &Lane, job: Option<Arc<Job>>, known: Known, step: Step) {
        match (step, job) {
            (Step::Wait(at), _) => {
                self.look_at(lane, at);
                self.view.forget_if_gone(&lane.job);
            }
            (Step::EndWaiting { run, token, active, why }, _) => {
                let message = format!("{why} before the command started");
                let session = self.sessions.present();
                let declared = protocol::kill_waiting(lane, (&run, &active), token, session, message);
                self.declare(lane, run, declared);
            }
            (Step::Collect, _) => {
                self.view.lane(lane).deciding = true;
                let txn = protocol::collect(lane, known.cursor, known.lock);
                self.commit(Ask::Collect { lane: lane.clone(), lock: known.lock }, txn);
            }
            (Step::Ahead(slot), Some(job)) => self.stand_still(lane, job, known, slot),
            (Step::Retry { run, token, active }, Some(job)) => {
                self.retry(lane, job, known, (&run, &active), token);
            }
            (Step::SkipWaiting { run, token, skipped }, Some(job)) => {
                let Some(at) = self.view.get(lane).and_then(|entry| entry.lane.cursor.value.as_ref()) else {
                    return;
                };
                let at = at.slot;
                self.skip_waiting(lane, job, known, (run, token), at, &skipped);
            }
            (Step::Claim { slot, skipped }, Some(job)) => self.claim(lane, job, known, slot, skipped),
            (Step::Pass { slot, skipped }, Some(job)) => self.pass(lane, job, known, slot, &skipped),
            // All of these are steps of a job that can be read.
            (
                Step::Ahead(_)
                | Step::Retry { .. }
                | Step::SkipWaiting { .. }
                | Step::Claim { .. }
                | Step::Pass { .. },
                None,
            ) => {}
        }
    }

    /// The cursor of a job is ahead of the clock. Where somebody changed the job since, and all clocks agree, it goes on
    /// from its right time; otherwise it waits for the clock or for that.
    fn stand_still(&mut self, lane: &Lane, job: Arc<Job>, known: Known, slot: Slot) {
        let changed = known.definition > known.cursor;
        let right = decide::may_set(slot, self.view.peers.clocks(self.now.wall));
        if let Some(to) = right.filter(|_| changed) {
            return self.set_back(lane, job, known, Slot(to), slot);
        }
        if self.ahead.insert(lane.clone()) {
            self.note(Level::Warn, Some(&lane.job), stands_still(slot));
        }
        self.look_after(lane, LOOK_AT_CLOCKS);
    }

    /// Whether it is our turn with another worker's job, and otherwise when to look again. It is ours where that worker
    /// lives and yet does not do its work. What is due must have stood still on our own clock for as long as our place in
    /// the job's order asks for: by the slot's age alone a worker whose clock is fast would take every slot.
    fn is_our_turn(&mut self, lane: &Lane, rank: usize, at: Revision, step: &Step) -> bool {
        let patience = patience(rank);
        let until = match step {
            Step::Wait(until) => Some(*until),
            Step::Ahead(_) => Some(None),
            _ => None,
        };
        if let Some(until) = until {
            self.standing.forget(lane);
            self.look_at(lane, until.map(|until| until + patience));
            self.view.forget_if_gone(&lane.job);
            return false;
        }
        let left = self.standing.left(lane, at, patience, self.now.boot);
        if left.is_zero() {
            let text = "the worker that owns this job lives and does not run it; this one does";
            self.note(Level::Warn, Some(&lane.job), text);
            self.standing.forget(lane);
            return true;
        }
        self.look_after(lane, left);
        false
    }
}

/// How long something due of another worker's job stands still before it is taken from that worker.
fn patience(rank: usize) -> Duration {
    OWNER_STUCK * u32::try_from(rank).unwrap_or(u32::MAX)
}

/// The revision of what is due of a job.
fn standing_at(entry: Entry<'_>) -> Revision {
    let runs = entry.runs().map(|run| run.token).max();
    entry.known().cursor.max(entry.known().definition).max(runs.unwrap_or_default())
}

/// Since when a job waits for a place: since its oldest slot that is not decided, or since it last had one. What a clock
/// wrote that was ahead does not count.
fn waits_since(now: UnixMillis, entry: Entry<'_>, step: &Step) -> UnixMillis {
    let oldest = match step {
        Step::Retry { active, .. } => active.slot,
        Step::Claim { slot, skipped } => skipped.first().map_or(*slot, |skipped| skipped.from),
        _ => return UnixMillis::EPOCH,
    };
    let claimed = entry.runs().filter_map(KnownRun::active).filter(|active| active.is_held());
    let claimed = claimed.map(|active| active.claimed).max();
    let ended =
        entry.lane.status.value.as_ref().and_then(|status| status.recent.last()).map(|recent| recent.ended);
    let had_one = claimed.into_iter().chain(ended).filter(|at| *at <= now);
    had_one.fold(oldest.0, UnixMillis::max)
}

/// What there is to do about a job.
fn step(now: UnixMillis, entry: Entry<'_>) -> Step {
    if entry.is_deleted() {
        if let Some(end) = entry.runs().find_map(|run| end_waiting(run, "killed because the job was deleted"))
        {
            return end;
        }
        let collect = entry.is_litter() && entry.pending().is_empty();
        return if collect { Step::Collect } else { Step::Wait(None) };
    }
    if !entry.is_decided_in() {
        return Step::Wait(None);
    }
    if let Some(step) = entry.runs().find_map(|run| step_of_waiting(now, entry, run)) {
        return step;
    }
    let Some((job, seen)) = entry.to_decide() else { return Step::Wait(None) };
    match decide::decide(now, CLAIM_LEAD, job, &seen) {
        Decision::Wait(at) => Step::Wait(at),
        Decision::Ahead => Step::Ahead(seen.cursor.map_or(Slot(now), |cursor| cursor.slot)),
        Decision::Claim { slot, skipped } => Step::Claim { slot, skipped },
        Decision::Skip { slot, skipped } | Decision::Arm { slot, skipped } => Step::Pass { slot, skipped },
    }
}

fn end_waiting(known: &KnownRun, why: &'static str) -> Option<Step> {
    let active = known.active().filter(|active| active.is_waiting())?;
    let (run, token) = (known.run.clone(), known.token);
    Some(Step::EndWaiting { run, token, active: Box::new(active.clone()), why })
}

fn step_of_waiting(now: UnixMillis, entry: Entry<'_>, known: &KnownRun) -> Option<Step> {
    let active = known.active().filter(|active| active.is_waiting())?;
    if active.job != entry.created() && active.job != Revision::NONE {
        return end_waiting(known, "killed because the job was deleted");
    }
    if entry.of_job.kill.latest > known.created {
        return end_waiting(known, "killed on request");
    }
    let job = entry.job()?;
    let (run, token) = (known.run.clone(), known.token);
    match decide::waiting(now, CLAIM_LEAD, job, active.slot) {
        // A cursor of another timetable is armed first, and one that is ahead is set back first.
        decide::Waiting::Skip(_) if !entry.is_armed() || entry.is_ahead(now) => None,
        decide::Waiting::Wait(_) if entry.is_ahead(now) => None,
        decide::Waiting::Wait(at) => Some(Step::Wait(Some(at))),
        decide::Waiting::Skip(reason) => {
            let own = Skipped { from: active.slot, to: active.slot, count: Some(1), reason };
            let own = PendingSkip { skipped: own, job: active.job, epoch: active.epoch };
            let skipped = active.skips().chain([own]).collect();
            Some(Step::SkipWaiting { run, token, skipped })
        }
        // A worker of the replaced system runs the job. Its end is news.
        decide::Waiting::Run if job.is_exclusive() && entry.of_job.lock.holder == Holder::Somebody => None,
        decide::Waiting::Run => Some(Step::Retry { run, token, active: Box::new(active.clone()) }),
    }
}

const _: () = assert!(AT_ONCE < MOST_ASKED);
