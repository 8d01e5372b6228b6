//! The workers of the tree, and whose job is whose.
//!
//! A job is **owned** by one of them, so that in the steady state one worker asks for a slot and not all. The owner is
//! chosen by rendezvous hashing: each worker has a weight for each job, and the highest wins. So all agree without a
//! word, and when a worker comes or goes, only its own jobs move. Ownership is no exclusion: two workers that disagree
//! for a moment both ask, and the claim decides.
//!
//! Two questions have their own order. Who *runs* the job: those that take runs come first. Who is its *steward*, who tidies
//! up where nothing is to be run: whether a worker takes runs does not count. In both, only those are asked that understand
//! what the job needs.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use model::hash::stable_hash;
use model::run::SessionId;
use model::values::{NotClaiming, WorkerInfo};
use model::{JobName, UnixMillis, Words};

use crate::times::CLOCK_SKEW;

#[derive(Debug)]
struct Peer {
    info: WorkerInfo,
    /// How far its clock was ahead of ours when it last spoke, in milliseconds.
    ahead: Option<i64>,
}

/// What is new of a worker's registration, as far as owners depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerChange {
    None,
    /// It takes runs again, or takes none any more; before it said this.
    Claiming {
        before: Option<NotClaiming>,
    },
    /// It was not known, or understands other things than before.
    Whole,
}

/// All live workers. Only ours own jobs; those of the replaced system can't be told what to leave.
#[derive(Debug)]
pub(crate) struct Peers {
    me: SessionId,
    /// What this worker understands.
    features: Words,
    live: HashMap<SessionId, Peer>,
    /// Registrations that can't be read: workers of the replaced system.
    others: HashSet<SessionId>,
}

impl Peers {
    pub(crate) fn new(me: SessionId, features: Words) -> Self {
        Self { me, features, live: HashMap::new(), others: HashSet::new() }
    }

    /// This worker has a new session.
    pub(crate) fn rename(&mut self, me: SessionId) {
        self.me = me;
    }

    /// A worker registered, or says something new. `heard` is our clock, if it said so just now.
    pub(crate) fn put(
        &mut self,
        session: SessionId,
        info: WorkerInfo,
        heard: Option<UnixMillis>,
    ) -> PeerChange {
        let before = self.live.get(&session);
        let changed = match before.map(|before| &before.info) {
            Some(before) if before.features != info.features => PeerChange::Whole,
            Some(before) if before.not_claiming != info.not_claiming => {
                PeerChange::Claiming { before: before.not_claiming }
            }
            Some(_) => PeerChange::None,
            None => PeerChange::Whole,
        };
        let ahead = heard.zip(info.clock).map(|(here, there)| there.0 - here.0);
        let ahead = ahead.or(before.and_then(|before| before.ahead));
        self.live.insert(session, Peer { info, ahead });
        changed
    }

    /// Somebody registered whose value is not ours.
    pub(crate) fn put_other(&mut self, session: SessionId) {
        self.live.remove(&session);
        self.others.insert(session);
    }

    pub(crate) fn remove(&mut self, session: &SessionId) {
        self.live.remove(session);
        self.others.remove(session);
    }

    pub(crate) fn contains(&self, session: &SessionId) -> bool {
        self.live.contains_key(session) || self.others.contains(session)
    }

    pub(crate) fn sessions(&self) -> impl Iterator<Item = &SessionId> {
        self.live.keys().chain(&self.others)
    }

    /// The session of another worker with the same node and address, if there is one.
    pub(crate) fn namesake(&self, node: &str, address: &str) -> Option<&SessionId> {
        let same = |(session, peer): &(&SessionId, &Peer)| {
            **session != self.me && peer.info.node == node && peer.info.address == address
        };
        self.live.iter().find(same).map(|(session, _)| session)
    }

    /// Our place in the order of those who may run a job with these needs: its owner has 0, and so has everybody while our
    /// own registration was not seen. A worker that takes no jobs has its place behind those that do, unless none does.
    /// `None` where we lack something.
    pub(crate) fn rank(&self, name: &JobName, needs: &Words) -> Option<usize> {
        self.place(name, needs, |info| info.not_claiming.is_none())
    }

    /// As [`Self::rank`], among those who may tidy up for a job: whether they take runs does not count. One that is ending
    /// looks at nothing any more and comes last.
    pub(crate) fn steward(&self, name: &JobName, needs: &Words) -> Option<usize> {
        self.place(name, needs, |info| info.not_claiming != Some(NotClaiming::Ending))
    }

    /// Whether our place in the order of a job, of either question, may be another one since a worker takes runs again, or
    /// takes none any more. `before` is what it said before.
    pub(crate) fn moves(&self, name: &JobName, session: &SessionId, before: Option<NotClaiming>) -> bool {
        let (Some(mine), Some(peer)) = (self.live.get(&self.me), self.live.get(session)) else { return true };
        let hash = |info: &WorkerInfo| stable_hash(&[name.as_str(), &info.node, &info.address]);
        let (ours, theirs) = (hash(&mine.info), hash(&peer.info));
        if *session == self.me || ours == theirs {
            return true;
        }
        let claims = |not_claiming: Option<NotClaiming>| not_claiming.is_none();
        let stays = |not_claiming: Option<NotClaiming>| not_claiming != Some(NotClaiming::Ending);
        let is_before = |is_able: &dyn Fn(Option<NotClaiming>) -> bool, not_claiming| {
            (is_able(not_claiming), theirs) > (is_able(mine.info.not_claiming), ours)
        };
        let now = peer.info.not_claiming;
        is_before(&claims, before) != is_before(&claims, now)
            || is_before(&stays, before) != is_before(&stays, now)
    }

    /// Whether a live worker understands all of this.
    pub(crate) fn anybody_has(&self, needs: &Words) -> bool {
        self.features.hold(needs) || self.live.values().any(|peer| peer.info.features.hold(needs))
    }

    fn place(&self, name: &JobName, needs: &Words, is_able: impl Fn(&WorkerInfo) -> bool) -> Option<usize> {
        if !self.features.hold(needs) {
            return None;
        }
        if self.live.len() < 2 {
            return Some(0);
        }
        let Some(mine) = self.live.get(&self.me) else { return Some(0) };
        let weight =
            |info: &WorkerInfo| (is_able(info), stable_hash(&[name.as_str(), &info.node, &info.address]));
        // Workers that are named alike share what would be one worker's.
        let among_namesakes = |session: &SessionId| stable_hash(&[name.as_str(), &session.0]);
        let ours = weight(&mine.info);
        let is_before = |(session, peer): &(&SessionId, &Peer)| match weight(&peer.info).cmp(&ours) {
            Ordering::Equal => (among_namesakes(session), *session) > (among_namesakes(&self.me), &self.me),
            order => order.is_gt(),
        };
        let knows = |(_, peer): &(&SessionId, &Peer)| peer.info.features.hold(needs);
        Some(self.live.iter().filter(knows).filter(is_before).count())
    }

    /// Our clock was set forward by so many milliseconds, or back.
    pub(crate) fn clock_stepped(&mut self, step: i64) {
        for peer in self.live.values_mut() {
            peer.ahead = peer.ahead.map(|ahead| ahead - step);
        }
    }

    /// What the clocks of all live workers show, as far as they told; `now` is ours.
    pub(crate) fn clocks(&self, now: UnixMillis) -> impl Iterator<Item = UnixMillis> {
        let others = self.live.iter().filter(|(session, _)| **session != self.me);
        let clock = move |peer: &Peer| match peer.ahead {
            Some(ahead) => UnixMillis(now.0 + ahead),
            // It was told before this worker came.
            None => peer.info.clock.unwrap_or(peer.info.since),
        };
        others.map(move |(_, peer)| clock(peer)).chain([now])
    }

    /// By how many milliseconds the median of the others' clocks is ahead of ours, if that is too much. Nobody can tell
    /// which of two clocks is wrong, so at least two others must have spoken.
    pub(crate) fn skew(&self) -> Option<i64> {
        let others = self.live.iter().filter(|(session, _)| **session != self.me);
        let mut ahead: Vec<i64> = others.filter_map(|(_, peer)| peer.ahead).collect();
        if ahead.len() < 2 {
            return None;
        }
        ahead.sort_unstable();
        // Of two in the middle the one that is nearer to ours: the other may be the wrong one.
        let middle = [ahead[(ahead.len() - 1) / 2], ahead[ahead.len() / 2]];
        let median = *middle.iter().min_by_key(|ahead| ahead.unsigned_abs())?;
        (u128::from(median.unsigned_abs()) > CLOCK_SKEW.as_millis()).then_some(median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(text: &str) -> SessionId {
        SessionId(text.to_owned())
    }

    fn words(words: &[&str]) -> Words {
        words.iter().copied().collect()
    }

    fn info(node: &str) -> WorkerInfo {
        WorkerInfo::new(node, node, "1", UnixMillis(0))
    }

    /// How each of the named workers sees the same tree.
    fn views(nodes: &[&str]) -> Vec<Peers> {
        let see = |me: &&str| {
            let mut peers = Peers::new(session(me), Words::default());
            for node in nodes {
                peers.put(session(node), info(node), None);
            }
            peers
        };
        nodes.iter().map(see).collect()
    }

    fn jobs() -> impl Iterator<Item = JobName> {
        (0..1000).map(|i| JobName::new(&format!("job-{i}")).unwrap())
    }

    fn owners(views: &[Peers]) -> Vec<usize> {
        let owner = |job: JobName| {
            let ranks: Vec<usize> =
                views.iter().map(|view| view.rank(&job, &Words::default()).unwrap()).collect();
            let mut sorted = ranks.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..views.len()).collect::<Vec<_>>(), "each place is taken once");
            ranks.iter().position(|rank| *rank == 0).unwrap()
        };
        jobs().map(owner).collect()
    }

    #[test]
    fn every_job_has_one_owner_and_each_worker_its_share() {
        let owners = owners(&views(&["a", "b", "c"]));
        for worker in 0..3 {
            let share = owners.iter().filter(|owner| **owner == worker).count();
            assert!((250..420).contains(&share), "{worker} has {share} of 1000");
        }
    }

    #[test]
    fn only_the_jobs_of_a_worker_that_goes_move() {
        let (three, two) = (owners(&views(&["a", "b", "c"])), owners(&views(&["a", "b"])));
        for (before, after) in three.iter().zip(&two) {
            assert!(*before == 2 || before == after);
        }
    }

    #[test]
    fn workers_that_are_named_alike_share_the_jobs() {
        let see = |me: &str| {
            let mut peers = Peers::new(session(me), Words::default());
            for id in ["one", "two"] {
                peers.put(session(id), info("a"), None);
            }
            peers
        };
        let owners = owners(&[see("one"), see("two")]);
        let share = owners.iter().filter(|owner| **owner == 0).count();
        assert!((400..600).contains(&share), "one has {share} of 1000");
    }

    #[test]
    fn a_worker_that_takes_no_jobs_owns_none_unless_nobody_takes_any() {
        let mut views = views(&["a", "b"]);
        let full = WorkerInfo { not_claiming: Some(NotClaiming::Full), ..info("a") };
        for view in &mut views {
            assert_ne!(view.put(session("a"), full.clone(), None), PeerChange::None, "owners have changed");
        }
        assert!(owners(&views).iter().all(|owner| *owner == 1));
        let full = WorkerInfo { not_claiming: Some(NotClaiming::Full), ..info("b") };
        for view in &mut views {
            view.put(session("b"), full.clone(), None);
        }
        assert!(owners(&views).contains(&0));
    }

    #[test]
    fn a_job_is_owned_and_tidied_up_by_those_who_have_what_it_needs() {
        let features = |node: &str| if node == "a" { Words::default() } else { words(&["f", "g"]) };
        let see = |me: &&str| {
            let mut peers = Peers::new(session(me), features(me));
            for node in ["a", "b", "c"] {
                peers.put(session(node), WorkerInfo { features: features(node), ..info(node) }, None);
            }
            peers
        };
        let mut views: Vec<Peers> = ["a", "b", "c"].iter().map(see).collect();
        let owners = |views: &[Peers], needs: &Words| -> Vec<usize> {
            let owner = |job: JobName| {
                let owns: Vec<usize> = (0..3).filter(|n| views[*n].rank(&job, needs) == Some(0)).collect();
                assert_eq!(owns.len(), 1, "{job}: {owns:?}");
                owns[0]
            };
            jobs().map(owner).collect()
        };
        let (all, able) = (owners(&views, &Words::default()), owners(&views, &words(&["f"])));
        assert!(all.contains(&0) && !able.contains(&0));
        assert!(all.iter().zip(&able).all(|(all, able)| *all == 0 || all == able), "only a's jobs move");
        let job = JobName::new("job").unwrap();
        assert_eq!(views[0].rank(&job, &words(&["f"])), None);
        assert_eq!(views[1].steward(&job, &words(&["f", "x"])), None);
        assert!(views[0].anybody_has(&words(&["g"])) && !views[0].anybody_has(&words(&["x"])));
        // Whoever takes no runs tidies up all the same, unless it is ending.
        for (why, stewards) in [(NotClaiming::Full, true), (NotClaiming::Ending, false)] {
            let info = WorkerInfo { not_claiming: Some(why), features: features("b"), ..info("b") };
            for view in &mut views {
                view.put(session("b"), info.clone(), None);
            }
            assert!(jobs().all(|job| views[1].rank(&job, &words(&["f"])) == Some(1)));
            let tidies = jobs().any(|job| views[1].steward(&job, &words(&["f"])) == Some(0));
            assert_eq!(tidies, stewards, "{why:?}");
        }
        let gained = WorkerInfo { features: words(&["f"]), ..info("a") };
        assert_ne!(views[1].put(session("a"), gained, None), PeerChange::None, "owners have changed");
    }

    #[test]
    fn a_worker_that_takes_no_runs_any_more_changes_our_place_in_some_jobs_and_those_are_known() {
        let mut changed = 0;
        for mine in [None, Some(NotClaiming::Full)] {
            for (before, now) in [
                (None, Some(NotClaiming::Full)),
                (Some(NotClaiming::Full), None),
                (Some(NotClaiming::Full), Some(NotClaiming::Ending)),
            ] {
                let mut peers = views(&["a", "b", "c"]).swap_remove(0);
                let says = |node, not_claiming| WorkerInfo { not_claiming, ..info(node) };
                peers.put(session("a"), says("a", mine), None);
                peers.put(session("b"), says("b", before), None);
                let places = |peers: &Peers, job: &JobName| {
                    (peers.rank(job, &Words::default()), peers.steward(job, &Words::default()))
                };
                let former: Vec<_> = jobs().map(|job| places(&peers, &job)).collect();
                let change = peers.put(session("b"), says("b", now), None);
                assert_eq!(change, PeerChange::Claiming { before });
                for (job, former) in jobs().zip(former) {
                    let moves = peers.moves(&job, &session("b"), before);
                    assert_eq!(moves, places(&peers, &job) != former, "{job} {mine:?} {before:?} {now:?}");
                    changed += usize::from(moves);
                }
            }
        }
        assert!((500..4000).contains(&changed), "{changed} of 6000");
    }

    #[test]
    fn of_three_clocks_only_the_one_that_is_alone_is_wrong() {
        let spoke = |ahead: i64| WorkerInfo { clock: Some(UnixMillis(1_000_000 + ahead)), ..info("x") };
        for (first, second, expected) in
            [(0, 600_000, None), (0, -600_000, None), (-600_000, -600_000, Some(-600_000))]
        {
            let mut peers = Peers::new(session("me"), Words::default());
            peers.put(session("b"), spoke(first), Some(UnixMillis(1_000_000)));
            peers.put(session("c"), spoke(second), Some(UnixMillis(1_000_000)));
            assert_eq!(peers.skew(), expected, "{first} {second}");
        }
    }

    #[test]
    fn a_clock_is_wrong_only_against_the_median_of_at_least_two_others() {
        let spoke = |ahead: i64| WorkerInfo { clock: Some(UnixMillis(1_000_000 + ahead)), ..info("x") };
        let here = Some(UnixMillis(1_000_000));
        let mut peers = Peers::new(session("me"), Words::default());
        peers.put(session("b"), spoke(61_000), here);
        assert_eq!(peers.skew(), None, "either may be right");
        peers.put(session("c"), spoke(62_000), here);
        assert_eq!(peers.skew(), Some(61_000));
        peers.put(session("d"), spoke(0), here);
        peers.put(session("e"), spoke(10), here);
        peers.put(session("f"), spoke(20), here);
        assert_eq!(peers.skew(), None, "most agree with ours");
    }
}
