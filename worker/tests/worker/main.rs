//! A whole worker on a real store with real processes: what people see of their jobs.

mod ends;
mod program;
mod recovery;
mod shared;
mod slots;
mod tree;
mod world;
