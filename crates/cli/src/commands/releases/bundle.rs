//! A package as it goes over the wire: a file as it is, a folder as a ZIP of it.

use std::io::{Cursor, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use jobwright_package::Limits;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Reads a package. Blocks on the file system.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let told = || format!("failed to read the package `{}`", path.display());
    if path.is_dir() {
        return pack(path).with_context(told);
    }
    let size = std::fs::metadata(path).with_context(told)?.len();
    if size > Limits::default().total_bytes {
        bail!("`{}` is larger than a package may be", path.display());
    }
    std::fs::read(path).with_context(told)
}

/// Packs a folder. What is hidden stays out, as when a package is read from the folder itself.
fn pack(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut left = Limits::default().total_bytes;
    let mut folders = vec![folder.to_owned()];
    while let Some(inside) = folders.pop() {
        let mut entries = std::fs::read_dir(&inside)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type()?);
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            if !kind.is_file() {
                bail!("`{}` is no plain file", path.display());
            }
            let name = path.strip_prefix(folder)?.to_str();
            let name = name.with_context(|| format!("`{}` is not UTF-8", path.display()))?;
            let size = entry.metadata()?.len();
            left = left.checked_sub(size).context("it is larger than a package may be")?;
            let mode = mode(&entry.metadata()?);
            zip.start_file(name, SimpleFileOptions::default().unix_permissions(mode))?;
            zip.write_all(&std::fs::read(&path)?)?;
        }
    }
    Ok(zip.finish()?.into_inner())
}

#[cfg(unix)]
fn mode(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o777
}

#[cfg(not(unix))]
fn mode(_: &std::fs::Metadata) -> u32 {
    0o644
}
