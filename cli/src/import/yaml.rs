//! Plain data as YAML that every reader takes for the same: a text that any of them could take for something else, such as
//! `yes` or `0755`, is in quotes. (`serde_yaml` quotes what YAML 1.2 needs; kubectl reads YAML 1.1.)

use std::fmt::Write as _;

use serde_yaml::Value;

/// The document of a mapping.
pub(super) fn emit(value: &Value) -> String {
    let mut text = String::new();
    fields(value, 0, &mut text);
    text
}

/// The fields of a mapping, a line or more for each.
fn fields(value: &Value, indent: usize, into: &mut String) {
    for (key, value) in value.as_mapping().into_iter().flatten() {
        write!(into, "{:indent$}{}:", "", scalar(key)).expect("writing to a string succeeds");
        below(value, indent, into);
    }
}

/// A value after the name of its field.
fn below(value: &Value, indent: usize, into: &mut String) {
    match value {
        Value::Mapping(inner) if !inner.is_empty() => {
            into.push('\n');
            fields(value, indent + 2, into);
        }
        Value::Sequence(items) if items.iter().any(Value::is_mapping) => {
            into.push('\n');
            for item in items {
                let mut lines = String::new();
                fields(item, indent + 2, &mut lines);
                // The first field stands beside the dash.
                write!(into, "{:indent$}- {}", "", lines.trim_start_matches(' '))
                    .expect("writing to a string succeeds");
            }
        }
        Value::String(text) if text.contains('\n') => match block(text, indent + 2) {
            Some(block) => into.push_str(&block),
            None => writeln!(into, " {}", quoted(text)).expect("writing to a string succeeds"),
        },
        other => writeln!(into, " {}", scalar(other)).expect("writing to a string succeeds"),
    }
}

/// A value in one line.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::String(text) => quoted(text),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::Sequence(items) => format!("[{}]", items.iter().map(scalar).collect::<Vec<_>>().join(", ")),
        Value::Mapping(_) => "{}".to_owned(),
        Value::Null | Value::Tagged(_) => "null".to_owned(),
    }
}

/// Whether a text is nothing else without quotes, in a list too.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && !text.ends_with(' ')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || " _./-@=+".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// A text in quotes, as in JSON. What JSON leaves as it is and YAML does not is escaped.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let bare = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    json.chars().fold(String::new(), |mut escaped, c| {
        if bare(c) {
            escaped.push(c);
        } else {
            write!(escaped, "\\u{:04x}", u32::from(c)).expect("writing to a string succeeds");
        }
        escaped
    })
}

/// A text of several lines as it is, where that is what a reader gets.
fn block(text: &str, indent: usize) -> Option<String> {
    let clean = |c: char| c == '\n' || !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    let blank = |line: &str| !line.is_empty() && line.trim().is_empty();
    if text.starts_with([' ', '\n']) || !text.chars().all(clean) || text.split('\n').any(blank) {
        return None;
    }
    let (mark, body) = match text.strip_suffix('\n') {
        Some(body) if body.ends_with('\n') => return None,
        Some(body) => ("|", body),
        None => ("|-", text),
    };
    let mut block = format!(" {mark}\n");
    for line in body.split('\n') {
        let indent = if line.is_empty() { 0 } else { indent };
        writeln!(block, "{:indent$}{line}", "").expect("writing to a string succeeds");
    }
    Some(block)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_that_could_be_something_else_are_in_quotes() {
        for (text, written) in [
            ("/bin/sh", "/bin/sh"),
            ("yes", "\"yes\""),
            ("No", "\"No\""),
            ("0755", "\"0755\""),
            ("", "\"\""),
            ("a: b", "\"a: b\""),
            ("a ", "\"a \""),
            ("~", "\"~\""),
            ("*/5 * * * *", "\"*/5 * * * *\""),
            ("a\u{7f}\u{85}\u{feff}", r#""a\u007f\u0085\ufeff""#),
        ] {
            assert_eq!(scalar(&text.into()), written);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(texts in prop::collection::vec("\\PC{0,8}|[ \\n#:a'\"|-]{0,12}|(?s:.){0,8}", 3)) {
            let value = serde_json::json!({
                "a": texts[0], "b": {"c": texts[1], "d": [{"name": texts[2], "value": texts[0]}]}, "e": [texts[1], 1], "f": true,
            });
            let value: Value = serde_yaml::to_value(value).unwrap();
            let text = emit(&value);
            prop_assert_eq!(serde_yaml::from_str::<Value>(&text).unwrap(), value.clone(), "{}", text);
            let [Ok(object)] = &crds::manifest::objects(&text)[..] else { panic!("{text}") };
            prop_assert_eq!(serde_yaml::to_value(object.to_json()).unwrap(), value, "{}", text);
        }
    }
}
