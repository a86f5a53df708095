//! Keeping the lease. Each renewal is followed by a word to the other engines; a term goes on only
//! if both succeed, since others may take a silent engine for dead.

use std::sync::{Arc, Weak};

use jobwright_core::{
    Change, Commit, CommitError, Document, Kind, NodeId, Presence, PresenceId, Revision, Store,
    StoreError, Timestamp,
};

use super::{Lookout, peers};
use crate::clock::moment;
use crate::driver::{Message, Tenure};
use crate::engine::{Inner, submit};

/// Renews the lease of one engine.
pub(super) struct Keeper {
    store: Arc<dyn Store>,
    node: NodeId,
    began_at: Timestamp,
    tenure: Arc<Tenure>,
    term: u64,
    /// The engine's word to the others in this term.
    presence: Option<(PresenceId, Revision)>,
}

/// Why a term does not go on.
enum Lapse {
    /// Others think that the engine is dead.
    Buried,
    Store(StoreError),
}

impl Keeper {
    pub(super) fn new(inner: &Inner, lookout: &Lookout) -> Self {
        Self {
            store: Arc::clone(&inner.store),
            node: inner.node,
            began_at: inner.clock.now(),
            tenure: Arc::clone(&lookout.tenure),
            term: lookout.tenure.term(),
            presence: None,
        }
    }

    /// Renews until the engine ends.
    pub(super) async fn run(mut self, inner: Weak<Inner>) {
        let mut terms = self.tenure.terms();
        let mut pause = self.tenure.pace();
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = terms.changed() => {}
            }
            // An engine whose loop has ended leaves its groups to others.
            let Some(engine) = Inner::engine(&inner) else { return };
            if self.tenure.is_to_begin(self.tenure.term()) {
                let _ = engine.send(Message::Deposed).await;
            }
            drop(engine);
            // A renewal that hangs must not keep the next one from being tried.
            let tried = tokio::time::timeout(self.tenure.pace(), self.go_on()).await;
            pause = match tried {
                Ok(Ok(())) => self.tenure.pace(),
                Ok(Err(error)) => {
                    tracing::error!(%error, "the engine's lease is not renewed");
                    self.tenure.pace() / 8
                }
                Err(_) => {
                    tracing::error!("the store does not answer; the engine's lease is not renewed");
                    self.tenure.pace() / 8
                }
            };
        }
    }

    async fn go_on(&mut self) -> Result<(), StoreError> {
        let term = self.tenure.term();
        if self.tenure.is_to_begin(term) {
            return self.begin().await;
        }
        let begun = moment();
        self.store.renew(self.node, self.tenure.lease()).await?;
        match self.beat().await {
            Ok(()) => {
                self.tenure.renewed(term, begun);
                Ok(())
            }
            Err(Lapse::Buried) => {
                tracing::warn!("other engines have taken this one for dead");
                self.tenure.lose(term);
                Ok(())
            }
            Err(Lapse::Store(error)) => Err(error),
        }
    }

    /// Begins a term. What the node drove in an earlier one is free before it renews.
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        let (term, begun) = (self.tenure.term(), moment());
        if term > 1 {
            self.tenure.is_heard(term).await;
            self.store.release(self.node).await?;
            let node = self.node;
            peers::remove(&*self.store, &|presence| presence.node == node).await?;
        }
        self.store.renew(self.node, self.tenure.lease()).await?;
        let id = self.store.allocate(Kind::Presence, 1).await?;
        let id = submit::id(PresenceId::new(id))?;
        self.term = term;
        self.presence = None;
        match self.write(id, Revision(0)).await {
            Ok(()) => {
                self.tenure.renewed(term, begun);
                Ok(())
            }
            // Nobody else has the id: whoever removed it already thinks that it is dead.
            Err(Lapse::Buried) => Ok(()),
            Err(Lapse::Store(error)) => Err(error),
        }
    }

    async fn beat(&mut self) -> Result<(), Lapse> {
        match self.presence {
            Some((id, revision)) => self.write(id, revision).await,
            None => Err(Lapse::Buried),
        }
    }

    async fn write(&mut self, id: PresenceId, expected: Revision) -> Result<(), Lapse> {
        let lease_ms = u64::try_from(self.tenure.lease().as_millis()).unwrap_or(u64::MAX);
        let presence = Presence { id, node: self.node, lease_ms, began_at: self.began_at };
        let document = Document::Presence(presence);
        let change = Change { key: id.into(), expected, document: Some(document) };
        let commit = Commit { catalog: vec![change], ..Commit::default() };
        match self.store.commit(Arc::new(commit)).await {
            Ok(()) => {
                self.presence = Some((id, Revision(expected.0 + 1)));
                Ok(())
            }
            Err(CommitError::Store(error)) => Err(Lapse::Store(error)),
            Err(CommitError::Refused(_) | _) => self.look_again(id, expected).await,
        }
    }

    /// A commit that seemed to fail may have happened: then the document is there and newer.
    async fn look_again(&mut self, id: PresenceId, expected: Revision) -> Result<(), Lapse> {
        let found = self.store.find(id.into()).await.map_err(Lapse::Store)?;
        match found {
            Some(found) if found.revision > expected => {
                self.presence = Some((id, found.revision));
                Ok(())
            }
            Some(_) | None => Err(Lapse::Buried),
        }
    }
}
