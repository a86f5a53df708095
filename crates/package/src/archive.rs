//! ZIP archives: read in memory, never extracted to a disk. What an archive declares is checked
//! before anything is inflated, and again while it is.

use std::io::{Cursor, Read};
use std::sync::Arc;

use thiserror::Error;
use zip::ZipArchive;
use zip::read::ZipReadOptions;

use crate::files::{Clash, File, Files, PathFault, check_path};
use crate::limits::Limits;

/// Why an archive is refused. Each names the entry.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It is no ZIP, or a piece is missing.
    #[error("the ZIP is damaged or cut short")]
    Damaged(#[source] zip::result::ZipError),
    /// Two entries share bytes.
    #[error("the ZIP has entries that overlap")]
    Overlap,
    /// There are too many entries.
    #[error("the ZIP has {found} entries, {allowed} are allowed")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many there may be.
        allowed: usize,
    },
    /// An entry's path would mean another place than the package.
    #[error("entry `{entry}` of the ZIP {fault}")]
    Path {
        /// The entry, with what cannot be shown escaped.
        entry: String,
        /// What is wrong with its path.
        fault: PathFault,
    },
    /// An entry is hidden behind a password.
    #[error("entry `{entry}` of the ZIP is encrypted")]
    Encrypted {
        /// The entry.
        entry: String,
    },
    /// An entry is neither a file nor a directory.
    #[error("entry `{entry}` of the ZIP is a {what}, only files and directories are allowed")]
    Kind {
        /// The entry.
        entry: String,
        /// What it is.
        what: &'static str,
    },
    /// Two entries would be the same file.
    #[error("entry `{entry}` of the ZIP {clash}")]
    Clash {
        /// The entry.
        entry: String,
        /// With what it clashes.
        clash: String,
    },
    /// An entry is too large.
    #[error("entry `{entry}` of the ZIP has more than {allowed} bytes")]
    FileSize {
        /// The entry.
        entry: String,
        /// How large it may be.
        allowed: u64,
    },
    /// The entries together are too large.
    #[error("with entry `{entry}` the files of the ZIP have more than {allowed} bytes")]
    TotalSize {
        /// The entry that goes beyond the bound.
        entry: String,
        /// How large they may be.
        allowed: u64,
    },
    /// An entry is compressed so well that it must be a bomb.
    #[error("entry `{entry}` of the ZIP unpacks to more than {allowed} times its size")]
    Ratio {
        /// The entry.
        entry: String,
        /// How many times it may be larger.
        allowed: u64,
    },
    /// An entry cannot be inflated, or is not what it is declared to be.
    #[error("entry `{entry}` of the ZIP cannot be read")]
    Unreadable {
        /// The entry.
        entry: String,
        /// Why.
        #[source]
        source: zip::result::ZipError,
    },
}

/// Tells whether the bytes begin like a ZIP.
pub(crate) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// Reads all files of an archive. Directories and what macOS adds are left out.
pub(crate) fn unpack(bytes: &[u8], limits: &Limits) -> Result<Files, ArchiveError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(ArchiveError::Damaged)?;
    if archive.has_duplicate_names() {
        let start = usize::try_from(archive.central_directory_start()).unwrap_or(usize::MAX);
        let entry = first_double(bytes, start).unwrap_or_default();
        return Err(ArchiveError::Clash { entry, clash: Clash::Twice.to_string() });
    }
    if archive.len() > limits.entries {
        let (found, allowed) = (archive.len(), limits.entries);
        return Err(ArchiveError::TooMany { found, allowed });
    }
    let wanted = wanted(&archive, limits)?;
    if archive.has_overlapping_files().map_err(ArchiveError::Damaged)? {
        return Err(ArchiveError::Overlap);
    }
    let mut files = Files::default();
    let mut left = limits.total_bytes;
    for Wanted { index, path, executable } in wanted {
        let content = inflate(&mut archive, index, &path, left, limits)?;
        left -= content.len() as u64;
        let clash = files.insert(&path, File { content, executable });
        clash.map_err(|clash| ArchiveError::Clash { entry: path, clash: clash.to_string() })?;
    }
    let tree = files.check_tree();
    tree.map_err(|(entry, clash)| ArchiveError::Clash { entry, clash: clash.to_string() })?;
    Ok(files)
}

/// An entry that is worth inflating.
struct Wanted {
    index: usize,
    path: String,
    executable: bool,
}

/// Goes through what the central directory declares, without inflating anything.
fn wanted(
    archive: &ZipArchive<Cursor<&[u8]>>,
    limits: &Limits,
) -> Result<Vec<Wanted>, ArchiveError> {
    let mut wanted = Vec::new();
    let mut total = 0u64;
    for index in 0..archive.len() {
        let entry = archive.by_index_data(index).map_err(ArchiveError::Damaged)?;
        let Ok(name) = entry.name() else {
            let entry = entry.name_raw().escape_ascii().to_string();
            return Err(ArchiveError::Path { entry, fault: PathFault::Encoding });
        };
        let shown = || name.escape_debug().to_string();
        let path = if entry.is_dir() { name.strip_suffix('/').unwrap_or(&name) } else { &name };
        if let Err(fault) = check_path(path, limits) {
            return Err(ArchiveError::Path { entry: shown(), fault });
        }
        let mode = entry.unix_mode().unwrap_or(0);
        if let Some(what) = odd_kind(mode) {
            return Err(ArchiveError::Kind { entry: shown(), what });
        }
        if entry.encrypted() {
            return Err(ArchiveError::Encrypted { entry: shown() });
        }
        if entry.size() > limits.file_bytes {
            return Err(ArchiveError::FileSize { entry: shown(), allowed: limits.file_bytes });
        }
        total = total.saturating_add(entry.size());
        if total > limits.total_bytes {
            return Err(ArchiveError::TotalSize { entry: shown(), allowed: limits.total_bytes });
        }
        if exceeds_ratio(entry.size(), entry.compressed_size(), limits) {
            return Err(ArchiveError::Ratio { entry: shown(), allowed: limits.ratio });
        }
        if !entry.is_dir() && !is_junk(path) {
            let executable = mode & 0o111 != 0;
            wanted.push(Wanted { index, path: path.to_owned(), executable });
        }
    }
    Ok(wanted)
}

/// Inflates one entry, and trusts none of its declared sizes.
fn inflate(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    index: usize,
    path: &str,
    left: u64,
    limits: &Limits,
) -> Result<Arc<[u8]>, ArchiveError> {
    let entry = || path.to_owned();
    let unreadable = |source| ArchiveError::Unreadable { entry: path.to_owned(), source };
    let options = ZipReadOptions::new().enforce_header_consistency(true);
    let file = archive.by_index_with_options(index, options).map_err(unreadable)?;
    let compressed = file.compressed_size();
    let bound = limits.file_bytes.min(left);
    let mut content = Vec::new();
    let mut reader = file.take(bound.saturating_add(1));
    reader.read_to_end(&mut content).map_err(|source| unreadable(source.into()))?;
    let found = content.len() as u64;
    if found > limits.file_bytes {
        return Err(ArchiveError::FileSize { entry: entry(), allowed: limits.file_bytes });
    }
    if found > left {
        return Err(ArchiveError::TotalSize { entry: entry(), allowed: limits.total_bytes });
    }
    if exceeds_ratio(found, compressed, limits) {
        return Err(ArchiveError::Ratio { entry: entry(), allowed: limits.ratio });
    }
    Ok(content.into())
}

fn exceeds_ratio(size: u64, compressed: u64, limits: &Limits) -> bool {
    size > Limits::RATIO_FLOOR && size > compressed.saturating_mul(limits.ratio)
}

/// Names what the Unix mode says that is neither a file nor a directory.
fn odd_kind(mode: u32) -> Option<&'static str> {
    match mode & 0o170_000 {
        0 | 0o100_000 | 0o040_000 => None,
        0o120_000 => Some("symbolic link"),
        0o010_000 => Some("pipe"),
        0o020_000 | 0o060_000 => Some("device"),
        0o140_000 => Some("socket"),
        _ => Some("special file"),
    }
}

/// Tells whether a file is there only because macOS packed the archive.
fn is_junk(path: &str) -> bool {
    path.starts_with("__MACOSX/") || path.rsplit('/').next() == Some(".DS_Store")
}

/// Finds the first name that occurs twice: the library keeps only one entry of each name, so the
/// central directory is gone through by hand.
fn first_double(bytes: &[u8], start: usize) -> Option<String> {
    const FIXED: usize = 46;
    let mut seen = std::collections::BTreeSet::new();
    let mut rest = bytes.get(start..)?;
    while rest.starts_with(b"PK\x01\x02") {
        let length =
            |at: usize| Some(usize::from(u16::from_le_bytes([*rest.get(at)?, *rest.get(at + 1)?])));
        let (name, extra, comment) = (length(28)?, length(30)?, length(32)?);
        let text = rest.get(FIXED..FIXED + name)?;
        if !seen.insert(text) {
            return Some(String::from_utf8_lossy(text).escape_debug().to_string());
        }
        rest = rest.get(FIXED + name + extra + comment..)?;
    }
    None
}
