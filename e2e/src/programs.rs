//! Our programs, as they are built from the sources now.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

/// The folder that [`use_programs_of`] names.
static BUILT: OnceLock<PathBuf> = OnceLock::new();

/// Our programs are in this folder already, as `CRONTAB_PROGRAMS` says it too. The first call counts.
pub fn use_programs_of(folder: PathBuf) {
    // A second call is a mistake that changes nothing.
    let _ = BUILT.set(folder);
}

/// The file of a program, which has its package's name. `CRONTAB_PROGRAMS` names a folder that holds it already;
/// otherwise it is built, once in a test program.
pub fn program(name: &str) -> PathBuf {
    static PROGRAMS: LazyLock<Mutex<HashMap<String, PathBuf>>> = LazyLock::new(Mutex::default);
    let mut programs = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
    programs.entry(name.to_owned()).or_insert_with(|| build(name)).clone()
}

fn build(name: &str) -> PathBuf {
    let named = || std::env::var_os("CRONTAB_PROGRAMS").map(PathBuf::from);
    if let Some(folder) = BUILT.get().cloned().or_else(named) {
        let program = folder.join(name);
        assert!(
            program.exists(),
            "{} is missing; build it, or unset CRONTAB_PROGRAMS to have that done",
            program.display()
        );
        return program;
    }
    // A test program is <target>/<profile>/deps/<name>.
    let test = std::env::current_exe().expect("a test program knows its file");
    let folder = test.ancestors().nth(2).expect("cargo puts a test program two folders deep");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => panic!("{} names no profile", test.display()),
    };
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--locked", "--package", name, "--profile", profile]);
    cargo.arg("--target-dir").arg(folder.parent().expect("a profile is a folder of the target folder"));
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "{name} does not build: {status}");
    folder.join(name)
}

/// cargo, in the checkout, with the environment that it has when people call it. Cargo tells the programs that it runs
/// about their package, in variables that build scripts of some packages look at: with them, those and all that depend on
/// them would be compiled anew, here and then again by people.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let of_a_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_a_package)) {
        cargo.env_remove(name);
    }
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    cargo
}
