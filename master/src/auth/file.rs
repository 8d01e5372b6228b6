//! The password file.

use std::collections::BTreeMap;
use std::str::FromStr;

use bcrypt::HashParts;
use thiserror::Error;

/// The most work that a hash may ask for: 2 to this many rounds are about a second. bcrypt goes to 31, which is hours.
const MOST_COST: u32 = 14;

/// Users and the hashes of their passwords; at least one.
#[derive(PartialEq, Eq)]
pub(super) struct Users(BTreeMap<String, String>);

/// Without the hashes.
impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What is wrong in a password file. No hash is repeated.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FileError {
    /// More than any list of users.
    #[error("it has more than 1 MiB; name a password file, as htpasswd -B -c FILE NAME makes it")]
    TooLarge,
    /// Not even text.
    #[error("it is not UTF-8; name a password file, as htpasswd -B -c FILE NAME makes it")]
    NotText,
    /// Nobody could ever ask.
    #[error("it names no user; add one with htpasswd -B FILE NAME")]
    Empty,
    /// A line of another shape.
    #[error("line {0} is not NAME:HASH; write it with htpasswd -B FILE NAME")]
    Line(usize),
    /// A password in clear, or hashed by something that is broken today.
    #[error(
        "line {line}: the password of {user} is not hashed with bcrypt; write it again with htpasswd -B FILE {user}"
    )]
    Hash {
        /// Counted from 1.
        line: usize,
        /// Whose it is.
        user: String,
    },
    /// Each check would take seconds.
    #[error(
        "line {line}: the hash of {user} has cost {cost}, which takes too long to check; write it again with htpasswd -B -C 10 FILE {user}"
    )]
    Cost {
        /// Counted from 1.
        line: usize,
        /// Whose it is.
        user: String,
        /// The logarithm of the rounds.
        cost: u32,
    },
    /// Which of the two counts is not known.
    #[error("line {line}: {user} is there twice; remove one of the lines")]
    Twice {
        /// The second one, counted from 1.
        line: usize,
        /// Who.
        user: String,
    },
}

impl Users {
    /// Reads a file. Empty lines and those that begin with `#` are passed over.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        let text = std::str::from_utf8(bytes).map_err(|_| FileError::NotText)?;
        let mut users = BTreeMap::new();
        for (index, entry) in text.lines().enumerate() {
            let (line, entry) = (index + 1, entry.trim_end());
            if entry.is_empty() || entry.starts_with('#') {
                continue;
            }
            let (user, hash) = entry.split_once(':').ok_or(FileError::Line(line))?;
            if user.is_empty() {
                return Err(FileError::Line(line));
            }
            let user = user.to_owned();
            let known = ["$2y$", "$2b$", "$2a$"].iter().any(|kind| hash.starts_with(kind));
            let cost = HashParts::from_str(hash).ok().filter(|_| known).map(|parts| parts.get_cost());
            match cost {
                None => return Err(FileError::Hash { line, user }),
                Some(cost) if cost > MOST_COST => return Err(FileError::Cost { line, user, cost }),
                Some(_) if users.contains_key(&user) => return Err(FileError::Twice { line, user }),
                Some(_) => users.insert(user, hash.to_owned()),
            };
        }
        if users.is_empty() { Err(FileError::Empty) } else { Ok(Self(users)) }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_known(&self, user: &str) -> bool {
        self.0.contains_key(user)
    }

    /// Whether that is the user's password. A user who is not there costs the same time as one who is.
    pub(super) fn has(&self, user: &str, password: &str) -> bool {
        let hash = self.0.get(user);
        let Some(checked) = hash.or_else(|| self.0.values().next()) else { return false };
        bcrypt::verify(password, checked).unwrap_or(false) && hash.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$05$xDPXzCKnEJp6rFRKGIBtH.d2dLGoY3QmTT.0UVI4dLtCGhLAyfFR2";

    #[test]
    fn what_is_wrong_in_a_password_file_names_the_line_and_what_to_do() {
        let line = |text: &str| text.replace("HASH", HASH);
        for (text, why) in [
            (line(""), "it names no user"),
            (line("# nobody\n\n"), "it names no user"),
            (line("a:HASH\nb"), "line 2 is not NAME:HASH"),
            (line(":HASH"), "line 1 is not NAME:HASH"),
            (
                line("a:secret"),
                "line 1: the password of a is not hashed with bcrypt; write it again with htpasswd -B FILE a",
            ),
            (line("a:$apr1$x$yyyyyyyyyyyyyyyyyyyyyy"), "not hashed with bcrypt"),
            (line("a:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="), "not hashed with bcrypt"),
            (line("a:$2y$05$short"), "not hashed with bcrypt"),
            (line("a:HASH\na:HASH"), "line 2: a is there twice"),
            (line("a:HASH").replace("$05$", "$15$"), "has cost 15"),
        ] {
            let said = Users::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(why), "{text:?}: {said}");
            assert!(!said.contains("secret") && !said.contains(HASH), "{said}");
        }
        assert_eq!(Users::parse(b"\xff").unwrap_err(), FileError::NotText);
        assert_eq!(Users::parse(line("# us\r\na:HASH\r\n\nb:HASH\n").as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn a_password_is_the_one_that_htpasswd_hashed() {
        // htpasswd -nbB alice 'pä:ss word'
        let hash =
            bcrypt::hash_with_result("pä:ss word", 4).unwrap().format_for_version(bcrypt::Version::TwoY);
        let users = Users::parse(format!("alice:{hash}\n").as_bytes()).unwrap();
        assert!(users.has("alice", "pä:ss word"));
        for (user, password) in [("alice", ""), ("alice", "pä:ss wor"), ("bob", "pä:ss word"), ("", "")] {
            assert!(!users.has(user, password), "{user} {password}");
        }
    }
}
