//! Running `cronctl`.

use std::process::Command;

use e2e::{cronctl, until};
use serde_json::Value;

/// What a command printed, what it said on standard error, and its exit status.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) printed: String,
    pub(crate) said: String,
    pub(crate) status: i32,
}

impl Ended {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.printed).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }

    /// The fields of a line of a table, by the first of them.
    pub(crate) fn row(&self, name: &str) -> Vec<&str> {
        let mut rows = self.printed.lines().map(|line| line.split("  ").map(str::trim));
        let row = rows.find_map(|mut row| (row.next() == Some(name)).then(|| row.collect::<Vec<_>>()));
        let row = row.unwrap_or_else(|| panic!("no {name} in {self:?}"));
        row.into_iter().filter(|cell| !cell.is_empty()).collect()
    }
}

/// How to reach a target: options, and variables of the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(crate) options: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Place {
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = cronctl();
        command.args(arguments).args(&self.options).envs(self.environment.iter().cloned());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        let ended = self.command(arguments).output().expect("cronctl starts");
        let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
        let status = ended.status.code().expect("it exits");
        Ended { printed: text(ended.stdout), said: text(ended.stderr), status }
    }

    /// What it prints.
    ///
    /// # Panics
    /// If it fails.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.status, 0, "{arguments:?}: {ended:?}");
        ended.printed
    }

    pub(crate) fn until(&self, arguments: &[&str], wanted: impl Fn(&Ended) -> bool) -> Ended {
        until(&format!("cronctl {arguments:?}"), || Some(self.run(arguments)).filter(&wanted))
    }
}
