//! The store: what goes to which connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_core::{
    Commit, CommitError, Cursor, Digest, Durability, Feed, GroupId, Key, Kind, Lease, NodeId,
    Pruned, Query, Record, RunId, Seq, Store, StoreError, Stored,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::connect::ConnectError;
use crate::fault::Fault;
use crate::ids::Ids;
use crate::link::{Link, Readers};
use crate::listen::Hints;
use crate::options::PostgresOptions;
use crate::schema::{self, Target};
use crate::session::{Session, Setup};
use crate::silence::Silence;
use crate::tls::Tls;
use crate::writer::{self, Call, QUEUE, Reply, Writing};
use crate::{claim, queries};

/// A store in a PostgreSQL database, shared by several engine nodes, each with a `PostgresStore` of
/// its own.
///
/// Connections that are lost are opened anew. A call whose connection was lost is tried again for
/// about a second, then it is [`StoreError::Unavailable`]; but a commit that the database may have
/// made durable waits until the database can be asked, however long that takes.
///
/// Must be made and used within one tokio runtime. Dropping it gives up calls in progress; what was
/// acknowledged is durable.
pub struct PostgresStore {
    calls: mpsc::Sender<Call>,
    readers: Readers,
    /// Waits neither for a commit nor for a long list: a lease must be renewed in time.
    quick: Link,
    ids: Ids,
    hints: Hints,
    silence: Arc<Silence>,
    durability: Durability,
    place: String,
    _writer: JoinSet<()>,
}

impl PostgresStore {
    /// Connects with the default options, see [`PostgresOptions::parse`].
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(address: &str) -> Result<Self, ConnectError> {
        PostgresOptions::parse(address)?.connect().await
    }

    pub(crate) async fn open(options: PostgresOptions) -> Result<Self, ConnectError> {
        let tls = Tls::new(&options.trust).map_err(ConnectError::Certificates)?;
        let (place, setup) = (options.place(), Arc::new(Setup::new(&options, tls)));
        let failed = |source| ConnectError::sorted(&place, &options.schema, source);
        let first = Session::open(&setup, |_| {}).await.map_err(failed)?;
        schema::migrate(&first, Target { place: &place, schema: &options.schema }).await?;
        let id = new_id();
        writer::register(&first, id).await.map_err(failed)?;
        let durability = durability(&first).await.map_err(failed)?;
        let link = || Link::new(Arc::clone(&setup));
        let hints = Hints::start(Arc::clone(&setup), &options.schema, id);
        let (calls, queue) = mpsc::channel(QUEUE);
        let mut writer = JoinSet::new();
        let silence = Arc::new(Silence::new(&options));
        let writing = Writing::new(link(), id, Arc::clone(&silence), hints.tell());
        writer.spawn(writing.run(queue));
        let quick = Link::new(Arc::new(setup.quick()));
        let (readers, ids) = (Readers::new(&setup), Ids::default());
        Ok(Self { calls, readers, quick, ids, hints, silence, durability, place, _writer: writer })
    }

    /// Writes what was called before and leaves nothing behind in the database that only this store
    /// needs. All later commits, claims and releases return [`StoreError::Broken`]. Cancel safe.
    ///
    /// # Errors
    /// The database cannot be asked now; nothing is lost by that.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.ask(|reply| Call::Close { reply }).await
    }

    /// Hands a call over and waits for its answer.
    async fn ask<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> Result<T, StoreError> {
        let closed = || Fault::broken("it was closed".to_owned()).to_error();
        let (reply, answer) = oneshot::channel();
        self.calls.send(call(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

/// Names the store: drawn anew for each, so that no other ever writes its mark.
#[expect(clippy::disallowed_methods, reason = "a store is opened at the program's door")]
fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// What an acknowledgement is worth is up to the server.
async fn durability(session: &Session) -> Result<Durability, tokio_postgres::Error> {
    let row = session.client().query_one("SELECT current_setting('fsync')", &[]).await?;
    if row.try_get::<_, &str>(0)? == "on" {
        return Ok(Durability::Synced);
    }
    tracing::warn!("the database runs with `fsync = off`: commits may be lost with the power");
    Ok(Durability::Written)
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("place", &self.place).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn durability(&self) -> Durability {
        self.durability
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn allocate(&self, kind: Kind, count: u32) -> Result<i64, StoreError> {
        assert!(count > 0, "at least one id is allocated");
        let first = self.ids.allocate(&self.quick, kind, count).await;
        first.map_err(|fault| fault.to_error())
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), CommitError> {
        assert_sound(&commit);
        let answer = self.ask(|reply| Call::Commit { commit, reply }).await?;
        answer.map_err(CommitError::Refused)
    }

    async fn load(&self, group: GroupId, from: Seq) -> Result<Vec<Record>, StoreError> {
        queries::load(&self.readers, group, from).await.map_err(|fault| fault.to_error())
    }

    async fn load_many(&self, groups: &[GroupId]) -> Result<Vec<Vec<Record>>, StoreError> {
        queries::load_many(&self.readers, groups).await.map_err(|fault| fault.to_error())
    }

    async fn feed(&self, since: Option<Cursor>, most: u32) -> Result<Feed, StoreError> {
        queries::feed(&self.readers, since, most).await.map_err(|fault| fault.to_error())
    }

    async fn claim(&self, owner: NodeId, limit: u32) -> Result<Vec<Lease>, StoreError> {
        self.ask(|reply| Call::Claim { owner, limit, reply }).await
    }

    async fn renew(&self, owner: NodeId, lease: Duration) -> Result<(), StoreError> {
        self.silence.heed(lease);
        claim::renew(&self.quick, owner, lease).await.map_err(|fault| fault.to_error())
    }

    async fn woken(&self) {
        self.hints.told().await;
    }

    async fn release(&self, owner: NodeId) -> Result<(), StoreError> {
        self.ask(|reply| Call::Release { owner, reply }).await
    }

    async fn give_up(&self, owner: NodeId, groups: &[GroupId]) -> Result<(), StoreError> {
        if groups.is_empty() {
            return Ok(());
        }
        let groups = groups.to_vec();
        self.ask(|reply| Call::GiveUp { owner, groups, reply }).await
    }

    async fn find(&self, key: Key) -> Result<Option<Stored>, StoreError> {
        queries::find(&self.readers, key).await.map_err(|fault| fault.to_error())
    }

    async fn list(&self, query: Query) -> Result<Vec<Stored>, StoreError> {
        queries::list(&self.readers, &query).await.map_err(|fault| fault.to_error())
    }

    async fn prune(&self, runs: &[RunId], limit: u32) -> Result<Pruned, StoreError> {
        let runs = runs.to_vec();
        self.ask(|reply| Call::Prune { runs, limit, reply }).await
    }

    async fn content(&self, digest: Digest) -> Result<Option<Arc<[u8]>>, StoreError> {
        queries::content(&self.readers, digest).await.map_err(|fault| fault.to_error())
    }
}

/// Asserts what only a mistake of the engine can break: a record has events, or it would be a row
/// that nothing follows, and a change writes the document that it names.
fn assert_sound(commit: &Commit) {
    let empty = commit.journal.iter().any(|append| append.record.events.is_empty());
    assert!(!empty, "every record of a commit holds at least one event");
    let mut documents =
        commit.catalog.iter().filter_map(|it| Some((it.key, it.document.as_ref()?)));
    let sound = documents.all(|(key, document)| document.key() == key);
    assert!(sound, "every change of a commit writes the document that its key names");
}
