//! The files of the Helm chart that follow from others: its copy of the definition, and from values.schema.json, which is
//! written by hand, values.yaml and the table in its README.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde_yaml::Value;

const README: &str = "charts/crontab/README.md";
const BEGIN: &str = "<!-- Written by cargo xtask crdgen from values.schema.json -->\n";
const END: &str = "<!-- end -->\n";

/// How wide a comment may be.
const WIDTH: usize = 110;

/// The files and what should be in them.
pub(crate) fn files(root: &Path) -> anyhow::Result<Vec<(&'static str, String)>> {
    let read =
        |name: &str| fs::read_to_string(root.join(name)).with_context(|| format!("{name} can't be read"));
    // JSON is YAML, and read as such its keys keep their order.
    let schema: Value =
        serde_yaml::from_str(&read("charts/crontab/values.schema.json")?).context("values.schema.json")?;
    let mut values =
        "# Written by `cargo xtask crdgen` from values.schema.json; an edit here is lost.\n".to_owned();
    values_of(&schema, 0, &mut values)?;
    let mut table = "| Value | Default | Description |\n| --- | --- | --- |\n".to_owned();
    rows(&schema, "", &mut table)?;
    let readme = read(README)?;
    let (before, rest) = readme.split_once(BEGIN).with_context(|| format!("{README} has no line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{README} has no line {END}"))?;
    Ok(vec![
        ("charts/crontab/crds/nodecronjobs.yaml", crds::definition_yaml()),
        ("charts/crontab/values.yaml", values),
        (README, format!("{before}{BEGIN}{table}{END}{after}")),
    ])
}

/// A value of the chart: its name, its schema, and the values below it, if it has names for them.
struct Field<'a> {
    name: &'a str,
    description: &'a str,
    schema: &'a Value,
    parent: bool,
}

fn fields(schema: &Value) -> anyhow::Result<Vec<Field<'_>>> {
    let properties =
        schema.get("properties").and_then(Value::as_mapping).context("an object has properties")?;
    let fields = properties.iter().map(|(name, schema)| {
        let name = name.as_str().context("a name is a text")?;
        let description = schema.get("description").and_then(Value::as_str);
        let description = description.with_context(|| format!("the value {name} has no description"))?;
        Ok(Field { name, description, schema, parent: schema.get("properties").is_some() })
    });
    fields.collect()
}

/// The default, as JSON.
fn default_of(field: &Field<'_>) -> anyhow::Result<String> {
    let Some(default) = field.schema.get("default") else {
        bail!("the value {} has no default", field.name);
    };
    Ok(serde_json::to_string(default)?)
}

fn values_of(schema: &Value, depth: usize, text: &mut String) -> anyhow::Result<()> {
    let indent = "  ".repeat(depth);
    for field in fields(schema)? {
        text.push('\n');
        let mut line = format!("{indent}#");
        for word in field.description.split(' ') {
            if line.len() + 1 + word.len() > WIDTH {
                writeln!(text, "{line}")?;
                line = format!("{indent}#");
            }
            write!(line, " {word}")?;
        }
        writeln!(text, "{line}")?;
        if field.parent {
            writeln!(text, "{indent}{}:", field.name)?;
            values_of(field.schema, depth + 1, text)?;
        } else {
            writeln!(text, "{indent}{}: {}", field.name, default_of(&field)?)?;
        }
    }
    Ok(())
}

fn rows(schema: &Value, above: &str, table: &mut String) -> anyhow::Result<()> {
    for field in fields(schema)? {
        let name = format!("{above}{}", field.name);
        if field.parent {
            writeln!(table, "| **`{name}`** | | {} |", field.description)?;
            rows(field.schema, &format!("{name}."), table)?;
        } else {
            let default = default_of(&field)?.replace('|', "\\|");
            let choice = field.schema.get("enum").and_then(Value::as_sequence);
            let choice =
                choice.map(|choice| choice.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
            let choice = choice.map(|choice| format!(" One of {choice}.")).unwrap_or_default();
            writeln!(table, "| `{name}` | `{default}` | {}{choice} |", field.description)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_their_table_follow_from_the_schema() {
        let schema = "{properties: {b: {description: Of b., properties: {c: {description: Of c., default: [1]}}}, \
                      a: {description: Of a., default: '', enum: [x, y]}}}";
        let schema: Value = serde_yaml::from_str(schema).unwrap();
        let mut values = String::new();
        values_of(&schema, 0, &mut values).unwrap();
        assert_eq!(values, "\n# Of b.\nb:\n\n  # Of c.\n  c: [1]\n\n# Of a.\na: \"\"\n");
        let mut table = String::new();
        rows(&schema, "", &mut table).unwrap();
        assert_eq!(
            table,
            "| **`b`** | | Of b. |\n| `b.c` | `[1]` | Of c. |\n| `a` | `\"\"` | Of a. One of x, y. |\n"
        );
        let nameless: Value = serde_yaml::from_str("{properties: {a: {default: 1}}}").unwrap();
        assert!(values_of(&nameless, 0, &mut values).is_err());
    }
}
