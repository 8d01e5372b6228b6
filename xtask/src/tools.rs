//! Tools that the tests need and a fresh machine does not have. They are built once into a cache outside of the
//! checkout, in versions pinned here.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

use crate::child::Children;
use crate::root;

const CARGO_DENY: &str = "0.20.2";

/// `$XDG_CACHE_HOME/crontab/tools`, usually `~/.cache/crontab/tools`.
fn cache() -> anyhow::Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    Ok(cache
        .context("neither HOME nor XDG_CACHE_HOME is set, so there is no place for tools; set one")?
        .join("crontab/tools"))
}

/// Checks licences, sources and bans of all dependencies.
pub(crate) fn deny(children: &mut Children) -> anyhow::Result<()> {
    let program = cargo_deny(children)?;
    let mut command = Command::new(program);
    command.args(["--workspace", "--locked", "check", "bans", "licenses", "sources"]).current_dir(root());
    let status = children.run(command, |_| true)?;
    if !status.success() {
        bail!("cargo deny found something; deny.toml says what is allowed, and why");
    }
    Ok(())
}

fn cargo_deny(children: &mut Children) -> anyhow::Result<PathBuf> {
    let cache = cache()?;
    let program = cache.join("bin/cargo-deny");
    if version(&program).is_some_and(|version| version == format!("cargo-deny {CARGO_DENY}")) {
        return Ok(program);
    }
    println!("building cargo-deny {CARGO_DENY} into {} (about five minutes, once)", cache.display());
    let begun = Instant::now();
    let mut install = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    install
        .args(["install", "cargo-deny", "--locked", "--force", "--version", CARGO_DENY, "--root"])
        .arg(&cache);
    // Its build must not mix with ours, and what it was built with is of no further use.
    install.env("CARGO_TARGET_DIR", cache.join("build")).env_remove("RUSTFLAGS");
    let status = children.run(install, |_| true)?;
    if !status.success() {
        bail!(
            "cargo-deny could not be built; with a connection to the package registry run: \
             cargo install cargo-deny --locked --version {CARGO_DENY} --root {}",
            cache.display()
        );
    }
    std::fs::remove_dir_all(cache.join("build"))
        .context("the build folder of cargo-deny could not be removed")?;
    println!("built cargo-deny in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(program)
}

fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
