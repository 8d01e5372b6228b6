//! Text for people: tables, durations, and texts from elsewhere that must not steer the terminal.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

/// The text with control characters shown as U+FFFD or, for the common ones, as a picture of themselves.
pub(crate) fn visible(text: &str) -> String {
    let picture = |c: char| match u32::from(c) {
        0x09 => c,
        code @ 0..0x20 => char::from_u32(0x2400 + code).unwrap_or(char::REPLACEMENT_CHARACTER),
        0x7f => '\u{2421}',
        0x80..0xa0 | 0x200e | 0x200f | 0x202a..=0x202e | 0x2066..=0x2069 => char::REPLACEMENT_CHARACTER,
        _ => c,
    };
    text.chars().map(picture).collect()
}

/// A duration as people say it after something happened.
pub(crate) fn lasted(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        _ if duration.as_secs() < 60 => format!("{:.1} s", duration.as_secs_f64()),
        _ => format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60),
    }
}

/// How long ago or ahead something is, as kubectl writes ages.
pub(crate) fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Rows below a heading, in columns as wide as they need. Every cell is made [`visible`].
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = std::iter::once(heading.iter().map(|cell| (*cell).to_owned()).collect())
        .chain(rows.iter().map(|row| row.iter().map(|cell| visible(cell).replace('\t', " ")).collect()))
        .collect();
    let mut widths = vec![0; heading.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            write!(line, "{cell:width$}   ").expect("writing to a string succeeds");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Writes to standard output. That whoever reads it has gone ends the program, and is no failure (see `main`).
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_can_not_steer_the_terminal() {
        assert_eq!(visible("a\x1b[31mb\r\nc\td"), "a\u{241b}[31mb\u{240d}\u{240a}c\td");
        assert_eq!(visible("a\u{9b}b\u{202e}c"), "a\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(lasted(Duration::from_millis(4)), "4 ms");
        assert_eq!(lasted(Duration::from_millis(61_500)), "1 min 1 s");
        assert_eq!(age(Duration::from_secs(7199)), "119m");
        assert_eq!(age(Duration::from_hours(72)), "3d");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["夜\x1b".to_owned(), "1".to_owned()], vec!["b".to_owned(), String::new()]];
        assert_eq!(table(&["NAME", "N"], &rows), "NAME   N\n夜\u{241b}     1\nb\n");
    }
}
