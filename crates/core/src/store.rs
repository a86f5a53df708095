//! The store port: journals of groups, a catalog of documents, and contents by digest.
//!
//! A store acknowledges only what is durable. What it promises is tested, sentence by sentence, by
//! the conformance suite of `jobwright-store`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::catalog::{Document, GroupSummary, Key, Kind};
use crate::digest::Digest;
use crate::event::Record;
use crate::id::{Epoch, GroupId, RunId, Seq};

/// Names one life of one engine. Drawn anew at each start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub Uuid);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

/// What an acknowledgement is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Durability {
    /// It survives the loss of power.
    Synced,
    /// It survives the death of the process; the last commits may be lost with the power.
    Written,
    /// It survives nothing.
    Memory,
}

/// Everything that becomes durable together, or not at all.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Rows of journals, at most one per group.
    pub journal: Vec<Append>,
    /// Changes of documents.
    pub catalog: Vec<Change>,
    /// Contents; one that is already there stays as it is.
    pub contents: Vec<Arc<[u8]>>,
}

impl Commit {
    /// Tells whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.journal.is_empty() && self.catalog.is_empty() && self.contents.is_empty()
    }
}

/// One row of one group's journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// The engine that drives the group. In a shared store it must be the one that made the journal
    /// or claimed the group last, and has not released it.
    pub owner: NodeId,
    /// The row. Its `first` must follow the journal's last event; at 1 it makes the journal, with
    /// the row's epoch as the group's. Its `epoch` must be the group's.
    pub record: Record,
    /// The group's summary, where it changed. A terminal one takes the group off the unfinished.
    pub summary: Option<GroupSummary>,
}

/// One change of one document.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Where the document is found.
    pub key: Key,
    /// The revision that it must have now; 0 if it must not exist.
    pub expected: Revision,
    /// What it becomes; none removes it.
    pub document: Option<Document>,
}

impl Change {
    /// Makes a document that must not exist yet.
    #[must_use]
    pub fn insert(document: Document) -> Self {
        Self { key: document.key(), expected: Revision(0), document: Some(document) }
    }

    /// Replaces a document that must have this revision.
    #[must_use]
    pub fn update(document: Document, expected: Revision) -> Self {
        Self { key: document.key(), expected, document: Some(document) }
    }

    /// Removes a document that must have this revision.
    #[must_use]
    pub fn remove(key: Key, expected: Revision) -> Self {
        Self { key, expected, document: None }
    }
}

/// How often a document was written, from 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// A document as a store returns it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The document.
    pub document: Document,
    /// Its revision; changes with each write.
    pub revision: Revision,
}

/// Which documents to list. Always in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Of this kind.
    pub kind: Kind,
    /// That belong to this, see [`Document::parent`]; any where absent.
    pub parent: Option<i64>,
    /// Whose unique text is this, see [`Document::unique`]; any where absent.
    pub unique: Option<String>,
    /// That are live, see [`Document::is_live`]; any where false.
    pub live: bool,
    /// Whose id comes after this in the order.
    pub after: Option<i64>,
    /// The greatest id first.
    pub descending: bool,
    /// At most so many.
    pub limit: u32,
}

impl Query {
    /// Lists all documents of a kind, at most 1,000.
    #[must_use]
    pub fn all(kind: Kind) -> Self {
        Self {
            kind,
            parent: None,
            unique: None,
            live: false,
            after: None,
            descending: false,
            limit: 1000,
        }
    }

    /// Narrows to what belongs to `parent`.
    #[must_use]
    pub fn parent(mut self, parent: i64) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Narrows to the one with this unique text.
    #[must_use]
    pub fn unique(mut self, text: &str) -> Self {
        self.unique = Some(text.to_owned());
        self
    }
}

/// The right to drive a group, until the node's lease ends or another epoch is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The group.
    pub group: GroupId,
    /// The fence that every append under the lease carries.
    pub epoch: Epoch,
}

/// The durable port.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Says what an acknowledgement is worth.
    fn durability(&self) -> Durability;

    /// Takes `count` consecutive ids of a kind, and returns the first. Ids grow and are never
    /// given twice; some may stay unused. `count` is at least 1.
    async fn allocate(&self, kind: Kind, count: u32) -> Result<i64, StoreError>;

    /// Makes everything in the commit durable, or nothing. Commits are ordered as they were
    /// called. The commit is shared, so that the caller can try again and can show it to others.
    /// Not cancel safe: a caller that goes away does not know whether it happened.
    async fn commit(&self, commit: Arc<Commit>) -> Result<(), CommitError>;

    /// Loads the records of a group whose events have positions from `from` on, in order; the
    /// first may begin earlier. Nothing for a group that does not exist.
    async fn load(&self, group: GroupId, from: Seq) -> Result<Vec<Record>, StoreError>;

    /// Loads the whole journals of groups, as [`Store::load`] does, in the order in which they are
    /// given. A store that can answer for many at once does so here: recovery asks for hundreds.
    async fn load_many(&self, groups: &[GroupId]) -> Result<Vec<Vec<Record>>, StoreError> {
        let mut journals = Vec::with_capacity(groups.len());
        for group in groups {
            journals.push(self.load(*group, Seq(1)).await?);
        }
        Ok(journals)
    }

    /// Tells whether other nodes may use what is stored at the same time. If so, an engine renews
    /// its lease before it accepts or claims anything and then again and again, claims again and
    /// again, and looks for what others ask of its groups.
    fn is_shared(&self) -> bool {
        false
    }

    /// Takes up to `limit` unfinished groups that no live node drives, in the order of their ids,
    /// each under a new epoch that is greater than all before. The epoch is durable. A node is live
    /// while its lease lasts; a claim does not renew it. What others claim at the same time is
    /// passed over, so that no two get the same group.
    async fn claim(&self, owner: NodeId, limit: u32) -> Result<Vec<Lease>, StoreError>;

    /// Keeps the node's groups from being claimed by others for so long, by the store's clock,
    /// counted from a moment between the call and its return. The last call counts, also where it
    /// is shorter. Does not bring back what others claimed after an earlier lease had ended. A
    /// store that is not shared does nothing.
    async fn renew(&self, owner: NodeId, lease: Duration) -> Result<(), StoreError>;

    /// Returns when another node may have changed something. A hint, never the truth: it may return
    /// for nothing, and may miss a change. Cancel safe. Never returns where the store has no way to
    /// tell, as by default.
    async fn woken(&self) {
        std::future::pending::<()>().await;
    }

    /// Gives the node's groups up at once: the next claim may take them.
    async fn release(&self, owner: NodeId) -> Result<(), StoreError>;

    /// Gives up these groups of the node, as [`Store::release`] does all of them. A store that
    /// nodes share gives up no others, since the node goes on with their attempts. By default all
    /// are.
    async fn give_up(&self, owner: NodeId, groups: &[GroupId]) -> Result<(), StoreError> {
        if groups.is_empty() { Ok(()) } else { self.release(owner).await }
    }

    /// Reads on in the feed of all journals, whoever wrote them: what became durable since a
    /// cursor; without one only where the feed ends now. Records of one commit come together, those
    /// of one group in order, each once. Where there are more than `most`, none of them is read. A
    /// store may hold back what was written while an older transaction is open. Only a store that
    /// is shared has a feed; by default it is empty.
    async fn feed(&self, since: Option<Cursor>, most: u32) -> Result<Feed, StoreError> {
        let _ = (since, most);
        Ok(Feed::default())
    }

    /// Finds a document.
    async fn find(&self, key: Key) -> Result<Option<Stored>, StoreError>;

    /// Lists documents.
    async fn list(&self, query: Query) -> Result<Vec<Stored>, StoreError>;

    /// Removes runs that are over, for good: the journals and summaries of their groups, the ids of
    /// their jobs, and last the runs themselves, whose keys are free then. A run with a group that
    /// has not ended is left as it is, and one that does not exist is passed over. One call removes
    /// at most `limit` groups, which is at least 1, each with all that belongs to it; what is left
    /// of a run then is for the next call. Ids are not given again, contents and other documents
    /// stay. What is acknowledged is durable. May be called by several nodes at the same time. A
    /// store that keeps everything does nothing, as by default.
    async fn prune(&self, runs: &[RunId], limit: u32) -> Result<Pruned, StoreError> {
        let _ = (runs, limit);
        Ok(Pruned::default())
    }

    /// Finds a content by its digest.
    async fn content(&self, digest: Digest) -> Result<Option<Arc<[u8]>>, StoreError>;
}

/// A place in the feed of a store, which only that store can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cursor(pub u64);

/// A part of the feed of a store.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Feed {
    /// What became durable.
    pub records: Vec<Record>,
    /// How many records there were, where they were too many to be read.
    pub missed: u64,
    /// Where to read on.
    pub end: Cursor,
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// How many runs are gone.
    pub runs: u64,
    /// How many groups are gone.
    pub groups: u64,
    /// Whether groups of these runs are left to be removed, for which there was no room.
    pub more: bool,
}

/// Why a commit did not happen. Nothing of it is there.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Parts of it are refused; without them, the rest may be tried again.
    #[error("{} parts of the commit are refused, the first: {}", .0.len(), .0.first().map(ToString::to_string).unwrap_or_default())]
    Refused(Vec<Refusal>),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// A part of a commit that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Another engine drives the group: forget it, without an effect. The epochs are equal where
    /// only the owner differs.
    #[error("job group {group} is driven under epoch {}, not {}", .current.0, .given.0)]
    Fenced {
        /// The group.
        group: GroupId,
        /// The epoch of the append.
        given: Epoch,
        /// The group's epoch.
        current: Epoch,
    },
    /// The row does not follow the journal's last event.
    #[error("job group {group} continues at event {}, not {}", .current.0, .given.0)]
    Conflict {
        /// The group.
        group: GroupId,
        /// The position of the append's first event.
        given: Seq,
        /// The position that would follow.
        current: Seq,
    },
    /// The document has another revision than expected.
    #[error("{} {} is at revision {}, not {}", .key.kind.as_str(), .key.id, .current.0, .expected.0)]
    Changed {
        /// The document.
        key: Key,
        /// The revision expected.
        expected: Revision,
        /// Its revision; 0 if it does not exist.
        current: Revision,
    },
    /// Another document of the same kind and parent has the unique text.
    #[error("{} {existing} already has the name or key of {}", .key.kind.as_str(), .key.id)]
    Taken {
        /// The document that was to be written.
        key: Key,
        /// The id of the one that has the text.
        existing: i64,
    },
}

/// Why a store cannot do what it is asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It may go better later: the disk is full, the database is busy or away. Nothing was done.
    #[error("the store cannot do this now: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
        /// The cause below.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// It will not go better: nobody knows what is durable, or the bytes make no sense. The store
    /// must be opened anew, or repaired.
    #[error("the store is broken: {reason}")]
    Broken {
        /// Why.
        reason: String,
        /// The cause below.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl StoreError {
    /// Tells whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Broken { .. } => false,
        }
    }
}
