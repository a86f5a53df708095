//! Artifact paths: relative, made of plain components, and distinct on every file system, so that
//! laying them out in a directory cannot leave it or write a file twice.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{Found, PackageProblem};
use crate::package::Artifact;

/// The most bytes of an artifact's path, and of each of its components.
pub const MAX_ARTIFACT_PATH: usize = 1_024;
const MAX_COMPONENT: usize = 255;

/// What is wrong with the path of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// It is longer than file systems allow.
    #[error(
        "the path is longer than {MAX_ARTIFACT_PATH} bytes, or a part of it than {MAX_COMPONENT}"
    )]
    TooLong,
    /// It does not begin in the directory of the artifacts.
    #[error("the path is absolute or begins with a drive")]
    Absolute,
    /// It holds what no plain name holds.
    #[error("the path holds a backslash or a control character")]
    Character,
    /// A part is empty, `.` or `..`.
    #[error("part `{found}` of the path is no plain name")]
    Component {
        /// The part.
        found: String,
    },
    /// Another artifact has the same path, perhaps in other case.
    #[error("its path is that of artifact `{other}` where case does not count")]
    Collision {
        /// The other path.
        other: String,
    },
    /// Another artifact stands where this one needs a directory.
    #[error("artifact `{other}` is a file on its path")]
    UnderFile {
        /// The other path.
        other: String,
    },
}

pub(super) fn check(artifacts: &[Artifact], found: &mut Found) {
    let mut refuse = |path: &str, error| {
        found.package(PackageProblem::Artifact { path: path.to_owned(), error });
    };
    let mut files: BTreeMap<String, &str> = BTreeMap::new();
    for Artifact { path, .. } in artifacts {
        if let Err(error) = plain(path) {
            refuse(path, error);
        } else if let Some(other) = files.get(&path.to_lowercase()) {
            refuse(path, ArtifactError::Collision { other: (*other).to_owned() });
        } else {
            files.insert(path.to_lowercase(), path);
        }
    }
    for (folded, path) in &files {
        let mut parents = folded.match_indices('/').map(|(at, _)| &folded[..at]);
        if let Some(other) = parents.find_map(|parent| files.get(parent)) {
            refuse(path, ArtifactError::UnderFile { other: (*other).to_owned() });
        }
    }
}

fn plain(path: &str) -> Result<(), ArtifactError> {
    let is_drive =
        |bytes: &[u8]| bytes.len() > 1 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':';
    if path.len() > MAX_ARTIFACT_PATH || path.split('/').any(|part| part.len() > MAX_COMPONENT) {
        return Err(ArtifactError::TooLong);
    }
    if path.starts_with('/') || is_drive(path.as_bytes()) {
        return Err(ArtifactError::Absolute);
    }
    if path.contains(|c: char| c == '\\' || c.is_control()) {
        return Err(ArtifactError::Character);
    }
    match path.split('/').find(|part| matches!(*part, "" | "." | "..")) {
        None => Ok(()),
        Some(part) => Err(ArtifactError::Component { found: part.to_owned() }),
    }
}
