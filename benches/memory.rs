//! Heap bytes per queued job: runs are submitted to an executor without slots, so that all their
//! jobs queue. `cargo bench --bench memory` prints the table; `benches/README.md` tells the method.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "it spawns and reports")]

#[path = "support/options.rs"]
mod options;
#[path = "support/place.rs"]
mod place;
#[path = "support/shapes.rs"]
mod shapes;

use std::alloc::System;
use std::time::Duration;

use anyhow::{Result, ensure};
use jobwright::adapters::MockExecutor;
use jobwright::core::{Bundle, GroupId, Status, Store};
use jobwright::store::{MemoryStore, SqliteStore};
use jobwright::{Engine, WaitReason};
use serde_json::Value;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use options::Options;
use shapes::{EXECUTOR, Shape};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The most bytes that a queued job of a small group may take.
const TARGET: usize = 256;

/// What the heap holds on top of what it held before the run was prepared.
struct Measured {
    name: String,
    jobs: usize,
    /// It is held to [`TARGET`].
    small_groups: bool,
    /// The expanded jobs: what the run is made of before it has begun.
    plan: usize,
    /// What came on top when the run was accepted and its jobs were queued.
    queued: usize,
    /// How often the heap was asked while the run was accepted.
    allocations: usize,
}

fn main() -> Result<()> {
    let options = Options::read("memory")?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime?.block_on(async { tokio::spawn(measure_all(options)).await? })
}

async fn measure_all(options: Options) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let sized = |size: usize| if options.quick { size.div_ceil(100) } else { size };
    let groups = Shape::diamonds(sized(10_000)).bundle(&Value::Null)?;
    let wide = Shape::wide(sized(100_000)).bundle(&Value::Null)?;
    let mut rows = Vec::new();
    for (name, bundle) in [("10k × 10", &groups), ("wide 100k", &wide)] {
        if options.wants(name) {
            rows.push(
                measure(format!("{name}, journal in memory"), MemoryStore::new(), bundle).await?,
            );
            let file = folder.path().join(format!("{}.db", rows.len()));
            let store = SqliteStore::open(file)?;
            rows.push(measure(format!("{name}, journal on disk"), store, bundle).await?);
        }
    }
    println!("## memory\n");
    for line in place::describe(&options.command, folder.path()) {
        println!("- {line}");
    }
    if options.quick {
        println!("- a smoke run: sizes are a hundredth, and the figures mean nothing");
    }
    println!(
        "\n| queued | jobs | plan, bytes/job | queued, bytes/job | allocations/job | target |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for row in rows {
        let Measured { name, jobs, small_groups, plan, queued, allocations } = row;
        let verdict = match (small_groups, queued <= TARGET * jobs) {
            (false, _) => "–".to_owned(),
            (true, true) => format!("≤ {TARGET} ok"),
            (true, false) => format!("≤ {TARGET} above"),
        };
        let each = |count: usize| count as f64 / jobs as f64;
        let (plan, queued, allocations) = (each(plan), each(queued), each(allocations));
        println!(
            "| {name} | {jobs} | {plan:.0} | **{queued:.0}** | {allocations:.1} | {verdict} |"
        );
    }
    Ok(())
}

async fn measure(name: String, store: impl Store, bundle: &Bundle) -> Result<Measured> {
    let builder = Engine::builder().store(store).executor(EXECUTOR, MockExecutor::new());
    let engine = builder.executor_limit(EXECUTOR, 0).start().await?;
    let deployment = engine.create_deployment("bench").await?.id;
    engine.import(deployment, bundle, Default::default()).await?;
    // The first run of a release reads the package from the store; all others share that.
    drop(engine.run(deployment).prepare().await?);

    let before = held();
    let prepared = engine.run(deployment).prepare().await?;
    let plan = held() - before;
    let jobs = prepared.groups().iter().map(|group| group.jobs.len()).sum();
    let calls = HEAP.stats().allocations;
    let run = prepared.start().await?;
    // The answer comes a moment before the loop goes to sleep; a question comes back after that.
    let is_queued = match run.groups().next() {
        Some(group) => is_queued(&engine, group).await?,
        None => false,
    };
    let queued = (held() - before).saturating_sub(plan);
    let allocations = HEAP.stats().allocations - calls;

    ensure!(is_queued, "no job waits for the executor");
    let groups = engine.groups(run.id()).await?;
    ensure!(groups.iter().all(|group| group.status == Status::Created), "a group has begun");
    ensure!(groups.iter().map(|group| group.jobs as usize).sum::<usize>() == jobs, "jobs are lost");
    drop(run);
    engine.shutdown(Duration::ZERO).await?;
    let small_groups = jobs > groups.len() && jobs <= 10 * groups.len();
    Ok(Measured { name, jobs, small_groups, plan, queued, allocations })
}

/// Tells whether a job of the group waits for the executor; one without slots counts as absent.
async fn is_queued(engine: &Engine, group: GroupId) -> Result<bool> {
    let waiting = engine.waiting(group).await?;
    Ok(waiting.values().any(|reason| matches!(reason, WaitReason::NoExecutor(_))))
}

/// How many bytes the heap holds now.
fn held() -> usize {
    let stats = HEAP.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}
