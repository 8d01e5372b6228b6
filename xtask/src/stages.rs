//! `cargo xtask test`: the stages in their order, their times, and what is said at the end.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::{crdgen, layers, root, tools};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only what needs no server and no tool that would have to be fetched
    #[arg(long)]
    fast: bool,
    /// Leave a stage out; it is named at the end as not run
    #[arg(long, value_name = "STAGE")]
    without: Vec<Stage>,
    /// Run only these stages; the others are named at the end as not run
    #[arg(long, value_name = "STAGE")]
    only: Vec<Stage>,
}

/// One part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// Formatting, by rustfmt
    Fmt,
    /// The rules of who may depend on whom, and docs/dependencies.md
    Layers,
    /// Licences, sources and bans of all dependencies, by cargo-deny
    Dependencies,
    /// Generated files are up to date
    Generated,
    /// Lints, by clippy; warnings are errors here
    Clippy,
    /// The documentation of the code builds without warnings
    Docs,
    /// Compile all programs and tests
    Build,
    /// All tests, documentation tests included
    Tests,
}

impl Stage {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Why `--fast` leaves it out.
    fn slow(self) -> Option<&'static str> {
        match self {
            Self::Dependencies => Some("--fast: it may have to build cargo-deny"),
            Self::Fmt
            | Self::Layers
            | Self::Generated
            | Self::Clippy
            | Self::Docs
            | Self::Build
            | Self::Tests => None,
        }
    }

    /// Does it; returns the runners' own result lines.
    fn run(self) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Fmt => cargo(&["fmt", "--all", "--check"], &[]).map(drop)?,
            Self::Layers => layers::check()?,
            Self::Dependencies => tools::deny()?,
            Self::Generated => crdgen::run(true)?,
            Self::Clippy => {
                cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], &[])
                    .map(drop)?;
            }
            Self::Docs => {
                let deny = ("RUSTDOCFLAGS", "-D warnings");
                cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"], &[deny])
                    .map(drop)?;
            }
            Self::Build => cargo(&["test", "--workspace", "--no-run", "--locked"], &[]).map(drop)?,
            Self::Tests => {
                return Ok(results(&cargo(&["test", "--workspace", "--no-fail-fast", "--locked"], &[])?));
            }
        }
        Ok(Vec::new())
    }
}

/// Runs the stages. A failed one does not keep the others from running, except that nothing is tested that does not
/// build.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut failed: Vec<Stage> = Vec::new();
    let mut not_run = Vec::new();
    let mut times = Vec::new();
    let mut result_lines = Vec::new();
    for stage in Stage::value_variants().iter().copied() {
        let why_not = if arguments.without.contains(&stage) {
            Some("--without")
        } else if !arguments.only.is_empty() && !arguments.only.contains(&stage) {
            Some("--only others")
        } else if stage == Stage::Tests && failed.contains(&Stage::Build) {
            Some("what does not build can't be tested")
        } else {
            stage.slow().filter(|_| arguments.fast)
        };
        if let Some(why) = why_not {
            not_run.push(format!("{}: {why}", stage.name()));
            continue;
        }
        println!("=== {}", stage.name());
        let stage_begun = Instant::now();
        let outcome = stage.run();
        let time = seconds(stage_begun.elapsed());
        match outcome {
            Ok(lines) => {
                result_lines.extend(lines);
                println!("=== {}: ok, {time}", stage.name());
                times.push(format!("{} {time}", stage.name()));
            }
            Err(why) => {
                if let Some(Results(lines)) = why.downcast_ref() {
                    result_lines.extend(lines.iter().cloned());
                }
                println!("=== {}: FAILED, {time}: {why:#}", stage.name());
                times.push(format!("{} {time} FAILED", stage.name()));
                failed.push(stage);
            }
        }
    }
    println!("\n=== all: {} ({})", seconds(begun.elapsed()), times.join(", "));
    for line in &result_lines {
        println!("{line}");
    }
    match not_run.as_slice() {
        [] => println!("Not run: nothing"),
        some => println!("Not run:\n  {}", some.join("\n  ")),
    }
    if failed.is_empty() {
        return Ok(());
    }
    let again: Vec<String> = failed.iter().map(|stage| format!("--only {}", stage.name())).collect();
    bail!("failed; to run only that again: cargo xtask test {}", again.join(" "))
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A failure that brings the runners' result lines with it.
#[derive(Debug, thiserror::Error)]
#[error("tests failed")]
struct Results(Vec<String>);

/// Runs cargo, passes on what it prints as it comes, and returns that.
fn cargo(arguments: &[&str], env: &[(&str, &str)]) -> anyhow::Result<Vec<String>> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).envs(env.iter().copied()).current_dir(root()).stdin(Stdio::null());
    let (status, lines) =
        streamed(command).with_context(|| format!("cargo {} could not be run", arguments[0]))?;
    if status.success() {
        return Ok(lines);
    }
    if arguments.contains(&"--no-fail-fast") {
        bail!(Results(results(&lines)));
    }
    bail!("cargo {} failed", arguments.join(" "))
}

fn streamed(mut command: Command) -> anyhow::Result<(std::process::ExitStatus, Vec<String>)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (send, receive) = mpsc::channel();
    let out = child.stdout.take().context("the child has an output")?;
    let err = child.stderr.take().context("the child has an error output")?;
    let readers = [pass_on(out, std::io::stdout(), send.clone()), pass_on(err, std::io::stderr(), send)];
    let lines = receive.iter().collect();
    for reader in readers {
        // A reader that panicked has said so on standard error.
        let _ = reader.join();
    }
    Ok((child.wait()?, lines))
}

fn pass_on(
    from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    copy: mpsc::Sender<String>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            // Whoever watched may be gone; the copy is what counts.
            let _ = writeln!(to, "{line}");
            if copy.send(line).is_err() {
                return;
            }
        }
    })
}

/// The lines of `cargo test` that name a runner or give its result.
fn results(lines: &[String]) -> Vec<String> {
    let named =
        |line: &str| ["Running ", "Doc-tests "].iter().any(|begin| line.trim_start().starts_with(begin));
    lines.iter().filter(|line| named(line) || line.starts_with("test result:")).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runners_own_lines_are_kept_as_they_are() {
        let lines = [
            "   Compiling model v0.1.0",
            "     Running unittests src/lib.rs (target/debug/deps/model-1)",
            "running 2 tests",
            "test a ... ok",
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "   Doc-tests model",
        ]
        .map(ToOwned::to_owned);
        assert_eq!(results(&lines), [lines[1].clone(), lines[4].clone(), lines[5].clone()]);
    }

    #[test]
    fn output_is_passed_on_and_kept_with_the_status() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let (status, mut lines) = streamed(command).unwrap();
        lines.sort();
        assert_eq!((status.code(), lines), (Some(3), vec!["err".to_owned(), "out".to_owned()]));
    }
}
