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
//!
//! # Exported flows
//!
//! Each output object becomes steps of its own, under the engine that it names; what is upstream
//! of it, also in other flows, is part of its transform. In their payloads every text is literal,
//! but for references to parameters.
//!
//! | kind | one per | needs | payload |
//! |---|---|---|---|
//! | `schemadrift` | output that validates schemas | nothing | `options`, `inputs` (datasets) |
//! | `sqlexecution` (`pre`) | script, in order | the one before | the script, `connection` |
//! | `fileconverter` | converted file upstream | scripts before | `dataset` |
//! | `ingest` | dataset that is no file | scripts before | `dataset` |
//! | `artifactstaging` | output with mappings | scripts before | `artifacts` |
//! | `wrangle` | output | all before | `recipes` in order, `inputs` (datasets), `engine` |
//! | `profile` | output that is profiled | `wrangle` | `recipe`, `output` |
//! | `filewriter` | write setting | `wrangle` | the setting; `path`, `connection` |
//! | `publish` | publication | `wrangle` | `tableName`, `relationalPath`, `connection`, … |
//! | `sqlexecution` (`post`) | script, in order | all writers | script, `connection` |
//!
//! A dataset has `id`, `name`, `type`, and of `path`, `uri`, `bucket`, `host`, `userinfo`,
//! `connection`, `relationalPath`, `tableName`, `sql`, `converted` what it needs. Variables,
//! selectors and timestamps are parameters of the flow. Ranges of dates and patterns cannot be
//! overridden: their place in a text is marked, and `placeholders` says what each mark stands for.

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
