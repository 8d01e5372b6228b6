//! What the tests of the page need: the machine's own Chromium with the program that drives it, and scripts from npm
//! packages.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use rustix::process::getuid;

use super::folder::{Folder, remove};
use super::how_to_get;
use crate::child::Children;

/// Puts a link to the machine's own program into `bin`.
///
/// The link hangs in the air once the program is removed, and then counts as not there.
pub(super) fn browser(
    folder: &Folder,
    children: &mut Children,
    name: &str,
    debian: &str,
) -> anyhow::Result<String> {
    let how =
        how_to_get(&[debian], &format!("install Chromium with its chromedriver, and put {name} on PATH"));
    let program = installed(children, name, debian, &how)?;
    let link = folder.bin().join(name);
    remove(&link)?;
    let new = folder.fresh_scratch()?.join(name);
    symlink(&program, &new)
        .and_then(|()| fs::rename(&new, &link))
        .with_context(|| format!("the link to {name} can't be put into bin"))?;
    Ok(program.display().to_string())
}

/// The machine's own program. As root on Debian, one that is missing is installed.
fn installed(children: &mut Children, name: &str, debian: &str, how: &str) -> anyhow::Result<PathBuf> {
    if on_path(name).is_none() && Path::new("/etc/debian_version").exists() && getuid().is_root() {
        for arguments in [&["update"][..], &["install", "--yes", "--no-install-recommends", debian]] {
            let mut apt = Command::new("apt-get");
            apt.args(["-o", "Dpkg::Use-Pty=0", "--quiet"]).args(arguments);
            apt.env("DEBIAN_FRONTEND", "noninteractive");
            run(children, apt, how)?;
        }
    }
    on_path(name).with_context(|| format!("{name} is not on PATH; {how}"))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// One file of an npm package, in a version, with the digest that npm publishes for the whole package.
#[derive(Clone, Copy, Debug)]
pub(super) struct Script {
    pub(super) name: &'static str,
    pub(super) package: &'static str,
    pub(super) file: &'static str,
    pub(super) integrity: &'static str,
}

impl Script {
    /// Fetches the package with npm, which runs nothing of it, and keeps the one file.
    pub(super) fn make(self, folder: &Folder, children: &mut Children) -> anyhow::Result<String> {
        let how = how_to_get(&["npm"], "install Node.js with its npm, and put npm on PATH");
        let scratch = folder.fresh_scratch()?;
        let mut npm = Command::new(installed(children, "npm", "npm", &how)?);
        npm.args(["pack", self.package, "--json", "--ignore-scripts", "--loglevel=error"])
            .current_dir(&scratch);
        let said = run(children, npm, &how)?;
        // Whatever npm says besides stands outside of the list.
        let list = said
            .find('[')
            .zip(said.rfind(']'))
            .and_then(|(from, to)| said.get(from..=to))
            .unwrap_or_default();
        let packed: serde_json::Value = serde_json::from_str(list)
            .with_context(|| format!("npm does not say what it fetched; it said: {said}"))?;
        let (Some(file), Some(integrity)) = (packed[0]["filename"].as_str(), packed[0]["integrity"].as_str())
        else {
            bail!("npm does not say what it fetched; it said: {said}");
        };
        if integrity != self.integrity {
            bail!("{} is {integrity}, but it should be {}; do not use it", self.package, self.integrity);
        }
        let mut tar = Command::new("tar");
        let inside = format!("package/{}", self.file);
        tar.arg("-xzf").arg(scratch.join(file)).arg(&inside).current_dir(&scratch);
        run(children, tar, &how_to_get(&["tar"], "install tar"))?;
        let made = scratch.join(inside);
        let size = made.metadata().with_context(|| format!("{} is not there", made.display()))?.len();
        fs::rename(&made, folder.bin().join(self.name))
            .with_context(|| format!("{} can't be put into bin", self.name))?;
        Ok(format!("{} KiB", size >> 10))
    }
}

/// Runs a command and returns what it printed; `how` says how to get it.
fn run(children: &mut Children, command: Command, how: &str) -> anyhow::Result<String> {
    let line = format!("{command:?}");
    let mut said = String::new();
    let status = children.run(command, |text| {
        said.push_str(text);
        said.push('\n');
        false
    });
    let status = status.with_context(|| format!("{line} can't be run; {how}"))?;
    if status.success() { Ok(said) } else { bail!("{line}: {status}: {said}") }
}
