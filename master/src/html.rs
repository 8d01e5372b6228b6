//! Text for a page that writes what it is given into HTML.

/// The text whose HTML shows `text`: markup in it is inert between tags and in quoted attributes. A browser that reads
/// it back, as `textContent` or an attribute, gets `text` exactly; of a carriage return only the reference survives.
pub(crate) fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\r' => html.push_str("&#13;"),
            c => html.push(c),
        }
    }
    html
}
