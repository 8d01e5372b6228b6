//! Our command for people.

use std::process::Command;

use crate::programs::program;

/// A `cronctl` to give arguments to. It knows of no servers but those it is told, whatever whoever runs the tests has.
pub fn cronctl() -> Command {
    let mut command = Command::new(program("cronctl"));
    command.env_clear().env("HOME", "/nonexistent").env("TZ", "UTC");
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
}
