//! Who asks: an engine that acts for somebody records each change in the commit that makes it.

use std::sync::Arc;

use jobwright_core::{
    Audit, AuditId, Change, Deed, Document, Key, Kind, Query, Revision, StoreError, Timestamp,
    TokenId, Verb,
};

use super::Engine;
use super::catalog::WriteError;

/// Somebody for whom an engine acts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Actor {
    /// The token that was shown, if one was.
    pub token: Option<TokenId>,
    /// The request, as the door that took it names it.
    pub request: String,
}

impl Actor {
    /// Says who asks, and by which request.
    #[must_use]
    pub fn new(token: Option<TokenId>, request: impl Into<String>) -> Self {
        Self { token, request: request.into() }
    }
}

impl Engine {
    /// Returns the same engine acting for somebody: what is made through it knows who made it, and
    /// every change writes an audit record, in the same commit.
    #[must_use]
    pub fn acting_for(&self, actor: Actor) -> Engine {
        Engine(Arc::clone(&self.0), Some(Arc::new(actor)))
    }

    /// Returns the time as this engine sees it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Records that whoever this engine acts for tried something and was not allowed to.
    ///
    /// # Errors
    /// The store failed.
    pub async fn record_denied(&self, key: Key) -> Result<(), StoreError> {
        self.record(Deed::new(Verb::Denied, key)).await
    }

    /// Lists audit records, the newest first, at most `limit`, before one where given.
    ///
    /// # Errors
    /// The store failed.
    pub async fn audit(
        &self,
        before: Option<AuditId>,
        limit: u32,
    ) -> Result<Vec<Audit>, StoreError> {
        let after = before.map(AuditId::get);
        self.list(Query { after, descending: true, limit, ..Query::all(Kind::Audit) }).await
    }

    /// The token that this engine acts for.
    pub(super) fn actor(&self) -> Option<TokenId> {
        self.1.as_ref().and_then(|actor| actor.token)
    }

    /// Writes a record of its own, for what changes no document.
    pub(super) async fn record(&self, deed: Deed) -> Result<(), StoreError> {
        let Some(change) = self.audited(vec![deed]).await? else { return Ok(()) };
        match self.commit(vec![change], Vec::new()).await {
            Ok(()) => Ok(()),
            Err(WriteError::Store(error)) => Err(error),
            Err(WriteError::Changed | WriteError::Taken(_)) => Err(StoreError::Broken {
                reason: "it gave the id of an audit record twice".to_owned(),
                source: None,
            }),
        }
    }

    /// The record of some deeds; none where the engine acts for nobody.
    pub(super) async fn audited(&self, deeds: Vec<Deed>) -> Result<Option<Change>, StoreError> {
        let Some(actor) = &self.1 else { return Ok(None) };
        let id = super::submit::id(AuditId::new(self.0.ids.take(Kind::Audit, 1).await?))?;
        let (at, request) = (self.0.clock.now(), actor.request.clone());
        let record = Audit { id, at, by: actor.token, request, deeds, seal: None };
        Ok(Some(Change::insert(Document::Audit(record))))
    }
}

/// What some changes do.
pub(super) fn deeds(changes: &[Change]) -> Vec<Deed> {
    let deed = |change: &Change| {
        let verb = match (&change.document, change.expected) {
            (None, _) => Verb::Delete,
            (Some(_), Revision(0)) => Verb::Create,
            (Some(_), _) => Verb::Change,
        };
        Deed::new(verb, change.key)
    };
    changes.iter().map(deed).collect()
}
