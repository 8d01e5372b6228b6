//! `cargo xtask test`: the stages in their order, their times, and what is said at the end.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::child::{Children, Interrupted};
use crate::results::Results;
use crate::servers::{self, TestProgram};
use crate::{chain, crdgen, layers, tools};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only what needs no server and no tool that would have to be fetched; what is left out is named at the end
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
    /// Fetch and build the real components that tests need, as `cargo xtask tools`
    Tools,
    /// Compile all programs and tests
    Build,
    /// All tests, documentation tests included
    Tests,
    /// The whole chain on two real nodes of this machine, as `cargo xtask e2e`; needs root
    E2e,
}

impl Stage {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Why `--fast` leaves it out.
    fn slow(self) -> Option<&'static str> {
        match self {
            Self::Dependencies => Some("--fast: it may have to build cargo-deny"),
            Self::Tools => Some("--fast: it may have to build etcd"),
            Self::E2e => Some("--fast: it needs a cluster"),
            Self::Fmt
            | Self::Layers
            | Self::Generated
            | Self::Clippy
            | Self::Docs
            | Self::Build
            | Self::Tests => None,
        }
    }

    /// Does it; what test programs say goes into `results`. The test programs `left_out` are not run.
    fn run(
        self,
        children: &mut Children,
        results: &mut Results,
        left_out: &[TestProgram],
    ) -> anyhow::Result<()> {
        let mut run = |arguments: &[&str], env: &[(&str, &str)], shown: &mut dyn FnMut(&str) -> bool| {
            let mut command = e2e::cargo();
            command.args(arguments).envs(env.iter().copied());
            let line = format!("cargo {}", arguments.join(" "));
            let status =
                children.run(command, shown).with_context(|| format!("{line} did not run to its end"))?;
            if status.success() { Ok(()) } else { bail!("{line}: {status}") }
        };
        let all = &mut |_: &str| true;
        match self {
            Self::Fmt => run(&["fmt", "--all", "--check"], &[], all),
            Self::Layers => layers::check(),
            Self::Dependencies => tools::deny(children),
            Self::Generated => crdgen::run(true),
            Self::Clippy => {
                run(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], &[], all)
            }
            Self::Docs => {
                let deny = ("RUSTDOCFLAGS", "-D warnings");
                run(
                    &["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"],
                    &[deny],
                    all,
                )
            }
            Self::Tools => tools::fill(children),
            Self::E2e if !rustix::process::getuid().is_root() => bail!(
                "it runs containers and changes the network of this machine, so it has to be root; run \
                 `cargo xtask test` as root on a machine for tests, or leave this out by --without e2e"
            ),
            Self::E2e => chain::run(children, &chain::Arguments::default()),
            Self::Build => run(&["test", "--workspace", "--no-run", "--locked"], &[], all),
            Self::Tests => {
                let base = [
                    "test",
                    "--workspace",
                    "--no-fail-fast",
                    "--locked",
                    "--message-format=json-render-diagnostics",
                ];
                let mut read = |line: &str| results.read(line);
                // Built by the stage before; the tests of the room e2e would build it on their own, once more.
                let built = std::env::current_exe()?;
                let built = built.parent().unwrap_or(&built).to_string_lossy();
                let env = [("CRONTAB_PROGRAMS", &*built)];
                if left_out.is_empty() {
                    return run(&base, &env, &mut read);
                }
                // Which test programs to run can only be said by naming each.
                let programs = servers::test_programs()?;
                let mut arguments = [&base[..], &["--lib", "--bins"]].concat();
                for program in programs.iter().filter(|program| !left_out.contains(program)) {
                    arguments.extend(["--test", &program.name]);
                }
                let tests = run(&arguments, &env, &mut read);
                let documentation = run(&[&base[..], &["--doc"]].concat(), &env, &mut read);
                tests.and(documentation)
            }
        }
    }
}

/// Runs the stages. A failed one does not keep the others from running, except that nothing is tested that does not
/// build.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut failed: Vec<Stage> = Vec::new();
    let mut not_run = Vec::new();
    let mut times = Vec::new();
    let mut results = Results::default();
    let mut children = Children::new()?;
    let mut interrupted = false;
    for stage in Stage::value_variants().iter().copied() {
        let why_not = if interrupted {
            Some("interrupted")
        } else if arguments.without.contains(&stage) {
            Some("--without")
        } else if !arguments.only.is_empty() && !arguments.only.contains(&stage) {
            Some("--only others")
        } else if matches!(stage, Stage::Tests | Stage::E2e) && failed.contains(&Stage::Build) {
            Some("what does not build can't be tested")
        } else {
            stage.slow().filter(|_| arguments.fast)
        };
        if let Some(why) = why_not {
            not_run.push(format!("{}: {why}", stage.name()));
            continue;
        }
        println!("=== {}", stage.name());
        let mut left_out = Vec::new();
        if stage == Stage::Tests {
            let why = match (arguments.fast, failed.contains(&Stage::Tools)) {
                (true, _) => Some("--fast: it needs servers"),
                (_, true) => Some("it needs servers, and the stage tools failed"),
                _ => None,
            };
            if let Some(why) = why {
                left_out = servers::needing()?;
                not_run.extend(left_out.iter().map(|program| format!("{program}: {why}")));
            }
        }
        let stage_begun = Instant::now();
        let outcome = stage.run(&mut children, &mut results, &left_out);
        let time = seconds(stage_begun.elapsed());
        match outcome {
            Ok(()) => {
                println!("=== {}: ok, {time}", stage.name());
                times.push(format!("{} {time}", stage.name()));
            }
            Err(why) => {
                interrupted = why.is::<Interrupted>();
                println!("=== {}: FAILED, {time}: {why:#}", stage.name());
                times.push(format!("{} {time} FAILED", stage.name()));
                failed.push(stage);
            }
        }
    }
    println!("\n=== all: {} ({})", seconds(begun.elapsed()), times.join(", "));
    for line in results.lines() {
        println!("{line}");
    }
    not_run.extend(results.ignored().map(str::to_owned));
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
