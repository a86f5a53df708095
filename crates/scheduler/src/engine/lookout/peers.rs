//! Who else is there: known by the documents that engines write anew as often as they renew their
//! leases. One that stays as it is for the length of its lease is its engine's no more.

use std::collections::BTreeMap;

use jobwright_core::{
    Change, Commit, CommitError, Document, Key, Kind, NodeId, Presence, Query, Revision, Store,
    StoreError,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use crate::clock::moment;

/// What one engine has seen of the others.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<i64, Seen>);

#[derive(Debug)]
struct Seen {
    presence: Presence,
    revision: Revision,
    /// When the revision was first seen.
    since: Instant,
    /// It changed since the document was first seen.
    is_proved: bool,
}

/// Whether an engine is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Live,
    /// It was there, and nobody here has seen it long enough to tell.
    Unsure,
    Dead,
}

impl Peers {
    /// Takes what is there now, and returns the documents whose engines are dead.
    pub(super) fn look(&mut self, found: Vec<(Presence, Revision)>) -> Vec<(Key, Revision)> {
        let now = moment();
        let mut seen = BTreeMap::new();
        for (presence, revision) in found {
            let id = presence.id.get();
            let known = self.0.remove(&id);
            let next = match known {
                Some(known) if known.revision == revision => known,
                known => Seen { presence, revision, since: now, is_proved: known.is_some() },
            };
            seen.insert(id, next);
        }
        self.0 = seen;
        let dead = self.0.values().filter(|it| it.is_dead(now));
        dead.map(|it| (it.presence.id.into(), it.revision)).collect()
    }

    pub(super) fn life(&self, node: NodeId) -> Life {
        let now = moment();
        let of_node = self.0.values().filter(|it| it.presence.node == node && !it.is_dead(now));
        match of_node.map(|it| it.is_proved).max() {
            Some(true) => Life::Live,
            Some(false) => Life::Unsure,
            None => Life::Dead,
        }
    }
}

impl Seen {
    fn is_dead(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= Duration::from_millis(self.presence.lease_ms)
    }
}

/// Lists all engines that say that they are there.
pub(super) async fn list(store: &dyn Store) -> Result<Vec<(Presence, Revision)>, StoreError> {
    let stored = store.list(Query::all(Kind::Presence)).await?;
    let presences = stored.into_iter().filter_map(|it| match it.document {
        Document::Presence(presence) => Some((presence, it.revision)),
        _ => None,
    });
    Ok(presences.collect())
}

/// Removes documents of engines, each if it is still as it was. Who writes its own anew and does
/// not find it knows by that that it is taken for dead.
pub(super) async fn bury(store: &dyn Store, dead: Vec<(Key, Revision)>) -> Result<(), StoreError> {
    for (key, revision) in dead {
        let commit = Commit { catalog: vec![Change::remove(key, revision)], ..Commit::default() };
        match store.commit(Arc::new(commit)).await {
            Ok(()) => tracing::warn!(presence = key.id, "another engine is taken for dead"),
            Err(CommitError::Store(error)) => return Err(error),
            // It lives, or somebody else was quicker.
            Err(CommitError::Refused(_) | _) => {}
        }
    }
    Ok(())
}

/// Removes the documents of some engines, whatever their revision is.
pub(super) async fn remove(
    store: &dyn Store,
    which: &(dyn Fn(&Presence) -> bool + Sync),
) -> Result<(), StoreError> {
    let all = list(store).await?;
    let gone = all.into_iter().filter(|(presence, _)| which(presence));
    for (presence, revision) in gone {
        let catalog = vec![Change::remove(presence.id.into(), revision)];
        let commit = Commit { catalog, ..Commit::default() };
        if let Err(CommitError::Store(error)) = store.commit(Arc::new(commit)).await {
            return Err(error);
        }
    }
    Ok(())
}
