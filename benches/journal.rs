//! The journal: commits of a thousand appends of four events, to SQLite and to memory.

#![expect(clippy::disallowed_methods, reason = "it reads the clock")]

#[path = "support/rows.rs"]
mod rows;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use jobwright::core::Store;
use jobwright::store::{MemoryStore, SqliteOptions};

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let file = |name| folder.path().join(name);
    let stores: [(&str, Arc<dyn Store>); 3] = [
        ("SQLite FULL", Arc::new(SqliteOptions::new().open(file("full.db"))?)),
        ("SQLite NORMAL", Arc::new(SqliteOptions::new().written().open(file("normal.db"))?)),
        ("memory", Arc::new(MemoryStore::forgetting_ended())),
    ];
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(4))
        .configure_from_args();
    let mut group = criterion.benchmark_group("journal");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(rows::GROUPS.unsigned_abs() * 4));
    for (name, store) in stores {
        let mut commits = (0..).map(rows::commit);
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut total = Duration::ZERO;
                for commit in commits.by_ref().take(iterations as usize) {
                    let commit = Arc::new(commit.expect("ids are within their bounds"));
                    let begin = Instant::now();
                    let written = runtime.block_on(store.commit(commit));
                    total += begin.elapsed();
                    written.expect("each commit follows the one before");
                }
                total
            });
        });
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}
