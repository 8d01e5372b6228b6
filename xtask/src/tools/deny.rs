//! cargo-deny.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};
use e2e::cargo;

use super::CARGO_DENY;
use super::folder::Folder;
use crate::child::Children;
use crate::root;

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
    let folder = Folder::lock(children)?;
    let program = folder.bin().join("cargo-deny");
    if version(&program).is_some_and(|version| version == format!("cargo-deny {CARGO_DENY}")) {
        return Ok(program);
    }
    println!("building cargo-deny {CARGO_DENY} into {} (about five minutes, once)", folder.path().display());
    let begun = Instant::now();
    let build = folder.path().join("build");
    let mut install = cargo();
    install
        .args(["install", "cargo-deny", "--locked", "--force", "--version", CARGO_DENY, "--root"])
        .arg(folder.path());
    // Its build must not mix with ours, and what it was built with is of no further use.
    install.env("CARGO_TARGET_DIR", &build).env_remove("RUSTFLAGS");
    let status = children.run(install, |_| true)?;
    if !status.success() {
        bail!(
            "cargo-deny could not be built; with a connection to the package registry run: \
             cargo install cargo-deny --locked --version {CARGO_DENY} --root {}",
            folder.path().display()
        );
    }
    std::fs::remove_dir_all(&build).context("the build folder of cargo-deny could not be removed")?;
    println!("built cargo-deny in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(program)
}

fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
