//! The data folder.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jobwright_core::NodeId;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Where everything is kept when nothing is said: the user's own folder for data, so that a start
/// from another folder finds what was there; `./jobwright-data` for a user without a home.
pub(crate) fn default_data() -> PathBuf {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    data.map_or_else(|| PathBuf::from("jobwright-data"), |data| data.join("jobwright"))
}

/// Makes the folder, readable by its owner alone. Its parent must be there, unless it is the
/// default: a path that is not there may be a disk that is not mounted.
pub(super) fn make(data: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(*data == default_data()).mode(0o700).create(data);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && data.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let path = data.display();
            Err(error)
                .with_context(|| format!("the folder above `{path}` does not exist, make it first"))
        }
        made => made.with_context(|| format!("cannot make the data folder `{}`", data.display())),
    }
}

/// Keeps other servers out of a folder whose store is elsewhere, until the file is dropped or the
/// process ends: a guard takes all processes below the folder for its server's.
pub(super) fn hold(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let shown = path.display();
    let file = File::options().create(true).append(true).open(&path);
    let file = file.with_context(|| format!("cannot make `{shown}`"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => bail!(
            "another server has `{shown}`: give each server a data folder of its own with `--data`"
        ),
        Err(error) => Err(error).with_context(|| format!("cannot lock `{shown}`")),
    }
}

/// The engine that had the folder last; none where there was none, or nobody knows.
pub(super) fn last_node(data: &Path) -> Option<NodeId> {
    let text = std::fs::read_to_string(data.join(NODE)).ok()?;
    text.trim().parse().ok().map(NodeId)
}

/// Notes which engine has the folder. What is not noted costs the next one the length of a lease.
pub(super) fn note_node(data: &Path, node: NodeId) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(data)?;
    writeln!(file, "{}", node.0)?;
    file.persist(data.join(NODE)).map(drop).map_err(|error| error.error)
}

const NODE: &str = "node";
