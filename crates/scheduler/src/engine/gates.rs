//! What must not happen at the same time in one engine. A store refuses what two engines do at the
//! same time; here callers of one engine wait for each other instead of being refused.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use jobwright_core::DeploymentId;
use tokio::sync::{
    Mutex, MutexGuard, OwnedMutexGuard, OwnedRwLockReadGuard, RwLock, RwLockWriteGuard,
};

/// Idempotency keys share so many locks: enough that requests under different keys seldom meet.
const KEYS: usize = 256;

/// Who may go on, and who waits.
#[derive(Default)]
pub(super) struct Gates {
    changes: Mutex<()>,
    accepting: Arc<RwLock<()>>,
    keys: Keys,
}

struct Keys(Box<[Arc<Mutex<()>>]>);

impl Default for Keys {
    fn default() -> Self {
        Self((0..KEYS).map(|_| Arc::default()).collect())
    }
}

/// Held while a run is being accepted, until it is durable or refused.
#[expect(dead_code, reason = "what counts is that they are held")]
pub(crate) struct Accepting {
    release: OwnedRwLockReadGuard<()>,
    key: Option<OwnedMutexGuard<()>>,
}

impl Gates {
    /// Waits until nobody else changes deployments, releases, tokens or the environment.
    pub(super) async fn change(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().await
    }

    /// Waits until no run is being accepted; none is while this is held.
    pub(super) async fn no_runs(&self) -> RwLockWriteGuard<'_, ()> {
        self.accepting.write().await
    }

    /// Waits until no release is being deleted, and until no other run of the deployment is being
    /// accepted under the same key: else the second one could cancel the first as an earlier run,
    /// or be refused because of it, before it turns out that both are the same.
    pub(super) async fn accept(&self, deployment: DeploymentId, key: Option<&str>) -> Accepting {
        let key = match key {
            None => None,
            Some(key) => {
                let mut hasher = DefaultHasher::new();
                (deployment, key).hash(&mut hasher);
                let at = (hasher.finish() % KEYS as u64) as usize;
                Some(Arc::clone(&self.keys.0[at]).lock_owned().await)
            }
        };
        Accepting { release: Arc::clone(&self.accepting).read_owned().await, key }
    }
}
