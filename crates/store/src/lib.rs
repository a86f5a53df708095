//! Stores: where an engine keeps what happened, and the conformance suite that any store passes.
//!
//! [`SqliteStore`] keeps it in one file of an embedded database and survives the loss of power;
//! [`MemoryStore`] keeps it in memory and survives nothing.
//!
//! A store knows nothing of what events mean: it does not apply them, reads no clock, and starts
//! nothing on its own.

mod head;
mod memory;
mod sound;
mod span;
mod sqlite;

pub mod conformance;

pub use memory::MemoryStore;
pub use sqlite::OpenError;
pub use sqlite::SqliteOptions;
pub use sqlite::SqliteStore;
