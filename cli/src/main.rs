//! `cronctl`: the command for people. `up` is the whole system in one process on one machine, `next` says what a cron
//! expression means, `import` prints the jobs of other cron systems as manifests.

mod import;
mod next;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use runtime::logging::{self, LogArgs};

/// Jobs on nodes, by the clock
#[derive(Debug, Parser)]
#[command(name = "cronctl", version, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Arguments),
    Next(next::Arguments),
    Import(import::Arguments),
}

fn main() -> ExitCode {
    worker::become_executor_if_asked();
    let arguments = Arguments::parse();
    logging::start(&arguments.log);
    let ended = match arguments.command {
        Command::Up(arguments) => up::main(arguments),
        Command::Next(arguments) => next::main(&arguments),
        Command::Import(arguments) => import::main(arguments),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("cronctl: {why:#}");
            ExitCode::from(if why.is::<up::UsageError>() { runtime::EXIT_USAGE } else { 1 })
        }
    }
}
