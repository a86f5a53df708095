//! Ids in blocks: the store is asked once per block, not once per run. Blocks begin small and grow
//! with what is taken, since what is left of one when the engine ends stays unused.

use std::ops::Range;
use std::sync::Arc;

use jobwright_core::{Kind, RunId, Store, StoreError};
use tokio::sync::Mutex;

/// Ids of the kinds that are taken often.
pub(super) struct Ids {
    store: Arc<dyn Store>,
    runs: Mutex<Block>,
    groups: Mutex<Block>,
    jobs: Mutex<Block>,
    audits: Mutex<Block>,
}

/// Ids that were allocated and not taken yet.
struct Block {
    ids: Range<i64>,
    /// How many are allocated next; twice as many each time.
    size: u32,
    most: u32,
}

impl Ids {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let block = |most| Mutex::new(Block { ids: 0..0, size: 1, most });
        Self { store, runs: block(64), groups: block(256), jobs: block(4096), audits: block(256) }
    }

    /// Takes consecutive ids and returns the first.
    pub(super) async fn take(&self, kind: Kind, count: u32) -> Result<i64, StoreError> {
        let block = match kind {
            Kind::Run => &self.runs,
            Kind::Group => &self.groups,
            Kind::Job => &self.jobs,
            Kind::Audit => &self.audits,
            Kind::Deployment | Kind::Release | Kind::Environment | Kind::Token | _ => {
                return self.store.allocate(kind, count).await;
            }
        };
        let mut block = block.lock().await;
        if block.ids.end - block.ids.start < i64::from(count) {
            let size = block.size.max(count);
            let first = self.store.allocate(kind, size).await?;
            block.ids = first..first + i64::from(size);
            block.size = size.saturating_mul(2).min(block.most);
        }
        let first = block.ids.start;
        block.ids.start += i64::from(count);
        Ok(first)
    }

    /// Leaves out the ids of runs up to this one, so that all that are taken from now on are
    /// greater. Other engines took ids later than those that are kept here for less.
    pub(super) async fn pass(&self, run: RunId) -> Result<(), StoreError> {
        let mut block = self.runs.lock().await;
        while block.ids.start <= run.get() {
            let first = self.store.allocate(Kind::Run, block.most).await?;
            block.ids = first..first + i64::from(block.most);
        }
        Ok(())
    }
}
