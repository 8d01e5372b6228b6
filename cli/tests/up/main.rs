//! `cronctl up` as people use it: the real program, its output, its page, its exit status.

mod examples;
mod jobs;
mod manifests;
mod process;
mod restarts;
mod trouble;
