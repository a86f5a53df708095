//! The name under which a cluster knows an attempt.

use std::fmt;
use std::sync::Arc;

use jobwright_core::AttemptId;
use serde::Deserialize;
use thiserror::Error;

/// The name of an attempt on a cluster, `<prefix>-<job>-<number>`: a pure function of the attempt's
/// id, so that handing over twice is the same as once. At most 63 characters of `[a-z0-9-]`,
/// beginning with a letter, which every cluster takes as a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// The begin of all keys of an installation. Two installations that share a cluster need two. It is
/// read from a text, too.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Prefix(Arc<str>);

/// A text that cannot be a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` cannot begin names on a cluster: write 1 to {most} lower-case letters, digits and single \
     hyphens, a letter first, no hyphen last",
    most = Prefix::MAX
)]
pub struct PrefixError(String);

impl Prefix {
    /// The most characters: with the longest ids a key has 63.
    pub const MAX: usize = 35;

    /// Takes a text as a prefix.
    ///
    /// # Errors
    /// It is empty, too long, or holds something else than lower-case letters, digits and hyphens.
    pub fn new(text: &str) -> Result<Self, PrefixError> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = text.len() <= Self::MAX
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && !text.contains("--")
            && text.chars().all(is_plain);
        if fits { Ok(Self(text.into())) } else { Err(PrefixError(text.to_owned())) }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;

    fn try_from(text: String) -> Result<Self, PrefixError> {
        Self::new(&text)
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("jobwright".into())
    }
}

impl Key {
    /// Names an attempt.
    #[must_use]
    pub fn new(prefix: &Prefix, attempt: AttemptId) -> Self {
        Self(format!("{}-{attempt}", prefix.0).into())
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use jobwright_core::{ID_LIMIT, JobId};

    use super::*;

    #[test]
    fn keys_are_names_everywhere() {
        let check = |prefix: &str, fits: bool| {
            assert_eq!(Prefix::new(prefix).is_ok(), fits, "{prefix}");
        };
        for good in ["a", "jobwright", "team-7-x", &"p".repeat(Prefix::MAX)] {
            check(good, true);
        }
        for bad in ["", "7a", "-a", "a-", "a--b", "A", "a_b", "ä", &"p".repeat(Prefix::MAX + 1)] {
            check(bad, false);
        }
        let longest = Prefix::new(&"p".repeat(Prefix::MAX)).unwrap();
        let job = JobId::new(ID_LIMIT - 1).unwrap();
        let key = Key::new(&longest, AttemptId { job, number: u32::MAX });
        assert_eq!(key.as_str().len(), 63);
        let key =
            Key::new(&Prefix::default(), AttemptId { job: JobId::new(68).unwrap(), number: 1 });
        assert_eq!(key.to_string(), "jobwright-68-1");
    }
}
