//! The folder of an attempt. Its name is made of ids only; everything in it is reached through a
//! handle of the folder and never through a link that the process may have put there.
//!
//! ```text
//! <root>/<job group>/<digest>.json   input.json and parameters.json where attempts share them
//! <root>/<job group>/<job>-<attempt>/
//!     work/             where the process runs: the package's artifacts
//!     out.log           which process it is, what it said, and how it ended
//!     input.json        how the needed jobs ended and what they left
//!     parameters.json   the run's parameters
//!     output.json       what it leaves; written by the process
//!     stdin.txt         what it reads, if the step says so
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use jobwright_core::{Artifact, Attempt, Digest, GroupId};
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, mkdirat, openat, renameat, renameat_with,
    unlinkat,
};
use rustix::io::Errno;

use crate::forks;

pub(crate) const LOG: &str = "out.log";
pub(crate) const INPUT: &str = "input.json";
pub(crate) const PARAMETERS: &str = "parameters.json";
pub(crate) const OUTPUT: &str = "output.json";
pub(crate) const STDIN: &str = "stdin.txt";
const WORK: &str = "work";

/// The folder of one attempt.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    group: OwnedFd,
    handle: OwnedFd,
}

/// Where a program finds what it needs, on the machine on which it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Where it starts, with the package's artifacts.
    pub work: PathBuf,
    /// The run's parameters.
    pub parameters: PathBuf,
    /// How the needed jobs ended and what they left.
    pub input: PathBuf,
    /// Where it may leave its result.
    pub output: PathBuf,
}

impl Places {
    pub(crate) fn below(folder: &Path) -> Self {
        let [work, parameters, input, output] =
            [WORK, PARAMETERS, INPUT, OUTPUT].map(|name| folder.join(name));
        Self { work, parameters, input, output }
    }
}

impl Folder {
    /// Makes the folder of an attempt. One that is there already is from another life, whose ids
    /// began anew: it is set aside as `<job>-<attempt>.old<n>`. Tells whether there was one.
    pub(crate) fn create(root: &Path, attempt: &Attempt) -> io::Result<(Self, bool)> {
        let group = open_group(root, attempt.group())?;
        let name = attempt.id().to_string();
        let made = mkdirat(&group, &name, Mode::RWXU);
        let was_there = made == Err(Errno::EXIST);
        if was_there {
            set_aside(&group, &name)?;
            mkdirat(&group, &name, Mode::RWXU)?;
        } else {
            made?;
        }
        let handle = open_folder(&group, &name)?;
        let folder = Self { path: path(root, attempt), group, handle };
        mkdirat(&folder.handle, WORK, Mode::RWXU)?;
        Ok((folder, was_there))
    }

    /// Opens the folder of an attempt, if there is one.
    pub(crate) fn open(root: &Path, attempt: &Attempt) -> io::Result<Option<Self>> {
        let path = path(root, attempt);
        let group = path.parent().unwrap_or(root);
        let open = || {
            let group = open_folder(CWD, group)?;
            let handle = open_folder(&group, attempt.id().to_string())?;
            Ok((group, handle))
        };
        match open() {
            Ok((group, handle)) => Ok(Some(Self { path, group, handle })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.path(WORK)
    }

    /// Where a program finds what it needs.
    pub(crate) fn places(&self) -> Places {
        Places::below(&self.path)
    }

    pub(crate) fn create_file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::APPEND;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.create_file(name)?.write_all(content)
    }

    /// Writes a file in the place of one that the process left.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let fresh = format!("{name}.new");
        self.remove_file(&fresh)?;
        self.write(&fresh, content)?;
        Ok(renameat(&self.handle, &fresh, &self.handle, name)?)
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove_file(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a file that no process may change, and that is often the same for many attempts of
    /// a group: they share one, since making a file costs more than all else that an attempt
    /// needs of the disk. The shared one appears under the digest of its content when it is
    /// complete.
    pub(crate) fn share(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let shared = format!("{}.json", Digest::of(content));
        let none = AtFlags::empty();
        if linkat(&self.group, &shared, &self.handle, name, none).is_ok() {
            return Ok(());
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file: File = openat(&self.handle, name, flags, Mode::RUSR)?.into();
        file.write_all(content)?;
        // Without it the next attempt writes its own, as on file systems without links.
        let _ = linkat(&self.handle, name, &self.group, &shared, none);
        Ok(())
    }

    /// Opens a file that the process may have written or replaced. Only a regular file counts; a
    /// pipe would block and a link leads elsewhere.
    pub(crate) fn open_file(&self, name: &str) -> io::Result<Option<File>> {
        self.open_regular(name, OFlags::RDONLY)
    }

    /// Opens a file like [`Folder::open_file`], to write at its end.
    pub(crate) fn open_to_append(&self, name: &str) -> io::Result<Option<File>> {
        self.open_regular(name, OFlags::WRONLY | OFlags::APPEND)
    }

    fn open_regular(&self, name: &str, access: OFlags) -> io::Result<Option<File>> {
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = match openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => handle.into(),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(irregular(name)),
            Err(error) => return Err(error.into()),
        };
        if file.metadata()?.is_file() { Ok(Some(file)) } else { Err(irregular(name)) }
    }

    /// Reads a file of at most `most` bytes.
    pub(crate) fn read(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let mut content = Vec::new();
        file.take(most + 1).read_to_end(&mut content)?;
        if content.len() as u64 > most {
            let error = format!("`{name}` has more than {most} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, error));
        }
        Ok(Some(content))
    }

    /// Writes an artifact to its place below `work/`.
    pub(crate) fn place(&self, artifact: &Artifact, content: &[u8]) -> io::Result<()> {
        let mut components = artifact.path.split('/').peekable();
        let mut at = open_folder(&self.handle, WORK)?;
        while let Some(component) = components.next() {
            if matches!(component, "" | "." | "..") {
                let error = format!("artifact path `{}` is not plain", artifact.path);
                return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
            }
            if components.peek().is_some() {
                match mkdirat(&at, component, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => at = open_folder(&at, component)?,
                    Err(error) => return Err(error.into()),
                }
                continue;
            }
            let mode = if artifact.executable { Mode::RWXU } else { Mode::RUSR | Mode::WUSR };
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let write = || {
                let mut file: File = openat(&at, component, flags, mode)?.into();
                file.write_all(content)
            };
            if artifact.executable { forks::writing(write)? } else { write()? }
        }
        Ok(())
    }

    /// Removes the folder and all that is in it, without following links.
    pub(crate) fn remove(&self) -> io::Result<()> {
        std::fs::remove_dir_all(&self.path)
    }
}

fn path(root: &Path, attempt: &Attempt) -> PathBuf {
    root.join(attempt.group().to_string()).join(attempt.id().to_string())
}

fn irregular(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("`{name}` is not a regular file"))
}

fn open_folder(at: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

/// Opens the folder of a group, and makes it, and the root, where they are not there.
fn open_group(root: &Path, group: GroupId) -> io::Result<OwnedFd> {
    use std::os::unix::fs::DirBuilderExt;
    let path = root.join(group.to_string());
    match open_folder(CWD, &path) {
        Err(Errno::NOENT) => {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
            Ok(open_folder(CWD, &path)?)
        }
        opened => Ok(opened?),
    }
}

fn set_aside(group: &OwnedFd, name: &str) -> io::Result<()> {
    for n in 1..1000 {
        let aside = format!("{name}.old{n}");
        match renameat_with(group, name, group, aside, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            renamed => return Ok(renamed?),
        }
    }
    Err(Errno::EXIST.into())
}
