//! Ids in blocks: the store is asked once per block, not once per run. What is left of a block when
//! the engine ends stays unused.

use std::ops::Range;
use std::sync::Arc;

use jobwright_core::{Kind, Store, StoreError};
use tokio::sync::Mutex;

/// Ids of the kinds that are taken often.
pub(super) struct Ids {
    store: Arc<dyn Store>,
    runs: Mutex<Range<i64>>,
    groups: Mutex<Range<i64>>,
    jobs: Mutex<Range<i64>>,
    audits: Mutex<Range<i64>>,
}

impl Ids {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let none = || Mutex::new(0..0);
        Self { store, runs: none(), groups: none(), jobs: none(), audits: none() }
    }

    /// Takes consecutive ids and returns the first.
    pub(super) async fn take(&self, kind: Kind, count: u32) -> Result<i64, StoreError> {
        let (block, size) = match kind {
            Kind::Run => (&self.runs, 64),
            Kind::Group => (&self.groups, 256),
            Kind::Job => (&self.jobs, 4096),
            Kind::Audit => (&self.audits, 256),
            Kind::Deployment | Kind::Release | Kind::Environment | Kind::Token | _ => {
                return self.store.allocate(kind, count).await;
            }
        };
        let mut block = block.lock().await;
        if block.end - block.start < i64::from(count) {
            let size = count.max(size);
            let first = self.store.allocate(kind, size).await?;
            *block = first..first + i64::from(size);
        }
        let first = block.start;
        block.start += i64::from(count);
        Ok(first)
    }
}
