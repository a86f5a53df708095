//! In-memory dispatch over the shapes, one run per iteration, with a subscriber.

#![expect(clippy::disallowed_methods, reason = "it reads the clock and spawns")]

#[path = "support/rig.rs"]
mod rig;
#[path = "support/shapes.rs"]
mod shapes;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use jobwright::adapters::MockExecutor;
use jobwright::store::MemoryStore;
use serde_json::Value;

use rig::Rig;
use shapes::Shape;

fn main() -> Result<()> {
    let runtime = rig::runtime()?;
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for (mode, executor) in
        [("inline", MockExecutor::new()), ("task per job", MockExecutor::new().spawned())]
    {
        let mut group = criterion.benchmark_group(format!("dispatch, {mode}"));
        group.sampling_mode(SamplingMode::Flat);
        for (name, shape) in [
            ("wide 10k", Shape::wide(10_000)),
            ("chain 1k", Shape::chain(1_000)),
            ("ladder 1k × (1 → 8 → 1)", Shape::ladder(1_000)),
            ("layered 10 × 1000", Shape::layered(10, 1_000)),
            ("groups 1k × 10", Shape::diamonds(1_000)),
            ("groups 10k × 10", Shape::diamonds(10_000)),
        ] {
            let bundle = shape.bundle(&Value::Null)?;
            let store = MemoryStore::forgetting_ended();
            let rig = Rig::start(store, executor.clone(), &bundle);
            let rig = Arc::new(runtime.block_on(rig)?);
            group.throughput(Throughput::Elements(shape.jobs() as u64));
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter_custom(|iterations| {
                    let runs = Arc::clone(&rig).repeat(iterations);
                    let taken = runtime.block_on(async { tokio::spawn(runs).await? });
                    taken.expect("every job runs once and succeeds")
                });
            });
        }
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}
