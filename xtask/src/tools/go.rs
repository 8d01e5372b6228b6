//! Programs written in Go.

use std::collections::VecDeque;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::folder::Folder;
use super::{GO_AT_LEAST, how_to_get};
use crate::child::Children;
use crate::root;

/// How often progress is said.
const EVERY: Duration = Duration::from_secs(10);

/// How many of the last lines of a command that failed are shown.
const SHOWN: usize = 30;

/// Builds the program of a published module.
pub(super) fn module(
    folder: &Folder,
    children: &mut Children,
    name: &str,
    package: &str,
    version: &str,
) -> anyhow::Result<String> {
    let module = Throwaway::new(folder)?;
    let modules = module.get(children, name, &format!("{package}@{version}"))?;
    module.install(folder, children, name, package, modules, "")
}

/// A module that is thrown away. A published module may replace some of its dependencies only as the main module, so it
/// is built as a dependency of this one; this is also how its checksums are verified.
pub(super) struct Throwaway {
    scratch: PathBuf,
}

impl Throwaway {
    pub(super) fn new(folder: &Folder) -> anyhow::Result<Self> {
        check(folder)?;
        let scratch = folder.fresh_scratch()?;
        let (major, minor) = GO_AT_LEAST;
        fs::write(scratch.join("go.mod"), format!("module throwaway\n\ngo {major}.{minor}\n"))?;
        Ok(Self { scratch })
    }

    /// Asks for a module; returns how many were fetched.
    pub(super) fn get(&self, children: &mut Children, name: &str, module: &str) -> anyhow::Result<usize> {
        run(children, self.go(&["get", module]), name, "go: downloading ", "modules fetched")
    }

    /// `go` in its folder.
    pub(super) fn go(&self, arguments: &[&str]) -> Command {
        let mut go = go(&self.scratch, "mod");
        go.args(arguments);
        go
    }

    /// Builds a package, puts its program into `bin`, and returns what to say of it. `values` are for the linker.
    pub(super) fn install(
        &self,
        folder: &Folder,
        children: &mut Children,
        name: &str,
        package: &str,
        modules: usize,
        values: &str,
    ) -> anyhow::Result<String> {
        let packages = build(children, self.go(&[]), &self.scratch.join("program"), name, package, values)?;
        let made = format!("{modules} modules fetched, {packages} packages compiled");
        install(folder, &self.scratch, name, &made)
    }
}

/// Builds a program from its folder in the checkout, with the dependencies that its go.sum names.
pub(super) fn sources(
    folder: &Folder,
    children: &mut Children,
    name: &str,
    sources: &str,
) -> anyhow::Result<String> {
    check(folder)?;
    let scratch = folder.fresh_scratch()?;
    let command = go(&root().join(sources), "readonly");
    let packages = build(children, command, &scratch.join("program"), name, ".", "")?;
    install(folder, &scratch, name, &format!("{packages} packages compiled"))
}

/// The folder's name and a hash of the files in it. A new Rust may hash otherwise, which costs a build.
pub(super) fn stamp_of_sources(sources: &str) -> anyhow::Result<String> {
    let folder = root().join(sources);
    let unreadable = || format!("{} can't be read", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        files.push((entry.file_name(), fs::read(entry.path()).with_context(unreadable)?));
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    Ok(format!("{sources} ({:016x})", hasher.finish()))
}

/// `go` in a folder. Without C it needs no compiler, and all programs share one build cache.
fn go(folder: &Path, modules: &str) -> Command {
    let mut go = Command::new("go");
    go.current_dir(folder).env("CGO_ENABLED", "0").env("GOFLAGS", format!("-mod={modules} -buildvcs=false"));
    // A go.work above the folder is not meant for it.
    go.env("GOWORK", "off");
    go
}

/// Fails where there is no Go that can build what we need.
fn check(folder: &Folder) -> anyhow::Result<()> {
    let (major, minor) = GO_AT_LEAST;
    let how = how_to_get(
        &["golang-go"],
        &format!("install Go {major}.{minor} or newer, from go.dev/dl, and put its bin folder on PATH"),
    );
    let output =
        Command::new("go").args(["env", "GOVERSION", "GOTOOLCHAIN"]).current_dir(folder.path()).output();
    let output = output.with_context(|| format!("go can't be run; {how}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let found = lines.next().unwrap_or_default();
    // From 1.21 on it fetches the version that a module asks for, unless that is switched off.
    let fetches = version(found) >= Some((1, 21)) && lines.next().is_some_and(|line| !line.contains("local"));
    if version(found) >= Some(GO_AT_LEAST) || fetches {
        return Ok(());
    }
    bail!(
        "the go on PATH is {}, older than {major}.{minor}; install a newer one from go.dev/dl and put its bin \
         folder first on PATH",
        if found.is_empty() { "of an unknown version" } else { found }
    )
}

/// `go1.26.8` as (1, 26).
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix("go")?.split(|letter: char| !letter.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn build(
    children: &mut Children,
    mut command: Command,
    into: &Path,
    name: &str,
    package: &str,
    values: &str,
) -> anyhow::Result<usize> {
    let linked = format!("-s -w {values}");
    command.args(["build", "-v", "-trimpath", "-ldflags", linked.trim_end(), "-o"]).arg(into).arg(package);
    run(children, command, name, "", "packages compiled")
}

/// Runs a command that prints a line, which begins with `mark`, for each piece of its work; returns how many there were.
/// What go has in its caches is no work.
fn run(
    children: &mut Children,
    command: Command,
    name: &str,
    mark: &str,
    what: &str,
) -> anyhow::Result<usize> {
    let line = format!("{command:?}");
    let (begun, mut said, mut count) = (Instant::now(), Instant::now(), 0);
    let mut last = VecDeque::new();
    let status = children.run(command, |text| {
        count += usize::from(text.starts_with(mark));
        if said.elapsed() >= EVERY {
            said = Instant::now();
            println!("  {name}: {count} {what}, {:.0} s", begun.elapsed().as_secs_f64());
        }
        last.push_back(text.to_owned());
        if last.len() > SHOWN {
            last.pop_front();
        }
        false
    })?;
    if status.success() {
        return Ok(count);
    }
    let last: Vec<String> = last.into();
    bail!("{line}: {status}; its last lines:\n  {}", last.join("\n  "))
}

/// Moves the finished program into `bin` in one step.
fn install(folder: &Folder, scratch: &Path, name: &str, made: &str) -> anyhow::Result<String> {
    let program = scratch.join("program");
    let bytes = fs::metadata(&program).context("go has built no program")?.len();
    fs::rename(&program, folder.bin().join(name)).with_context(|| format!("{name} can't be put into bin"))?;
    Ok(format!("{made}, {} MiB", bytes >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_are_compared_by_number() {
        assert_eq!(version("go1.26.8"), Some((1, 26)));
        assert_eq!(version("go1.27rc1"), Some((1, 27)));
        assert_eq!(version("go1.9"), Some((1, 9)));
        assert_eq!(version("devel +abc"), None);
        assert!(version("go1.9") < version("go1.26") && version("?") < version("go1.9"));
    }
}
