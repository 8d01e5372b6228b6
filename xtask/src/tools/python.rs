//! The server that speaks MongoDB's protocol, in a Python environment of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::{Context, bail};

use super::folder::{Folder, remove};
use super::{PYMONGO, PYTHON_AT_LEAST, SECANTUS, how_to_get};
use crate::child::Children;

/// The server.
pub(super) const PROGRAM: &str = "secantusd-py";

fn packages() -> [String; 2] {
    [format!("secantusdb=={SECANTUS}"), format!("pymongo=={PYMONGO}")]
}

pub(super) fn stamp() -> String {
    packages().join(" ")
}

/// Makes the environment where it stays, since its programs name their own place, and then a link in `bin`. While there
/// is no link there is no program, whatever a run that was cut short has left.
pub(super) fn make(folder: &Folder, children: &mut Children) -> anyhow::Result<String> {
    check()?;
    let link = folder.bin().join(PROGRAM);
    remove(&link)?;
    let name = format!("secantus-{SECANTUS}");
    let place = folder.path().join(&name);
    remove(&place)?;
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&place);
    run(children, venv)?;
    let mut install = Command::new(place.join("bin/python"));
    install
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"])
        .args(packages());
    run(children, install)?;
    let new = folder.fresh_scratch()?.join(PROGRAM);
    symlink(format!("../{name}/bin/{PROGRAM}"), &new)
        .and_then(|()| fs::rename(&new, &link))
        .context("the link to the server can't be put into bin")?;
    Ok(format!("an environment of {} MiB", size(&place)? >> 20))
}

/// Fails where there is no Python that can make an environment.
fn check() -> anyhow::Result<()> {
    let (major, minor) = PYTHON_AT_LEAST;
    let how = how_to_get(
        &["python3", "python3-venv"],
        &format!("install Python {major}.{minor} or newer, with its venv module, and put python3 on PATH"),
    );
    let asked = "import sys; print(*sys.version_info[:2]); import venv, ensurepip";
    let output = Command::new("python3").args(["-c", asked]).output();
    let output = output.with_context(|| format!("python3 can't be run; {how}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().map_while(|number| number.parse().ok());
    let Some(found) = numbers.next().zip(numbers.next()) else {
        bail!("python3 does not say its version: {}; {how}", String::from_utf8_lossy(&output.stderr).trim());
    };
    if found < PYTHON_AT_LEAST {
        bail!(
            "the python3 on PATH is {}.{}, older than {major}.{minor}; put a newer one first on PATH",
            found.0,
            found.1
        );
    }
    if !output.status.success() {
        bail!("python3 has no venv and ensurepip; {how}");
    }
    Ok(())
}

/// pip says what it fetches, with sizes.
fn run(children: &mut Children, command: Command) -> anyhow::Result<()> {
    let line = format!("{command:?}");
    let status = children.run(command, |_| true)?;
    if status.success() { Ok(()) } else { bail!("{line}: {status}") }
}

fn size(folder: &std::path::Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let what = entry.metadata()?;
        bytes += if what.is_dir() { size(&entry.path())? } else { what.len() };
    }
    Ok(bytes)
}
