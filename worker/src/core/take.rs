//! Taking inputs in: news of the tree, and which answer belongs to what was asked.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use model::keys::Key;
use model::run::{Revision, RunId, SessionId};
use model::{JobName, Lane};
use store::{Follow, TxnReply};

use super::runs::Stage;
use super::transactions::Ask;
use super::view::{News, View};
use super::{Act, AskId, Core, Count, Ending, Input, LAST_WRITES, Level, Order};
use crate::executor::{Boottime, RunKey};
use crate::{Malformed, Report};

impl Core {
    pub(super) fn take_in(&mut self, input: Input) {
        match input {
            Input::Tick => {}
            Input::Tree(news) => self.take_change(news),
            Input::Committed(id, reply) => {
                if let Ok(reply) = &reply
                    && self.is_from_the_past(id, reply)
                {
                    self.restored();
                }
                self.committed(id, reply);
            }
            Input::Appended(id, reply) => match self.asked.remove(&id) {
                Some((Ask::Append(end), _)) => self.appended_end(end, reply),
                Some((Ask::Note { lane, skipped }, _)) => self.noted(&lane, &skipped, reply),
                _ => {}
            },
            Input::Found(id, reply) => {
                if let Some((Ask::Find { lane, run, token, dead }, _)) = self.asked.remove(&id) {
                    self.found(&lane, &run, token, dead, reply);
                }
            }
            Input::Renewed(id, reply) => self.renewed(id, reply),
            Input::Opened(id, reply) => self.opened(id, reply),
            Input::Executor(event) => self.take_event(event),
            Input::Spawned(spawned) => self.spawned(spawned),
            Input::Swept(session) => self.swept(&session),
            Input::Stop { grace } => self.stop(grace),
        }
    }

    fn committed(&mut self, id: AskId, reply: Result<TxnReply, store::TreeError>) {
        let Some((ask, _)) = self.asked.remove(&id) else { return };
        if let Ok(reply) = &reply {
            self.view.heard_of(reply.revision);
        }
        match ask {
            Ask::Claim { key, known, to } => self.claimed(key, known, Some(to), reply),
            Ask::Retry { key, known } => self.claimed(key, known, None, reply),
            Ask::Pass { lane, job, known, to, status, waiting } => {
                self.passed(&lane, &job, known, to, status, waiting.as_ref(), reply);
            }
            Ask::Collect { lane, lock } => self.collected(&lane, lock, reply),
            Ask::GiveBack { lane, run, token } => self.gave_back(&lane, &run, token, reply),
            Ask::Declare { lane, run, ended } => self.declared(&lane, &run, &ended, reply),
            Ask::Readopt { key, active } => self.readopted(key, active, reply),
            Ask::Announce => {
                if let Err(why) = reply {
                    self.trouble_with(&why);
                }
            }
            Ask::Finish(end) => self.finished(end, reply),
            Ask::Release(end) => self.released(end, reply),
            Ask::Append(_) | Ask::Note { .. } | Ask::Find { .. } => {}
        }
    }

    /// Whether a reply shows a tree that is older than what was known when the request was sent: a backup was restored.
    fn is_from_the_past(&self, id: AskId, reply: &TxnReply) -> bool {
        self.asked.get(&id).is_some_and(|(_, known)| reply.revision < *known)
    }

    /// Another tree is there than the one that was followed: nothing that is known of it counts any more.
    fn restored(&mut self) {
        let text = "the job tree is older than it was: it seems to have been restored from a backup; reading all of it";
        self.note(Level::Error, None, text);
        self.end_session("the job tree was replaced by an older one");
        let session = self.sessions.present().id.clone();
        self.view =
            View::new(self.config.prefix.clone(), session, self.config.zone, self.config.features.clone());
        self.line = super::Line::default();
        (self.listed, self.listing) = (false, None);
        for (_, known) in self.asked.values_mut() {
            *known = Revision::NONE;
        }
        self.act(Act::Follow);
    }

    fn take_change(&mut self, change: Follow) {
        #[cfg(feature = "broken-rules")]
        if self.ending.is_some() && self.breaks(super::Broken::DeafWhileEnding) {
            return;
        }
        self.heard = self.now.boot;
        match change {
            Follow::Page(pairs) => {
                for pair in pairs {
                    if let Some(listing) = &mut self.listing {
                        listing.insert(pair.key.clone());
                    }
                    // What is listed is as new as anything that was known when the listing began.
                    let news = self.view.put(&pair, Revision(i64::MAX));
                    self.take_news(news);
                }
            }
            Follow::Listed(revision) => self.take_listing(revision),
            Follow::Changed(changes) => {
                let mut latest = Revision::NONE;
                for change in changes {
                    latest = match &change {
                        store::Change::Put(pair) => pair.modified,
                        store::Change::Deleted { revision, .. } => *revision,
                    };
                    let news = self.view.apply(change, self.now.wall);
                    self.take_news(news);
                }
                if self.listed && self.listing.is_none() {
                    self.view.follow_to(latest);
                }
            }
            Follow::Current(revision) => {
                if self.listed && self.listing.is_none() {
                    self.view.follow_to(revision);
                }
            }
            Follow::Again(why) => {
                let text =
                    format!("changes of the job tree may have been missed; reading all of it again: {why}");
                self.note(Level::Warn, None, text);
                self.listing = Some(HashSet::new());
            }
        }
    }

    fn take_listing(&mut self, revision: Revision) {
        self.listed = true;
        self.count(Count::Listing);
        if let Some(listing) = self.listing.take() {
            // All jobs are looked at below.
            self.view.retain(&listing, revision);
            let newer = revision >= self.sessions.present().registered;
            let here = self.view.peers.contains(&self.sessions.present().id);
            if newer && !here {
                self.end_session("the session's key is gone");
            }
            let text =
                format!("the job tree has been read again, at revision {revision}; nothing is missing");
            self.note(Level::Info, None, text);
        }
        self.view.follow_to(revision);
        self.warn_of_namesake();
        self.workers_changed();
        let names: Vec<JobName> = self.view.names().cloned().collect();
        for name in names {
            self.check_job(&name);
        }
    }

    pub(super) fn take_news(&mut self, news: News) {
        match news {
            News::None => {}
            News::Job(name) => {
                self.check_job(&name);
                self.look_at_job_again(&name);
            }
            News::Workers(session) => {
                if self.listed {
                    if session != self.sessions.present().id {
                        self.announce_soon();
                    }
                    self.warn_of_namesake();
                    self.look_at_all_again();
                }
            }
            News::Claiming(session, before) => {
                if self.listed {
                    let moves = |lane: &Lane| self.view.peers.moves(&lane.job, &session, before);
                    let lanes: Vec<Lane> = self.view.lanes().filter(moves).collect();
                    for lane in lanes {
                        self.look_again(&lane);
                    }
                }
            }
            News::WorkerGone(session) if session == self.sessions.present().id => {
                self.end_session("the session's key was removed");
            }
            // Its runs are orphans, and its jobs have other owners.
            News::WorkerGone(_) => self.workers_changed(),
            News::Kill(name, revision) => self.kill(&name, revision),
            News::Malformed(name, what) => {
                self.report_malformed(what);
                if let Some(name) = name {
                    self.look_at_job_again(&name);
                }
            }
        }
    }

    /// Ends what runs of a job's former incarnations, and gives back what this process does not hold.
    fn check_job(&mut self, name: &JobName) {
        self.stop_former_incarnations(name);
        for lane in self.view.lanes_of(name) {
            self.check_strays(&lane);
        }
    }

    /// Takes in what a refused transaction about a run found. If that is not the run, it is gone.
    pub(super) fn take_found(&mut self, lane: &Lane, run: &RunId, reply: &TxnReply) {
        let key = self.view.prefix().encode(&Key::Run(lane.clone(), run.clone()));
        for pair in &reply.found {
            let news = self.view.put(pair, reply.revision);
            if let News::Malformed(..) = news {
                self.take_news(news);
            }
        }
        if !reply.found.iter().any(|pair| pair.key == key) {
            self.view.delete_run(lane, run, reply.revision);
        }
    }

    fn workers_changed(&mut self) {
        let named: HashSet<&SessionId> = self.view.sessions_of_runs().collect();
        let view = &self.view;
        self.orphans.retain(&named, |lane, run, token| {
            view.get(lane).and_then(|entry| entry.run(run)).is_some_and(|known| known.token == token)
        });
        self.look_at_all_again();
    }

    /// Ends the runs of a job that were created before this revision.
    fn kill(&mut self, name: &JobName, revision: Revision) {
        #[cfg(feature = "broken-rules")]
        let by_token = self.breaks(super::Broken::KillComparesToken);
        #[cfg(not(feature = "broken-rules"))]
        let by_token = false;
        let hit = self.runs.of(name).filter(|(_, run)| {
            run.stage == Stage::Ordered && if by_token { run.token } else { run.created } < revision
        });
        for key in hit.map(|(key, _)| key).collect::<Vec<_>>() {
            self.stop_run(key, "killed on request");
        }
        self.look_at_job_again(name);
    }

    /// Ends the runs of a job that has been deleted since, whether or not it was created again.
    pub(super) fn stop_former_incarnations(&mut self, name: &JobName) {
        #[cfg(feature = "broken-rules")]
        if self.breaks(super::Broken::IncarnationForgotten) && self.view.incarnation(name) != Revision::NONE {
            return;
        }
        let present = self.view.incarnation(name);
        let former = self.runs.of(name).filter(|(_, run)| {
            run.stage == Stage::Ordered && run.active.job != present && run.active.job != Revision::NONE
        });
        for key in former.map(|(key, _)| key).collect::<Vec<RunKey>>() {
            self.stop_run(key, "killed because the job was deleted");
        }
    }

    /// No more claims; what runs is asked to end, and what can't be recorded in time is left to the next start.
    fn stop(&mut self, grace: Duration) {
        let graces = self.runs.alive().map(|(_, run)| run.job.grace.min(grace));
        let longest = graces.max().unwrap_or_default();
        let give_up = Boottime(self.now.boot.0 + longest + LAST_WRITES);
        self.ending = Some(Ending { give_up });
        self.order(Order::StopAll(grace));
        self.announce_soon();
    }

    fn report_malformed(&mut self, what: Malformed) {
        self.act(Act::Tell(Report::Malformed(Arc::new(what))));
    }

    /// A request failed, which is made again.
    pub(super) fn trouble_with(&mut self, why: &(dyn std::error::Error + 'static)) {
        self.count(Count::StoreError);
        self.trouble(in_words(why));
    }

    /// A store did not take a request, which is tried again.
    pub(super) fn trouble(&mut self, why: String) {
        if !std::mem::replace(&mut self.troubled, true) {
            self.act(Act::Tell(Report::Trouble(why)));
        }
    }

    pub(super) fn over_trouble(&mut self) {
        if std::mem::take(&mut self.troubled) {
            self.act(Act::Tell(Report::Recovered));
        }
    }

    fn warn_of_namesake(&mut self) {
        let (node, address) = (&self.config.node, &self.config.address);
        if let Some(session) = self.view.peers.namesake(node, address) {
            let text = format!(
                "another worker ({session}) has the same node and --id ({address}); both work, but lists show them \
                 alike: give each its own --id"
            );
            self.note(Level::Warn, None, text);
        }
    }
}

/// An error and what caused it.
pub(super) fn in_words(why: &(dyn std::error::Error + 'static)) -> String {
    let mut text = why.to_string();
    let mut source = why.source();
    while let Some(why) = source {
        text.push_str(": ");
        text.push_str(&why.to_string());
        source = why.source();
    }
    text
}
