//! The domain: jobs, schedules, slots, runs and decisions.
//!
//! Everything here is pure and synchronous. Nothing reads a clock, a file or a socket: functions take `now` as a value,
//! so each of them can be tested by a table. Terms used throughout the project:
//!
//! - a **slot** is one scheduled instant of one job;
//! - a **run** is one execution of a slot on one node, an **attempt** is one try within a run;
//! - a **claim** is the transaction by which a worker takes a slot;
//! - a **lane** is a job, or a job on one node: what has a cursor, a status and at most one exclusive run;
//! - a **cursor** is the last decided slot of a lane: every slot at or before it has an outcome or a run;
//! - an **incarnation** of a job is its life from one creation of its key to the deletion.
//!
//! Not here: how any of it is stored (`store`), executed (`worker`) or described to Kubernetes (`crds`).

pub mod decide;
pub mod features;
pub mod hash;
pub mod job;
pub mod keys;
pub mod lane;
pub mod legacy;
mod lenient;
pub mod name;
pub mod next;
pub mod record;
pub mod run;
pub mod schedule;
pub mod time;
pub mod unknown;
pub mod values;
pub mod words;

pub use job::Job;
pub use lane::{Lane, NodeName};
pub use name::JobName;
pub use schedule::{Dialect, Schedule, TimeZone};
pub use time::UnixMillis;
pub use unknown::Unknown;
pub use words::Words;
