//! What a complete listing says of the keys that are not in it.

use std::collections::HashSet;

use model::JobName;
use model::keys::Key;
use model::run::{Revision, SessionId};

use super::View;

impl View {
    /// After a complete listing: what was not in it does not exist.
    pub(crate) fn retain(&mut self, listed: &HashSet<String>, revision: Revision) {
        let names: Vec<JobName> = self.entries.keys().cloned().collect();
        for name in names {
            let mut gone: Vec<String> = [Key::Job, Key::Cursor, Key::Status, Key::Lock, Key::Kill]
                .map(|key| self.prefix.encode(&key(name.clone())))
                .into();
            let runs = self.entries[&name].runs();
            gone.extend(runs.map(|known| self.prefix.encode(&Key::Run(name.clone(), known.run.clone()))));
            for key in gone.into_iter().filter(|key| !listed.contains(key)) {
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
