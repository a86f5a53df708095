//! A package that is refused, shown with carets at the place.
//!
//! Errors of a reader know their line and column, those of the model the names of what is wrong;
//! a name is looked for in the text, and marked where it stands.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use jobwright_core::PackageFault;
use jobwright_package::{JsonError, NativeError, ReadError, YamlError};

use super::text::plain;

/// How wide a message may be where nothing says how wide the terminal is.
const WIDTH: usize = 100;

/// What is wrong with a package, for people. `text` is its document, if there is one to show.
pub(crate) fn refused(path: &str, text: Option<&str>, error: &ReadError) -> String {
    let faults: Vec<(String, Option<Range<usize>>)> = match error {
        ReadError::Package(faults) => {
            let shown = |fault: &PackageFault| {
                (fault.to_string(), text.and_then(|text| named(text, &fault.to_string())))
            };
            faults.faults.iter().map(shown).collect()
        }
        error => vec![(bare(error), text.and_then(|text| place(text, error)))],
    };
    let path = plain(path);
    let faults = faults.into_iter().map(|(message, span)| (plain(&message), span));
    let faults: Vec<_> = faults.collect();
    let groups: Vec<_> = faults
        .iter()
        .map(|(message, span)| {
            let title = Level::ERROR.primary_title(message.as_str());
            match text.zip(span.clone()) {
                Some((text, span)) => {
                    let annotation = AnnotationKind::Primary.span(span);
                    title.element(Snippet::source(text).path(&path).annotation(annotation))
                }
                None => title.element(Level::NOTE.message(format!("in `{path}`"))),
            }
        })
        .collect();
    Renderer::styled().term_width(WIDTH).render(&groups)
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
