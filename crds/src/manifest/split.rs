//! Cuts a YAML text into its documents, by lines, before anything is parsed.
//!
//! YAML makes that exact: `---` or `...` at the very beginning of a line, followed by white space or the line's end, is a
//! document marker wherever it stands, inside block scalars and quotes too. Whatever is wrong between two markers stays
//! between them.

/// One document's text, not yet parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// From its first comment, directive or marker to the next document; without a byte order mark.
    pub(crate) text: &'a str,
    /// The 1-based line in the file where `text` begins.
    pub(crate) line: usize,
    /// The 1-based line of its first content; `None` when it holds nothing but comments.
    pub(crate) content_line: Option<usize>,
}

/// The documents of a text, in order.
pub(crate) fn split(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut open: Option<Open> = None;
    let mut start = 0;
    for (line, (content, end)) in (1..).zip(lines(text)) {
        // A file that was appended to another one may bring its byte order mark along.
        let bare = content.strip_prefix('\u{feff}').unwrap_or(content);
        let bare_start = start + content.len() - bare.len();
        if let Some(rest) = after_marker(bare, "---") {
            match &mut open {
                Some(doc) if !doc.marked && doc.content_line.is_none() => doc.marked = true,
                _ => {
                    pieces.extend(open.take().map(|doc| doc.close(text, start)));
                    open = Some(Open {
                        start: bare_start,
                        line,
                        marked: true,
                        directives: None,
                        content_line: None,
                    });
                }
            }
            if let (Some(doc), false) = (&mut open, is_silent(rest)) {
                doc.content_line = Some(line);
            }
        } else if after_marker(bare, "...").is_some() {
            pieces.extend(open.take().map(|doc| doc.close(text, start)));
        } else if open.is_some() || !bare.trim().is_empty() {
            let doc = open.get_or_insert(Open {
                start: bare_start,
                line,
                marked: false,
                directives: None,
                content_line: None,
            });
            if bare.starts_with('%') && !doc.marked && doc.content_line.is_none() {
                doc.directives.get_or_insert(line);
            } else if doc.content_line.is_none() && !is_silent(bare) {
                doc.content_line = Some(line);
            }
        }
        start = end;
    }
    pieces.extend(open.map(|doc| doc.close(text, text.len())));
    pieces
}

/// The lines of one document by their number in the file.
pub(crate) struct Lines<'a> {
    first: usize,
    lines: Vec<&'a str>,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(piece: Piece<'a>) -> Self {
        Self { first: piece.line, lines: lines(piece.text).map(|(line, _)| line).collect() }
    }

    pub(crate) fn get(&self, number: usize) -> Option<&'a str> {
        self.lines.get(number.checked_sub(self.first)?).copied()
    }
}

/// The document that the lines go into.
struct Open {
    start: usize,
    line: usize,
    marked: bool,
    directives: Option<usize>,
    content_line: Option<usize>,
}

impl Open {
    fn close(self, text: &str, end: usize) -> Piece<'_> {
        // Directives without a document are a mistake, which the parser is to name.
        let stray = if self.marked { None } else { self.directives };
        Piece { text: &text[self.start..end], line: self.line, content_line: self.content_line.or(stray) }
    }
}

/// The lines of a text without their ends, each with the offset of the next one. Line ends are those of YAML: LF, CRLF
/// and a lone CR.
fn lines(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = &text[start..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let ending = if rest[length..].starts_with("\r\n") { 2 } else { usize::from(length < rest.len()) };
        start += length + ending;
        Some((&rest[..length], start))
    })
}

fn after_marker<'a>(line: &'a str, marker: &str) -> Option<&'a str> {
    line.strip_prefix(marker).filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// Whether a line, or what follows a marker, is blank or a comment.
fn is_silent(text: &str) -> bool {
    let text = text.trim_start_matches([' ', '\t']);
    text.is_empty() || text.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_cut_and_nothing_else_does() {
        // The text, and each document as (line, line of its first content, text).
        type Expected<'a> = &'a [(usize, Option<usize>, &'a str)];
        let table: &[(&str, &str, Expected<'_>)] = &[
            ("nothing", "", &[]),
            ("blank lines", "\n  \n\t\n", &[]),
            ("one without a marker", "a: 1\n", &[(1, Some(1), "a: 1\n")]),
            ("two", "a: 1\n---\nb: 2\n", &[(1, Some(1), "a: 1\n"), (2, Some(3), "---\nb: 2\n")]),
            (
                "a comment before the first marker belongs to it",
                "# c\n---\na: 1\n",
                &[(1, Some(3), "# c\n---\na: 1\n")],
            ),
            ("a marker with a comment", "--- # one\na: 1\n", &[(1, Some(2), "--- # one\na: 1\n")]),
            ("a document on the marker's line", "--- {a: 1}\n", &[(1, Some(1), "--- {a: 1}\n")]),
            ("a list of dashes is no marker", "a:\n---b\n----\n", &[(1, Some(1), "a:\n---b\n----\n")]),
            (
                "an indented marker in a block scalar",
                "a: |\n  ---\n  x\n",
                &[(1, Some(1), "a: |\n  ---\n  x\n")],
            ),
            (
                "empty ones between markers",
                "---\n---\n# c\n---\na: 1\n",
                &[(1, None, "---\n"), (2, None, "---\n# c\n"), (4, Some(5), "---\na: 1\n")],
            ),
            (
                "an end marker",
                "a: 1\n...\n# c\nb: 2\n",
                &[(1, Some(1), "a: 1\n"), (3, Some(4), "# c\nb: 2\n")],
            ),
            (
                "directives belong to the next document",
                "a: 1\n...\n%YAML 1.2\n---\nb: 2\n",
                &[(1, Some(1), "a: 1\n"), (3, Some(5), "%YAML 1.2\n---\nb: 2\n")],
            ),
            ("directives without a document", "%YAML 1.2\n", &[(1, Some(1), "%YAML 1.2\n")]),
            ("CRLF", "a: 1\r\n---\r\nb: 2\r\n", &[(1, Some(1), "a: 1\r\n"), (2, Some(3), "---\r\nb: 2\r\n")]),
            ("a lone CR", "a: 1\r---\rb: 2", &[(1, Some(1), "a: 1\r"), (2, Some(3), "---\rb: 2")]),
            (
                "byte order marks",
                "\u{feff}a: 1\n\u{feff}---\nb: 2\n",
                &[(1, Some(1), "a: 1\n"), (2, Some(3), "---\nb: 2\n")],
            ),
            ("the last line without an end", "---\na: 1", &[(1, Some(2), "---\na: 1")]),
        ];
        for (what, text, expected) in table {
            let found: Vec<_> = split(text).into_iter().map(|p| (p.line, p.content_line, p.text)).collect();
            assert_eq!(&found, expected, "{what}: {text:?}");
        }
    }
}
