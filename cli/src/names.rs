//! Names that are no job's, and what may have been meant.

use crate::terminal::visible;

/// How many names are suggested.
const SUGGESTED: usize = 3;

/// A command that did its work, but not for everything it was asked for. What went wrong is said already.
#[derive(Debug, thiserror::Error)]
#[error("{0} of the jobs could not be found or changed")]
pub(crate) struct Partly(pub(crate) usize);

/// What to say of a name that no job has.
pub(crate) fn unknown(name: &str, known: &[String]) -> String {
    let near = near(name, known);
    let hint = if near.is_empty() {
        "`cronctl get` lists those there are".to_owned()
    } else {
        let near: Vec<String> = near.into_iter().map(visible).collect();
        format!("did you mean {}?", near.join(" or "))
    };
    format!("there is no job {}; {hint}", visible(name))
}

/// The known names that differ by little, with or without their namespace, nearest first.
fn near<'a>(name: &str, known: &'a [String]) -> Vec<&'a str> {
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_lowercase();
    let wanted = (name.to_lowercase(), last(name));
    let limit = |name: &str| name.chars().count().div_ceil(3);
    let mut near: Vec<(usize, &str)> = known
        .iter()
        .filter_map(|known| {
            let whole = strsim::damerau_levenshtein(&wanted.0, &known.to_lowercase());
            let part = last(known);
            // Of a longer name the beginning may be all that was written.
            let beginning: String = part.chars().take(wanted.1.chars().count()).collect();
            let distance = strsim::damerau_levenshtein(&wanted.1, &part)
                .min(strsim::damerau_levenshtein(&wanted.1, &beginning))
                .min(whole);
            (distance <= limit(&wanted.1)).then_some((distance, known.as_str()))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().take(SUGGESTED).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        let known = ["default/hello", "default/failure", "ops/Rotate", "x"].map(str::to_owned);
        for (name, wanted) in [
            ("helo", "there is no job helo; did you mean default/hello?"),
            ("default/failrue", "there is no job default/failrue; did you mean default/failure?"),
            ("rotate", "there is no job rotate; did you mean ops/Rotate?"),
            ("hel", "there is no job hel; did you mean default/hello?"),
            ("backup", "there is no job backup; `cronctl get` lists those there are"),
            ("\x1b[2J", "there is no job \u{241b}[2J; `cronctl get` lists those there are"),
        ] {
            assert_eq!(unknown(name, &known), wanted);
        }
    }
}
