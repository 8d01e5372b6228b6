//! The servers, a master, a worker where one is wanted, and a browser that has the page open.

use e2e::{Browser, Etcd, Master, MasterOptions, Mongo, Worker, WorkerOptions};

/// Every second, in the dialect of the page.
pub(crate) const EACH_SECOND: &str = "* * * * * * *";

/// Far away: it is there and does not run.
pub(crate) const ONCE_A_YEAR: &str = "0 3 29 2 *";

pub(crate) struct World {
    pub(crate) browser: Browser,
    pub(crate) master: Master,
    pub(crate) worker: Option<Worker>,
    pub(crate) etcd: Etcd,
    pub(crate) mongo: Mongo,
}

impl World {
    /// With the page open and nothing that runs jobs.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// As [`Self::start`], with another master.
    pub(crate) fn start_with(change: impl FnOnce(&mut MasterOptions)) -> Self {
        let (etcd, mongo) = (Etcd::start(), Mongo::start());
        let mut options = MasterOptions::new(&etcd, &mongo);
        change(&mut options);
        let world =
            Self { browser: Browser::start(), master: Master::start(options), worker: None, etcd, mongo };
        world.browser.open(&world.origin());
        world
    }

    /// As [`Self::start`], with a worker.
    pub(crate) fn start_with_worker() -> Self {
        let mut world = Self::start();
        world.add_worker("n1");
        world
    }

    pub(crate) fn add_worker(&mut self, name: &str) {
        self.worker = Some(Worker::start(WorkerOptions::new(&self.etcd, &self.mongo, name)));
    }

    /// Where the page is.
    pub(crate) fn origin(&self) -> String {
        format!("http://localhost:{}/", self.master.port())
    }

    /// Saves a job as a program does, and waits until the page shows it.
    pub(crate) fn save(&self, name: &str, command: &str, cron_expr: &str) {
        let answer = self.master.save(name, command, cron_expr).json();
        assert_eq!(answer["errno"], 0, "{answer}");
        self.browser
            .until("the page to show the job", || self.browser.shows(&button("Runs", name)).then_some(()));
    }

    /// Puts a key below `/cron/` with etcdctl.
    pub(crate) fn put(&self, key: &str, value: &str) {
        self.etcd.ctl(&["put", "--", &format!("/cron/{key}"), value]);
    }

    /// The value of a key below `/cron/`; empty where there is none.
    pub(crate) fn value(&self, key: &str) -> String {
        let value = self.etcd.ctl(&["get", "--print-value-only", &format!("/cron/{key}")]);
        value.trim_end_matches('\n').to_owned()
    }

    /// Nothing of the page failed or was forbidden, and it asked nobody but its own server.
    pub(crate) fn assert_clean(&self) {
        // Whether a name is free is asked by asking for its job.
        let free = |complaint: &String| complaint.contains("/api/v1/job?") && complaint.contains("404");
        let complaints = self.browser.complaints();
        assert_eq!(complaints.iter().filter(|complaint| !free(complaint)).collect::<Vec<_>>(), [""; 0]);
        self.assert_asked_nobody_else();
    }

    /// The page asked nobody but its own server.
    pub(crate) fn assert_asked_nobody_else(&self) {
        let (requests, origin) = (self.browser.requests(), self.origin());
        assert!(requests.iter().any(|url| url.starts_with(&origin)), "{requests:?}");
        // Bootstrap has its pictures inside its style sheet.
        let foreign = |url: &&String| !url.starts_with(&origin) && !url.starts_with("data:");
        assert_eq!(requests.iter().filter(foreign).collect::<Vec<_>>(), [""; 0]);
    }
}

/// A button in the row of a job.
pub(crate) fn button(what: &str, name: &str) -> String {
    format!("#rows [aria-label={}]", quoted(&format!("{what} {name}")))
}

/// The row of a job.
pub(crate) fn row(name: &str) -> String {
    format!("#rows tr:has([aria-label={}])", quoted(&format!("Runs {name}")))
}

/// A text as CSS writes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
