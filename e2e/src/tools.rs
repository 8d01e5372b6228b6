//! Where programs are found.

use std::path::{Path, PathBuf};

/// The path of a program that `cargo xtask tools` has put into the tools folder: `$CRONTAB_TOOLS`, or else
/// `$XDG_CACHE_HOME/crontab/tools`, usually `~/.cache/crontab/tools`.
///
/// # Panics
/// If it is not there.
pub fn tool(name: &str) -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = || std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let tools = std::env::var_os("CRONTAB_TOOLS")
        .map(PathBuf::from)
        .or_else(|| cache().map(|cache| cache.join("crontab/tools")))
        .expect("neither CRONTAB_TOOLS nor HOME is set");
    let program = tools.join("bin").join(name);
    assert!(
        program.exists(),
        "{} is missing; run `cargo xtask tools`, which fetches and builds what the tests need",
        program.display()
    );
    program
}
