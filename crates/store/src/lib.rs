//! Stores: where an engine keeps what happened, and the conformance suite that any store passes.
//!
//! [`MemoryStore`] keeps everything in memory and survives nothing.
//!
//! A store knows nothing of what events mean: it does not apply them, reads no clock, and starts
//! nothing on its own.

mod memory;

pub mod conformance;

pub use memory::MemoryStore;
