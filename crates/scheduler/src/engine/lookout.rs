//! What an engine over a shared store does beside its loop, in tasks that a busy loop does not
//! delay: it renews its lease and says that it is there, hears when others changed something,
//! takes up groups that nobody drives, and does what others ask of it.
//!
//! Nothing here decides about a group. What is claimed goes to the loop with the number of the
//! term in which it was claimed, and is worth nothing to it in another.

mod claim;
mod helm;
mod keep;
mod orders;
mod peers;
mod share;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jobwright_core::{DeploymentId, NodeId, Store, StoreError};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::{Engine, Inner};
use crate::driver::Tenure;

pub(super) use claim::Claimed;
use helm::Hold;
pub(super) use helm::{PATIENCE, Steered};
use keep::Keeper;
use peers::Peers;
pub(super) use share::Totals;

/// How long what another engine asks may lie there if nobody is told of it.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// Hints that come at once are taken for one.
const CALM: Duration = Duration::from_millis(5);

/// What the tasks of one engine share.
pub(super) struct Lookout {
    pub(super) tenure: Arc<Tenure>,
    /// Limits of executors that hold over all engines.
    totals: Totals,
    /// Grows when another node may have changed something.
    woken: watch::Sender<u64>,
    peers: Mutex<Peers>,
    helms: Mutex<BTreeMap<DeploymentId, Hold>>,
    /// Deployments at whose helm somebody wants this engine to be.
    wanted: Mutex<BTreeSet<DeploymentId>>,
    /// Grows when something about helms changed.
    steered: watch::Sender<u64>,
}

impl Lookout {
    pub(super) fn new(lease: Duration, totals: Totals) -> Self {
        Self {
            tenure: Arc::new(Tenure::new(lease)),
            totals,
            woken: watch::Sender::new(0),
            peers: Mutex::default(),
            helms: Mutex::default(),
            wanted: Mutex::default(),
            steered: watch::Sender::new(0),
        }
    }

    /// Hears when another node may have changed something.
    pub(super) fn wakes(&self) -> watch::Receiver<u64> {
        self.woken.subscribe()
    }

    fn wake(&self) {
        self.woken.send_modify(|count| *count += 1);
    }
}

/// Nobody panics while one of these is held; whoever finds it poisoned goes on with what is there.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a hint, at most so long. Cancel safe.
pub(super) async fn hint(woken: &mut watch::Receiver<u64>, at_most: Duration) {
    tokio::select! {
        _ = woken.changed() => {}
        () = tokio::time::sleep(at_most) => {}
    }
}

impl Engine {
    /// Begins the first term, takes up what nobody drives, and lets the tasks run. Their ends are
    /// the engine's.
    pub(super) async fn stand_watch(&self, lookout: &Arc<Lookout>) -> Result<(), StoreError> {
        let mut keeper = Keeper::new(&self.0, lookout);
        keeper.begin().await?;
        let inner = Arc::downgrade(&self.0);
        // The lease is kept while the first round goes on. Should that fail, then nobody has the
        // engine, and its keeper ends with it.
        let keeping = spawn(keeper.run(Weak::clone(&inner)));
        let mut claimer = claim::Claimer::new(self, lookout);
        claimer.round(self, lookout).await?;
        let tasks = [
            keeping,
            spawn(listen(Arc::clone(&self.0.store), Arc::clone(lookout))),
            spawn(claimer.run(Weak::clone(&inner), Arc::clone(lookout))),
            spawn(orders::run(Weak::clone(&inner), Arc::clone(lookout))),
            spawn(share::run(inner, Arc::clone(lookout), lookout.totals.clone())),
        ];
        let _ = self.0.watching.set(tasks.into());
        Ok(())
    }

    /// Frees what a dead engine drove, and tells others that it is dead.
    pub(super) async fn bury(&self, node: NodeId) -> Result<(), StoreError> {
        if self.0.lookout.is_none() || node == self.0.node {
            return Ok(());
        }
        self.0.store.release(node).await?;
        peers::remove(&*self.0.store, &|presence| presence.node == node).await
    }

    /// Says that the engine is there no more, and lets go what it may have claimed at the end.
    pub(super) async fn depart(&self) {
        let Some(lookout) = &self.0.lookout else { return };
        for task in self.0.watching.get().into_iter().flatten() {
            task.abort();
        }
        lookout.tenure.lose(lookout.tenure.term());
        let (store, node) = (&self.0.store, self.0.node);
        let gone = async {
            let _ = store.release(node).await;
            peers::remove(&**store, &|presence| presence.node == node).await
        };
        if let Ok(Err(error)) = tokio::time::timeout(lookout.tenure.pace(), gone).await {
            tracing::warn!(%error, "other engines learn by the end of the lease that this one ended");
        }
    }
}

/// The other engines that say that they are there.
pub(super) async fn present(store: &dyn Store, but: NodeId) -> Result<Vec<NodeId>, StoreError> {
    let all = peers::list(store).await?.into_iter().map(|(presence, _)| presence.node);
    Ok(all.filter(|node| *node != but).collect())
}

impl Inner {
    /// The engine for as long as a round takes; none when nobody holds it any more, or its loop
    /// has ended.
    pub(super) fn engine(inner: &Weak<Self>) -> Option<Engine> {
        let inner = inner.upgrade()?;
        (!inner.sender.is_closed()).then(|| Engine(inner, None))
    }
}

#[expect(clippy::disallowed_methods, reason = "the engine holds the handle and ends it")]
pub(super) fn spawn(run: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
    tokio::spawn(run).abort_handle()
}

/// Hears what the store tells.
async fn listen(store: Arc<dyn Store>, lookout: Arc<Lookout>) {
    loop {
        store.woken().await;
        lookout.wake();
        tokio::time::sleep(CALM).await;
    }
}

/// A number that differs between nodes and rounds: three quarters to five quarters of a time.
fn jittered(time: Duration, node: NodeId, round: u64) -> Duration {
    let mixed = (node.0.as_u64_pair().1 ^ round).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    time.mul_f64(0.75 + (mixed >> 33) as f64 / f64::from(1 << 31) / 2.0)
}
