//! Regular expressions from packages and rules: bounded before they are compiled, so that nobody
//! can make the engine think for long.

use regex_lite::{Regex, RegexBuilder};
use thiserror::Error;

/// The most bytes that a regular expression may have.
pub const MAX_PATTERN: usize = 1_000;

/// How much memory a compiled expression may take; the time of a search is bounded by this times
/// the length of the text.
const MAX_COMPILED: usize = 256 * 1024;

/// A text that is no regular expression, or one that is too costly.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It is too long.
    #[error("the pattern has {found} bytes, {MAX_PATTERN} are allowed")]
    TooLong {
        /// How many bytes it has.
        found: usize,
    },
    /// It does not compile.
    #[error("`{pattern}` is not a regular expression: {reason}")]
    Syntax {
        /// The pattern.
        pattern: String,
        /// What the compiler says.
        reason: String,
    },
}

/// Compiles an expression that matches anywhere in a text.
pub(crate) fn anywhere(pattern: &str) -> Result<Regex, PatternError> {
    if pattern.len() > MAX_PATTERN {
        return Err(PatternError::TooLong { found: pattern.len() });
    }
    let compiled = RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build();
    compiled.map_err(|error| PatternError::Syntax {
        pattern: pattern.to_owned(),
        reason: error.to_string(),
    })
}

/// Compiles an expression that matches a text only as a whole.
pub(crate) fn whole(pattern: &str) -> Result<Regex, PatternError> {
    // Compiled on its own first: `a)|(b` is no expression, though `(?:a)|(b)` is one.
    anywhere(pattern)?;
    let wrapped =
        RegexBuilder::new(&format!(r"\A(?:{pattern})\z")).size_limit(MAX_COMPILED).build();
    wrapped.map_err(|error| PatternError::Syntax {
        pattern: pattern.to_owned(),
        reason: error.to_string(),
    })
}
