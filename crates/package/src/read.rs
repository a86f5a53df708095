//! The door: from bytes or a path to a bundle, whatever sort of package it is.

use std::path::Path;

use jobwright_core::{Bundle, PackageFaults};
use thiserror::Error;

use crate::archive::{self, ArchiveError};
use crate::exported::{self, ExportError};
use crate::files::Files;
use crate::folder::{self, FolderError};
use crate::json5::{self, JsonError};
use crate::limits::Limits;
use crate::native::{self, NativeError};

/// Why something is no package that this engine can read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The archive is refused.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The folder or file is refused.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The document of a native package is refused.
    #[error("`{document}`: {source}")]
    Native {
        /// The document.
        document: String,
        /// What is wrong with it.
        source: NativeError,
    },
    /// The document of an export is no JSON5.
    #[error("`{document}`: {source}")]
    Json {
        /// The document.
        document: String,
        /// What is wrong with it.
        source: JsonError,
    },
    /// The content of an export is refused.
    #[error("`{document}`: {source}")]
    Export {
        /// The document.
        document: String,
        /// What is wrong with it.
        source: ExportError,
    },
    /// The package can be read, and cannot run.
    #[error(transparent)]
    Package(#[from] PackageFaults),
    /// The document is no UTF-8.
    #[error("`{document}` is not UTF-8 from byte {at} on")]
    Encoding {
        /// The document.
        document: String,
        /// The first byte that is none.
        at: usize,
    },
    /// The document is too large.
    #[error("`{document}` has {found} bytes, {allowed} are allowed in a document")]
    DocumentSize {
        /// The document.
        document: String,
        /// How many it has.
        found: u64,
        /// How many it may have.
        allowed: u64,
    },
    /// The input is too large.
    #[error("the package has {found} bytes, {allowed} are allowed")]
    Size {
        /// How many it has.
        found: u64,
        /// How many it may have.
        allowed: u64,
    },
    /// There is no document in it.
    #[error(
        "this is no package: at its root there is neither `package.yaml` nor an exported flow \
         (`.json`, `.json5`){hint}"
    )]
    NoDocument {
        /// What may have gone wrong; begins with a separator, or is empty.
        hint: String,
    },
    /// There are several documents in it.
    #[error("the package has more than one document: {}", .0.join(", "))]
    Documents(Vec<String>),
    /// A JSON document is neither sort of package.
    #[error(
        "`{document}` is no package: it has neither `jobwright` nor the `metadata` and `data` of \
         an exported flow"
    )]
    Neither {
        /// The document.
        document: String,
    },
}

/// What a document that came alone is called in errors.
const ALONE: &str = "the document";

/// Reads a package from bytes, with the default [`Limits`]: a ZIP, the YAML text of a native
/// package, or the JSON or JSON5 text of an exported flow.
///
/// # Errors
/// Says what is wrong, and where: the entry, the line, or the table and the id.
pub fn read(bytes: &[u8]) -> Result<Bundle, ReadError> {
    read_within(bytes, &Limits::default())
}

/// Reads a package from bytes, within the given bounds.
///
/// # Errors
/// As [`read`].
pub fn read_within(bytes: &[u8], limits: &Limits) -> Result<Bundle, ReadError> {
    let (found, allowed) = (bytes.len() as u64, limits.total_bytes);
    if found > allowed {
        return Err(ReadError::Size { found, allowed });
    }
    if archive::is_zip(bytes) {
        return read_files(archive::unpack(bytes, limits)?, limits);
    }
    read_document(ALONE, bytes, Files::default(), limits)
}

/// Reads a package from a folder or a file, with the default [`Limits`]. Symbolic links inside the
/// folder are refused, its hidden files are left out. Blocks on the file system.
///
/// # Errors
/// As [`read`], and where the file system refuses.
pub fn read_path(path: impl AsRef<Path>) -> Result<Bundle, ReadError> {
    read_path_within(path, &Limits::default())
}

/// Reads a package from a folder or a file, within the given bounds.
///
/// # Errors
/// As [`read_path`].
pub fn read_path_within(path: impl AsRef<Path>, limits: &Limits) -> Result<Bundle, ReadError> {
    let path = path.as_ref();
    let found = std::fs::metadata(path).map_err(FolderError::unreadable(path))?;
    if found.is_dir() {
        return read_files(folder::gather(path, limits)?, limits);
    }
    read_within(&folder::take_package(path, limits)?, limits)
}

/// Reads a package from its files: finds the document, the rest are artifacts.
fn read_files(mut files: Files, limits: &Limits) -> Result<Bundle, ReadError> {
    let document = document(&files)?;
    let content = files.remove(&document).map(|file| file.content).unwrap_or_default();
    read_document(&document, &content, files, limits)
}

fn document(files: &Files) -> Result<String, ReadError> {
    if files.contains(native::DOCUMENT) {
        return Ok(native::DOCUMENT.to_owned());
    }
    let is_json = |path: &&str| {
        let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        !path.contains('/') && matches!(ending.as_deref(), Some("json" | "json5"))
    };
    let found: Vec<&str> = files.paths().filter(is_json).collect();
    match found.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => {
            let below = files.paths().find(|path| path.ends_with("/package.yaml"));
            let below =
                below.map(|path| format!("; `{path}` lies too deep: pack what is beside it"));
            Err(ReadError::NoDocument { hint: below.unwrap_or_default() })
        }
        several => {
            Err(ReadError::Documents(several.iter().map(|path| format!("`{path}`")).collect()))
        }
    }
}

fn read_document(
    document: &str,
    content: &[u8],
    files: Files,
    limits: &Limits,
) -> Result<Bundle, ReadError> {
    let name = || document.to_owned();
    let (found, allowed) = (content.len() as u64, limits.document_bytes);
    if found > allowed {
        return Err(ReadError::DocumentSize { document: name(), found, allowed });
    }
    let text = std::str::from_utf8(content);
    let text =
        text.map_err(|error| ReadError::Encoding { document: name(), at: error.valid_up_to() })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let native = |source| ReadError::Native { document: document.to_owned(), source };
    if document == native::DOCUMENT || (document == ALONE && is_native(text)) {
        return finish(files.bundle(native::read(text, limits).map_err(native)?));
    }
    let json = json5::parse(text, limits);
    let json = json.map_err(|source| ReadError::Json { document: name(), source })?;
    if json.get("jobwright").is_some() && document == ALONE {
        return finish(files.bundle(native::read(text, limits).map_err(native)?));
    }
    if !exported::is_export(&json) {
        return Err(ReadError::Neither { document: name() });
    }
    let package = exported::read(&json, &files, limits);
    let package = package.map_err(|source| ReadError::Export { document: name(), source })?;
    finish(files.bundle(package))
}

/// Tells whether a text that came alone is meant as a native package: it is no JSON, or the first
/// key of its object is `jobwright`.
fn is_native(text: &str) -> bool {
    let text = text.trim_start();
    if text.starts_with("//") || text.starts_with("/*") {
        return false;
    }
    match text.strip_prefix('{') {
        Some(inside) => {
            inside.trim_start().trim_start_matches(['"', '\'']).starts_with("jobwright")
        }
        None => true,
    }
}

/// What every package passes in the end, whatever it was read from: the one place for checks that
/// are about the package and not about how it was written.
fn finish(bundle: Bundle) -> Result<Bundle, ReadError> {
    bundle.package.check()?;
    Ok(bundle)
}
