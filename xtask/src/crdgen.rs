//! `cargo xtask crdgen`: the files that are generated from the types of `crds`, and those of the Helm chart that follow from
//! others.
//!
//! They are committed, so that a reader and `kubectl apply -f crds/` need no build; `--check` keeps them honest.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::chartgen;

/// Writes `crds/nodecronjobs.yaml`, `docs/reference.md` and the generated files of the chart. With `check` nothing is written: a file that differs is shown
/// with its differences, and the answer is an error.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask is a folder of the workspace")?;
    let mut files =
        vec![("crds/nodecronjobs.yaml", crds::definition_yaml()), ("docs/reference.md", reference()?)];
    files.extend(chartgen::files(root)?);
    let mut stale = Vec::new();
    for (name, expected) in files {
        let path = root.join(name);
        let found = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("{name} can't be read")),
        };
        if found == expected {
            continue;
        }
        if check {
            print!("{}", difference(name, &found, &expected));
            stale.push(name);
        } else {
            std::fs::write(&path, expected).with_context(|| format!("{name} can't be written"))?;
            println!("wrote {name}");
        }
    }
    if !stale.is_empty() {
        bail!("{} out of date; run cargo xtask crdgen and commit what it writes", stale.join(" and "));
    }
    Ok(())
}

/// What has to change, with three lines around each change. Generated files differ in a few places of one kind, so the
/// common beginning and end are cut away and the middle is shown whole.
fn difference(name: &str, found: &str, expected: &str) -> String {
    const AROUND: usize = 3;
    let (old, new): (Vec<_>, Vec<_>) = (found.lines().collect(), expected.lines().collect());
    let same_start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[same_start..], &new[same_start..]);
    let same_end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let before = &old[same_start.saturating_sub(AROUND)..same_start];
    let (removed, after) = old_rest.split_at(old_rest.len() - same_end);
    let added = &new_rest[..new_rest.len() - same_end];
    let after = &after[..after.len().min(AROUND)];
    let mut text = format!("--- {name}\n+++ {name}, generated\n@@ line {} @@\n", same_start + 1);
    for (mark, lines) in [(' ', before), ('-', removed), ('+', added), (' ', after)] {
        for line in lines {
            text.extend([mark.to_string().as_str(), line, "\n"]);
        }
    }
    text
}

/// The reference: one table per object of the schema.
fn reference() -> anyhow::Result<String> {
    let definition = serde_json::to_value(crds::definition()).context("the definition is plain data")?;
    let names = &definition["spec"]["names"];
    let version = &definition["spec"]["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let (kind, group) = (text(&names["kind"]), text(&definition["spec"]["group"]));
    let mut page = format!(
        "<!-- Generated from crds/src/resource.rs by `cargo xtask crdgen`; an edit here is lost. -->\n\
         # {kind}\n\n\
         {}\n\n\
         ```yaml\napiVersion: {group}/{}\nkind: {kind}\nmetadata: {{name: hello}}\nspec:\n  schedule: \"*/5 * * * *\"\n  template:\n    command: echo hello\n```\n\n\
         Short name `{}`, plural `{}`, category `{}`. `kubectl explain {}.spec` says the same as this page.\n",
        text(&schema["description"]),
        text(&version["name"]),
        text(&names["shortNames"][0]),
        text(&names["plural"]),
        text(&names["categories"][0]),
        text(&names["singular"]),
    );
    for part in ["spec", "status"] {
        section(&mut page, part, &schema["properties"][part])?;
    }
    Ok(page)
}

/// The table of one object, then those of the objects in it.
fn section(page: &mut String, path: &str, schema: &Value) -> anyhow::Result<()> {
    write!(page, "\n## `{path}`\n\n{}\n\n", one_line(&schema["description"]))?;
    for rule in validations(schema) {
        writeln!(page, "- {rule}")?;
    }
    if validations(schema).next().is_some() {
        page.push('\n');
    }
    page.push_str("| field | type | default | description | rules |\n| --- | --- | --- | --- | --- |\n");
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().map(text).collect();
    let mut objects = Vec::new();
    let mut fields: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
    fields.sort_by_key(|(name, _)| !required.contains(&name.as_str()));
    for (name, field) in fields {
        let items = &field["items"];
        let (kind, inner) = match text(&field["type"]) {
            "array" => (format!("list of {}", plural(items)), items.clone()),
            "object" => ("object".to_owned(), field.clone()),
            _ => (singular(field).to_owned(), Value::Null),
        };
        let default = match &field["default"] {
            Value::Null if required.contains(&name.as_str()) => "required".to_owned(),
            Value::Null => "–".to_owned(),
            value => format!("`{}`", serde_json::to_string(value)?),
        };
        let mut rules = bounds(field);
        rules.extend(bounds(items).into_iter().map(|rule| format!("each: {rule}")));
        // Those of an object stand above its own table.
        if !field["properties"].is_object() {
            rules.extend(validations(field).map(str::to_owned));
        }
        writeln!(
            page,
            "| `{name}` | {kind} | {} | {} | {} |",
            cell(&default),
            cell(&one_line(&field["description"])),
            cell(&rules.join("<br>")),
        )?;
        if inner["properties"].is_object() {
            let path = if items.is_null() { format!("{path}.{name}") } else { format!("{path}.{name}[]") };
            objects.push((path, inner));
        }
    }
    for (path, schema) in objects {
        section(page, &path, &schema)?;
    }
    Ok(())
}

fn singular(schema: &Value) -> &str {
    match (text(&schema["type"]), text(&schema["format"])) {
        (_, "date-time") => "time",
        ("string", _) => "text",
        ("integer", _) => "number",
        ("boolean", _) => "true or false",
        (other, _) => other,
    }
}

fn plural(schema: &Value) -> &str {
    match text(&schema["type"]) {
        "object" => "objects",
        "string" => "texts",
        _ => singular(schema),
    }
}

/// The limits of a field in words.
fn bounds(schema: &Value) -> Vec<String> {
    let number = |keyword: &str| schema[keyword].as_f64();
    let mut rules = Vec::new();
    if let Some(values) = schema["enum"].as_array() {
        rules.push(values.iter().map(|value| format!("`{}`", text(value))).collect::<Vec<_>>().join(" or "));
    }
    for (min, max, unit) in [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
    ] {
        match (number(min).filter(|min| *min > 0.0 || unit.is_empty()), number(max)) {
            (Some(min), Some(max)) => rules.push(format!("{min} to {max}{unit}")),
            (None, Some(max)) => rules.push(format!("at most {max}{unit}")),
            (Some(min), None) => rules.push(format!("at least {min}{unit}")),
            (None, None) => {}
        }
    }
    match text(&schema["x-kubernetes-list-type"]) {
        "map" => rules.push(format!("one entry per `{}`", text(&schema["x-kubernetes-list-map-keys"][0]))),
        "set" => rules.push("no entry twice".to_owned()),
        _ => {}
    }
    rules
}

/// What an API server answers when a rule of the schema is broken, which says what to write.
fn validations(schema: &Value) -> impl Iterator<Item = &str> {
    schema["x-kubernetes-validations"].as_array().into_iter().flatten().map(|rule| text(&rule["message"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A description is broken into lines as the source is.
fn one_line(value: &Value) -> String {
    text(value).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_what_changes_and_its_surroundings() {
        let (old, new) = ("a\nb\nc\nd\nold\ne\nf\ng\nh\n", "a\nb\nc\nd\nnew\nmore\ne\nf\ng\nh\n");
        let expected = "--- x\n+++ x, generated\n@@ line 5 @@\n b\n c\n d\n-old\n+new\n+more\n e\n f\n g\n";
        assert_eq!(difference("x", old, new), expected);
        assert!(difference("x", "", new).contains("+a\n"));
    }

    #[test]
    fn the_reference_names_every_field() {
        let page = reference().unwrap();
        for field in ["schedule", "template", "limitBytes", "lastScheduleTime"] {
            assert!(page.contains(&format!("| `{field}` |")), "{field}");
        }
        assert!(page.contains("| `schedule` | text | required |"));
    }
}
