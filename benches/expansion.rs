//! Expansion: from a release that is in memory to the jobs of a run, with all values resolved.

#![expect(clippy::disallowed_methods, reason = "it reads the clock and spawns")]

#[path = "support/rig.rs"]
mod rig;
#[path = "support/shapes.rs"]
mod shapes;

use std::time::Duration;

use anyhow::Result;
use criterion::{BenchmarkId, Criterion, Throughput};
use jobwright::adapters::MockExecutor;
use jobwright::core::Bundle;
use jobwright::store::MemoryStore;
use serde_json::json;

use rig::Rig;
use shapes::Shape;

fn main() -> Result<()> {
    let runtime = rig::runtime()?;
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();
    let mut group = criterion.benchmark_group("expansion");
    for groups in [100, 1_000] {
        let shape = Shape::diamonds(groups);
        group.throughput(Throughput::Elements(shape.jobs() as u64));
        for (name, bundle) in
            [("plain", plain(&shape)?), ("with references", with_references(&shape)?)]
        {
            let rig = Rig::start(MemoryStore::new(), MockExecutor::new(), &bundle);
            let rig = runtime.block_on(rig)?;
            let id = BenchmarkId::new(name, format!("{groups} × 10"));
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|iterations| {
                    let taken = runtime.block_on(prepare(&rig, iterations));
                    taken.expect("the package can run")
                });
            });
        }
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

async fn prepare(rig: &Rig, iterations: u64) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for _ in 0..iterations {
        let (prepared, taken) = rig.prepare().await?;
        drop(prepared);
        total += taken;
    }
    Ok(total)
}

/// Every payload is the same for all runs, and is shared with the release.
fn plain(shape: &Shape) -> Result<Bundle> {
    shape.bundle(&json!({ "from": "sales/north.csv", "to": ["report", 2026], "keep": true }))
}

/// Every payload is made anew for each run, from the values of two parameters.
fn with_references(shape: &Shape) -> Result<Bundle> {
    let payload = json!({ "from": "sales/${region}.csv", "to": ["report", "$year"], "keep": true });
    let mut bundle = shape.bundle(&payload)?;
    for flow in &mut bundle.package.flows {
        flow.parameters = serde_json::from_value(json!([
            { "name": "region", "type": "string", "default": "north" },
            { "name": "year", "type": "integer", "default": 2026 },
        ]))?;
    }
    Ok(bundle)
}
