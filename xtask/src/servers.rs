//! Which test programs need servers: those whose sources name the room `e2e`, from which tests get their servers.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Context;
use cargo_metadata::{MetadataCommand, TargetKind};

use crate::root;

/// A program of a room's folder `tests`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestProgram {
    pub(crate) name: String,
    room: String,
    needs_servers: bool,
}

impl fmt::Display for TestProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: tests/{}", self.room, self.name)
    }
}

/// All test programs of the workspace.
pub(crate) fn test_programs() -> anyhow::Result<Vec<TestProgram>> {
    let mut describe = MetadataCommand::new();
    describe.manifest_path(root().join("Cargo.toml")).no_deps().other_options(["--locked".to_owned()]);
    let metadata = describe.exec().context("cargo could not describe the workspace")?;
    let mut programs = Vec::new();
    for package in metadata.workspace_packages() {
        let room = package.manifest_path.parent().and_then(|folder| folder.file_name()).unwrap_or_default();
        for target in package.targets.iter().filter(|target| target.is_kind(TargetKind::Test)) {
            let file = target.src_path.as_std_path();
            // A program of several files is a folder with a main.rs.
            let sources = if file.ends_with("main.rs") { file.parent().unwrap_or(file) } else { file };
            programs.push(TestProgram {
                name: target.name.clone(),
                room: room.to_owned(),
                needs_servers: names_e2e(sources)
                    .with_context(|| format!("{} can't be read", sources.display()))?,
            });
        }
    }
    Ok(programs)
}

/// Those that can't run without servers. Cargo tells programs apart by name alone, so one that shares its name with such
/// a program is left out with it.
pub(crate) fn needing() -> anyhow::Result<Vec<TestProgram>> {
    let programs = test_programs()?;
    let needs = |name: &str| programs.iter().any(|program| program.needs_servers && program.name == name);
    Ok(programs.iter().filter(|program| needs(&program.name)).cloned().collect())
}

fn names_e2e(sources: &Path) -> std::io::Result<bool> {
    if sources.is_dir() {
        for entry in fs::read_dir(sources)? {
            if names_e2e(&entry?.path())? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    Ok(sources.extension().is_some_and(|end| end == "rs") && fs::read_to_string(sources)?.contains("e2e::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_of_the_whole_system_need_servers_and_those_of_the_program_for_one_machine_do_not() {
        let needing: Vec<String> = needing().unwrap().iter().map(ToString::to_string).collect();
        assert!(needing.contains(&"e2e: tests/faults".to_owned()), "{needing:?}");
        assert!(!needing.iter().any(|program| program.starts_with("cli: ")), "{needing:?}");
    }
}
