//! Tests against a real cluster.
//!
//! Empty today, as there is nothing to install on a cluster yet. What a whole program does on one machine is tested beside
//! it, in `cli/tests`.
