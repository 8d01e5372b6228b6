//! `cronctl`: the command for people. `up` is the whole system in one process on one machine, `next` says what a cron
//! expression means; `get`, `history`, `logs`, `kill`, `suspend` and `resume` are about jobs wherever they are; `import`
//! prints the jobs of other cron systems as manifests.

mod completions;
mod get;
mod history;
mod import;
mod kill;
mod logs;
mod names;
mod next;
mod output;
mod suspend;
mod target;
mod terminal;
mod up;
mod view;

use std::process::ExitCode;

use anyhow::Context;
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
    Get(get::Arguments),
    History(history::Arguments),
    Logs(logs::Arguments),
    Kill(kill::Arguments),
    /// Hold new runs of jobs back; what runs goes on
    Suspend(suspend::Arguments),
    /// Let new runs of jobs come again
    Resume(suspend::Arguments),
    Completions(completions::Arguments),
}

fn main() -> ExitCode {
    worker::become_executor_if_asked();
    let arguments = Arguments::parse();
    logging::start(&arguments.log);
    let ended = match arguments.command {
        Command::Up(arguments) => up::main(arguments),
        Command::Next(arguments) => next::main(&arguments),
        Command::Import(arguments) => import::main(arguments),
        Command::Get(arguments) => wait(get::main(arguments)),
        Command::History(arguments) => wait(history::main(arguments)),
        Command::Logs(arguments) => wait(logs::main(arguments)),
        Command::Kill(arguments) => wait(kill::main(arguments)),
        Command::Suspend(arguments) => wait(suspend::main(arguments, true)),
        Command::Resume(arguments) => wait(suspend::main(arguments, false)),
        Command::Completions(arguments) => completions::main::<Arguments>(&arguments),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough, such as head.
        Err(why) if is_broken_pipe(&why) => ExitCode::SUCCESS,
        // Each of them has been told already.
        Err(why) if why.is::<names::Partly>() => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("cronctl: {why:#}");
            ExitCode::from(if why.is::<up::UsageError>() { runtime::EXIT_USAGE } else { 1 })
        }
    }
}

fn wait(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new().context("the runtime could not be started")?.block_on(command)
}

fn is_broken_pipe(why: &anyhow::Error) -> bool {
    let error = why.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
