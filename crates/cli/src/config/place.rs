//! Faults of a configuration, each shown at its place.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use thiserror::Error;
use toml::de::DeTable;

/// Why there is no configuration.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file says something wrong.
    #[error("the configuration is wrong: {report}")]
    Wrong {
        /// What is wrong, with the file, the line, the column and the line itself, marked.
        report: String,
    },
}

/// The text of a configuration, and the file that it is from.
pub(super) struct Document<'t> {
    pub(super) text: &'t str,
    pub(super) path: &'t Path,
}

impl Document<'_> {
    /// Shows what the reader of TOML or of a type refused.
    pub(super) fn refuse(&self, error: &toml::de::Error) -> ConfigError {
        self.wrong(error.span(), error.message())
    }

    /// Shows what is wrong at a place; at the first line where the place is not known.
    pub(super) fn wrong(&self, span: Option<Range<usize>>, message: &str) -> ConfigError {
        let path = self.path.display().to_string();
        let span = span.unwrap_or(0..0);
        let span = span.start.min(self.text.len())..span.end.min(self.text.len());
        let annotation = AnnotationKind::Primary.span(span);
        let snippet = Snippet::source(self.text).path(path).annotation(annotation);
        let title = Level::ERROR.no_name().primary_title(message);
        let report = Renderer::plain().render(&[title.element(snippet)]);
        // The title's line begins with a colon where it has no name.
        ConfigError::Wrong { report: report.trim_start_matches([':', ' ']).to_owned() }
    }
}

/// Finds where a key is said.
pub(super) fn of(table: &DeTable<'_>, keys: &[&str]) -> Option<Range<usize>> {
    let (first, rest) = keys.split_first()?;
    let found = table.get(*first)?;
    if rest.is_empty() { Some(found.span()) } else { of(found.get_ref().as_table()?, rest) }
}
