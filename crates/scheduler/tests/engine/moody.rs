//! A memory store with moods: it yields, holds commits back, fails, refuses, or hides a journal.
//! Only commits with journal rows, which are the loop's, are subject to a mood.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jobwright_core::{
    Commit, CommitError, Digest, Durability, Epoch, GroupId, Key, Kind, Lease, NodeId, Query,
    Record, Refusal, Seq, Store, StoreError, Stored,
};
use jobwright_store::MemoryStore;
use tokio::sync::watch;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mood {
    Well,
    /// So many commits fail, and might succeed later.
    Away(u32),
    Broken,
    /// The group is another engine's.
    Fences(GroupId),
    /// Every run is refused, since something else changed.
    Contrary,
}

pub(crate) struct Moody {
    inner: MemoryStore,
    mood: Mutex<Mood>,
    holds: watch::Sender<bool>,
    hidden: Mutex<Option<GroupId>>,
    blind: AtomicBool,
    /// How many commits of the loop were asked for.
    asked: watch::Sender<u32>,
}

impl Moody {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryStore::new(),
            mood: Mutex::new(Mood::Well),
            holds: watch::Sender::new(false),
            hidden: Mutex::new(None),
            blind: AtomicBool::new(false),
            asked: watch::Sender::new(0),
        })
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Holds commits back from now on, or lets them go on.
    pub(crate) fn hold(&self, holds: bool) {
        self.holds.send_replace(holds);
    }

    /// Loses the beginning of a group's journal.
    pub(crate) fn hide(&self, group: GroupId) {
        *self.hidden.lock().unwrap() = Some(group);
    }

    /// Does not see any run when it is next asked for some, as if they came a moment later.
    pub(crate) fn blind(&self) {
        self.blind.store(true, Ordering::SeqCst);
    }

    /// Waits until the loop has asked for another commit.
    pub(crate) async fn asked(&self) {
        let mut asked = self.asked.subscribe();
        asked.changed().await.unwrap();
    }

    fn refuse(&self, commit: &Commit) -> Result<(), CommitError> {
        let mut mood = self.mood.lock().unwrap_or_else(PoisonError::into_inner);
        let away = || StoreError::Unavailable { reason: "it is away".to_owned(), source: None };
        match &mut *mood {
            Mood::Well | Mood::Away(0) => Ok(()),
            Mood::Away(left) => {
                *left -= 1;
                Err(away().into())
            }
            Mood::Broken => {
                let reason = "it lost its bytes".to_owned();
                Err(StoreError::Broken { reason, source: None }.into())
            }
            Mood::Fences(group) => {
                let mut rows = commit.journal.iter().map(|append| &append.record);
                match rows.find(|record| record.group == *group) {
                    None => Ok(()),
                    Some(record) => Err(CommitError::Refused(vec![Refusal::Fenced {
                        group: *group,
                        given: record.epoch,
                        current: Epoch(record.epoch.0 + 1),
                    }])),
                }
            }
            Mood::Contrary => {
                let runs = commit.catalog.iter().filter(|change| change.key.kind == Kind::Run);
                let refusals: Vec<_> = runs
                    .map(|change| Refusal::Changed {
                        key: change.key,
                        expected: change.expected,
                        current: jobwright_core::Revision(7),
                    })
                    .collect();
                if refusals.is_empty() { Ok(()) } else { Err(CommitError::Refused(refusals)) }
            }
        }
    }
}

#[async_trait]
impl Store for Moody {
    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    async fn allocate(&self, kind: Kind, count: u32) -> Result<i64, StoreError> {
        tokio::task::yield_now().await;
        self.inner.allocate(kind, count).await
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), CommitError> {
        if commit.journal.is_empty() {
            tokio::task::yield_now().await;
        } else {
            self.asked.send_modify(|asked| *asked += 1);
            let mut holds = self.holds.subscribe();
            let _ = holds.wait_for(|holds| !holds).await;
            self.refuse(&commit)?;
        }
        self.inner.commit(commit).await
    }

    async fn load(&self, group: GroupId, from: Seq) -> Result<Vec<Record>, StoreError> {
        let mut records = self.inner.load(group, from).await?;
        if *self.hidden.lock().unwrap() == Some(group) {
            records.remove(0);
        }
        Ok(records)
    }

    async fn claim(&self, owner: NodeId, limit: u32) -> Result<Vec<Lease>, StoreError> {
        self.inner.claim(owner, limit).await
    }

    async fn renew(&self, owner: NodeId, lease: Duration) -> Result<(), StoreError> {
        self.inner.renew(owner, lease).await
    }

    async fn release(&self, owner: NodeId) -> Result<(), StoreError> {
        self.inner.release(owner).await
    }

    async fn find(&self, key: Key) -> Result<Option<Stored>, StoreError> {
        tokio::task::yield_now().await;
        self.inner.find(key).await
    }

    async fn list(&self, query: Query) -> Result<Vec<Stored>, StoreError> {
        tokio::task::yield_now().await;
        if query.kind == Kind::Run && self.blind.swap(false, Ordering::SeqCst) {
            return Ok(Vec::new());
        }
        self.inner.list(query).await
    }

    async fn content(&self, digest: Digest) -> Result<Option<Arc<[u8]>>, StoreError> {
        self.inner.content(digest).await
    }
}
