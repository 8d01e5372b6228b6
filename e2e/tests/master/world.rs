//! The servers, a master, and what the old page's browser does.

use e2e::{Etcd, Master, MasterOptions, Mongo, Worker, WorkerOptions, encode};
use serde_json::json;

/// What the page of the replaced system sends with each request.
pub(crate) const OLD_PAGE: &str =
    "X-Requested-With: XMLHttpRequest\r\nContent-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n";

pub(crate) struct World {
    pub(crate) master: Master,
    pub(crate) etcd: Etcd,
    pub(crate) mongo: Mongo,
}

impl World {
    pub(crate) fn start() -> Self {
        let (etcd, mongo) = (Etcd::start(), Mongo::start());
        let master = Master::start(MasterOptions::new(&etcd, &mongo));
        Self { master, etcd, mongo }
    }

    pub(crate) fn worker(&self, name: &str) -> Worker {
        Worker::start(WorkerOptions::new(&self.etcd, &self.mongo, name))
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
}

/// The form of `/job/save`.
pub(crate) fn save_form(name: &str, command: &str, cron_expr: &str) -> String {
    let job = json!({ "name": name, "command": command, "cronExpr": cron_expr }).to_string();
    format!("job={}", encode(&job))
}
