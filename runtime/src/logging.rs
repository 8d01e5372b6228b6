//! Logs go to standard error: lines for people, or one JSON object a line for machines.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The arguments about logs that every program has.
#[derive(Clone, Debug, clap::Args)]
pub struct LogArgs {
    /// How log lines look
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t, global = true)]
    pub log_format: LogFormat,
    /// What is logged: a level (error, warn, info, debug, trace), or levels by part, such as warn,worker=debug
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "info", value_parser = parse_filter, global = true)]
    pub log: String,
}

/// Checked while arguments are parsed, so that a typing error is an argument error.
fn parse_filter(text: &str) -> Result<String, String> {
    let spelling = "write a level such as debug, or levels by part such as warn,worker=debug";
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|e| format!("{e}; {spelling}"))
}

/// Starts logging for the whole process. To be called once, first thing in `main`; later calls change nothing.
pub fn start(args: &LogArgs) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(EnvFilter::new(&args.log));
    // A failure means that a logger is there already, which is all that is wanted.
    let _ = match args.log_format {
        LogFormat::Text => builder.compact().with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
