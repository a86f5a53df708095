//! A package that is refused, shown with carets at the place.
//!
//! Errors of a reader know their line and column, those of the model the names of what is wrong;
//! a name is looked for in the text, and marked where it stands.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use jobwright_core::PackageFault;
use jobwright_package::{JsonError, NativeError, ReadError, YamlError};
use serde_json::{Value, json};

use super::text::plain;

/// How wide a message may be where nothing says how wide the terminal is.
const WIDTH: usize = 100;

/// A package that is refused, with everything that is wrong with it.
#[derive(Debug)]
pub(crate) struct Refused {
    path: String,
    text: Option<String>,
    faults: Vec<Fault>,
}

#[derive(Debug)]
struct Fault {
    message: String,
    /// Where in the text it is, in bytes.
    span: Option<Range<usize>>,
}

impl Refused {
    /// `text` is the document of the package, if there is one to show.
    pub(crate) fn new(path: &str, text: Option<String>, error: &ReadError) -> Self {
        let shown = text.as_deref();
        let faults = match error {
            ReadError::Package(faults) => {
                let fault = |fault: &PackageFault| {
                    let message = fault.to_string();
                    let span = shown.and_then(|text| named(text, &message));
                    Fault { message: plain(&message), span }
                };
                faults.faults.iter().map(fault).collect()
            }
            error => {
                let span = shown.and_then(|text| place(text, error));
                vec![Fault { message: plain(&bare(error)), span }]
            }
        };
        Self { path: plain(path), text, faults }
    }

    /// For people: each fault with the line that it is in, and carets under the place.
    pub(crate) fn shown(&self) -> String {
        let group = |fault: &'_ Fault| {
            let title = Level::ERROR.primary_title(fault.message.clone());
            match self.text.as_deref().zip(fault.span.clone()) {
                Some((text, span)) => {
                    let annotation = AnnotationKind::Primary.span(span);
                    title.element(Snippet::source(text).path(&self.path).annotation(annotation))
                }
                None => title.element(Level::NOTE.message(format!("in `{}`", self.path))),
            }
        };
        let groups: Vec<_> = self.faults.iter().map(group).collect();
        Renderer::styled().term_width(WIDTH).render(&groups)
    }

    /// For programs: each fault with its line and its column in characters, both from 1.
    pub(crate) fn faults(&self) -> Vec<Value> {
        let fault = |fault: &Fault| {
            let mut shown = json!({ "detail": fault.message });
            if let Some((text, span)) = self.text.as_deref().zip(fault.span.as_ref()) {
                let before = &text[..span.start];
                let line_start = before.rfind('\n').map_or(0, |at| at + 1);
                shown["line"] = (before.matches('\n').count() + 1).into();
                shown["column"] = (before[line_start..].chars().count() + 1).into();
            }
            shown
        };
        self.faults.iter().map(fault).collect()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.as_slice() {
            [only] => write!(f, "`{}`: {}", self.path, only.message),
            faults => write!(f, "`{}` has {} faults", self.path, faults.len()),
        }
    }
}

/// The message without the place, which is shown.
fn bare(error: &ReadError) -> String {
    match error {
        ReadError::Native { source: NativeError::Yaml(yaml), .. } => match yaml.path.as_str() {
            "" => yaml.message.clone(),
            path => format!("`{path}`: {}", yaml.message),
        },
        ReadError::Native {
            source: NativeError::Parameter { flow, parameter, fault, .. }, ..
        } => {
            format!("parameter `{parameter}` of flow `{flow}`: {fault}")
        }
        ReadError::Native { source: NativeError::NoExecutor { flow, step, .. }, .. } => format!(
            "step `{step}` of flow `{flow}` has no executor: give `executor` to it or to its flow"
        ),
        ReadError::Native { source, .. } => source.to_string(),
        ReadError::Json { source, .. } => source.fault.to_string(),
        ReadError::Export { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

/// Where in the text it is, in bytes.
fn place(text: &str, error: &ReadError) -> Option<Range<usize>> {
    match error {
        ReadError::Native { source, .. } => match source {
            NativeError::Yaml(YamlError { line: 0, .. }) => None,
            NativeError::Yaml(YamlError { line, column, .. })
            | NativeError::Parameter { line, column, .. }
            | NativeError::NoExecutor { line, column, .. } => at(text, *line, *column),
            NativeError::Version { line, .. } => at(text, *line, 1),
            other => named(text, &other.to_string()),
        },
        ReadError::Json { source: JsonError { line, column, .. }, .. } => {
            at(text, *line as u64, *column as u64)
        }
        _ => None,
    }
}

/// The word that stands at a line and a column, both from 1.
fn at(text: &str, line: u64, column: u64) -> Option<Range<usize>> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(start..)?.lines().next().unwrap_or_default();
    let begin = rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at);
    let word = rest[begin..].find(|c: char| c.is_whitespace() || ",:[]{}".contains(c));
    let length = word.unwrap_or(rest.len() - begin).max(usize::from(begin < rest.len()));
    // A character is marked whole.
    let end = (begin + length..=rest.len()).find(|end| rest.is_char_boundary(*end))?;
    Some(start + begin..start + end)
}

/// The last name in backticks of a message that stands in the text as a word of its own: messages
/// go from the whole to the part. Its last place is where it is used, after it was declared.
fn named(text: &str, message: &str) -> Option<Range<usize>> {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    names.iter().rev().find_map(|name| {
        let found = text.rmatch_indices(name).find(|(at, name)| {
            let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            let before = text[..*at].chars().next_back().is_some_and(is_name);
            let after = text[at + name.len()..].chars().next().is_some_and(is_name);
            !name.is_empty() && !before && !after
        });
        found.map(|(at, name)| at..at + name.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_the_text() {
        let text = "jobwright: 1\nflows:\n  größe: { needs: [missing] }\n";
        let check = |line: u64, column: u64, expect: Option<&str>| {
            assert_eq!(at(text, line, column).map(|it| &text[it]), expect, "{line}:{column}");
        };
        check(1, 1, Some("jobwright"));
        check(3, 3, Some("größe"));
        check(3, 8, Some(":"));
        check(3, 20, Some("missing"));
        check(3, 99, Some(""));
        check(9, 1, Some(""));
        check(0, 0, None);
    }

    #[test]
    fn names_are_found_in_the_text() {
        let text = "steps:\n  a: {}\n  ab: { needs: [b, lost] }\n";
        let check = |message: &str, expect: Option<usize>| {
            assert_eq!(named(text, message).map(|it| it.start), expect, "{message}");
        };
        check("step `ab` needs `lost`, which does not exist", text.find("lost"));
        check("step `a` is wrong", text.find("a:"));
        check("step `x` is wrong", None);
        check("nothing is named", None);
    }
}
