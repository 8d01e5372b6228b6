//! Parameters of a query string or of a form, decoded strictly.
//!
//! The usual decoders put U+FFFD in the place of bytes that are not UTF-8, and so would save another command than the
//! one that was sent.

use std::borrow::Cow;
use std::str::FromStr;

use percent_encoding::percent_decode;
use thiserror::Error;

/// Decoded parameters. Of several with one name the first counts.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

/// Why parameters can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum ParamError {
    #[error("the parameters are not UTF-8; encode each value as UTF-8, then percent-encode it")]
    NotText,
    #[error("{0} is missing; send it as a parameter")]
    Missing(&'static str),
    #[error("{name} is {value:?}; write a whole number from 0 to {max}", max = u32::MAX)]
    NotANumber { name: &'static str, value: String },
}

impl Params {
    /// Reads `a=b&c=d`, percent-encoded, with `+` for a space.
    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, ParamError> {
        let pairs = encoded.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let mut half = || decode(halves.next().unwrap_or_default());
            Ok((half()?, half()?))
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// A value, if it was sent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A value that has to be there.
    pub(crate) fn need(&self, name: &'static str) -> Result<&str, ParamError> {
        self.get(name).ok_or(ParamError::Missing(name))
    }

    /// A number, or `default` where none was sent.
    pub(crate) fn number(&self, name: &'static str, default: u32) -> Result<u32, ParamError> {
        match self.get(name) {
            None | Some("") => Ok(default),
            Some(value) => u32::from_str(value)
                .map_err(|_| ParamError::NotANumber { name, value: value.chars().take(40).collect() }),
        }
    }
}

fn decode(encoded: &[u8]) -> Result<String, ParamError> {
    let spaced: Cow<'_, [u8]> = if encoded.contains(&b'+') {
        encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect::<Vec<_>>().into()
    } else {
        encoded.into()
    };
    let text = percent_decode(&spaced).decode_utf8().map_err(|_| ParamError::NotText)?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_arrive_exactly() {
        let params =
            Params::parse(b"name=%E5%A4%9C+a%2Fb&job=a%20%26%26%20b+%3C+c%2B1&empty=&flag&name=2").unwrap();
        assert_eq!(params.get("name"), Some("夜 a/b"));
        assert_eq!(params.get("job"), Some("a && b < c+1"));
        assert_eq!(params.get("empty"), Some(""));
        assert_eq!(params.get("flag"), Some(""));
        assert_eq!(params.need("other"), Err(ParamError::Missing("other")));
    }

    #[test]
    fn what_is_not_text_or_no_number_is_refused() {
        assert_eq!(Params::parse(b"a=%FF").unwrap_err(), ParamError::NotText);
        assert_eq!(Params::parse(b"a=\xff").unwrap_err(), ParamError::NotText);
        let params = Params::parse(b"limit=-1&skip=&n=7").unwrap();
        assert!(params.number("limit", 20).is_err());
        assert_eq!(params.number("skip", 3), Ok(3));
        assert_eq!(params.number("n", 3), Ok(7));
    }
}
