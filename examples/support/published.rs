//! Runs the package in `examples/packages/pos_report`, wherever its steps do their work.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jobwright::Engine;
use jobwright::core::{Executor, Verdict};
use jobwright::store::MemoryStore;
use serde_json::{from_value, json};

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/packages/pos_report");

/// Runs the package with an executor, and returns what it published: names and contents.
pub(crate) async fn published(
    executor: Arc<dyn Executor>,
    out: &Path,
) -> anyhow::Result<BTreeMap<String, String>> {
    let builder = Engine::builder().store(MemoryStore::new()).shared_executor("local", executor);
    let engine = builder.start().await?;
    let deployment = engine.create_deployment("report").await?.id;
    let values = from_value(json!({ "out": out }))?;
    engine.import(deployment, &jobwright::package::read_path(PACKAGE)?, values).await?;
    let request = engine.run(deployment).reference_date("2026-10-01T08:00:00Z".parse()?);
    let run = request.parameters(from_value(json!({ "day": "2026-09-15" }))?).await?;
    for group in run.groups() {
        let verdict = engine.wait(group).await?;
        for job in engine.group(group).await?.jobs {
            println!("{:8} {}, attempts {}", job.step, job.status, job.attempts.len());
        }
        anyhow::ensure!(verdict == Verdict::Succeeded, "job group {group}: {verdict:?}");
    }
    engine.shutdown(Duration::from_secs(10)).await?;
    let folder = out.join(format!("published/run-{}", run.id()));
    let files = std::fs::read_dir(&folder)?.map(|entry| {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        Ok((name, std::fs::read_to_string(entry.path())?))
    });
    files.collect()
}
