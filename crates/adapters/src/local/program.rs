//! Finds the program of a command.

use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;

/// Why a program cannot be run.
#[derive(Debug, Error)]
pub(super) enum ProgramError {
    /// There is none at that path.
    #[error("there is no file `{command}` among the package's artifacts")]
    NotInWork { command: String },
    /// There is none at that absolute path.
    #[error("there is no program `{command}`")]
    NoSuchFile { command: String },
    /// There is none of that name.
    #[error("there is no program `{command}` in {searched}")]
    NotOnPath { command: String, searched: String },
    /// The path leaves the working directory.
    #[error("program `{command}` lies outside the working directory: give an absolute path")]
    Outside { command: String },
    /// It is a directory, or nobody may execute it.
    #[error("`{}` is not executable: mark it as such in the package", .path.display())]
    NotExecutable { path: PathBuf },
}

impl ProgramError {
    /// Returns the stable word for programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NotInWork { .. } | Self::NoSuchFile { .. } | Self::NotOnPath { .. } => {
                "command_not_found"
            }
            Self::Outside { .. } => "payload",
            Self::NotExecutable { .. } => "not_executable",
        }
    }
}

/// Finds a program: an absolute path as it is, a path with a `/` in the working directory, a bare
/// name on the search path.
pub(super) fn find(
    command: &str,
    work: &Path,
    search: &[PathBuf],
) -> Result<PathBuf, ProgramError> {
    let command = command.to_owned();
    if command.starts_with('/') {
        let path = PathBuf::from(&command);
        return checked(&path).unwrap_or(Err(ProgramError::NoSuchFile { command }));
    }
    if command.contains('/') {
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(&command).components().all(inside) {
            return Err(ProgramError::Outside { command });
        }
        let path = work.join(&command);
        return checked(&path).unwrap_or(Err(ProgramError::NotInWork { command }));
    }
    let found = search.iter().map(|folder| folder.join(&command));
    let found = found.filter_map(|path| checked(&path)).find_map(Result::ok);
    found.ok_or_else(|| {
        let folders: Vec<_> = search.iter().map(|path| path.display().to_string()).collect();
        ProgramError::NotOnPath { command, searched: format!("`{}`", folders.join(":")) }
    })
}

/// Nothing where there is no such file.
fn checked(path: &Path) -> Option<Result<PathBuf, ProgramError>> {
    let found = std::fs::metadata(path).ok()?;
    let runs = found.is_file() && found.permissions().mode() & 0o111 != 0;
    let path = path.to_owned();
    Some(if runs { Ok(path) } else { Err(ProgramError::NotExecutable { path }) })
}
