//! The door to the YAML library: strict, bounded, and with errors that name their place.

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use serde_saphyr::{MessageFormatter, Spanned, UserMessageFormatter};
use thiserror::Error;

use crate::limits::Limits;

/// A text that is no YAML, or whose YAML is not of the expected shape.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}{}{message}", Spot(*.line, *.column), At(.path))]
pub struct YamlError {
    /// The line, from 1; 0 where it is not known.
    pub line: u64,
    /// The column in characters, from 1; 0 where it is not known.
    pub column: u64,
    /// The field, as keys and positions joined by dots; empty for the whole document.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

struct Spot(u64, u64);

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, "line {}, column {}", self.0, self.1) }
    }
}

struct At<'a>(&'a str);

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { f.write_str(": ") } else { write!(f, ", at `{}`: ", self.0) }
    }
}

/// Where a value begins.
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

impl Place {
    pub(super) fn of<T>(value: &Spanned<T>) -> Self {
        Self { line: value.referenced.line(), column: value.referenced.column() }
    }
}

/// Reads a document of exactly one value. Keys occur once, tags and merges are refused, aliases
/// are few, and only `true` and `false` are booleans.
pub(super) fn read<T: DeserializeOwned>(text: &str, limits: &Limits) -> Result<T, YamlError> {
    let mut path = String::new();
    let read =
        serde_saphyr::with_deserializer_from_str_with_options(text, options(limits), |from| {
            serde_path_to_error::deserialize(from).map_err(|error| {
                path = field(error.path());
                error.into_inner()
            })
        });
    read.map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), |it| (it.line(), it.column()));
        let message = UserMessageFormatter.format_message(error.without_snippet()).into_owned();
        YamlError { line, column, path, message }
    })
}

/// From here on, the rest of a path says no more.
const MAX_PATH: usize = 200;

/// Writes a path as people know it: without what the spans of versions, steps and parameters add,
/// and without keys that could not be read.
fn field(path: &serde_path_to_error::Path) -> String {
    let mut written = String::new();
    let mut keys: Vec<&str> = Vec::new();
    for segment in path {
        let key = match segment {
            Segment::Seq { index } => {
                written.push_str(&format!("[{index}]"));
                keys.push("");
                continue;
            }
            Segment::Map { key } => key.as_str(),
            Segment::Enum { variant } => variant.as_str(),
            Segment::Unknown => continue,
        };
        let is_span = key == "value"
            && matches!(keys[..], ["jobwright"] | ["flows", _, "steps" | "parameters", _]);
        keys.push(key);
        if written.len() > MAX_PATH {
            return written + "…";
        }
        if !is_span {
            let dot = if written.is_empty() { "" } else { "." };
            written.push_str(&format!("{dot}{key}"));
        }
    }
    written
}

fn options(limits: &Limits) -> serde_saphyr::Options {
    let bytes = usize::try_from(limits.document_bytes).unwrap_or(usize::MAX);
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: limits.depth,
            flow_nesting_limit: limits.depth,
            max_nodes: limits.values,
            max_events: limits.values.saturating_mul(2),
            max_documents: 16,
            max_anchors: 1_000,
            max_aliases: 1_000,
            max_recorded_anchor_events: 100_000,
            max_total_scalar_bytes: bytes,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: 1_000,
        },
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}
