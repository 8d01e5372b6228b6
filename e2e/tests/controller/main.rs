//! The controller between a real API server and a real etcd.

mod clusters;
mod definition;
mod leaders;
mod names;
mod outages;
mod resources;
mod statuses;
mod world;
