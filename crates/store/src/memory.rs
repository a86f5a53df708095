//! The store in memory: for tests, benchmarks, and programs that can afford to forget. It survives
//! nothing, and it must never wait: every call is ready at once.
//!
//! One mutex is held for the whole of a commit. A commit holds thousands of appends, must be atomic
//! over all of them, and comes from one loop: a sharded map would take a lock per append, would
//! show half a commit to readers, and has no second writer to gain by it.

mod documents;
mod ids;
mod journals;
mod spread;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jobwright_core::{
    Commit, CommitError, Digest, Durability, GroupId, ID_LIMIT, Key, Kind, Lease, NodeId, Pruned,
    Query, Record, RunId, Seq, Store, StoreError, Stored,
};

use self::documents::Documents;
use self::journals::Journals;
use crate::sound::assert_sound;
use crate::span;

/// A store in memory.
///
/// It serves one engine at a time: a claim takes every unfinished group that the claiming node does
/// not drive yet, and the node that drove it before is fenced.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    forgets: Forgets,
}

#[derive(Default)]
struct State {
    journals: Journals,
    documents: Documents,
    contents: HashMap<Digest, Arc<[u8]>>,
    allocated: BTreeMap<Kind, i64>,
}

/// What the store drops on its own.
#[derive(Clone, Copy, Default, PartialEq)]
enum Forgets {
    #[default]
    Nothing,
    Ended,
}

impl MemoryStore {
    /// Makes an empty store that keeps everything. The events of runs that are removed when they
    /// are over take up memory until all that were written in the same turns have been removed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an empty store that drops the events of a group when its terminal summary arrives:
    /// memory then grows with the summaries only. The group's history is gone at that moment.
    #[must_use]
    pub fn forgetting_ended() -> Self {
        Self { forgets: Forgets::Ended, ..Self::default() }
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        self.state.lock().map_err(|_| StoreError::Broken {
            reason: "a call panicked and may have left half a change".to_owned(),
            source: None,
        })
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl State {
    fn commit(&mut self, commit: &Commit, forgets: Forgets) -> Result<(), CommitError> {
        let mut refusals = Vec::new();
        self.journals.plan(&commit.journal, &mut refusals);
        let undo = self.documents.change(commit.catalog.clone(), &mut refusals);
        if !refusals.is_empty() {
            self.documents.undo(undo);
            self.journals.forgo(&commit.journal);
            return Err(CommitError::Refused(refusals));
        }
        for append in &commit.journal {
            let ends = append.summary.as_ref().is_some_and(|it| it.status.is_terminal());
            if let Some(summary) = &append.summary {
                self.documents.summarize(summary);
            }
            let group = append.record.group;
            let mut record = append.record.clone();
            if forgets == Forgets::Ended {
                // What one group leaves must not wait for others whose events came with it.
                record.events = record.events.to_vec().into();
            }
            self.journals.append(record, ends);
            if ends && forgets == Forgets::Ended {
                self.journals.forget(group);
            }
        }
        for content in &commit.contents {
            self.contents.entry(Digest::of(content)).or_insert_with(|| Arc::clone(content));
        }
        Ok(())
    }
}

impl State {
    fn prune(&mut self, runs: &[RunId], limit: u32) -> Pruned {
        let mut pruned = Pruned::default();
        for run in runs {
            let groups = self.documents.of_parent(Kind::Group, run.get());
            let ids = groups.iter().filter_map(|id| GroupId::new(*id).ok());
            let groups: Vec<GroupId> = ids.collect();
            if groups.iter().any(|group| self.journals.is_live(*group)) {
                continue;
            }
            let room = usize::try_from(u64::from(limit) - pruned.groups).unwrap_or(usize::MAX);
            for group in groups.iter().take(room) {
                self.journals.remove(*group);
                self.documents.remove((*group).into());
                pruned.groups += 1;
            }
            if groups.len() > room {
                pruned.more = true;
                break;
            }
            for block in self.documents.of_parent(Kind::Job, run.get()) {
                self.documents.remove(Key { kind: Kind::Job, id: block });
            }
            pruned.runs += u64::from(self.documents.remove((*run).into()).is_some());
        }
        pruned
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn durability(&self) -> Durability {
        Durability::Memory
    }

    async fn allocate(&self, kind: Kind, count: u32) -> Result<i64, StoreError> {
        assert!(count > 0, "at least one id is allocated");
        let mut state = self.state()?;
        let next = state.allocated.entry(kind).or_insert(1);
        let first = *next;
        if first > ID_LIMIT - i64::from(count) {
            return Err(exhausted(kind));
        }
        *next += i64::from(count);
        Ok(first)
    }

    async fn commit(&self, commit: Arc<Commit>) -> Result<(), CommitError> {
        assert_sound(&commit);
        let _within = span::append("memory", &commit).entered();
        self.state()?.commit(&commit, self.forgets)
    }

    async fn load(&self, group: GroupId, from: Seq) -> Result<Vec<Record>, StoreError> {
        Ok(self.state()?.journals.load(group, from))
    }

    async fn claim(&self, owner: NodeId, limit: u32) -> Result<Vec<Lease>, StoreError> {
        Ok(self.state()?.journals.claim(owner, limit))
    }

    async fn renew(&self, _owner: NodeId, _lease: Duration) -> Result<(), StoreError> {
        self.state().map(drop)
    }

    async fn release(&self, owner: NodeId) -> Result<(), StoreError> {
        self.state()?.journals.release(owner);
        Ok(())
    }

    async fn find(&self, key: Key) -> Result<Option<Stored>, StoreError> {
        Ok(self.state()?.documents.find(key))
    }

    async fn list(&self, query: Query) -> Result<Vec<Stored>, StoreError> {
        Ok(self.state()?.documents.list(&query))
    }

    async fn prune(&self, runs: &[RunId], limit: u32) -> Result<Pruned, StoreError> {
        assert!(limit > 0, "at least one group may go");
        Ok(self.state()?.prune(runs, limit))
    }

    async fn content(&self, digest: Digest) -> Result<Option<Arc<[u8]>>, StoreError> {
        Ok(self.state()?.contents.get(&digest).cloned())
    }
}

/// The kind has no ids below 2^53 left.
fn exhausted(kind: Kind) -> StoreError {
    let reason = format!("there are no {} ids below 2^53 left", kind.as_str());
    StoreError::Broken { reason, source: None }
}

#[cfg(test)]
mod tests {
    use jobwright_core::{
        Append, DeploymentId, Epoch, Event, GroupSummary, JobIndex, ReleaseId, RunId, Status,
        Timestamp,
    };

    use super::*;

    fn row(id: i64, first: u64, status: Status) -> Append {
        let (group, at) = (GroupId::new(id).unwrap(), Timestamp::from_millis(0));
        let summary = GroupSummary {
            id: group,
            run: RunId::new(1).unwrap(),
            deployment: DeploymentId::new(1).unwrap(),
            release: ReleaseId::new(1).unwrap(),
            status,
            jobs: 1,
            created_at: at,
            updated_at: at,
        };
        let event = |n| Event::Beat { job: JobIndex(n), attempt: 1, beat_by: at };
        let events = [event(1), event(2)].into();
        let record = Record { group, first: Seq(first), epoch: Epoch(1), at, events };
        Append { owner: NodeId(uuid::Uuid::nil()), record, summary: Some(summary) }
    }

    #[tokio::test]
    async fn what_is_forgotten_is_the_events_of_the_ended_alone() {
        let store = MemoryStore::forgetting_ended();
        let commit = |journal| store.commit(Commit { journal, ..Commit::default() }.into());
        let load = |id| store.load(GroupId::new(id).unwrap(), Seq(1));
        // The rows of the groups lie mingled, and those of the later ones take freed places.
        for id in (1..10).step_by(2) {
            commit(vec![row(id, 1, Status::Created), row(id + 1, 1, Status::Created)])
                .await
                .unwrap();
            commit(vec![row(id, 3, Status::InProgress), row(id + 1, 3, Status::InProgress)])
                .await
                .unwrap();
            commit(vec![row(id, 5, Status::Complete)]).await.unwrap();
        }
        for id in (1..10).step_by(2) {
            assert_eq!(load(id).await.unwrap(), []);
            let firsts: Vec<_> = load(id + 1).await.unwrap().iter().map(|it| it.first).collect();
            assert_eq!(firsts, [Seq(1), Seq(3)]);
            assert!(store.find(GroupId::new(id).unwrap().into()).await.unwrap().is_some());
        }
        let again = commit(vec![row(1, 1, Status::Created)]).await;
        assert!(matches!(again, Err(CommitError::Refused(_))), "{again:?}");
    }
}
