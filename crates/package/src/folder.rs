//! Folders: read without following symbolic links; hidden files are left out.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::files::{Clash, File, Files, PathFault, check_path};
use crate::limits::Limits;

/// Why a folder or file is refused. Each names the path.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The system refuses it.
    #[error("`{}` cannot be read", .path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is neither a file nor a directory.
    #[error("`{}` is a {what}, only files and directories are allowed", .path.display())]
    Kind {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Its name would mean another place somewhere else.
    #[error("path `{}` {fault}", .path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        fault: PathFault,
    },
    /// Two paths would be the same file elsewhere.
    #[error("path `{path}` {clash}")]
    Clash {
        /// The path.
        path: String,
        /// With what it clashes.
        clash: String,
    },
    /// There are too many entries.
    #[error("the folder has more than {allowed} entries")]
    TooMany {
        /// How many there may be.
        allowed: usize,
    },
    /// The file is too large.
    #[error("`{}` has more than {allowed} bytes", .path.display())]
    FileSize {
        /// The path.
        path: PathBuf,
        /// How large it may be.
        allowed: u64,
    },
    /// The files together are too large.
    #[error("with `{}` the files of the folder have more than {allowed} bytes", .path.display())]
    TotalSize {
        /// The path of the file that goes beyond the bound.
        path: PathBuf,
        /// How large they may be.
        allowed: u64,
    },
}

impl FolderError {
    pub(crate) fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Unreadable { path, source }
    }

    fn clash(path: String, clash: &Clash) -> Self {
        Self::Clash { path, clash: clash.to_string() }
    }
}

/// Reads all files below a folder.
pub(crate) fn gather(root: &Path, limits: &Limits) -> Result<Files, FolderError> {
    let mut files = Files::default();
    let mut entries = 0;
    let mut left = limits.total_bytes;
    let mut open = vec![(root.to_owned(), String::new())];
    while let Some((folder, prefix)) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(FolderError::unreadable(&folder))? {
            let entry = entry.map_err(FolderError::unreadable(&folder))?;
            entries += 1;
            if entries > limits.entries {
                return Err(FolderError::TooMany { allowed: limits.entries });
            }
            let place = entry.path();
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = match name.to_str() {
                Some(name) if prefix.is_empty() => Ok(name.to_owned()),
                Some(name) => Ok(format!("{prefix}/{name}")),
                None => Err(PathFault::Encoding),
            };
            let path = path.and_then(|path| check_path(&path, limits).map(|()| path));
            let path = path.map_err(|fault| FolderError::Path { path: place.clone(), fault })?;
            let kind = entry.file_type().map_err(FolderError::unreadable(&place))?;
            if kind.is_dir() {
                open.push((place, path));
                continue;
            }
            if !kind.is_file() {
                let what = if kind.is_symlink() { "symbolic link" } else { "special file" };
                return Err(FolderError::Kind { path: place, what });
            }
            let file = take(&place, limits.file_bytes, left, limits)?;
            left -= file.content.len() as u64;
            let added = files.insert(&path, file);
            added.map_err(|clash| FolderError::clash(path, &clash))?;
        }
    }
    files.check_tree().map_err(|(path, clash)| FolderError::clash(path, &clash))?;
    Ok(files)
}

fn take(place: &Path, most: u64, left: u64, limits: &Limits) -> Result<File, FolderError> {
    let file = fs::File::open(place).map_err(FolderError::unreadable(place))?;
    let opened = file.metadata().map_err(FolderError::unreadable(place))?;
    let listed = fs::symlink_metadata(place).map_err(FolderError::unreadable(place))?;
    if !listed.is_file() || !is_same(&opened, &listed) {
        return Err(FolderError::Kind { path: place.to_owned(), what: "symbolic link" });
    }
    let content = read_all(file, most.min(left)).map_err(FolderError::unreadable(place))?;
    let found = content.len() as u64;
    if found > most {
        return Err(FolderError::FileSize { path: place.to_owned(), allowed: most });
    }
    if found > left {
        let allowed = limits.total_bytes;
        return Err(FolderError::TotalSize { path: place.to_owned(), allowed });
    }
    Ok(File { content: content.into(), executable: is_executable(&opened) })
}

/// Reads a single file that holds a package.
pub(crate) fn take_package(place: &Path, limits: &Limits) -> Result<Vec<u8>, FolderError> {
    let file = fs::File::open(place).map_err(FolderError::unreadable(place))?;
    let most = limits.total_bytes;
    let content = read_all(file, most).map_err(FolderError::unreadable(place))?;
    if content.len() as u64 > most {
        return Err(FolderError::FileSize { path: place.to_owned(), allowed: most });
    }
    Ok(content)
}

/// Reads to the end, or one byte beyond the bound.
fn read_all(file: fs::File, bound: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(bound.saturating_add(1)).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(unix)]
fn is_same(opened: &fs::Metadata, listed: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (opened.dev(), opened.ino()) == (listed.dev(), listed.ino())
}

#[cfg(not(unix))]
fn is_same(opened: &fs::Metadata, _listed: &fs::Metadata) -> bool {
    opened.is_file()
}

#[cfg(unix)]
fn is_executable(file: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_file: &fs::Metadata) -> bool {
    false
}
