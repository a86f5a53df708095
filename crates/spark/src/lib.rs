//! Draft.
mod capacity;
mod master;
