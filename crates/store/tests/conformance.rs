//! Both stores keep the contract, and a store that does not is told which sentence it breaks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_core::{
    Commit, CommitError, Digest, Durability, GroupId, Key, Kind, Lease, NodeId, Query, Record, Seq,
    Store, StoreError, Stored,
};
use jobwright_store::{MemoryStore, SqliteOptions, conformance};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory() {
    conformance::exercise(|| async { MemoryStore::new() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let next = std::sync::atomic::AtomicUsize::new(0);
    conformance::exercise(|| {
        let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = folder.path().join(format!("{number}.db"));
        async { SqliteOptions::new().written().open(path).unwrap() }
    })
    .await;
}

/// Makes the rows of a commit durable even where the rest of it is refused.
struct Torn(MemoryStore);

#[async_trait]
impl Store for Torn {
    fn durability(&self) -> Durability {
        self.0.durability()
    }
    async fn allocate(&self, kind: Kind, count: u32) -> Result<i64, StoreError> {
        self.0.allocate(kind, count).await
    }
    async fn commit(&self, commit: Arc<Commit>) -> Result<(), CommitError> {
        let Commit { journal, catalog, contents } = Commit::clone(&commit);
        self.0.commit(Commit { journal, ..Commit::default() }.into()).await?;
        self.0.commit(Commit { catalog, contents, ..Commit::default() }.into()).await
    }
    async fn load(&self, group: GroupId, from: Seq) -> Result<Vec<Record>, StoreError> {
        self.0.load(group, from).await
    }
    async fn claim(&self, owner: NodeId, limit: u32) -> Result<Vec<Lease>, StoreError> {
        self.0.claim(owner, limit).await
    }
    async fn renew(&self, owner: NodeId, lease: Duration) -> Result<(), StoreError> {
        self.0.renew(owner, lease).await
    }
    async fn release(&self, owner: NodeId) -> Result<(), StoreError> {
        self.0.release(owner).await
    }
    async fn find(&self, key: Key) -> Result<Option<Stored>, StoreError> {
        self.0.find(key).await
    }
    async fn list(&self, query: Query) -> Result<Vec<Stored>, StoreError> {
        self.0.list(query).await
    }
    async fn content(&self, digest: Digest) -> Result<Option<Arc<[u8]>>, StoreError> {
        self.0.content(digest).await
    }
}

#[tokio::test]
#[should_panic(expected = "nothing of a refused commit is there\n    records: expected []")]
async fn a_torn_commit_is_found() {
    conformance::exercise(|| async { Torn(MemoryStore::new()) }).await;
}
