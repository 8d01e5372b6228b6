//! What `cargo test` says of each test program, read from what it prints.
//!
//! Between the lines for people stand cargo's own, one JSON object each, which tell the room of a test program.

use std::collections::HashMap;

use cargo_metadata::Message;

/// What was read so far.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// The room and its programs' files.
    rooms: HashMap<String, String>,
    programs: Vec<Program>,
}

/// A test program, or the documentation tests of a room.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    name: String,
    result: Option<String>,
    ignored: Vec<String>,
}

impl Results {
    /// Reads a line; says whether people should see it.
    pub(crate) fn read(&mut self, line: &str) -> bool {
        if line.starts_with("{\"reason\":") {
            if let Ok(Message::CompilerArtifact(artifact)) = serde_json::from_str(line)
                && let (Some(file), Some(room)) = (
                    artifact.executable.as_ref().and_then(|path| path.file_name()),
                    artifact.manifest_path.parent().and_then(|path| path.file_name()),
                )
            {
                self.rooms.insert(file.to_owned(), room.to_owned());
            }
            return false;
        }
        let plain = line.trim_start();
        if let Some((what, file)) = plain.strip_prefix("Running ").and_then(|rest| rest.rsplit_once(" (")) {
            let file = file.trim_end_matches(')').rsplit('/').next().unwrap_or_default();
            let room = self.rooms.get(file).map_or("?", String::as_str);
            self.begin(format!("{room}: {what}"));
        } else if let Some(room) = plain.strip_prefix("Doc-tests ") {
            self.begin(format!("{room}: documentation"));
        } else if let Some(program) = self.programs.last_mut() {
            if line.starts_with("test result: ") {
                program.result = Some(line.to_owned());
            } else if let Some((test, reason)) =
                line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ignored"))
            {
                let why = reason.strip_prefix(", ").unwrap_or("marked #[ignore] without a reason");
                program.ignored.push(format!("{}, {test}: {why}", program.name));
            }
        }
        true
    }

    fn begin(&mut self, name: String) {
        self.programs.push(Program { name, result: None, ignored: Vec::new() });
    }

    /// The runners' own result lines, each below the name of its program.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.programs.iter().map(|program| {
            let result = program.result.as_deref().unwrap_or("no result: it ended before its tests did");
            format!("{}\n{result}", program.name)
        })
    }

    /// Tests that are marked as not to be run, with their reasons.
    pub(crate) fn ignored(&self) -> impl Iterator<Item = &str> {
        self.programs.iter().flat_map(|program| &program.ignored).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_given_as_the_runner_wrote_them_under_the_name_of_their_program() {
        let artifact = r#"{"reason":"compiler-artifact","package_id":"path+file:///p/worker#crontab-worker@0.1.0","manifest_path":"/p/worker/Cargo.toml","target":{"kind":["test"],"crate_types":["bin"],"name":"up","src_path":"/p/worker/tests/up.rs","edition":"2024","doc":false,"doctest":false,"test":true},"profile":{"opt_level":"0","debuginfo":0,"debug_assertions":true,"overflow_checks":true,"test":true},"features":[],"filenames":[],"executable":"/p/target/debug/deps/up-1f","fresh":true}"#;
        let ok =
            "test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        let mut results = Results::default();
        let shown = [
            artifact,
            "     Running tests/up.rs (target/debug/deps/up-1f)",
            "test starts ... ok",
            "test full_disk ... ignored, needs root",
            ok,
            "     Running tests/other.rs (target/debug/deps/other-2e)",
            "   Doc-tests model",
            ok,
        ]
        .map(|line| results.read(line));
        assert_eq!(shown, [false, true, true, true, true, true, true, true]);
        assert_eq!(
            results.lines().collect::<Vec<_>>(),
            [
                format!("worker: tests/up.rs\n{ok}"),
                "?: tests/other.rs\nno result: it ended before its tests did".to_owned(),
                format!("model: documentation\n{ok}"),
            ]
        );
        assert_eq!(results.ignored().collect::<Vec<_>>(), ["worker: tests/up.rs, full_disk: needs root"]);
    }
}
