//! What every daemon needs and none should write again: logging, health and metrics, ending on signals, exit statuses.
//!
//! Not here: anything that knows what a job is.

pub mod args;
pub mod daemon;
pub mod health;
pub mod logging;
pub mod metrics;
pub mod shutdown;

/// The machine's name as the kernel has it; `localhost` if it has none.
pub fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// Exit status for a wrong argument or a wrong file, as `getopt` programs and clap have it.
pub const EXIT_USAGE: u8 = 2;
