//! Keeping the session: renewing it, and what happens when it ends.
//!
//! The executor knows until when the session is sure to live (the fence) and ends exclusive commands by itself when that
//! passes. Here is the other half: the session is renewed only while this worker is fit to work, nothing is claimed
//! beyond the fence, and a new session begins only once no exclusive command of the former one is left.

use std::time::{Duration, Instant};

use futures::future::FutureExt;
use model::JobName;
use model::keys::Key;
use model::values::{ActiveRun, NotClaiming};
use store::{Renewed, RunLog, Session, Tree, TreeError, protocol};

use super::Engine;
use super::replies::Reply;
use crate::executor::{Boottime, Fence, RunKey};
use crate::finish::{RETRY_AFTER, Trouble, in_words};
use crate::state::State;
use crate::times::{ANNOUNCE_EVERY, EXECUTOR_ANSWERS, TREE_SPEAKS, Times};
use crate::{new_session_id, now};

/// Between two announcements that have a reason.
const ANNOUNCE_PAUSE: Duration = Duration::from_secs(1);

/// A session that has to be renewed.
#[derive(Debug)]
pub(super) struct Keeper {
    times: Times,
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
    /// A renewal is under way.
    Asked,
    /// It has ended; the next one waits for the last exclusive command.
    Ended,
    /// The next one is being opened.
    Opening,
}

impl Keeper {
    /// `asked` is when the session was asked for. A session that lasts as long as the process needs no keeper.
    pub(super) fn new(session: &Session, asked: Boottime) -> Option<Self> {
        let times = Times::of(session.lasts?);
        let next = Boottime(asked.0 + times.renew_every);
        Some(Self { times, renewed: asked, next, stage: Stage::Held, why: None })
    }

    fn fence(&self) -> Fence {
        Fence { deadline: Boottime(self.renewed.0 + self.times.fence), grace: self.times.grace }
    }

    fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Held | Stage::Asked) && Boottime::now() < self.fence().deadline
    }

    /// How long there is nothing to do.
    pub(super) fn sleep(&self) -> Duration {
        match self.stage {
            Stage::Held | Stage::Ended => self.next.0.saturating_sub(Boottime::now().0),
            Stage::Asked | Stage::Opening => Duration::MAX,
        }
    }
}

impl<T: Tree, L: RunLog> Engine<T, L> {
    /// Whether commands of the present session may start.
    pub(super) fn may_start(&self) -> bool {
        self.keeper.as_ref().is_none_or(Keeper::is_held)
    }

    /// Renews the session, opens the next one, tells the others about this worker: whatever is due of it.
    pub(super) fn keep_session(&mut self) {
        self.publish_state();
        let Some(keeper) = &mut self.keeper else { return };
        let asked = Boottime::now();
        if asked >= keeper.next {
            keeper.next = Boottime(asked.0 + keeper.times.renew_every);
            match keeper.stage {
                Stage::Held => self.renew(asked),
                Stage::Ended => self.open_next(asked),
                Stage::Asked | Stage::Opening => {}
            }
        }
        self.announce();
    }

    fn renew(&mut self, asked: Boottime) {
        if let Some(executor) = &self.executor {
            executor.ping();
        }
        let unfit = self.unfit();
        let Some(keeper) = &mut self.keeper else { return };
        if let Some(why) = unfit {
            if keeper.why.as_ref() != Some(&why) {
                tracing::error!(%why, "the session is not renewed, so that other workers take over");
                keeper.why = Some(why);
            }
            return;
        }
        keeper.stage = Stage::Asked;
        let (tree, session, timeout) = (self.tree.clone(), self.session.clone(), keeper.times.renew_timeout);
        let future = async move {
            let reply = tokio::time::timeout(timeout, tree.renew_session(&session)).await;
            let reply = reply.unwrap_or_else(|_| {
                Err(TreeError::Unavailable(format!("no answer within {} ms", timeout.as_millis()).into()))
            });
            Reply::Renewed { asked, reply }
        };
        self.in_flight.push(future.boxed());
    }

    /// Why this worker should not keep its jobs.
    fn unfit(&self) -> Option<String> {
        if self.answered.elapsed() > EXECUTOR_ANSWERS {
            return Some("the process that runs the commands does not answer".to_owned());
        }
        (self.heard.elapsed() > TREE_SPEAKS).then(|| "there is no news of the job tree".to_owned())
    }

    pub(super) fn renewed(&mut self, asked: Boottime, reply: Result<Renewed, TreeError>) {
        let Some(keeper) = &mut self.keeper else { return };
        if keeper.stage != Stage::Asked {
            // News of its end came first.
            return;
        }
        keeper.stage = Stage::Held;
        match reply {
            Ok(Renewed::Lives) => {
                keeper.renewed = asked;
                keeper.why = None;
                self.send_fence();
            }
            Ok(Renewed::Ended) => self.session_ended("the session ended before it was renewed"),
            Err(why) => {
                self.metrics.store_errors.inc();
                keeper.next = Boottime(Boottime::now().0 + keeper.times.renew_every / 4);
                keeper.why = Some(in_words(&why));
                Trouble::tell(&self.trouble, &why);
            }
        }
    }

    /// Whoever ended it, its exclusive commands have no claim any more.
    pub(super) fn session_ended(&mut self, why: &str) {
        let Some(keeper) = &mut self.keeper else { return };
        if matches!(keeper.stage, Stage::Ended | Stage::Opening) {
            return;
        }
        tracing::error!(session = %self.session.id, "{why}; a new one follows once its commands have ended");
        keeper.stage = Stage::Ended;
        keeper.why = Some(why.to_owned());
        keeper.next = Boottime::now();
        keeper.renewed = Boottime(Duration::ZERO);
        self.send_fence();
    }

    /// Tells the executor until when the session is sure to live.
    pub(super) fn send_fence(&self) {
        if let (Some(executor), Some(keeper)) = (&self.executor, &self.keeper) {
            executor.fence(Some(keeper.fence()));
        }
    }

    fn open_next(&mut self, asked: Boottime) {
        if self.give_up.is_some() || self.runs.alive().any(|(_, running)| running.job.is_exclusive()) {
            return;
        }
        let Some(keeper) = &mut self.keeper else { return };
        keeper.stage = Stage::Opening;
        let (tree, info) = (self.tree.clone(), self.info());
        let id = new_session_id(&self.config.node);
        let future = async move { Reply::Opened { asked, reply: tree.open_session(id, &info).await } };
        self.in_flight.push(future.boxed());
    }

    pub(super) fn opened(&mut self, asked: Boottime, reply: Result<Session, TreeError>) {
        match reply {
            Ok(session) => {
                tracing::info!(session = %session.id, "a new session has begun");
                self.metrics.sessions.inc();
                self.over_trouble();
                self.keeper = Keeper::new(&session, asked);
                self.view.rename(session.id.clone());
                self.former.push(std::mem::replace(&mut self.session, session).id);
                self.send_fence();
                self.readopt();
                self.look_at_all_again();
            }
            Err(why) => {
                self.metrics.store_errors.inc();
                if let Some(keeper) = &mut self.keeper {
                    keeper.stage = Stage::Ended;
                    keeper.why = Some(in_words(&why));
                    keeper.next = Boottime(asked.0 + RETRY_AFTER);
                }
                Trouble::tell(&self.trouble, &why);
            }
        }
    }

    /// Runs that may overlap with others go on when their session ends; the new one takes them over.
    fn readopt(&mut self) {
        let alive = self
            .runs
            .alive()
            .map(|(key, running)| (key, running.job.name.clone(), running.run.clone(), running.token));
        for (key, name, run, token) in alive.collect::<Vec<_>>() {
            let (tree, session, trouble) = (self.tree.clone(), self.session.clone(), self.trouble.clone());
            let future = async move {
                let moved = loop {
                    let found = tree.get(Key::Run(name.clone(), run.clone())).await;
                    let moved = match found {
                        Ok(Some(pair)) if pair.modified == token => {
                            let Ok(active) = protocol::read::<ActiveRun>(&pair) else { break None };
                            let txn = protocol::readopt(&name, (&run, &active), token, &session);
                            tree.commit(txn).await.map(|reply| reply.succeeded.then_some(reply.revision))
                        }
                        Ok(Some(_) | None) => Ok(None),
                        Err(why) => Err(why),
                    };
                    match moved {
                        Ok(moved) => break moved,
                        Err(why) => Trouble::tell(&trouble, &why),
                    }
                    tokio::time::sleep(RETRY_AFTER).await;
                };
                Reply::Readopted { name, key, moved }
            };
            self.in_flight.push(future.boxed());
        }
    }

    pub(super) fn readopted(&mut self, name: &JobName, key: RunKey, moved: Option<model::run::Revision>) {
        match moved {
            Some(token) => self.runs.moved(key, token),
            None => {
                tracing::warn!(job = %name, "a run of the former session was declared lost meanwhile; it goes on, and its record will say how it ended");
            }
        }
    }

    /// What the others are to know of this worker.
    pub(super) fn info(&self) -> model::values::WorkerInfo {
        let mut info = self.config.info();
        info.since = self.since;
        info.not_claiming = self.not_claiming;
        info.clock = Some(now());
        info
    }

    /// Says from time to time that this worker is there, and soon whether it takes jobs, when that changes.
    fn announce(&mut self) {
        let skewed = self.view.peers.skew();
        let not_claiming = if skewed.is_some() {
            Some(NotClaiming::ClockSkew)
        } else {
            self.is_full().then_some(NotClaiming::Full)
        };
        if not_claiming != self.not_claiming {
            if let Some(ahead) = skewed {
                tracing::error!(
                    seconds = ahead / 1000,
                    "the other workers' clocks are ahead of this one by that much; it takes no jobs until that is mended"
                );
            }
            self.not_claiming = not_claiming;
            self.announce_at = self.announce_at.min(self.announced + ANNOUNCE_PAUSE);
        }
        if Instant::now() < self.announce_at || !self.may_start() {
            return;
        }
        self.announced = Instant::now();
        self.announce_at = self.announced + ANNOUNCE_EVERY;
        let (tree, txn) = (self.tree.clone(), protocol::announce(&self.session, &self.info()));
        self.in_flight.push(async move { Reply::Announced(tree.commit(txn).await) }.boxed());
    }

    /// Another worker came: it is told about this one at once.
    pub(super) fn announce_soon(&mut self) {
        self.announce_at = self.announce_at.min(self.announced + ANNOUNCE_PAUSE);
    }

    pub(super) fn is_full(&self) -> bool {
        self.config.max_runs.is_some_and(|most| self.runs.len() + self.claiming >= most.get())
    }

    fn publish_state(&self) {
        let session = match &self.keeper {
            Some(keeper) if !keeper.is_held() => {
                let why = keeper.why.as_deref().unwrap_or("no renewal was acknowledged in time");
                Err(format!("there is no session: {why}"))
            }
            _ => Ok(()),
        };
        let silent = self.keeper.is_some() && self.heard.elapsed() > TREE_SPEAKS;
        let tree = if !self.listed || self.listing.is_some() {
            Err("the job tree is being read".to_owned())
        } else if silent {
            Err("there is no news of the job tree".to_owned())
        } else {
            Ok(())
        };
        let silent = self.keeper.is_some() && self.answered.elapsed() > EXECUTOR_ANSWERS;
        let executor = if self.executor.is_none() || silent {
            Err("the process that runs the commands does not answer".to_owned())
        } else {
            Ok(())
        };
        let state = State { session, tree, executor };
        self.state.send_if_modified(|before| {
            let changed = *before != state;
            *before = state;
            changed
        });
    }
}
