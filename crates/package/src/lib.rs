//! Readers of packages: bytes become a [`Bundle`](jobwright_core::Bundle).
//!
//! Two sorts of packages are read: native ones (YAML, alone or in a folder or ZIP with artifact
//! files; see `docs/package-format.md`), and flow packages exported by releases 6.0 to 8.6 of the
//! product whose deployment API jobwright speaks. Both end in the same model.
//!
//! A package is hostile until it has been read: everything is bounded by [`Limits`], nothing is
//! extracted to a disk, executed, contacted or rendered, and what is refused is refused with its
//! place. This crate knows no store, no engine and no network; it touches the file system only in
//! [`read_path`].
//!
//! ```
//! let bundle = jobwright_package::read(br#"
//! jobwright: 1
//! name: hello
//! flows:
//!   greet:
//!     steps:
//!       say: { executor: local, payload: { command: [echo, hello] } }
//!     outputs:
//!       greeting: { steps: [say] }
//! "#)?;
//! assert_eq!(bundle.package.flows[0].steps[0].name.as_str(), "say");
//! # Ok::<(), jobwright_package::ReadError>(())
//! ```

mod limits;
mod read;

mod archive;
mod files;
mod folder;

mod json5;
mod native;

mod exported;

pub use archive::ArchiveError;
pub use exported::ExportError;
pub use files::PathFault;
pub use folder::FolderError;
pub use json5::Found;
pub use json5::JsonError;
pub use json5::JsonFault;
pub use limits::Limits;
pub use native::NativeError;
pub use native::ParameterFault;
pub use native::YamlError;
pub use read::ReadError;
pub use read::read;
pub use read::read_path;
pub use read::read_path_within;
pub use read::read_within;
