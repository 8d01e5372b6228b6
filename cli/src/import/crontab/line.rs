//! The lines of a crontab, and the parts of a line.

use std::fmt::Write as _;

/// A line that means something.
#[derive(Debug)]
pub(super) enum Line<'t> {
    Setting(Setting),
    /// Fields and a command.
    Entry(&'t str),
}

/// `name = value`, without the quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: String,
}

/// What a shell gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) line: String,
    /// What stands after the first `%`, if there is something; it ends with a line break.
    pub(super) input: Option<String>,
}

/// The settings and entries of a text, with their 1-based numbers.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, Line<'_>)> {
    (1..).zip(text.lines()).filter_map(|(number, line)| {
        let line = line.trim_start_matches([' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        Some((number, setting(line).map_or(Line::Entry(line), Line::Setting)))
    })
}

/// A line as cron's `load_env` reads it: a name, in quotes or without white space, `=`, and a value, in quotes or to the
/// end of the line.
fn setting(line: &str) -> Option<Setting> {
    let (name, rest) = match quoted(line) {
        Some((name, rest)) if !name.contains('=') => (name, rest),
        Some(_) => return None,
        None if line.starts_with(['"', '\'']) => return None,
        None => line.split_at(line.find(|c: char| c == '=' || c.is_ascii_whitespace())?),
    };
    let value = rest.trim_start().strip_prefix('=')?.trim_start();
    let value = match quoted(value) {
        Some((value, rest)) if rest.trim().is_empty() => value,
        Some(_) => return None,
        None if value.starts_with(['"', '\'']) => return None,
        None => value.trim_end(),
    };
    (!name.is_empty()).then(|| Setting { name: name.to_owned(), value: value.to_owned() })
}

/// The text between quotes, and what follows them.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    text[1..].split_once(quote)
}

/// The five fields or the macro of an entry, and the rest of the line.
pub(super) fn split(text: &str) -> Result<(Vec<&str>, &str), String> {
    // cronie: the line is not written to syslog.
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    let count = if rest.starts_with('@') { 1 } else { 5 };
    let mut fields = Vec::new();
    while fields.len() < count {
        let Some((field, after)) = rest.split_once([' ', '\t']) else {
            return Err(
                "there is no command; write 5 fields (minute, hour, day of month, month, day of week) or a macro such as @daily, and then the command"
                    .to_owned(),
            );
        };
        fields.push(field);
        rest = after.trim_start_matches([' ', '\t']);
    }
    Ok((fields, rest))
}

/// The command of an entry. An unescaped `%` ends it, what follows is input, with `%` for line breaks; `\%` is a `%`.
pub(super) fn command(text: &str) -> Command {
    let mut line = String::new();
    let mut chars = text.trim_end_matches('\r').chars();
    let mut escaped = false;
    let mut has_input = false;
    for c in chars.by_ref() {
        match c {
            '%' if escaped => {
                line.pop();
                line.push('%');
                escaped = false;
            }
            '%' => {
                has_input = true;
                break;
            }
            _ => {
                line.push(c);
                escaped = c == '\\' && !escaped;
            }
        }
    }
    let input = has_input.then(|| input(chars.as_str())).filter(|input| !input.is_empty());
    Command { line, input }
}

/// Input as cron writes it: other than in the command, a backslash before another one escapes nothing.
fn input(text: &str) -> String {
    let mut input = String::new();
    let mut escaped = false;
    for c in text.chars() {
        if escaped && c != '%' {
            input.push('\\');
        }
        let c = if c == '%' && !escaped { '\n' } else { c };
        escaped = c == '\\';
        if !escaped {
            input.push(c);
        }
    }
    if escaped {
        input.push('\\');
    }
    if !input.is_empty() && !input.ends_with('\n') {
        input.push('\n');
    }
    input
}

/// The command with its input as a here-document.
pub(super) fn with_input(command: &str, input: &str) -> String {
    let mut end = "END_OF_INPUT".to_owned();
    while input.lines().any(|line| line == end) {
        end.push('_');
    }
    let mut text = String::new();
    // The braces, since the command may be several.
    write!(text, "{{ {command}\n}} <<'{end}'\n{input}{end}\n").expect("writing to a string succeeds");
    text
}

/// Whether a shell of that path reads here-documents; the default shell has no path.
pub(super) fn is_posix(shell: &str) -> bool {
    let name = shell.rsplit('/').next().unwrap_or_default();
    ["", "sh", "ash", "bash", "dash", "ksh", "ksh93", "mksh", "rbash", "zsh"].contains(&name)
}

/// Whether a variable of a job may have that name.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_cron_reads_them() {
        for (line, expected) in [
            ("MAILTO=ops@example.org", Some(("MAILTO", "ops@example.org"))),
            ("A = b c  ", Some(("A", "b c"))),
            ("A=\"  b \"", Some(("A", "  b "))),
            ("'A' = 'b'", Some(("A", "b"))),
            ("MAILTO=\"\"", Some(("MAILTO", ""))),
            ("A=", Some(("A", ""))),
            ("A=b # no comment", Some(("A", "b # no comment"))),
            ("PATH=$HOME/bin:/bin", Some(("PATH", "$HOME/bin:/bin"))),
            ("A=\"b\" c", None),
            ("A=\"b", None),
            ("* * * * * A=b true", None),
            ("@daily A=b true", None),
            ("0 5 * * * x=1", None),
        ] {
            let expected = expected.map(|(name, value)| Setting { name: name.into(), value: value.into() });
            assert_eq!(setting(line), expected, "{line}");
        }
    }

    #[test]
    fn percent_signs_divide_a_command_from_its_input() {
        for (text, line, input) in [
            ("date", "date", None),
            (r"date +\%F", "date +%F", None),
            (r"echo a\b \\ c", r"echo a\b \\ c", None),
            ("mail joe%Joe,%%Where are your kids?%", "mail joe", Some("Joe,\n\nWhere are your kids?\n")),
            ("cat%one", "cat", Some("one\n")),
            ("cat%%", "cat", Some("\n")),
            ("cat%", "cat", None),
            (r"cat%100\% of \x\\%end\", "cat", Some("100% of \\x\\%end\\\n")),
            (r"a\\%b", r"a\\", Some("b\n")),
        ] {
            let expected = Command { line: line.to_owned(), input: input.map(str::to_owned) };
            assert_eq!(command(text), expected, "{text}");
        }
    }

    #[test]
    fn input_that_has_the_end_mark_gets_another_one() {
        let text = with_input("cat; true # both", "END_OF_INPUT\n");
        assert_eq!(text, "{ cat; true # both\n} <<'END_OF_INPUT_'\nEND_OF_INPUT\nEND_OF_INPUT_\n");
    }
}
