//! The model of jobwright and its two ports: what is, without any I/O, clock, randomness or
//! runtime.
//!
//! A [`Package`] declares [`Flow`]s; a [`Deployment`] holds [`Release`]s of packages; running it
//! makes [`Plan`]s, whose life is told in [`Event`]s. An [`Executor`] runs attempts, a [`Store`]
//! keeps what happened.

mod catalog;
mod digest;
mod event;
mod executor;
mod faults;
mod flow;
mod id;
mod name;
mod near;
mod outcome;
mod package;
pub mod parameter;
mod payload;
mod plan;
mod policy;
pub mod reference;
pub mod rule;
pub mod secret;
mod store;
mod time;

pub use catalog::*;
pub use digest::{Digest, DigestError};
pub use event::*;
pub use executor::*;
pub use flow::*;
pub use id::*;
pub use name::*;
pub use outcome::*;
pub use package::*;
pub use plan::*;
pub use policy::*;
pub use store::*;
pub use time::{DurationError, Timestamp, TimestampError, duration, parse_duration, spelled};
