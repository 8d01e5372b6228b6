//! The whole chain on the lab.

/// Our programs that run in a cluster.
pub(crate) const PROGRAMS: [&str; 3] = ["crontab-worker", "crontab-controller", "crontab-master"];
