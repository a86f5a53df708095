//! The contract of executors, over a real cluster.

#![expect(clippy::unwrap_used, reason = "it is a test")]

#[path = "support/cluster.rs"]
#[expect(dead_code, reason = "other tests use it all")]
mod cluster;
#[path = "support/stage.rs"]
mod stage;

use jobwright_adapters::conformance::{Table, exercise};
use serde_json::json;

use cluster::Cluster;
use stage::{fresh, shell};

#[tokio::test(flavor = "multi_thread")]
async fn slurm_keeps_the_contract() {
    let cluster = std::sync::Arc::new(Cluster::start(4));
    let table = Table::new(
        shell("echo 3 >\"$JOBWRIGHT_OUTPUT\""),
        json!(3),
        shell("echo it goes wrong >&2; exit 7"),
        shell("sleep 1000"),
    );
    let counted = cluster.clone();
    exercise(|| cluster.executor(fresh()), table.remains(move || counted.live().len())).await;
}
