//! What a complete listing says of the keys that are not in it.

use std::collections::HashSet;

use model::JobName;
use model::keys::Key;
use model::run::{Revision, SessionId};

use super::View;

impl View {
    /// After a complete listing: what was not in it does not exist.
    pub(crate) fn retain(&mut self, listed: &HashSet<String>, revision: Revision) {
        let names: Vec<JobName> = self.known.keys().cloned().collect();
        for name in names {
            let mut known: Vec<Key> = [Key::Job, Key::Lock, Key::Kill].map(|key| key(name.clone())).into();
            for lane in self.lanes_of(&name) {
                let runs = self.get(&lane).into_iter().flat_map(super::Entry::runs);
                known.extend(runs.map(|run| Key::Run(lane.clone(), run.run.clone())));
                known.extend([Key::Cursor(lane.clone()), Key::Status(lane)]);
            }
            let keys = known.iter().map(|key| self.prefix.encode(key));
            let gone: Vec<String> = keys.filter(|key| !listed.contains(key)).collect();
            for key in gone {
                // What it means, the caller finds by looking at every job.
                let _ = self.deleted(&key, revision);
            }
        }
        let here =
            |session: &&SessionId| listed.contains(&self.prefix.encode(&Key::Worker((*session).clone())));
        let gone: Vec<SessionId> = self.peers.sessions().filter(|session| !here(session)).cloned().collect();
        for session in &gone {
            self.peers.remove(session);
        }
    }
}
