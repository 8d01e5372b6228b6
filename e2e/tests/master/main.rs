//! The master on etcd and on a server that speaks MongoDB's protocol, all of them processes, seen over HTTP.

mod calls;
mod cluster;
mod faults;
mod hostile;
mod outages;
mod world;
