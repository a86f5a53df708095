//! Documents, typed.

use std::sync::Arc;

use jobwright_core::schedule::{Backfill, Schedule};
use jobwright_core::webhook::{Announcement, Delivery, Webhook};
use jobwright_core::{
    Audit, Change, Commit, CommitError, Deployment, Document, EnvironmentParameter, GroupSummary,
    JobBlock, Key, Query, Refusal, Release, Revision, Run, StoreError, Token,
};

use super::Engine;

/// A kind of document.
pub(super) trait Filed: Sized {
    fn from_document(document: Document) -> Option<Self>;
}

macro_rules! filed {
    ($($name:ident in $kind:ident,)+) => {$(
        impl Filed for $name {
            fn from_document(document: Document) -> Option<Self> {
                match document {
                    Document::$kind(it) => Some(it),
                    _ => None,
                }
            }
        }
    )+};
}

filed! {
    Deployment in Deployment,
    Release in Release,
    GroupSummary in Group,
    EnvironmentParameter in Environment,
    JobBlock in Jobs,
    Token in Token,
    Audit in Audit,
    Webhook in Webhook,
    Announcement in Announcement,
    Delivery in Delivery,
}

impl Filed for Run {
    fn from_document(document: Document) -> Option<Self> {
        match document {
            Document::Run(it) => Some(Arc::unwrap_or_clone(it)),
            _ => None,
        }
    }
}

impl Filed for Schedule {
    fn from_document(document: Document) -> Option<Self> {
        match document {
            Document::Schedule(it) => Some(*it),
            _ => None,
        }
    }
}

impl Filed for Backfill {
    fn from_document(document: Document) -> Option<Self> {
        match document {
            Document::Backfill(it) => Some(*it),
            _ => None,
        }
    }
}

/// Why a document was not written.
#[derive(Debug)]
pub(super) enum WriteError {
    /// Somebody else wrote it meanwhile.
    Changed,
    /// Another one has its name.
    Taken(i64),
    Store(StoreError),
}

impl Engine {
    pub(super) async fn find<T: Filed>(
        &self,
        key: impl Into<Key>,
    ) -> Result<Option<(T, Revision)>, StoreError> {
        let stored = self.0.store.find(key.into()).await?;
        Ok(stored.and_then(|it| Some((T::from_document(it.document)?, it.revision))))
    }

    /// Lists documents, page after page, up to the query's limit.
    pub(super) async fn list<T: Filed>(&self, query: Query) -> Result<Vec<T>, StoreError> {
        let stored = self.0.store.list(query).await?;
        Ok(stored.into_iter().filter_map(|it| T::from_document(it.document)).collect())
    }

    /// Lists all documents that the query means, whatever its limit.
    pub(super) async fn list_all<T: Filed>(&self, mut query: Query) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        loop {
            let page = self.0.store.list(query.clone()).await?;
            let is_last = page.len() < query.limit as usize;
            query.after = page.last().map(|it| it.document.key().id);
            all.extend(page.into_iter().filter_map(|it| T::from_document(it.document)));
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Makes changes, with the record of who made them.
    pub(super) async fn write(
        &self,
        mut catalog: Vec<Change>,
        contents: Vec<Arc<[u8]>>,
    ) -> Result<(), WriteError> {
        let record = self.audited(super::audit::deeds(&catalog)).await;
        catalog.extend(record.map_err(WriteError::Store)?);
        self.commit(catalog, contents).await
    }

    /// Makes changes as they are.
    pub(super) async fn commit(
        &self,
        catalog: Vec<Change>,
        contents: Vec<Arc<[u8]>>,
    ) -> Result<(), WriteError> {
        let commit = Commit { catalog, contents, ..Commit::default() };
        match self.0.store.commit(Arc::new(commit)).await {
            Ok(()) => Ok(()),
            Err(CommitError::Refused(refusals)) => Err(match refusals.into_iter().next() {
                Some(Refusal::Taken { existing, .. }) => WriteError::Taken(existing),
                Some(_) | None => WriteError::Changed,
            }),
            Err(CommitError::Store(error)) => Err(WriteError::Store(error)),
            Err(error) => Err(WriteError::Store(StoreError::Broken {
                reason: error.to_string(),
                source: None,
            })),
        }
    }
}
