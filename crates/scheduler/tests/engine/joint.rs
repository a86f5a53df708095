//! A store that several engines share, in virtual time: the memory store with leases that end, a
//! fence for owners, and nodes that can be cut off.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use jobwright_core::{
    Append, Change, Commit, CommitError, Cursor, Digest, Durability, Epoch, Feed, GroupId, Key,
    Kind, Lease, NodeId, Query, Record, Refusal, Revision, Seq, Store, StoreError, Stored,
};
use jobwright_store::MemoryStore;
use tokio::sync::watch;
use tokio::time::Instant;

/// The moment, in virtual time.
#[expect(clippy::disallowed_methods, reason = "a store's clock is its own")]
pub(crate) fn moment() -> Instant {
    Instant::now()
}

/// What is stored, for all nodes.
#[derive(Default)]
pub(crate) struct Shared {
    inner: MemoryStore,
    state: Mutex<State>,
    woken: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    journals: BTreeMap<GroupId, Journal>,
    leases: HashMap<NodeId, Instant>,
    /// All records, in the order in which they were written.
    feed: Vec<Record>,
}

struct Journal {
    records: Vec<Record>,
    epoch: Epoch,
    owner: Option<NodeId>,
    ended: bool,
}

/// One node's way to the store, which can be cut.
#[derive(Clone)]
pub(crate) struct Line {
    shared: Arc<Shared>,
    cut: Arc<watch::Sender<bool>>,
    /// How long a claim takes.
    claims: Arc<Mutex<Duration>>,
}

impl Shared {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A node's way to the store.
    pub(crate) fn line(self: &Arc<Self>) -> Arc<Line> {
        let (shared, cut) = (Arc::clone(self), Arc::new(watch::Sender::new(false)));
        Arc::new(Line { shared, cut, claims: Arc::default() })
    }

    /// Who drives a group.
    pub(crate) fn owner(&self, group: GroupId) -> Option<NodeId> {
        self.state().journals[&group].owner
    }

    /// Who drives how many unfinished groups.
    pub(crate) fn spread(&self) -> BTreeMap<Option<NodeId>, usize> {
        let mut spread = BTreeMap::new();
        for journal in self.state().journals.values().filter(|it| !it.ended) {
            *spread.entry(journal.owner).or_default() += 1;
        }
        spread
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn wake(&self) {
        self.woken.send_modify(|count| *count += 1);
    }

    fn commit(&self, commit: &Commit) -> Result<(), CommitError> {
        let mut state = self.state();
        let mut refusals: Vec<_> =
            commit.journal.iter().filter_map(|append| state.refusal(append)).collect();
        if !refusals.is_empty() {
            refusals.extend(self.faults_of(&commit.catalog));
            return Err(CommitError::Refused(refusals));
        }
        // The memory store under it has one owner and one epoch.
        let mut inner = commit.clone();
        for append in &mut inner.journal {
            append.owner = NodeId(uuid::Uuid::nil());
            append.record.epoch = Epoch(1);
        }
        self.inner.commit(Arc::new(inner)).now_or_never().expect("memory never waits")?;
        for append in &commit.journal {
            state.append(append);
        }
        drop(state);
        self.wake();
        Ok(())
    }
}

impl Shared {
    /// What the memory store refuses of some changes, none of which happens.
    fn faults_of(&self, catalog: &[Change]) -> Vec<Refusal> {
        let nothing = Key { kind: Kind::Presence, id: i64::MAX };
        let mut commit = Commit { catalog: catalog.to_vec(), ..Commit::default() };
        commit.catalog.push(Change::remove(nothing, Revision(1)));
        let refused = self.inner.commit(Arc::new(commit)).now_or_never();
        let Some(Err(CommitError::Refused(mut refusals))) = refused else { return Vec::new() };
        refusals.retain(|it| !matches!(it, Refusal::Changed { key, .. } if *key == nothing));
        refusals
    }
}

impl State {
    fn refusal(&self, append: &Append) -> Option<Refusal> {
        let record = &append.record;
        let (group, given) = (record.group, record.epoch);
        let Some(journal) = self.journals.get(&group) else {
            let (given, current) = (record.first, Seq(1));
            return (given != current).then_some(Refusal::Conflict { group, given, current });
        };
        if journal.epoch != given || journal.owner != Some(append.owner) {
            return Some(Refusal::Fenced { group, given, current: journal.epoch });
        }
        let (given, current) = (record.first, journal.records.last()?.next());
        (given != current).then_some(Refusal::Conflict { group, given, current })
    }

    fn append(&mut self, append: &Append) {
        let record = append.record.clone();
        let ends = append.summary.as_ref().is_some_and(|it| it.status.is_terminal());
        let made = || Journal {
            records: Vec::new(),
            epoch: append.record.epoch,
            owner: Some(append.owner),
            ended: false,
        };
        let journal = self.journals.entry(record.group).or_insert_with(made);
        self.feed.push(record.clone());
        journal.records.push(record);
        journal.ended |= ends;
    }
}

impl Line {
    /// Cuts the node off, or lets it through again. What it asks while it is cut off fails at once.
    pub(crate) fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }

    /// Lets each claim take so long.
    pub(crate) fn claims_take(&self, time: Duration) {
        *self.claims.lock().unwrap() = time;
    }

    fn through(&self) -> Result<&Shared, StoreError> {
        if *self.cut.borrow() {
            let reason = "the line is cut".to_owned();
            return Err(StoreError::Unavailable { reason, source: None });
        }
        Ok(&self.shared)
    }
}

#[async_trait]
impl Store for Line {
    fn durability(&self) -> Durability {
        Durability::Memory
    }

    async fn allocate(&self, kind: Kind, count: u32) -> Result<i64, StoreError> {
        self.through()?.inner.allocate(kind, count).await
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), CommitError> {
        self.through()?.commit(&commit)
    }

    async fn load(&self, group: GroupId, from: Seq) -> Result<Vec<Record>, StoreError> {
        let state = self.through()?.state();
        let records = state.journals.get(&group).map(|it| it.records.iter());
        let records = records.into_iter().flatten().filter(|record| record.next() > from);
        Ok(records.cloned().collect())
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn feed(&self, since: Option<Cursor>, most: u32) -> Result<Feed, StoreError> {
        let state = self.through()?.state();
        let end = Cursor(state.feed.len() as u64);
        let since = usize::try_from(since.unwrap_or(end).0).expect("it is a place in the feed");
        let records = state.feed[since..].to_vec();
        let missed = records.len() as u64;
        Ok(if missed > u64::from(most) {
            Feed { missed, end, ..Feed::default() }
        } else {
            Feed { records, end, ..Feed::default() }
        })
    }

    async fn claim(&self, owner: NodeId, limit: u32) -> Result<Vec<Lease>, StoreError> {
        let time = *self.claims.lock().unwrap();
        tokio::time::sleep(time).await;
        let mut state = self.through()?.state();
        let State { journals, leases, .. } = &mut *state;
        let now = moment();
        let live: BTreeSet<_> =
            leases.iter().filter(|(_, until)| now < **until).map(|(node, _)| *node).collect();
        let free = journals.iter_mut().filter(|(_, journal)| {
            let is_driven = journal.owner.is_some_and(|node| node == owner || live.contains(&node));
            !journal.ended && !is_driven
        });
        let leases = free.take(limit as usize).map(|(group, journal)| {
            journal.epoch.0 += 1;
            journal.owner = Some(owner);
            Lease { group: *group, epoch: journal.epoch }
        });
        Ok(leases.collect())
    }

    async fn renew(&self, owner: NodeId, lease: Duration) -> Result<(), StoreError> {
        self.through()?.state().leases.insert(owner, moment() + lease);
        Ok(())
    }

    async fn woken(&self) {
        let mut woken = self.shared.woken.subscribe();
        let _ = woken.changed().await;
    }

    async fn release(&self, owner: NodeId) -> Result<(), StoreError> {
        for journal in self.through()?.state().journals.values_mut() {
            if journal.owner == Some(owner) {
                journal.owner = None;
            }
        }
        self.shared.wake();
        Ok(())
    }

    async fn give_up(&self, owner: NodeId, groups: &[GroupId]) -> Result<(), StoreError> {
        for (group, journal) in &mut self.through()?.state().journals {
            if journal.owner == Some(owner) && groups.contains(group) {
                journal.owner = None;
            }
        }
        self.shared.wake();
        Ok(())
    }

    async fn find(&self, key: Key) -> Result<Option<Stored>, StoreError> {
        self.through()?.inner.find(key).await
    }

    async fn list(&self, query: Query) -> Result<Vec<Stored>, StoreError> {
        self.through()?.inner.list(query).await
    }

    async fn content(&self, digest: Digest) -> Result<Option<Arc<[u8]>>, StoreError> {
        self.through()?.inner.content(digest).await
    }
}

#[tokio::test]
async fn it_keeps_the_contract() {
    jobwright_store::conformance::exercise(|| async { (*Shared::new().line()).clone() }).await;
}
