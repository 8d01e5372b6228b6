//! `cronctl` about jobs in a tree, behind a master and in a cluster. About those of a data folder there are tests in
//! `cli/tests/up`.

mod cluster;
mod tree;
mod world;
