//! The store in one file: SQLite, with one thread that writes and a few that read. It must never
//! hold a transaction across an await, nor answer before the transaction is durable.

mod documents;
mod fault;
mod ids;
mod journal;
mod leases;
mod open;
mod prune;
mod queries;
mod reader;
mod schema;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_core::{
    Commit, CommitError, Digest, Durability, GroupId, Key, Kind, Lease, NodeId, Pruned, Query,
    Record, RunId, Seq, Store, StoreError, Stored,
};
use tracing::Instrument;

use self::fault::{Fault, Health};
use self::open::Setup;
use self::reader::Readers;
use self::writer::{Call, Writer};
use crate::sound::assert_sound;
use crate::span;

pub use self::open::OpenError;

/// A store in one file of an embedded database, for one process and one engine at a time.
///
/// Beside the file there are `<file>-wal` and `<file>-shm` while it is open, which belong to it and
/// `<file>.lock`, which says who has it. All can be read by the user alone. Network file systems
/// are not supported.
///
/// Dropping the store waits until what was called before is written, and frees the file.
#[derive(Debug)]
pub struct SqliteStore {
    // Dropped in this order: the last connection to close empties the log.
    readers: Readers,
    writer: Writer,
    health: Arc<Health>,
    durability: Durability,
}

/// How to open a [`SqliteStore`].
#[derive(Debug, Clone)]
#[must_use]
pub struct SqliteOptions {
    setup: Setup,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { setup: Setup { synced: true, limit: None } }
    }
}

impl SqliteOptions {
    /// Starts with the defaults: what is acknowledged survives the loss of power
    /// (`synchronous=FULL`), and the file may grow as it needs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Acknowledges what survives the death of the process, without waiting for the disk
    /// (`synchronous=NORMAL`): the last commits may be lost with the power, but never a part of
    /// one, nor an earlier one alone.
    pub fn written(mut self) -> Self {
        self.setup.synced = false;
        self
    }

    /// Limits the database to so many bytes, rounded down to whole pages; its log comes on top of
    /// that. What finds no room is [`StoreError::Unavailable`].
    pub fn limit(mut self, bytes: u64) -> Self {
        self.setup.limit = Some(bytes);
        self
    }

    /// Opens the file, or makes it if it is not there; its folder must exist. Blocks for as long as
    /// it takes to recover the log and to bring the tables up to date.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, OpenError> {
        let (path, lock, connection) = open::claim_file(path.as_ref(), &self.setup)?;
        let health = Arc::new(Health::default());
        let readers = Readers::start(&path, Arc::clone(&health))?;
        let writer = Writer::start(connection, lock, Arc::clone(&health))
            .map_err(|source| OpenError::File { path: path.clone(), source })?;
        let durability = if self.setup.synced { Durability::Synced } else { Durability::Written };
        Ok(SqliteStore { readers, writer, health, durability })
    }
}

impl SqliteStore {
    /// Opens a file with the default options, see [`SqliteOptions::open`].
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        SqliteOptions::new().open(path)
    }

    /// Writes what was called before, copies the log into the database, and frees the file for
    /// another store. All later calls return [`StoreError::Broken`]. Cancel safe: the file is
    /// closed all the same, later.
    ///
    /// # Errors
    /// Returns why the log could not be copied; the next one that opens the file will do it.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.writer.ask(|reply| Call::Close { reply }).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn durability(&self) -> Durability {
        self.durability
    }

    async fn allocate(&self, kind: Kind, count: u32) -> Result<i64, StoreError> {
        assert!(count > 0, "at least one id is allocated");
        self.writer.ask(|reply| Call::Allocate { kind, count, reply }).await
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), CommitError> {
        assert_sound(&commit);
        let span = span::append("sqlite", &commit);
        let written = span.clone();
        let call = |reply| Call::Commit { commit, span: written, reply };
        let answer = self.writer.ask(call).instrument(span).await?;
        answer.map_err(CommitError::Refused)
    }

    async fn load(&self, group: GroupId, from: Seq) -> Result<Vec<Record>, StoreError> {
        self.readers.ask(move |it| queries::load(it, group, from)).await
    }

    async fn load_many(&self, groups: &[GroupId]) -> Result<Vec<Vec<Record>>, StoreError> {
        let ask = |groups: &[GroupId]| {
            let groups = groups.to_vec();
            self.readers.ask(move |it| {
                groups.iter().map(|group| queries::load(it, *group, Seq(1))).collect()
            })
        };
        // A half for each of the threads that read.
        let (some, others) = groups.split_at(groups.len() / 2);
        let (mut journals, rest): (Vec<_>, Vec<_>) = tokio::try_join!(ask(some), ask(others))?;
        journals.extend(rest);
        Ok(journals)
    }

    async fn claim(&self, owner: NodeId, limit: u32) -> Result<Vec<Lease>, StoreError> {
        self.writer.ask(|reply| Call::Claim { owner, limit, reply }).await
    }

    async fn renew(&self, _owner: NodeId, _lease: Duration) -> Result<(), StoreError> {
        self.health.check()
    }

    async fn release(&self, owner: NodeId) -> Result<(), StoreError> {
        self.writer.ask(|reply| Call::Release { owner, reply }).await
    }

    async fn find(&self, key: Key) -> Result<Option<Stored>, StoreError> {
        self.readers.ask(move |it| queries::find(it, key)).await
    }

    async fn list(&self, query: Query) -> Result<Vec<Stored>, StoreError> {
        self.readers.ask(move |it| queries::list(it, &query)).await
    }

    async fn prune(&self, runs: &[RunId], limit: u32) -> Result<Pruned, StoreError> {
        assert!(limit > 0, "at least one group may go");
        let runs = runs.to_vec();
        self.writer.ask(|reply| Call::Prune { runs, limit, reply }).await
    }

    async fn content(&self, digest: Digest) -> Result<Option<Arc<[u8]>>, StoreError> {
        self.readers.ask(move |it| queries::content(it, digest)).await
    }
}

/// SQLite keeps integers of 64 bits with a sign; positions and epochs have none, and never come
/// near the difference.
fn whole(number: u64) -> Result<i64, Fault> {
    i64::try_from(number).map_err(|_| Fault::refused(format!("{number} is too large to be kept")))
}
