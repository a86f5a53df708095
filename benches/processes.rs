//! Local processes through the whole engine: runs of `true`, so many at a time.

#![expect(clippy::disallowed_methods, reason = "it reads the clock and spawns")]

#[path = "support/rig.rs"]
mod rig;
#[path = "support/shapes.rs"]
mod shapes;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use jobwright::adapters::LocalProcessExecutor;
use jobwright::store::MemoryStore;
use serde_json::json;

use rig::Rig;
use shapes::Shape;

/// How many processes a run has.
const PROCESSES: usize = 50;

fn main() -> Result<()> {
    let runtime = rig::runtime()?;
    let folder = tempfile::tempdir()?;
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("processes");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(PROCESSES as u64));
    let bundle = Shape::wide(PROCESSES).bundle(&json!({ "command": ["/bin/true"] }))?;
    for at_a_time in [1, 2, 8] {
        let root = folder.path().join(at_a_time.to_string());
        let executor = LocalProcessExecutor::new(root).slots(at_a_time);
        let store = MemoryStore::forgetting_ended();
        let rig = Arc::new(runtime.block_on(Rig::start(store, executor, &bundle))?);
        let id = BenchmarkId::from_parameter(format!("{at_a_time} at a time"));
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|iterations| {
                let runs = Arc::clone(&rig).repeat(iterations);
                let taken = runtime.block_on(async { tokio::spawn(runs).await? });
                taken.expect("every process succeeds")
            });
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
