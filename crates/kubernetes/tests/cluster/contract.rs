//! The contract of executors, and what Kubernetes adds to it.

use jobwright_adapters::conformance::{Table, attempt, exercise};
use serde_json::json;

use crate::stage::{executor, settings, stage};

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_of_executors_holds() {
    let stage = stage();
    let config = stage.cluster.config().await;
    let shell = |script: &str| attempt(json!({ "command": ["/bin/sh", "-c", script] }));
    let leaves = shell("printf '{\"rows\":3}' > \"$JOBWRIGHT_OUTPUT\"");
    let hangs = attempt(json!({ "command": ["/bin/sleep", "60"] }));
    let table = Table::new(leaves, json!({ "rows": 3 }), shell("exit 3"), hangs);
    let table = table.remains(|| stage.node.running());
    let make = || executor(config.clone(), settings("played"), stage.root(), stage.options());
    exercise(make, table).await;
}
