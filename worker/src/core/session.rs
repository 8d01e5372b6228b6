//! The session of this worker: until when it is sure to live, when to renew it, and when the next one may begin.
//!
//! The executor knows until when the session is sure to live (the **fence**) and ends exclusive commands by itself when
//! that passes. Here is the other half: nothing is claimed beyond the fence, and a new session begins only once no
//! exclusive command of the former one is left.

use std::time::Duration;

use model::run::SessionId;
use store::Session;

use super::AskId;
use crate::executor::{Boottime, Fence};
use crate::times::Times;

/// The present session, and those before it.
#[derive(Debug)]
pub(super) struct Sessions {
    present: Session,
    /// The sessions that this process had before.
    former: Vec<SessionId>,
    /// `None` where a session lasts as long as the process.
    times: Option<Times>,
    /// When the last acknowledged renewal was asked for.
    renewed: Boottime,
    /// When to ask next.
    next: Boottime,
    stage: Stage,
    /// Why the last renewal did not pass.
    why: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It lives as far as is known.
    Held,
    /// A renewal is under way since this instant.
    Asked(AskId, Boottime),
    /// It has ended; the next one waits for the last exclusive command.
    Ended,
    /// The next one is being opened since this instant.
    Opening(AskId, Boottime),
}

/// What is to be done about the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// Renew it.
    Renew,
    /// Open the next one, if nothing of this one is in its way.
    Open,
}

impl Sessions {
    /// `asked` is when the session was asked for.
    pub(super) fn new(session: Session, asked: Boottime) -> Self {
        let times = session.lasts.map(Times::of);
        let mut new = Self {
            present: session,
            former: Vec::new(),
            times,
            renewed: asked,
            next: asked,
            stage: Stage::Held,
            why: None,
        };
        new.plan_renewal(asked);
        new
    }

    pub(super) fn present(&self) -> &Session {
        &self.present
    }

    /// Whether a session is one of this process, present or former.
    pub(super) fn is_mine(&self, session: &SessionId) -> bool {
        *session == self.present.id || self.former.contains(session)
    }

    /// All sessions of this process.
    pub(super) fn all(&self) -> impl Iterator<Item = &SessionId> {
        self.former.iter().chain([&self.present.id])
    }

    /// Whether it has to be renewed at all.
    pub(super) fn is_leased(&self) -> bool {
        self.times.is_some()
    }

    /// Whether commands of the present session may start.
    pub(super) fn may_start(&self, now: Boottime) -> bool {
        self.fence().is_none_or(|fence| now < fence.deadline)
    }

    /// What the executor is told.
    pub(super) fn fence(&self) -> Option<Fence> {
        let times = self.times?;
        let deadline = match self.stage {
            Stage::Held | Stage::Asked(..) => Boottime(self.renewed.0 + times.fence),
            Stage::Ended | Stage::Opening(..) => Boottime(Duration::ZERO),
        };
        Some(Fence { deadline, grace: times.grace })
    }

    /// How long a renewal is waited for.
    pub(super) fn renew_timeout(&self) -> Duration {
        self.times.map_or(Duration::MAX, |times| times.renew_timeout)
    }

    /// Whether the next one is being opened.
    pub(super) fn is_opening(&self) -> bool {
        matches!(self.stage, Stage::Opening(..))
    }

    /// Why there is no session, if there is none.
    pub(super) fn missing(&self, now: Boottime) -> Option<&str> {
        let why = || self.why.as_deref().unwrap_or("no renewal was acknowledged in time");
        (!self.may_start(now)).then(why)
    }

    /// How long there is nothing to do.
    pub(super) fn sleep(&self, now: Boottime) -> Option<Duration> {
        match self.stage {
            Stage::Held | Stage::Ended if self.is_leased() => Some(self.next.0.saturating_sub(now.0)),
            _ => None,
        }
    }

    /// What is due now. It is asked for again after a while, whether or not anything is done about it.
    pub(super) fn due(&mut self, now: Boottime) -> Option<Care> {
        if !self.is_leased() || now < self.next {
            return None;
        }
        let care = match self.stage {
            Stage::Held => Care::Renew,
            Stage::Ended => Care::Open,
            Stage::Asked(..) | Stage::Opening(..) => return None,
        };
        self.plan_renewal(now);
        Some(care)
    }

    fn plan_renewal(&mut self, from: Boottime) {
        if let Some(times) = self.times {
            self.next = Boottime(from.0 + times.renew_every);
        }
    }

    /// A renewal is not asked for, for this reason. Returns whether the reason is a new one.
    pub(super) fn not_renewed(&mut self, why: &str) -> bool {
        let new = self.why.as_deref() != Some(why);
        self.why = Some(why.to_owned());
        new
    }

    /// A renewal is under way.
    pub(super) fn renewing(&mut self, ask: AskId, now: Boottime) {
        self.stage = Stage::Asked(ask, now);
    }

    /// The renewal passed. Returns whether that is still news: its end may have been told before.
    pub(super) fn renewed(&mut self, ask: AskId) -> bool {
        let Stage::Asked(asked, at) = self.stage else { return false };
        if asked == ask {
            (self.stage, self.renewed, self.why) = (Stage::Held, at, None);
        }
        asked == ask
    }

    /// The renewal was not answered. Returns whether it is tried again.
    pub(super) fn renewal_failed(&mut self, ask: AskId, now: Boottime, why: String) -> bool {
        let Stage::Asked(asked, _) = self.stage else { return false };
        if asked == ask {
            let pause = self.times.map_or(Duration::ZERO, |times| times.renew_every / 4);
            (self.stage, self.next, self.why) = (Stage::Held, Boottime(now.0 + pause), Some(why));
        }
        asked == ask
    }

    /// Whether this is the renewal that is under way.
    pub(super) fn is_renewing(&self, ask: AskId) -> bool {
        matches!(self.stage, Stage::Asked(asked, _) if asked == ask)
    }

    /// Whoever ended it, its exclusive commands have no claim any more. Returns whether that is news.
    pub(super) fn ended(&mut self, now: Boottime, why: &str) -> bool {
        if !self.is_leased() || matches!(self.stage, Stage::Ended | Stage::Opening(..)) {
            return false;
        }
        (self.stage, self.next, self.why) = (Stage::Ended, now, Some(why.to_owned()));
        true
    }

    /// The next one is being opened.
    pub(super) fn opening(&mut self, ask: AskId, now: Boottime) {
        self.stage = Stage::Opening(ask, now);
    }

    /// The next one is there.
    pub(super) fn opened(&mut self, ask: AskId, session: Session) {
        let Stage::Opening(asked, at) = self.stage else { return };
        if asked == ask {
            let former = std::mem::take(&mut self.former);
            let before = std::mem::replace(self, Self::new(session, at));
            self.former = former;
            self.former.push(before.present.id);
        }
    }

    /// The next one could not be opened; it is tried again `after` this.
    pub(super) fn not_opened(&mut self, ask: AskId, now: Boottime, after: Duration, why: String) {
        if matches!(self.stage, Stage::Opening(asked, _) if asked == ask) {
            (self.stage, self.next, self.why) = (Stage::Ended, Boottime(now.0 + after), Some(why));
        }
    }
}

#[cfg(test)]
mod tests {
    use model::run::Revision;
    use store::LeaseId;

    use super::*;

    fn session(id: &str) -> Session {
        let lasts = Some(Duration::from_secs(15));
        Session { id: SessionId(id.to_owned()), registered: Revision(1), lease: LeaseId(1), lasts }
    }

    fn at(seconds: u64) -> Boottime {
        Boottime(Duration::from_secs(seconds))
    }

    #[test]
    fn nothing_starts_beyond_the_fence_which_a_renewal_moves_from_when_it_was_asked_for() {
        let mut sessions = Sessions::new(session("a"), at(100));
        assert!(sessions.may_start(at(108)) && !sessions.may_start(at(109)));
        assert_eq!(sessions.due(at(102)), None);
        assert_eq!(sessions.due(at(103)), Some(Care::Renew));
        sessions.renewing(AskId(1), at(103));
        assert!(sessions.renewed(AskId(1)));
        assert!(sessions.may_start(at(111)) && !sessions.may_start(at(112)));
    }

    #[test]
    fn an_answer_to_the_renewal_of_a_former_session_renews_nothing() {
        let mut sessions = Sessions::new(session("a"), at(0));
        sessions.renewing(AskId(1), at(3));
        assert!(sessions.ended(at(4), "its key was removed"));
        assert!(!sessions.may_start(at(4)));
        assert_eq!(sessions.due(at(4)), Some(Care::Open));
        sessions.opening(AskId(2), at(4));
        sessions.opened(AskId(2), session("b"));
        assert!(sessions.may_start(at(5)));
        sessions.renewing(AskId(3), at(7));
        assert!(!sessions.renewed(AskId(1)), "of the former session");
        assert!(!sessions.renewal_failed(AskId(1), at(8), "late".to_owned()));
        assert!(sessions.is_renewing(AskId(3)));
        assert!(sessions.is_mine(&SessionId("a".to_owned())) && sessions.is_mine(&SessionId("b".to_owned())));
    }

    #[test]
    fn an_embedded_tree_s_session_needs_no_care() {
        let mut sessions = Sessions::new(Session { lasts: None, ..session("a") }, at(0));
        assert!(sessions.may_start(at(1_000_000)) && sessions.fence().is_none());
        assert_eq!((sessions.due(at(1_000_000)), sessions.sleep(at(5))), (None, None));
        assert!(!sessions.ended(at(1), "no"), "it lasts as long as the process");
    }
}
