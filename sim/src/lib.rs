//! A whole cluster in virtual time, decided by one seed.
//!
//! - The **plan** is made from the seed first: jobs, nodes, and faults with their times. It can be made smaller.
//! - The **cluster** is the plan carried out: workers (their cores are the real ones), executors, processes, clocks,
//!   spools, the tree and the log in memory, and everything between them that can be slow, lost or out of order. It is a
//!   function of the plan.
//! - The **checker** holds what happens against what is promised. Its witness is the processes that ran.
//!
//! Not here: threads, sockets, real processes and disks. Tests with real ones are in the other rooms.

pub mod check;
pub mod cluster;
pub mod plan;
mod queue;
pub mod report;
pub mod rng;
pub mod sabotage;
pub mod shrink;
pub mod time;
