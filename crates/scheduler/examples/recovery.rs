//! How long an engine needs after a crash until attempts are handed over again: writes unfinished
//! groups of ten jobs each into a SQLite store, drops the engine, and starts another one.
//!
//! ```sh
//! cargo run --release -p jobwright-scheduler --example recovery -- 100000
//! ```

#![expect(clippy::disallowed_methods, reason = "a measurement reads clocks and arguments")]
#![expect(clippy::print_stdout, reason = "what it measured is read by a person")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jobwright_adapters::FnExecutor;
use jobwright_core::{Attempt, Bundle, Package, Success};
use jobwright_scheduler::Engine;
use jobwright_store::SqliteStore;
use serde_json::json;

/// How many groups a run has.
const WIDTH: usize = 1000;

/// How many jobs a group has.
const DEPTH: usize = 10;

/// A package of chains, each of which is a group.
fn package() -> anyhow::Result<Bundle> {
    let mut steps = Vec::new();
    let mut outputs = Vec::new();
    for group in 0..WIDTH {
        for at in 0..DEPTH {
            let needs: Vec<_> = at
                .checked_sub(1)
                .map(|before| json!({ "step": format!("s{group}-{before}") }))
                .into_iter()
                .collect();
            steps.push(json!({ "name": format!("s{group}-{at}"), "kind": "wrangle", "executor": "f", "needs": needs }));
        }
        let last = format!("s{group}-{}", DEPTH - 1);
        outputs.push(json!({ "name": format!("o{group}"), "steps": [last] }));
    }
    let flow = json!({ "name": "main", "steps": steps, "outputs": outputs });
    let package = json!({ "name": "recovery", "primary": ["main"], "flows": [flow] });
    Ok(Bundle::from(serde_json::from_value::<Package>(package)?))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let groups: usize = std::env::args().nth(1).unwrap_or("10000".to_owned()).parse()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("store.db");
    let never = FnExecutor::new(|_: Attempt| async { Ok(Success::empty()) });
    let engine = Engine::builder()
        .store(SqliteStore::open(&path)?)
        .executor("f", never)
        .executor_limit("f", 0)
        .start()
        .await?;
    let deployment = engine.create_deployment("recovery").await?.id;
    engine.import(deployment, &package()?, Default::default()).await?;
    let began = Instant::now();
    for _ in 0..groups.div_ceil(WIDTH) {
        engine.run(deployment).await?;
    }
    println!("{groups} groups are unfinished after {:.1?}", began.elapsed());
    drop(engine);
    tokio::time::sleep(Duration::from_millis(500)).await;
    println!("the store has {} MB", std::fs::metadata(&path)?.len() >> 20);

    let first = Arc::new(AtomicU64::new(0));
    let (seen, began) = (Arc::clone(&first), Instant::now());
    let executor = FnExecutor::new(move |_: Attempt| {
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let _ = seen.compare_exchange(0, micros, Ordering::Relaxed, Ordering::Relaxed);
        async { Ok(Success::empty()) }
    });
    let store = SqliteStore::open(&path)?;
    println!("the store is open after {:.2?}", began.elapsed());
    let engine = Engine::builder().store(store).executor("f", executor).start().await?;
    println!("the engine has started after {:.2?}", began.elapsed());
    while first.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let first = Duration::from_micros(first.load(Ordering::Relaxed));
    println!("the first attempt was handed over after {first:.2?}");
    drop(engine);
    Ok(())
}
