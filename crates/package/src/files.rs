//! The files of a package while it is read: paths that are safe everywhere, each at most once.
//! Archives and folders both end here; nothing of them is ever written to a disk.

use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;

use jobwright_core::{Artifact, Bundle, Digest, Package};
use thiserror::Error;

use crate::limits::Limits;

/// One file of a package.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) content: Arc<[u8]>,
    pub(crate) executable: bool,
}

/// Files by path, in the order of their paths.
#[derive(Debug, Default)]
pub(crate) struct Files {
    files: BTreeMap<String, File>,
    folded: BTreeMap<String, String>,
}

/// Two paths of one package that name the same file somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Clash {
    #[error("occurs twice")]
    Twice,
    #[error("differs from `{0}` in case only: rename one of them")]
    Case(String),
    #[error("lies below `{0}`, which is a file")]
    BelowFile(String),
}

impl Files {
    /// Adds a file whose path has been checked.
    pub(crate) fn insert(&mut self, path: &str, file: File) -> Result<(), Clash> {
        match self.folded.entry(path.to_lowercase()) {
            btree_map::Entry::Vacant(place) => place.insert(path.to_owned()),
            btree_map::Entry::Occupied(other) if other.get() == path => return Err(Clash::Twice),
            btree_map::Entry::Occupied(other) => return Err(Clash::Case(other.get().clone())),
        };
        self.files.insert(path.to_owned(), file);
        Ok(())
    }

    /// Checks that no file lies below another; returns the path and its clash.
    pub(crate) fn check_tree(&self) -> Result<(), (String, Clash)> {
        for path in self.folded.keys() {
            let mut above = path.as_str();
            while let Some((parent, _)) = above.rsplit_once('/') {
                if let Some(file) = self.folded.get(parent) {
                    return Err((self.folded[path].clone(), Clash::BelowFile(file.clone())));
                }
                above = parent;
            }
        }
        Ok(())
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    pub(crate) fn remove(&mut self, path: &str) -> Option<File> {
        self.files.remove(path)
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Turns a package and the files beside its document into a bundle.
    pub(crate) fn bundle(self, mut package: Package) -> Bundle {
        let mut contents = BTreeMap::new();
        for (path, File { content, executable }) in self.files {
            let digest = Digest::of(&content);
            let size = content.len() as u64;
            package.artifacts.push(Artifact { path, digest, size, executable });
            contents.insert(digest, content);
        }
        Bundle { package, contents }
    }
}

/// Why a path is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PathFault {
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It begins at a root.
    #[error("is absolute")]
    Absolute,
    /// It begins with a drive letter.
    #[error("begins with a drive letter")]
    Drive,
    /// A component is `..`.
    #[error("leads out of the package with `..`")]
    Parent,
    /// A component is `.` or empty.
    #[error("holds an empty component or `.`")]
    Component,
    /// It has a backslash, which some systems take for a separator.
    #[error("holds a backslash")]
    Backslash,
    /// It has a control character, such as NUL.
    #[error("holds a control character")]
    Control,
    /// It is no UTF-8.
    #[error("is not UTF-8")]
    Encoding,
    /// It has too many bytes.
    #[error("has {found} bytes, {allowed} are allowed")]
    TooLong {
        /// How many it has.
        found: usize,
        /// How many it may have.
        allowed: usize,
    },
    /// It has too many components.
    #[error("has {found} components, {allowed} are allowed")]
    TooDeep {
        /// How many it has.
        found: usize,
        /// How many it may have.
        allowed: usize,
    },
}

/// Checks that a path means the same harmless place on every system.
pub(crate) fn check_path(path: &str, limits: &Limits) -> Result<(), PathFault> {
    if path.is_empty() {
        return Err(PathFault::Empty);
    }
    if path.len() > limits.path_bytes {
        return Err(PathFault::TooLong { found: path.len(), allowed: limits.path_bytes });
    }
    if path.chars().any(char::is_control) {
        return Err(PathFault::Control);
    }
    if path.contains('\\') {
        return Err(PathFault::Backslash);
    }
    if path.starts_with('/') {
        return Err(PathFault::Absolute);
    }
    if matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return Err(PathFault::Drive);
    }
    if path.split('/').any(|part| part == "..") {
        return Err(PathFault::Parent);
    }
    if path.split('/').any(|part| part.is_empty() || part == ".") {
        return Err(PathFault::Component);
    }
    let found = path.split('/').count();
    if found > limits.path_depth {
        return Err(PathFault::TooDeep { found, allowed: limits.path_depth });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_the_same_place_everywhere() {
        let check = |path: &str, expect: &str| {
            let found = check_path(path, &Limits::default());
            let found = found.map_or_else(|fault| fault.to_string(), |()| "fine".to_owned());
            assert_eq!(found, expect, "{path:?}");
        };
        check("sql/load.sql", "fine");
        check("a b/été.txt", "fine");
        check("..hidden", "fine");
        check("", "is empty");
        check("/etc/passwd", "is absolute");
        check("//host/share", "is absolute");
        check("C:/x", "begins with a drive letter");
        check("c:x", "begins with a drive letter");
        check("a/../../x", "leads out of the package with `..`");
        check("..", "leads out of the package with `..`");
        check("a//b", "holds an empty component or `.`");
        check("./a", "holds an empty component or `.`");
        check("a/", "holds an empty component or `.`");
        check("a\\b", "holds a backslash");
        check("a\0b", "holds a control character");
        check(&"x".repeat(513), "has 513 bytes, 512 are allowed");
        check(&["x"; 33].join("/"), "has 33 components, 32 are allowed");
    }

    #[test]
    fn files_do_not_clash() {
        let file = || File { content: Arc::from(*b"x"), executable: false };
        let check = |paths: &[&str], expect: &str| {
            let mut files = Files::default();
            let added = paths.iter().try_for_each(|path| files.insert(path, file()));
            let found = added.and_then(|()| files.check_tree().map_err(|(_, clash)| clash));
            let found = found.map_or_else(|clash| clash.to_string(), |()| "fine".to_owned());
            assert_eq!(found, expect, "{paths:?}");
        };
        check(&["a", "b/c", "b/d"], "fine");
        check(&["a", "a"], "occurs twice");
        check(&["Run.sh", "run.SH"], "differs from `Run.sh` in case only: rename one of them");
        check(&["b/c/d", "B"], "lies below `B`, which is a file");
    }
}
