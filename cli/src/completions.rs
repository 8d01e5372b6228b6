//! `cronctl completions`: what a shell needs to complete the commands and their options.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::terminal::print;

/// Print a script by which a shell completes commands and options
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

const EXAMPLES: &str = "Examples:
  source <(cronctl completions bash)                                  for this bash
  cronctl completions bash > /etc/bash_completion.d/cronctl           for every bash
  cronctl completions zsh > \"${fpath[1]}/_cronctl\"                    zsh
  cronctl completions fish > ~/.config/fish/completions/cronctl.fish  fish";

pub(crate) fn main<A: CommandFactory>(arguments: &Arguments) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut A::command(), "cronctl", &mut script);
    print(&String::from_utf8(script)?)?;
    Ok(())
}
