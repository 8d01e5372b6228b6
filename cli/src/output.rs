//! `-o`: as a table for people, or as JSON or YAML for programs.

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table
    #[default]
    Table,
    /// A table with more columns
    Wide,
    /// JSON, in a shape that stays
    Json,
    /// The same as YAML
    Yaml,
}

impl Format {
    /// Whether programs read it.
    pub(crate) fn is_data(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }

    /// A value for programs; as JSON unless it is YAML that was asked for.
    pub(crate) fn data(self, value: &impl Serialize) -> anyhow::Result<String> {
        if self == Self::Yaml {
            return serde_yaml::to_string(value).context("it can't be written as YAML");
        }
        let text = serde_json::to_string_pretty(value).context("it can't be written as JSON")?;
        Ok(text + "\n")
    }
}
