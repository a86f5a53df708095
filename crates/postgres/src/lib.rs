//! The store that several engine nodes share: PostgreSQL 13 or newer.
//!
//! ```no_run
//! # async fn example() -> Result<(), jobwright_postgres::ConnectError> {
//! use jobwright_postgres::PostgresStore;
//!
//! let store = PostgresStore::connect("postgres://jobs@db.example/jobs?sslmode=verify-full").await?;
//! # Ok(())
//! # }
//! ```
//!
//! Each node has a store of its own on the same database. What an engine drives is its own until
//! its lease ends, by the clock of the database; every append is fenced by owner and epoch.
//!
//! ```text
//! commit, claim, release ─▶ queue ─▶ one connection that writes, in order, many calls at once
//! load, find, list, content ───────▶ connections that read, each shared by all who read
//! renew, allocate ─────────────────▶ a connection of their own, which waits for nobody
//! woken ◀──────────────────────────  a connection that listens
//! ```
//!
//! What is *absent*: any knowledge of what an event means, any clock but that of the database, and
//! a connection pooler in between that gives transactions to different connections: prepared
//! statements and session settings are relied upon.

mod options;
mod tls;

mod connect;
mod fault;
mod link;
mod schema;
mod session;
mod silence;

mod documents;
mod heads;
mod rows;
mod write;

mod claim;
mod ids;
mod listen;
mod prune;
mod queries;
mod writer;

mod store;

pub use connect::ConnectError;
pub use options::PostgresOptions;
pub use store::PostgresStore;
