//! References in payloads: `$name`, `${any name}`, and `$$` for a dollar sign. One pass; a value
//! is never expanded again; a string that is nothing but one reference keeps the value's type.
//!
//! ```text
//! $name          a letter or `_`, then letters, digits and `_`, all ASCII
//! ${any name}    anything but `}` and control characters, up to 255 bytes, trimmed
//! $$             a dollar sign
//! $5  a$  $-     literal: what begins no name stays as it is
//! ${  ${}        errors
//! ```

mod fill;

use std::ops::Range;

use thiserror::Error;

use crate::name::MAX_NAME;

pub use fill::FillError;
pub use fill::FillFault;
pub use fill::MAX_FILLED;
pub use fill::Mention;
pub use fill::fill;
pub use fill::has_references;
pub(crate) use fill::mentioned;
pub use fill::names;

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'t> {
    /// Text that stands for itself. Two may follow each other, where a `$$` was between them.
    Literal(&'t str),
    /// The name of a parameter.
    Reference(&'t str),
}

/// A reference that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// A `${` without its `}`.
    #[error("`${{` at byte {} has no `}}`; a dollar sign is written `$$`", .span.start)]
    Unclosed {
        /// From the `$` to the end of the text or to the control character that ends the search.
        span: Range<usize>,
    },
    /// Nothing between the braces.
    #[error("`${{}}` at byte {} names nothing; a dollar sign is written `$$`", .span.start)]
    Empty {
        /// From the `$` to behind the `}`.
        span: Range<usize>,
    },
    /// A name longer than names can be.
    #[error("the name at byte {} has {} bytes, {MAX_NAME} are allowed", .span.start, .span.len())]
    TooLong {
        /// The name.
        span: Range<usize>,
    },
}

/// Splits a text into literals and references, in order.
///
/// # Errors
/// Names the first reference that cannot be read.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, ReferenceError> {
    let mut pieces = Vec::new();
    // What lies between `literal` and the place of the search stands for itself.
    let (mut literal, mut search) = (0, 0);
    while let Some(found) = text[search..].find('$') {
        let dollar = search + found;
        let (kept, piece, end) = match text.as_bytes().get(dollar + 1) {
            Some(b'$') => (&text[literal..=dollar], None, dollar + 2),
            Some(b'{') => {
                let (name, end) = braced(text, dollar)?;
                (&text[literal..dollar], Some(Piece::Reference(name)), end)
            }
            Some(first) if starts_name(*first) => {
                let (name, end) = bare(text, dollar)?;
                (&text[literal..dollar], Some(Piece::Reference(name)), end)
            }
            Some(_) | None => {
                search = dollar + 1;
                continue;
            }
        };
        pieces.extend((!kept.is_empty()).then_some(Piece::Literal(kept)));
        pieces.extend(piece);
        (literal, search) = (end, end);
    }
    let rest = &text[literal..];
    pieces.extend((!rest.is_empty()).then_some(Piece::Literal(rest)));
    Ok(pieces)
}

/// Writes a text such that [`pieces`] reads the same text from it, without references.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// Reads the name behind the `$` at `dollar`, and where it ends.
fn bare(text: &str, dollar: usize) -> Result<(&str, usize), ReferenceError> {
    let start = dollar + 1;
    let length = text.as_bytes()[start..]
        .iter()
        .take_while(|byte| starts_name(**byte) || byte.is_ascii_digit())
        .count();
    named(text, start..start + length, start + length)
}

/// Reads the name in the braces behind the `$` at `dollar`, and where the brace ends.
fn braced(text: &str, dollar: usize) -> Result<(&str, usize), ReferenceError> {
    let start = dollar + 2;
    let stop = text[start..].find(|c: char| c == '}' || c.is_control());
    let Some(close) = stop.map(|at| start + at).filter(|at| text.as_bytes()[*at] == b'}') else {
        let end = stop.map_or(text.len(), |at| start + at);
        return Err(ReferenceError::Unclosed { span: dollar..end });
    };
    let inner = &text[start..close];
    let from = start + (inner.len() - inner.trim_start().len());
    let name = from..from + inner.trim().len();
    if name.is_empty() {
        return Err(ReferenceError::Empty { span: dollar..close + 1 });
    }
    named(text, name, close + 1)
}

fn named(text: &str, name: Range<usize>, end: usize) -> Result<(&str, usize), ReferenceError> {
    if name.len() > MAX_NAME {
        return Err(ReferenceError::TooLong { span: name });
    }
    Ok((&text[name], end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Shows literals as they are and references in angle brackets.
    fn told(text: &str) -> String {
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(error) => return error.to_string(),
        };
        let pieces = pieces.into_iter().map(|piece| match piece {
            Piece::Literal(text) => text.to_owned(),
            Piece::Reference(name) => format!("<{name}>"),
        });
        pieces.collect()
    }

    #[test]
    fn a_text_is_read_piece_by_piece() {
        let check = |text: &str, expect: &str| assert_eq!(told(text), expect, "{text}");
        check("", "");
        check("plain", "plain");
        check("$region", "<region>");
        check("s3://$bucket/$a_1-${ a name }.csv", "s3://<bucket>/<a_1>-<a name>.csv");
        check("${env.bucket}$env.bucket", "<env.bucket><env>.bucket");
        check("$$region $$$region $$$$", "$region $<region> $$");
        check("$${region}", "${region}");
        check("costs 5$, $5, $-, $", "costs 5$, $5, $-, $");
        check("$größe ${größe}", "<gr>öße <größe>");
        check("${a ${b}}", "<a ${b>}");
        check("a ${b", "`${` at byte 2 has no `}`; a dollar sign is written `$$`");
        check("a ${b\n}", "`${` at byte 2 has no `}`; a dollar sign is written `$$`");
        check("ä${ }", "`${}` at byte 2 names nothing; a dollar sign is written `$$`");
        let long = "x".repeat(256);
        check(&format!("${long}"), "the name at byte 1 has 256 bytes, 255 are allowed");
        check(&format!("${{{long}}}"), "the name at byte 2 has 256 bytes, 255 are allowed");
        assert_eq!(pieces("$a").unwrap(), [Piece::Reference("a")]);
    }

    #[test]
    fn an_error_says_where() {
        let check = |text: &str, at: &str| {
            let (ReferenceError::Unclosed { span }
            | ReferenceError::Empty { span }
            | ReferenceError::TooLong { span }) = pieces(text).unwrap_err();
            assert_eq!(&text[span], at);
        };
        check("ok ${open", "${open");
        check("ok ${ } x", "${ }");
        check("ok ${a\tb}", "${a");
    }

    proptest! {
        #[test]
        fn an_escaped_text_is_itself(text in "[$a{} _\\PC]{0,40}") {
            let escaped = escape(&text);
            let read = pieces(&escaped).unwrap();
            let literal: String = read.into_iter().map(|piece| match piece {
                Piece::Literal(text) => text,
                Piece::Reference(name) => panic!("`{name}` became a reference"),
            }).collect();
            prop_assert_eq!(literal, text);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[$a{} _\\PC]{0,40}") {
            if let Ok(pieces) = pieces(&text) {
                let length = |piece: &Piece<'_>| match piece {
                    Piece::Literal(text) | Piece::Reference(text) => text.len(),
                };
                prop_assert!(pieces.iter().map(length).sum::<usize>() <= text.len());
            }
        }
    }
}
