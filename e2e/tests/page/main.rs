//! The page, used in a real browser: a master on etcd and on a server that speaks MongoDB's protocol, a worker that runs
//! what the page asks for, and Chromium. Screenshots are kept in `target/screenshots`.

mod away;
mod hostile;
mod jobs;
mod keyboard;
mod log;
mod looks;
mod many;
mod old_page;
mod world;
