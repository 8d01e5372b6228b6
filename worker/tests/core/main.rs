//! Single histories of one or two cores, step by step, on a tree in memory: what a worker does about lost, late and
//! stale answers. The clock is the test's.

mod claims;
mod ends;
mod lanes;
mod places;
mod rig;
mod sessions;
mod skips;
mod versions;
