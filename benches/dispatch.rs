//! Jobs per second through the whole engine, beside what tokio needs to spawn and join as many
//! empty tasks, measured in turns in the same process.

use std::time::{Duration, Instant};

use jobwright::Engine;
use jobwright::adapters::MockExecutor;
use jobwright::core::{Bundle, Package, Verdict};
use jobwright::store::MemoryStore;
use serde_json::json;

fn many(groups: usize) -> Bundle {
    let mut steps = Vec::new();
    let mut outputs = Vec::new();
    for group in 0..groups {
        let name = |at: usize| format!("{group}-{at}");
        let need = |at: usize| json!({ "step": name(at) });
        let step = |at: usize, needs: Vec<serde_json::Value>| json!({ "name": name(at), "kind": "wrangle", "executor": "mock", "needs": needs });
        steps.push(step(0, vec![]));
        steps.extend((1..9).map(|at| step(at, vec![need(0)])));
        steps.push(step(9, (1..9).map(need).collect()));
        outputs.push(json!({ "name": format!("{group}"), "steps": [name(9)] }));
    }
    let package: Package = serde_json::from_value(json!({
        "name": "many", "primary": ["main"],
        "flows": [{ "name": "main", "steps": steps, "outputs": outputs }],
    }))
    .unwrap();
    Bundle::from(package)
}

async fn floor(jobs: usize) -> Duration {
    let start = Instant::now();
    let running: Vec<_> = (0..jobs).map(|_| tokio::spawn(async {})).collect();
    for task in running {
        task.await.unwrap();
    }
    start.elapsed()
}

async fn engine(bundle: &Bundle, mock: MockExecutor) -> Duration {
    let builder = Engine::builder().store(MemoryStore::new()).executor("mock", mock);
    let engine = builder.start().await.unwrap();
    let deployment = engine.create_deployment("many").await.unwrap().id;
    engine.import(deployment, bundle, Default::default()).await.unwrap();
    let prepared = engine.run(deployment).prepare().await.unwrap();
    let start = Instant::now();
    let run = prepared.start().await.unwrap();
    let outcome = run.wait().await.unwrap();
    let taken = start.elapsed();
    assert_eq!(outcome.verdict, Verdict::Succeeded);
    engine.shutdown(Duration::ZERO).await.unwrap();
    taken
}

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let g: usize = std::env::var("G").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let bundle = many(g);
    let jobs = g * 10;
    let mode = std::env::var("MODE").unwrap_or_default();
    if !mode.is_empty() {
        let bundle = bundle.clone();
        runtime.block_on(async move {
            tokio::spawn(async move {
                let mock = if mode == "spawned" {
                    MockExecutor::new().spawned()
                } else {
                    MockExecutor::new()
                };
                let builder =
                    Engine::builder().store(MemoryStore::forgetting_ended()).executor("mock", mock);
                let engine = builder.start().await.unwrap();
                let deployment = engine.create_deployment("many").await.unwrap().id;
                engine.import(deployment, &bundle, Default::default()).await.unwrap();
                let n: usize = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
                for _ in 0..n {
                    let prepared = engine.run(deployment).prepare().await.unwrap();
                    let c = cpu();
                    let start = Instant::now();
                    let run = prepared.start().await.unwrap();
                    run.wait().await.unwrap();
                    println!(
                        "{:.3}M cpu {:.0} ns/job",
                        jobs as f64 / start.elapsed().as_secs_f64() / 1e6,
                        (cpu() - c) / jobs as f64
                    );
                }
            })
            .await
            .unwrap();
        });
        return;
    }
    for _ in 0..7 {
        let bundle = bundle.clone();
        runtime.block_on(async move {
            tokio::spawn(async move {
                let f = floor(jobs).await;
                let i = engine(&bundle, MockExecutor::new()).await;
                let s = engine(&bundle, MockExecutor::new().spawned()).await;
                let rate = |d: Duration| jobs as f64 / d.as_secs_f64() / 1e6;
                println!(
                    "floor {:.3}M inline {:.3}M ({:.2}) spawned {:.3}M ({:.2})",
                    rate(f),
                    rate(i),
                    rate(i) / rate(f),
                    rate(s),
                    rate(s) / rate(f)
                );
            })
            .await
            .unwrap();
        });
    }
}

fn cpu() -> f64 {
    let mut sum = 0.0;
    for t in std::fs::read_dir("/proc/self/task").unwrap() {
        let text = std::fs::read_to_string(t.unwrap().path().join("schedstat")).unwrap();
        sum += text.split(' ').next().unwrap().parse::<f64>().unwrap();
    }
    sum
}
