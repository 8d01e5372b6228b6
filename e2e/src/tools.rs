//! Where programs are found.

use std::path::PathBuf;

/// The path of a program that `cargo xtask tools` has put into the tools folder: `$CRONTAB_TOOLS`, or else
/// `$XDG_CACHE_HOME/crontab/tools`, usually `~/.cache/crontab/tools`.
///
/// # Panics
/// If it is not there.
pub fn tool(name: &str) -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let tools = variable("CRONTAB_TOOLS")
        .or_else(|| Some(cache()?.join("crontab/tools")))
        .expect("neither CRONTAB_TOOLS nor HOME is set");
    let program = tools.join("bin").join(name);
    assert!(
        program.exists(),
        "{} is missing; run `cargo xtask tools`, which fetches and builds what the tests need",
        program.display()
    );
    program
}
