//! Real components for tests: etcd, Kubernetes' API server, a server that speaks MongoDB's protocol, a browser, and our
//! own programs, each a process on loopback with a free port and a folder that goes away.
//!
//! The programs come from the tools folder that `cargo xtask tools` fills; a missing one fails the test and says so. A
//! component ends when its value is dropped, and when the test panics the end of its log is shown.
//!
//! `ETCD_ENDPOINTS` and `MONGODB_URI` name servers that are there already. Tests that need no more than a server use
//! those; tests that stop, pause or break one always start their own.
//!
//! Not here: what is tested. That is beside each room, and for the whole system in `e2e/tests`.

mod browser;
mod controller;
mod cronctl;
mod etcd;
mod http;
mod kube;
mod kube_keys;
mod legacy;
mod master;
mod mongo;
mod process;
mod programs;
mod records;
mod tools;
mod worker;

pub use browser::{Browser, Key, Look};
pub use controller::{Controller, ControllerOptions};
pub use cronctl::cronctl;
pub use etcd::{Etcd, EtcdOptions};
pub use kube::KubeApi;
pub use kube_keys::KubeKeys;
pub use legacy::LegacyWorker;
pub use master::{Answer, Master, MasterOptions, encode};
pub use mongo::{Mongo, MongoOptions};
pub use process::{Process, free_port, keep_components_apart, until};
pub use programs::{cargo, program, use_programs_of};
pub use records::{documents, insert_documents};
pub use tools::tool;
pub use worker::{Worker, WorkerOptions, children, is_alive, peak_memory};
