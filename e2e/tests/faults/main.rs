//! The known faults of the replaced system, each as the situation that shows it: our worker as a process, etcd, and a
//! server that speaks MongoDB's protocol. What happens is seen from outside, in files that commands write, in the tree,
//! in the log's documents and in what the worker says.
//!
//! Every test starts servers of its own: the worker's database has a fixed name, and most tests stop something.

mod clocks;
mod endings;
mod kills;
mod malformed;
mod outages;
mod records;
mod scale;
mod sharing;
mod values;
mod world;
