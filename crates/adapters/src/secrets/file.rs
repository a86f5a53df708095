//! Secrets in a folder, one file each.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use jobwright_core::secret::{MAX_SECRET, SecretError, SecretSource, SecretString};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::{is_plain, refused, text, unavailable};

/// What of a file's mode must not be: others may do nothing, the group may read at most.
const TOO_OPEN: u32 = 0o037;

/// Finds secrets in a folder: secret `api-key` is the file `api-key` there, without the line break
/// at its end. Names with anything but letters, digits, `.`, `_` and `-`, or with a `.` first, are
/// unknown.
///
/// The file, of at most [`MAX_SECRET`] bytes of UTF-8, must belong to this user or to root, may be
/// read by its owner and group alone, and written by its owner alone. Links are followed within
/// the folder and never out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSecrets {
    folder: PathBuf,
}

impl FileSecrets {
    /// Takes the folder. It is looked into when a secret is fetched, so that secrets may change.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }
}

#[async_trait]
impl SecretSource for FileSecrets {
    async fn fetch(&self, name: &str) -> Result<SecretString, SecretError> {
        if !is_plain(name) || name.starts_with('.') {
            return Err(SecretError::Unknown(name.to_owned()));
        }
        let (folder, file) = (self.folder.clone(), name.to_owned());
        let read = tokio::task::spawn_blocking(move || read(&folder, &file)).await;
        read.map_err(|_| unavailable(name, "reading its file panicked"))?
    }
}

fn read(folder: &Path, name: &str) -> Result<SecretString, SecretError> {
    let file = match open(folder, name) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Err(SecretError::Unknown(name.to_owned())),
        Err(Errno::XDEV | Errno::LOOP) => {
            return Err(refused(name, "its file is a link out of the folder"));
        }
        Err(error) => {
            return Err(unavailable(name, &format!("its file cannot be opened: {error}")));
        }
    };
    let stat = fstat(&file).map_err(|error| unavailable(name, &error.to_string()))?;
    check(name, &stat)?;
    let mut bytes = Vec::new();
    // One more than a secret may have, and a line break.
    let most = MAX_SECRET as u64 + 3;
    let mut part = File::from(file).take(most);
    let read = part.read_to_end(&mut bytes);
    read.map_err(|error| unavailable(name, &format!("its file cannot be read: {error}")))?;
    text(name, bytes)
}

/// Opens a file of the folder, without leaving the folder and without waiting for anything.
fn open(folder: &Path, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let folder =
        openat(CWD, folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    match openat2(&folder, name, flags, Mode::empty(), ResolveFlags::BENEATH) {
        // A kernel without it, or a sandbox that does not know it: then no link at all.
        Err(Errno::NOSYS | Errno::PERM) => {
            openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty())
        }
        opened => opened,
    }
}

fn check(name: &str, stat: &Stat) -> Result<(), SecretError> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(refused(name, "it is no file"));
    }
    if stat.st_uid != 0 && stat.st_uid != geteuid().as_raw() {
        return Err(refused(name, "its file belongs to another user"));
    }
    let mode = stat.st_mode & 0o777;
    if mode & TOO_OPEN != 0 {
        let reason = format!("its file has mode {mode:04o}, so others may use it: `chmod 600` it");
        return Err(refused(name, &reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use jobwright_core::secret::ExposeSecret;

    use super::*;

    #[tokio::test]
    async fn files_are_read_if_they_are_fit_for_secrets() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("secrets");
        std::fs::create_dir(&folder).unwrap();
        let write = |name: &str, content: &[u8], mode: u32| {
            let path = folder.join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("plain", b"content", 0o600);
        write("line", b"content \n", 0o400);
        write("lines", b"a\nb\r\n", 0o640);
        write("empty", b"\n", 0o600);
        write("open", b"content", 0o644);
        write("shared", b"content", 0o660);
        write("bytes", b"\xff\xfe", 0o600);
        write("large", &vec![b'x'; MAX_SECRET + 1], 0o600);
        write("largest", &[vec![b'x'; MAX_SECRET], b"\r\n".to_vec()].concat(), 0o600);
        write(".hidden", b"content", 0o600);
        std::fs::create_dir(folder.join("folder")).unwrap();
        std::fs::write(outer.path().join("outside"), "content").unwrap();
        symlink("plain", folder.join("within")).unwrap();
        symlink("../outside", folder.join("out")).unwrap();
        symlink(outer.path().join("outside"), folder.join("absolute")).unwrap();
        symlink("nowhere", folder.join("dangling")).unwrap();

        let source = FileSecrets::new(&folder);
        let check = async |name: &str, expect: &str| {
            let found = source.fetch(name).await;
            let told = match found {
                Ok(content) => format!(
                    "{:?}",
                    content.expose_secret().get(..16).unwrap_or(content.expose_secret())
                ),
                Err(error) => error.to_string(),
            };
            assert_eq!(told, expect, "{name}");
        };
        check("plain", r#""content""#).await;
        check("line", r#""content ""#).await;
        check("lines", r#""a\nb""#).await;
        check("within", r#""content""#).await;
        check("largest", r#""xxxxxxxxxxxxxxxx""#).await;
        for unknown in ["none", "", "..", ".hidden", "a/b", "../outside", "dangling", "a\0b"] {
            check(unknown, &format!("no secret is named `{unknown}`")).await;
        }
        check("empty", "no secret is named `empty`").await;
        let open = "so others may use it: `chmod 600` it";
        check("open", &format!("secret `open` is refused: its file has mode 0644, {open}")).await;
        check("shared", &format!("secret `shared` is refused: its file has mode 0660, {open}"))
            .await;
        check("bytes", "secret `bytes` is refused: it is not UTF-8").await;
        check("large", "secret `large` has more than 16384 bytes, too many to be kept out of logs")
            .await;
        check("folder", "secret `folder` is refused: it is no file").await;
        check("out", "secret `out` is refused: its file is a link out of the folder").await;
        check("absolute", "secret `absolute` is refused: its file is a link out of the folder")
            .await;
        let missing = FileSecrets::new(outer.path().join("missing"));
        assert_eq!(missing.fetch("a").await.unwrap_err(), SecretError::Unknown("a".to_owned()));
    }
}
