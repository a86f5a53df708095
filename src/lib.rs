//! placeholder
pub use jobwright_adapters as adapters;
pub use jobwright_core as core;
pub use jobwright_scheduler::*;
pub use jobwright_store as store;
