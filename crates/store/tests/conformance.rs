//! Both stores keep the contract.

use jobwright_store::{MemoryStore, conformance};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory() {
    conformance::exercise(|| async { MemoryStore::new() }).await;
}
