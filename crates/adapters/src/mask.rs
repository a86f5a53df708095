//! The one place where secrets are taken out of what an attempt leaves: log, live log, progress,
//! error messages and result all pass through it.

mod encoding;

use std::borrow::Cow;
use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use jobwright_core::secret::{self, ExposeSecret, MIN_SECRET, SecretError, Secrets};
use jobwright_core::{Failure, Success};
use serde_json::Value;
use thiserror::Error;

/// What stands for a secret.
const MASK: &[u8] = b"***";

/// Replaces the contents of secrets, also where they are written in base64 (at any alignment),
/// URL-encoded or escaped for JSON. A content of several lines is masked line by line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Masker(Option<Patterns>);

#[derive(Debug, Clone)]
struct Patterns {
    automaton: AhoCorasick,
    longest: usize,
}

/// Why a secret cannot be given to a process.
#[derive(Debug, Error)]
pub(crate) enum MaskError {
    /// It is too short or too long.
    #[error(transparent)]
    Length(#[from] SecretError),
    /// The matcher cannot be built.
    #[error("the secrets of the attempt cannot be masked together")]
    Build(#[from] aho_corasick::BuildError),
}

impl Masker {
    pub(crate) fn new(secrets: &Secrets) -> Result<Self, MaskError> {
        let mut patterns = BTreeSet::new();
        for (name, content) in secrets.iter() {
            secret::check(name, content)?;
            let content = content.expose_secret();
            let lines = content.lines().map(str::trim_end).filter(|line| line.len() >= MIN_SECRET);
            for text in lines.chain([content]) {
                patterns.extend(encoding::forms(text));
            }
        }
        patterns.retain(|pattern| pattern.len() >= MIN_SECRET);
        let Some(longest) = patterns.iter().map(Vec::len).max() else {
            return Ok(Self::default());
        };
        let mut builder = AhoCorasick::builder();
        let automaton = builder.match_kind(MatchKind::LeftmostLongest).build(patterns)?;
        Ok(Self(Some(Patterns { automaton, longest })))
    }

    /// Tells whether there is nothing to mask.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    /// Masks a whole line, or any whole text.
    pub(crate) fn mask<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        match &self.0 {
            Some(patterns) if patterns.automaton.is_match(line) => {
                let mut masked = Vec::with_capacity(line.len());
                patterns.automaton.replace_all_with_bytes(line, &mut masked, |_, _, to| {
                    to.extend_from_slice(MASK);
                    true
                });
                Cow::Owned(masked)
            }
            _ => Cow::Borrowed(line),
        }
    }

    /// Returns how many of the first bytes of an unfinished line can be taken away without
    /// cutting a secret in two.
    pub(crate) fn safe_cut(&self, line: &[u8]) -> usize {
        let Some(patterns) = &self.0 else { return line.len() };
        let mut cut = line.len().saturating_sub(patterns.longest - 1);
        for found in patterns.automaton.find_iter(line) {
            if found.start() >= cut {
                break;
            }
            cut = cut.max(found.end());
        }
        cut
    }

    /// Masks what an attempt leaves, however it ended.
    pub(crate) fn mask_end(&self, end: Result<Success, Failure>) -> Result<Success, Failure> {
        if self.is_idle() {
            return end;
        }
        let text = |text: &str| String::from_utf8_lossy(&self.mask(text.as_bytes())).into_owned();
        match end {
            Ok(success) => Ok(match success.result() {
                Some(result) => Success::with(self.mask_document((**result).clone())),
                None => success,
            }),
            Err(failure) => Err(Failure {
                message: text(&failure.message),
                details: self.mask_document(failure.details),
                ..failure
            }),
        }
    }

    /// Masks the texts and keys of a document.
    pub(crate) fn mask_document(&self, document: Value) -> Value {
        if self.is_idle() {
            return document;
        }
        let text = |text: String| String::from_utf8_lossy(&self.mask(text.as_bytes())).into_owned();
        match document {
            Value::String(content) => Value::String(text(content)),
            Value::Array(items) => items.into_iter().map(|item| self.mask_document(item)).collect(),
            Value::Object(fields) => {
                let fields = fields.into_iter();
                fields.map(|(key, value)| (text(key), self.mask_document(value))).collect()
            }
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn masker(secrets: &[&str]) -> Result<Masker, MaskError> {
        let named = secrets.iter().enumerate();
        let named = named.map(|(at, text)| (format!("s{at}"), (*text).to_owned().into()));
        Masker::new(&Secrets::new(named.collect::<BTreeMap<_, _>>()))
    }

    #[test]
    fn secrets_are_masked_in_every_form() {
        let masker = masker(&["hunter2/&x", "first line\nsecond line", "hunter2/&xyz"]).unwrap();
        let check = |line: &str, expect: &str| {
            assert_eq!(String::from_utf8_lossy(&masker.mask(line.as_bytes())), expect);
        };
        check("the password is hunter2/&x.", "the password is ***.");
        check("hunter2/&xyz", "***");
        check("hunter2/&xhunter2/&x", "******");
        check("hunter", "hunter");
        check("?p=hunter2%2F%26x&q", "?p=***&q");
        check("?p=hunter2%2f%26x&q", "?p=***&q");
        check("first line", "***");
        check("> second line <", "> *** <");
        check(r#"{"k":"first line\nsecond line"}"#, r#"{"k":"***"}"#);
        // base64 of `hunter2/&x`, `u:hunter2/&x` and `me:hunter2/&x`; the ends that depend on
        // what stands beside the secret remain.
        check("aHVudGVyMi8meA==", "***A==");
        check("dTpodW50ZXIyLyZ4", "dTp***");
        check("bWU6aHVudGVyMi8meA==", "bWU6***A==");
    }

    #[test]
    fn a_cut_never_parts_a_secret() {
        let masker = masker(&["0123456789"]).unwrap();
        let line = b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx0123456789";
        for end in 0..=line.len() {
            let cut = masker.safe_cut(&line[..end]);
            let first = masker.mask(&line[..cut]).into_owned();
            let rest = masker.mask(&line[cut..]).into_owned();
            let whole = [first, rest].concat();
            assert!(whole.ends_with(b"x***"), "cut at {cut} of {end}");
        }
    }

    #[test]
    fn what_cannot_be_masked_is_refused() {
        let told = |content: &str| masker(&[content]).unwrap_err().to_string();
        assert!(told("12345").starts_with("secret `s0` has fewer than 6 bytes"));
        assert!(told(&"x".repeat(secret::MAX_SECRET + 1)).contains("more than 16384 bytes"));
        let masker = masker(&["123456"]).unwrap();
        let masked = masker.mask_document(serde_json::json!({"a 123456": ["x123456", 123456]}));
        assert_eq!(masked, serde_json::json!({"a ***": ["x***", 123456]}));
    }
}
